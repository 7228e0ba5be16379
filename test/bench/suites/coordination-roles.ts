/** The three voters of the suite coordination, which also ask for resources, submit tasks and make plans; and agents without a vote. */
import { randomBytes, randomUUID } from 'node:crypto'
import { z } from 'zod'
import { createMesh, type Mesh } from '../../../node/index.ts'
import { resources, tasks } from '../../../node/parts/built-in.ts'
import { coordinationProtocol } from '../../../protocols/coordination/contract.ts'
import { asCount, asTexts, field } from '../input.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'
import { startVoter } from '../systems/parley-meshes.ts'
import { type SimulatedNodes, simulatedNodes, withSimulatedNodes } from '../systems/simulated-nodes.ts'

const VOTERS = 3
const FOUND_MS = 60_000
const SHOT = 'bench.shot'
const TOGETHER = 64
const SLOTS = 4
const PLANNED = 'bench.planned'
/** Of placements: the first and the last ones are no steady state. */
const EDGE = 0.1

const addressSchema = z.object({ secret: z.string(), join: z.array(z.string()) })

const workOn = async (mesh: Mesh): Promise<null> => {
  await mesh.tasks.work(PLANNED, () => 1, { slots: 64 })
  return null
}

/** Tasks that do nothing: what is measured is how they come to be done. */
const makePlans = async (mesh: Mesh, what: unknown) => {
  const [count, size] = [asCount(field(what, 'count')), asCount(field(what, 'tasks'))]
  const tasks = Array.from({ length: size }, () => ({ type: PLANNED }))
  const [coordinated, ended, seen] = [latencies(), latencies(), latencies()]
  const agents = new Set<string>()
  let [left, failed, directives] = [count, 0, 0]
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const beganMs = performance.now()
      const plan = await mesh.plans.make({ goal: 'measured', tasks })
      let isCoordinated = false
      for await (const { state, changedAt, outcome, assignments } of plan.updates()) {
        if (state !== 'idle') seen.add(Math.max(0, Date.now() - changedAt))
        const isNow = state === 'monitoring' || outcome !== undefined
        if (isNow && !isCoordinated) coordinated.add(performance.now() - beganMs)
        isCoordinated ||= isNow
        if (outcome === undefined) continue
        if (outcome !== 'completed') failed += 1
        directives += assignments.length
        for (const { agent } of assignments) agents.add(agent)
      }
      ended.add(performance.now() - beganMs)
    }
  }
  const beganMs = performance.now()
  await Promise.all(Array.from({ length: asCount(field(what, 'inFlight')) }, lane))
  const seconds = (performance.now() - beganMs) / 1e3
  const at = (times: ReturnType<typeof latencies>, share: number): number => percentile(times.values(), share)
  return {
    ...{ perSecond: count / seconds, directivesPerSecond: directives / seconds, failed, agents: agents.size },
    ...{ coordinatedP50Ms: at(coordinated, 0.5), coordinatedP99Ms: at(coordinated, 0.99), seenP99Ms: at(seen, 0.99) },
    ...{ endedP50Ms: at(ended, 0.5), endedP99Ms: at(ended, 0.99) },
  }
}

