/** The three voters of the suite many-tasks; one of them works, one submits. */
import { createHash, randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { z } from 'zod'
import type { Mesh } from '../../../node/index.ts'
import { asCount, asTexts, field } from '../input.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'
import { startVoter } from '../systems/parley-meshes.ts'

const VOTERS = 3
const FOUND_MS = 60_000
const SAMPLE_MS = 20
const MIB = 1024 * 1024
/** Effects of one task that are under way at a time. */
const LANES = 256
const TOGETHER = 64
const SMALL = 'bench.small'
const LONG = 'bench.long'
const LARGE = 'bench.large'

const addressSchema = z.object({ secret: z.string(), join: z.array(z.string()) })
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** How long the loop was held up at most, and memory, since it was asked last. */
const watchStrain = () => {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  let most = 0
  delays.enable()
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, SAMPLE_MS)
  return {
    take: () => {
      const taken = { longestPauseMs: delays.max / 1e6, mostMib: most / MIB }
      delays.reset()
      most = 0
      return taken
    },
    stop: () => {
      clearInterval(timer)
      delays.disable()
    },
  }
}

const work = async (mesh: Mesh): Promise<void> => {
  await mesh.tasks.work(SMALL, ({ input }) => Number(input) + 1, { slots: 1_024 })
  // The first attempt records, the second one finds all of it recorded.
  let ran = 0
  let recordedAt = 0
  await mesh.tasks.work(LONG, async ({ input, attempt }, { effect }) => {
    const effects = Number(input)
    let next = 0
    let sum = 0
    if (attempt > 1) recordedAt = performance.now()
    const beganMs = performance.now()
    const lane = async (): Promise<void> => {
      while (next < effects) {
        const n = next
        next += 1
        const run = (): number => {
          ran += 1
          return n
        }
        const value = await effect('step', run, { key: String(n) })
        sum += value
      }
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    const ms = performance.now() - beganMs
    if (attempt === 1) throw new Error('once more')
    return { sum, ran, againMs: performance.now() - recordedAt, ms }
  })
  await mesh.tasks.work<Uint8Array>(LARGE, ({ input }) => input.toReversed())
}

const playVoter = async (_system: unknown, input: unknown) => {
  const seeds = asTexts(input).map((one) => addressSchema.parse(JSON.parse(one)))
  const secret = seeds[0]?.secret ?? randomBytes(32).toString('base64url')
  const join = seeds.flatMap((one) => one.join)
  const mesh = await startVoter(`voter-${seeds.length}`, secret, join, VOTERS)
  const strain = watchStrain()
  const submitAll = async (tasks: number) => {
    const groups = Array.from({ length: Math.ceil(tasks / TOGETHER) }, (_, g) =>
      Array.from({ length: Math.min(TOGETHER, tasks - g * TOGETHER) }, (_, i) => g * TOGETHER + i),
    )
    const handles = await Promise.all(
      groups.map((group) =>
        mesh.tasks.submitAll(
          group.map((n) => ({ type: SMALL, input: n })),
          { timeoutMs: FOUND_MS },
        ),
      ),
    )
    return handles.flat()
  }

  return {
    hello: JSON.stringify({ secret, join: mesh.self.addresses }),
    verbs: {
      strain: async () => strain.take(),
      work: async () => {
        await mesh.coordinator.found({ timeoutMs: FOUND_MS })
        await work(mesh)
        return null
      },
      atOnce: async (what: unknown) => {
        const tasks = asCount(field(what, 'tasks'))
        const times = latencies()
        const beganMs = performance.now()
        const handles = await submitAll(tasks)
        const acceptedMs = performance.now() - beganMs
        let wrong = 0
        await Promise.all(
          handles.map(async (task, n) => {
            if ((await task.result()) !== n + 1) wrong += 1
            times.add(performance.now() - beganMs)
          }),
        )
        return { acceptedMs, ms: performance.now() - beganMs, p99Ms: percentile(times.values(), 0.99), wrong }
      },
      long: async (what: unknown) => {
        const effects = asCount(field(what, 'effects'))
        const beganMs = performance.now()
        const task = await mesh.tasks.submit({ type: LONG, input: effects, retry: { max: 1, delayMs: 1 } })
        const { sum, ran, againMs } = z
          .object({ sum: z.number(), ran: z.number(), againMs: z.number() })
          .parse(await task.result())
        const isRight = sum === (effects * (effects - 1)) / 2
        return { ms: performance.now() - beganMs - againMs, againMs, wrong: isRight ? ran - effects : effects }
      },
      large: async (what: unknown) => {
        const bytes = randomBytes(asCount(field(what, 'bytes')))
        const beganMs = performance.now()
        const task = await mesh.tasks.submit({ type: LARGE, input: bytes }, { timeoutMs: FOUND_MS })
        const acceptedMs = performance.now() - beganMs
        const result = await task.result<Uint8Array>()
        const ms = performance.now() - beganMs
        return { acceptedMs, ms, wrong: hashOf(result) === hashOf(bytes.toReversed()) ? 0 : 1 }
      },
    },
    stop: async () => {
      strain.stop()
      await mesh.stop()
    },
  }
}

export const roles: Roles = { voter: playVoter }
