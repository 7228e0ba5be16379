/**
 * Suite store: rows on disk, each group of changes synced before it is answered, without a network. What the product keeps
 * rests on the first one; the others are what it could have rested on.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { judge, ratio } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { Suite } from '../suite.ts'

const LIMIT_MS = 180_000
const WAITING = [1, 64, 512]
const WARM_UP_MS = 1_000
const RUN_MS = 2_000
const KEPT_BYTES = 1024 * 1024 * 1024
const LEVEL = 'leveldb'

const runSchema = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number(), cpuUs: z.number() })
const openSchema = z.object({ ms: z.number(), mib: z.number() })

const caseOf = (waiting: number): string => `${waiting} waiting`
const KEPT = '1 GiB kept'

export const store: Suite = {
  name: 'store',
  about: 'rows on disk: synced groups, reads by key, opening with 1 GiB, room after nine tenths are gone',
  systems: [SUBJECT, LEVEL, 'sqlite', 'lmdb'],
  labels: new Map([
    [SUBJECT, 'a checksum over every byte'],
    [LEVEL, 'checksums of its log; of tables only where they are asked for'],
    ['sqlite', 'node:sqlite, WAL, synchronous=FULL, on the thread that asks; no checksums of pages'],
    ['lmdb', 'no checksums'],
  ]),

  measure: async (start, pause) => {
    const found: Reading[] = []
    const end = start('store')
    await end.ask('start', null, z.null(), LIMIT_MS)
    await end.ask('run', { waiting: 64, durationMs: WARM_UP_MS }, runSchema, LIMIT_MS)
    for (const waiting of WAITING) {
      await pause()
      const { perSecond, p50Ms, p99Ms, cpuUs } = await end.ask(
        'run',
        { waiting, durationMs: RUN_MS },
        runSchema,
        LIMIT_MS,
      )
      const name = caseOf(waiting)
      found.push(
        { case: name, metric: 'commits', unit: '/s', value: perSecond },
        { case: name, metric: 'p50', unit: 'ms', value: p50Ms },
        { case: name, metric: 'p99', unit: 'ms', value: p99Ms },
        { case: name, metric: 'processor', unit: 'µs/commit', value: cpuUs },
      )
    }
    await pause()
    const seconds = await end.ask('fill', { bytes: KEPT_BYTES }, z.number(), LIMIT_MS)
    const opened = await end.ask('reopen', null, openSchema, LIMIT_MS)
    const reads = await end.ask('read', { durationMs: RUN_MS }, z.number(), LIMIT_MS)
    const room = await end.ask('thin', null, z.number(), LIMIT_MS)
    found.push(
      { case: KEPT, metric: 'written', unit: 'MB/s', value: KEPT_BYTES / seconds / 1e6 },
      { case: KEPT, metric: 'opened, first row read', unit: 'ms', value: opened.ms },
      { case: KEPT, metric: 'memory of opening', unit: 'MiB RSS', value: opened.mib },
      { case: KEPT, metric: 'reads by key, one at a time', unit: '/s', value: reads },
      { case: KEPT, metric: 'on disk with a tenth left', unit: 'times', value: room },
    )
    await end.stop()
    return found
  },

  floors: (ledger) => [
    ...WAITING.map((waiting) =>
      judge({
        name: `commits/s with ${waiting} waiting, over leveldb (at least)`,
        bound: 'least',
        byRound: ratio(
          ledger.values(SUBJECT, caseOf(waiting), 'commits'),
          ledger.values(LEVEL, caseOf(waiting), 'commits'),
        ),
        floor: 1,
        aim: 1.2,
      }),
    ),
    judge({
      name: 'opening with 1 GiB kept, ms (at most)',
      bound: 'most',
      byRound: ledger.values(SUBJECT, KEPT, 'opened, first row read'),
      floor: 2_000,
      aim: 500,
    }),
    judge({
      name: 'on disk for each byte that is left when nine tenths are gone (at most)',
      bound: 'most',
      byRound: ledger.values(SUBJECT, KEPT, 'on disk with a tenth left'),
      floor: 3,
      aim: 2,
    }),
  ],
}
