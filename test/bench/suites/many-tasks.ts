/**
 * Suite many-tasks: 10,000 tasks at once, one task with 100,000 effects, and values of 64 MiB, on three voters in processes of
 * their own. What counts is that nothing is wrong, that the voter that neither submits nor works is never held up for long (all
 * snapshots included), and that memory has a bound.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { End } from '../processes.ts'
import type { Suite } from '../suite.ts'

const LIMIT_MS = 300_000
const TASKS = 10_000
const EFFECTS = 100_000
const LARGE_MIB = 64
const AT_ONCE = `${TASKS} tasks at once`
const LONG = `one task with ${EFFECTS} effects`
const LARGE = `input and result of ${LARGE_MIB} MiB`

const atOnceSchema = z.object({ acceptedMs: z.number(), ms: z.number(), p99Ms: z.number(), wrong: z.number() })
const longSchema = z.object({ ms: z.number(), againMs: z.number(), wrong: z.number() })
const largeSchema = z.object({ acceptedMs: z.number(), ms: z.number(), wrong: z.number() })
const strainSchema = z.object({ longestPauseMs: z.number(), mostMib: z.number() })
type Strain = z.output<typeof strainSchema>

/** Since they were asked last: of the voter that has nothing else to do, and of those that work and submit. */
const strainOf = async (name: string, ends: readonly End[]): Promise<Reading[]> => {
  const [only, ...others]: Strain[] = await Promise.all(
    ends.map((end) => end.ask('strain', null, strainSchema, LIMIT_MS)),
  )
  const most = Math.max(only?.mostMib ?? 0, ...others.map(({ mostMib }) => mostMib))
  const longest = Math.max(...others.map(({ longestPauseMs }) => longestPauseMs))
  return [
    { case: name, metric: 'longest pause', unit: 'ms', value: only?.longestPauseMs ?? 0 },
    { case: name, metric: 'longest pause, submitter or worker', unit: 'ms', value: longest },
    { case: name, metric: 'memory at most', unit: 'MiB RSS', value: most },
  ]
}

export const manyTasks: Suite = {
  name: 'many-tasks',
  about: '10,000 tasks at once, 100,000 effects of one task, values of 64 MiB: time, pauses, memory',
  systems: [SUBJECT],

  measure: async (start) => {
    const ends = [start('voter'), start('voter'), start('voter')] as const
    const [first, worker, submitter] = ends
    const seed = await first.ask('start', [], z.string(), LIMIT_MS)
    const other = await worker.ask('start', [seed], z.string(), LIMIT_MS)
    await submitter.ask('start', [seed, other], z.string(), LIMIT_MS)
    await worker.ask('work', null, z.null(), LIMIT_MS)
    await strainOf('start', ends)
    const atOnce = await submitter.ask('atOnce', { tasks: TASKS }, atOnceSchema, LIMIT_MS)
    const found: Reading[] = [
      { case: AT_ONCE, metric: 'all accepted', unit: 'ms', value: atOnce.acceptedMs },
      { case: AT_ONCE, metric: 'all done', unit: 'ms', value: atOnce.ms },
      { case: AT_ONCE, metric: 'p99 to result', unit: 'ms', value: atOnce.p99Ms },
      { case: AT_ONCE, metric: 'wrong', unit: 'tasks', value: atOnce.wrong },
      ...(await strainOf(AT_ONCE, ends)),
    ]
    const long = await submitter.ask('long', { effects: EFFECTS }, longSchema, LIMIT_MS)
    found.push(
      { case: LONG, metric: 'recorded', unit: '/s', value: (EFFECTS / long.ms) * 1e3 },
      { case: LONG, metric: 'done again by another attempt', unit: 'ms', value: long.againMs },
      { case: LONG, metric: 'wrong', unit: 'effects', value: long.wrong },
      ...(await strainOf(LONG, ends)),
    )
    const large = await submitter.ask('large', { bytes: LARGE_MIB * 1024 * 1024 }, largeSchema, LIMIT_MS)
    found.push(
      { case: LARGE, metric: 'accepted', unit: 'ms', value: large.acceptedMs },
      { case: LARGE, metric: 'done and read', unit: 'ms', value: large.ms },
      { case: LARGE, metric: 'wrong', unit: 'values', value: large.wrong },
      ...(await strainOf(LARGE, ends)),
    )
    await Promise.all(ends.map((end) => end.stop()))
    return found
  },

  floors: (ledger) => {
    const most = (name: string, of: string, metric: string, floor: number, aim: number) =>
      judge({ name: `${name} (at most)`, bound: 'most', byRound: ledger.values(SUBJECT, of, metric), floor, aim })
    return [
      most('wrong results of many tasks', AT_ONCE, 'wrong', 0, 0),
      most('wrong effects of a long task', LONG, 'wrong', 0, 0),
      most('wrong large values', LARGE, 'wrong', 0, 0),
      most('longest pause with many tasks, ms', AT_ONCE, 'longest pause', 50, 25),
      most('longest pause with a long task, ms', LONG, 'longest pause', 50, 25),
      most('memory with many tasks, MiB', AT_ONCE, 'memory at most', 512, 256),
      most('memory with a long task, MiB', LONG, 'memory at most', 512, 256),
    ]
  },
}
