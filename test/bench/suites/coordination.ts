/**
 * Suite coordination: what the coordinator of three voters decides in processes of their own: allocations had and given back,
 * plans over five agents, and tasks that are given what they require and placed on 1,000 nodes, which the coordinator's process plays itself.
 * Floors: design document, section 8.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import type { End } from '../processes.ts'
import type { Suite } from '../suite.ts'

const LIMIT_MS = 120_000
const IN_FLIGHT = 64
const OPERATE_MS = 5_000
const NODES = 1_000
const TASKS = 12_800
const AGENTS = 5
const PLANS = 200
const LANES = 16
const ONE_PLAN = `a plan of ${AGENTS} tasks over ${AGENTS} agents, alone`
const MANY_PLANS = `plans of ${AGENTS} tasks over ${AGENTS} agents, ${LANES} in flight`
const ASKED = `agents asked how they are, ${IN_FLIGHT} in flight`
const OPERATIONS = `resources allocated and released, ${IN_FLIGHT} in flight`
const PLACEMENTS = `${TASKS} tasks with requirements on ${NODES} simulated nodes`

const operated = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number() })
const placed = z.object({ perSecond: z.number(), completed: z.number(), wrong: z.number(), refused: z.number() })

const planned = z.object({
  ...{
    perSecond: z.number(),
    directivesPerSecond: z.number(),
    coordinatedP50Ms: z.number(),
    coordinatedP99Ms: z.number(),
  },
  ...{ endedP50Ms: z.number(), endedP99Ms: z.number(), seenP99Ms: z.number(), failed: z.number(), agents: z.number() },
})
const asked = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number() })

const leaderOf = async (ends: readonly End[]): Promise<{ leader: End; others: End[] }> => {
  for (;;) {
    const leads = await Promise.all(ends.map((end) => end.ask('leads', null, z.boolean(), LIMIT_MS)))
    const leader = ends[leads.indexOf(true)]
    if (leader !== undefined) return { leader, others: ends.filter((end) => end !== leader) }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

export const coordination: Suite = {
  name: 'coordination',
  about:
    'the coordinator: allocations/s that are decided, plans over five agents, tasks/s that are placed on 1,000 simulated nodes',
  systems: [SUBJECT],

  measure: async (start) => {
    const ends = [start('voter'), start('voter'), start('voter')] as const
    const seeds: string[] = []
    for (const end of ends) seeds.push(await end.ask('start', [...seeds], z.string(), LIMIT_MS))
    const { leader, others } = await leaderOf(ends)
    const [asker] = others
    if (asker === undefined) throw new Error('nobody but the coordinator is there')
    await asker.ask('offer', { cpu: 1_000_000 }, z.null(), LIMIT_MS)
    const operations = await asker.ask('operate', { inFlight: IN_FLIGHT, durationMs: OPERATE_MS }, operated, LIMIT_MS)
    const lone = await asker.ask('operate', { inFlight: 1, durationMs: OPERATE_MS / 2 }, operated, LIMIT_MS)
    const agents = Array.from({ length: AGENTS - ends.length }, () => start('agent'))
    for (const end of agents) await end.ask('start', [...seeds], z.null(), LIMIT_MS)
    for (const end of [...ends, ...agents]) await end.ask('work', null, z.null(), LIMIT_MS)
    const alone = await asker.ask('plans', { count: PLANS, tasks: AGENTS, inFlight: 1 }, planned, LIMIT_MS)
    const many = await asker.ask('plans', { count: 5 * PLANS, tasks: AGENTS, inFlight: LANES }, planned, LIMIT_MS)
    const status = await asker.ask('askAgents', { inFlight: IN_FLIGHT, durationMs: OPERATE_MS / 2 }, asked, LIMIT_MS)
    await Promise.all(agents.map((end) => end.stop()))
    await leader.ask('simulate', NODES, z.null(), LIMIT_MS)
    const submitting = asker.ask('submit', TASKS, z.number(), LIMIT_MS)
    const placements = await leader.ask('placements', TASKS, placed, LIMIT_MS)
    await submitting
    await Promise.all(ends.map((end) => end.stop()))
    const row = (name: string, metric: string, unit: string, value: number) => ({ case: name, metric, unit, value })
    return [
      row(OPERATIONS, 'committed', '/s', operations.perSecond),
      row(OPERATIONS, 'p50', 'ms', operations.p50Ms),
      row(OPERATIONS, 'p99', 'ms', operations.p99Ms),
      row('one allocation alone', 'p50', 'ms', lone.p50Ms),
      row('one allocation alone', 'p99', 'ms', lone.p99Ms),
      row(ONE_PLAN, 'coordinated p50', 'ms', alone.coordinatedP50Ms),
      row(ONE_PLAN, 'coordinated p99', 'ms', alone.coordinatedP99Ms),
      row(ONE_PLAN, 'all done p50', 'ms', alone.endedP50Ms),
      row(ONE_PLAN, 'all done p99', 'ms', alone.endedP99Ms),
      row(ONE_PLAN, 'state seen elsewhere p99', 'ms', alone.seenP99Ms),
      row(ONE_PLAN, 'agents', 'agents', alone.agents),
      row(MANY_PLANS, 'coordinated', '/s', many.perSecond),
      row(MANY_PLANS, 'directives acknowledged', '/s', many.directivesPerSecond),
      row(MANY_PLANS, 'coordinated p99', 'ms', many.coordinatedP99Ms),
      row(MANY_PLANS, 'failed', 'plans', alone.failed + many.failed),
      row(ASKED, 'answered', '/s', status.perSecond),
      row(ASKED, 'p50', 'ms', status.p50Ms),
      row(ASKED, 'p99', 'ms', status.p99Ms),
      row(PLACEMENTS, 'placed', '/s', placements.perSecond),
      row(PLACEMENTS, 'wrong', 'tasks', placements.wrong + TASKS - placements.completed),
      row(PLACEMENTS, 'refused by the applier', 'changes', placements.refused),
    ]
  },

  floors: (ledger) => {
    const values = (of: string, metric: string) => ledger.values(SUBJECT, of, metric)
    return [
      judge({
        name: 'operations of the coordinator, /s',
        bound: 'least',
        byRound: values(OPERATIONS, 'committed'),
        ...{ floor: 1_000, aim: 10_000 },
      }),
      // Quality of service, as seed 003 has it.
      judge({
        name: 'a plan over 5 agents, p99 ms (at most)',
        bound: 'most',
        byRound: values(ONE_PLAN, 'coordinated p99'),
        ...{ floor: 1_000, aim: 100 },
      }),
      judge({
        name: 'coordinations, /s',
        bound: 'least',
        byRound: values(MANY_PLANS, 'coordinated'),
        ...{ floor: 100, aim: 500 },
      }),
      judge({
        name: 'messages of coordination, /s',
        bound: 'least',
        byRound: values(ASKED, 'answered'),
        ...{ floor: 1_000, aim: 10_000 },
      }),
      judge({
        name: 'a message of coordination there and back, p99 ms (at most)',
        bound: 'most',
        byRound: values(ASKED, 'p99'),
        ...{ floor: 100, aim: 20 },
      }),
      judge({
        name: 'state of a plan is seen elsewhere, p99 ms (at most)',
        bound: 'most',
        byRound: values(ONE_PLAN, 'state seen elsewhere p99'),
        ...{ floor: 100, aim: 20 },
      }),
      judge({
        name: 'plans that failed (at most)',
        bound: 'most',
        byRound: values(MANY_PLANS, 'failed'),
        ...{ floor: 0, aim: 0 },
      }),
      judge({
        name: 'placements over 1,000 simulated nodes, /s',
        bound: 'least',
        byRound: values(PLACEMENTS, 'placed'),
        ...{ floor: 1_500, aim: 5_000 },
      }),
      judge({
        name: 'tasks that were placed wrongly (at most)',
        bound: 'most',
        byRound: values(PLACEMENTS, 'wrong'),
        ...{ floor: 0, aim: 0 },
      }),
      judge({
        name: 'plans that were refused by the applier (at most)',
        bound: 'most',
        byRound: values(PLACEMENTS, 'refused by the applier'),
        ...{ floor: 0, aim: 0 },
      }),
    ]
  },
}
