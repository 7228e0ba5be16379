/**
 * Suite collections: a journal that grows to 2 GiB. One voter decides rows of a part's collections as fast as it can; what
 * counts is that its event loop is never held up by a snapshot, that its memory does not follow, and that it opens at once.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge } from '../floors.ts'
import type { Suite } from '../suite.ts'

const LIMIT_MS = 300_000
const BYTES = 2 * 1024 * 1024 * 1024
const CASE = '2 GiB of rows'

const filledSchema = z.object({
  perSecond: z.number(),
  longestPauseMs: z.number(),
  mostMib: z.number(),
  onDiskTimes: z.number(),
})
const openedSchema = z.object({ ms: z.number(), rows: z.number() })

export const collections: Suite = {
  name: 'collections',
  about: 'a journal of 2 GiB: decided bytes/s, the longest pause, memory, opening',
  systems: [SUBJECT],

  measure: async (start) => {
    const end = start('voter')
    await end.ask('start', null, z.null(), LIMIT_MS)
    const filled = await end.ask('fill', { bytes: BYTES }, filledSchema, LIMIT_MS)
    const opened = await end.ask('reopen', null, openedSchema, LIMIT_MS)
    await end.stop()
    return [
      { case: CASE, metric: 'decided', unit: 'MB/s', value: filled.perSecond / 1e6 },
      { case: CASE, metric: 'longest pause', unit: 'ms', value: filled.longestPauseMs },
      { case: CASE, metric: 'memory at most', unit: 'MiB RSS', value: filled.mostMib },
      { case: CASE, metric: 'on disk', unit: 'times', value: filled.onDiskTimes },
      { case: CASE, metric: 'opened, decides again', unit: 'ms', value: opened.ms },
      { case: CASE, metric: 'rows read after that', unit: '', value: opened.rows },
    ]
  },

  floors: (ledger) => {
    const of = (metric: string) => ledger.values(SUBJECT, CASE, metric)
    return [
      judge({ name: 'longest pause, ms (at most)', bound: 'most', byRound: of('longest pause'), floor: 50, aim: 25 }),
      judge({ name: 'memory, MiB (at most)', bound: 'most', byRound: of('memory at most'), floor: 1_024, aim: 512 }),
      judge({
        name: 'opening, ms (at most)',
        bound: 'most',
        byRound: of('opened, decides again'),
        floor: 2_000,
        aim: 500,
      }),
      judge({
        name: 'rows read (at least)',
        bound: 'least',
        byRound: of('rows read after that'),
        floor: 1_000,
        aim: 1_000,
      }),
    ]
  },
}