/** Each in turn, so many at a time. */
const askAgents = async (mesh: Mesh, what: unknown) => {
  const agents = mesh.members().map(({ id }) => id)
  const [inFlight, durationMs] = [asCount(field(what, 'inFlight')), asCount(field(what, 'durationMs'))]
  const times = latencies()
  let answered = 0
  const beganMs = performance.now()
  const lane = async (): Promise<void> => {
    while (performance.now() - beganMs < durationMs) {
      const target_agent = agents[answered % agents.length] ?? ''
      const askedMs = performance.now()
      const request = { request_id: randomUUID(), timestamp: Date.now(), target_agent }
      await mesh.to(target_agent, coordinationProtocol).agent_status(request)
      times.add(performance.now() - askedMs)
      answered += 1
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const perSecond = answered / ((performance.now() - beganMs) / 1e3)
  return { perSecond, p50Ms: percentile(times.values(), 0.5), p99Ms: percentile(times.values(), 0.99) }
}

/** Without a vote. */
const playAgent = async (_system: unknown, input: unknown) => {
  const seeds = asTexts(input).map((one) => addressSchema.parse(JSON.parse(one)))
  const join = seeds.flatMap((one) => one.join)
  const mesh = await createMesh({ name: 'agent', mesh: 'bench', secret: seeds[0]?.secret ?? '', join, log: 'silent' })
  await mesh.joined({ timeoutMs: FOUND_MS })
  return { hello: null, verbs: { work: () => workOn(mesh) }, stop: () => mesh.stop() }
}

const playVoter = async (_system: unknown, input: unknown) => {
  const seeds = asTexts(input).map((one) => addressSchema.parse(JSON.parse(one)))
  const secret = seeds[0]?.secret ?? randomBytes(32).toString('base64url')
  const join = seeds.flatMap((one) => one.join)
  const mesh = await startVoter(`voter-${seeds.length}`, secret, join, VOTERS, withSimulatedNodes())
  let nodes: SimulatedNodes | undefined

  return {
    hello: JSON.stringify({ secret, join: mesh.self.addresses }),
    verbs: {
      leads: async () => {
        await mesh.coordinator.found({ timeoutMs: FOUND_MS })
        return mesh.coordinator.status().acting
      },
      offer: async (what: unknown) => {
        await mesh.resources.offer({ cpu: asCount(field(what, 'cpu')) })
        return null
      },
      /** Allocations that are had and given back, so many at a time. */
      operate: async (what: unknown) => {
        const inFlight = asCount(field(what, 'inFlight'))
        const durationMs = asCount(field(what, 'durationMs'))
        const times = latencies()
        let operations = 0
        const beganMs = performance.now()
        const lane = async (): Promise<void> => {
          while (performance.now() - beganMs < durationMs) {
            const askedMs = performance.now()
            const held = await mesh.resources.allocate({ units: { cpu: 1 } })
            times.add(performance.now() - askedMs)
            await held.release()
            operations += 2
          }
        }
        await Promise.all(Array.from({ length: inFlight }, lane))
        const perSecond = operations / ((performance.now() - beganMs) / 1e3)
        return { perSecond, p50Ms: percentile(times.values(), 0.5), p99Ms: percentile(times.values(), 0.99) }
      },
      work: () => workOn(mesh),
      plans: (what: unknown) => makePlans(mesh, what),
      askAgents: (what: unknown) => askAgents(mesh, what),
      simulate: async (what: unknown) => {
        nodes = await simulatedNodes(mesh)
        await nodes.start({ count: asCount(what), type: SHOT, slots: SLOTS, capacity: { cpu: SLOTS } })
        return null
      },
      submit: async (what: unknown) => {
        const groups = Math.ceil(asCount(what) / TOGETHER)
        const one = { type: SHOT, input: 1, requirements: { resources: { cpu: 1 } } }
        const lane = async (): Promise<void> => {
          await mesh.tasks.submitAll(
            Array.from({ length: TOGETHER }, () => one),
            { timeoutMs: FOUND_MS },
          )
        }
        await Promise.all(Array.from({ length: groups }, lane))
        return groups * TOGETHER
      },
      /** Once so many were placed, and done. */
      placements: async (what: unknown) => {
        const count = asCount(what)
        const untilMs = performance.now() + FOUND_MS
        while ((nodes?.counts().completed ?? 0) < count && performance.now() < untilMs)
          await new Promise((resolve) => setTimeout(resolve, 20))
        const { placedAt = [], completed = 0, without = 0 } = nodes?.counts() ?? {}
        const edge = Math.floor(count * EDGE)
        const [firstMs = 0, lastMs = 0] = [placedAt[edge], placedAt[count - edge - 1]]
        const perSecond = (count - 2 * edge) / ((lastMs - firstMs) / 1e3)
        const ofTasks = (await mesh.part(tasks)).figures()
        const ofResources = (await mesh.part(resources)).figures()
        const refused = ofTasks.planned_refused_total + ofResources.planned_refused_total
        const wrong = Math.abs(placedAt.length - count) + without
        return { perSecond, completed, wrong, refused }
      },
    },
    stop: () => mesh.stop(),
  }
}

export const roles: Roles = { voter: playVoter, agent: playAgent }
