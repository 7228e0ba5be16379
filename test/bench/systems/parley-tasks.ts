/**
 * Parley's tasks: each step is an effect that is on the disks of two of three voters before the next one begins. The worker and
 * the submitter are two of the voters, as agents with a data directory are.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Mesh } from '../../../node/index.ts'
import { TASK_STEP_CHARS, TASK_STEPS, type TaskEnds } from '../system.ts'
import { startVoter } from './parley-meshes.ts'

const TYPE = 'bench.steps'
const VOTERS = 3
const SLOTS = 1_024
const FOUND_MS = 60_000

const addressSchema = z.object({ secret: z.string(), join: z.array(z.string()) })

const addressOf = (mesh: Mesh, secret: string): string => JSON.stringify({ secret, join: mesh.self.addresses })

const meet = (addresses: readonly string[]) => {
  const all = addresses.map((one) => addressSchema.parse(JSON.parse(one)))
  const [first] = all
  if (first === undefined) throw new Error('nobody was started before')
  return { secret: first.secret, join: all.flatMap((one) => one.join) }
}

export const tasks: TaskEnds = {
  keep: async () => {
    const secret = randomBytes(32).toString('base64url')
    const mesh = await startVoter('keeper', secret, [], VOTERS)
    return { address: addressOf(mesh, secret), stop: () => mesh.stop() }
  },

  work: async (seeds) => {
    const { secret, join } = meet(seeds)
    const mesh = await startVoter('worker', secret, join, VOTERS)
    // It waits for the mesh to be founded, which the submitter is needed for.
    const working = mesh.tasks.work(
      TYPE,
      async ({ input }, { effect }) => {
        let sum = Number(input)
        for (let i = 1; i <= TASK_STEPS; i += 1)
          sum += (await effect(`step-${i}`, () => ({ i, data: 'x'.repeat(TASK_STEP_CHARS) }))).i
        return sum
      },
      { slots: SLOTS },
    )
    working.catch((error: unknown) => process.stderr.write(`the worker does not work: ${String(error)}\n`))
    return { address: addressOf(mesh, secret), stop: () => mesh.stop() }
  },

  connect: async (addresses) => {
    const { secret, join } = meet(addresses)
    const mesh = await startVoter('submitter', secret, join, VOTERS)
    await mesh.coordinator.found({ timeoutMs: FOUND_MS })
    return {
      run: async (n) => Number(await (await mesh.tasks.submit({ type: TYPE, input: n })).result()),
      decisions: () => mesh.coordinator.status().version,
      stop: () => mesh.stop(),
    }
  },
}
