/**
 * Suite tasks: a task with three recorded steps, from its submission to its result, between a submitter and a worker process.
 * Floors: design document, section 8.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge, ratio } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { Suite } from '../suite.ts'

const START_LIMIT_MS = 90_000
const RUN_LIMIT_MS = 60_000
const RESTATE = 'restate'
const WARM_UP = { inFlight: 64, durationMs: 6_000 }
const RUNS = [
  { inFlight: 64, durationMs: 5_000 },
  { inFlight: 512, durationMs: 5_000 },
  { inFlight: 1, durationMs: 2_000 },
] as const

const figures = z.object({
  perSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  wrong: z.number(),
  decisions: z.number().optional(),
})

const caseOf = (inFlight: number): string => `three recorded steps, ${inFlight} in flight`

const LABELS: ReadonlyMap<string, string> = new Map([
  [
    SUBJECT,
    'submission, each step and the result are synced on two of three voters before they count; submitter and worker are voters',
  ],
  [RESTATE, 'one server, not replicated; strace shows that it syncs its log (fdatasync)'],
  [
    'rabbitmq-work-queue',
    'the task is synced by its only node; each step in a synced file of the worker, which no other worker has; the result is not durable',
  ],
])

export const tasks: Suite = {
  name: 'tasks',
  about: 'tasks of three recorded steps from submission to result: tasks/s and latency, replicated to 3 voters',
  systems: [SUBJECT, RESTATE, 'rabbitmq-work-queue'],
  labels: LABELS,

  measure: async (start, pause) => {
    const keeper = start('keeper')
    const worker = start('worker')
    const submitter = start('submitter')
    const kept = await keeper.ask('start', null, z.string().nullable(), START_LIMIT_MS)
    const seeds = kept === null ? [] : [kept]
    const address = await worker.ask('start', seeds, z.string(), START_LIMIT_MS)
    await submitter.ask('start', [...seeds, address], z.null(), START_LIMIT_MS)
    await submitter.ask('run', WARM_UP, figures, RUN_LIMIT_MS)
    const found: Reading[] = []
    for (const run of RUNS) {
      await pause()
      const { perSecond, p50Ms, p99Ms, wrong, decisions } = await submitter.ask('run', run, figures, RUN_LIMIT_MS)
      const name = caseOf(run.inFlight)
      found.push(
        { case: name, metric: 'tasks', unit: '/s', value: perSecond },
        { case: name, metric: 'p50', unit: 'ms', value: p50Ms },
        { case: name, metric: 'p99', unit: 'ms', value: p99Ms },
        { case: name, metric: 'wrong results', unit: 'tasks', value: wrong },
      )
      if (decisions !== undefined)
        found.push({ case: name, metric: 'entries of the journal', unit: '/task', value: decisions })
    }
    await Promise.all([submitter, worker, keeper].map((end) => end.stop()))
    return found
  },

  floors: (ledger) => [
    judge({
      name: 'tasks/s of three recorded steps, 64 in flight, on 3 voters, over one restate-server (at least)',
      bound: 'least',
      byRound: ratio(ledger.values(SUBJECT, caseOf(64), 'tasks'), ledger.values(RESTATE, caseOf(64), 'tasks')),
      floor: 1,
      aim: 3,
    }),
    judge({
      name: 'wrong results, 512 in flight (at most)',
      bound: 'most',
      byRound: ledger.values(SUBJECT, caseOf(512), 'wrong results'),
      floor: 0,
      aim: 0,
    }),
  ],
}
