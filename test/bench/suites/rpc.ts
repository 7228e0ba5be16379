/**
 * Suite rpc: echo calls between two processes, JSON encoded and decoded on both sides, every answer checked.
 *
 * Each (round, system) starts fresh processes, so that an idle system costs nothing and one lucky or unlucky memory
 * layout does not decide a whole series. Floors: design document, section 8.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { best, ifMeasured, judge, ratio } from '../floors.ts'
import type { Reading } from '../ledger.ts'
import type { Load } from '../load.ts'
import type { Suite } from '../suite.ts'
import { besideBulkSchema, figuresSchema } from './rpc-roles.ts'

const START_LIMIT_MS = 60_000
const RUN_LIMIT_MS = 15_000
const DURATION_MS = 1_500
/** Each case has code compiled anew, of which V8 is done after some ten thousand calls: then it is measured, in all systems. */
const CASE_WARM_UP_MS = 1_500
const LONE_WARM_UP_MS = 3_000

interface Case {
  readonly name: string
  readonly bytes: number
  readonly inFlight: number
}

export const BUSY = '256 B, 64 in flight'
export const LONE = '256 B, 1 in flight'
export const BESIDE_BULK = '256 B, 1 in flight beside bulk'

/** Many in flight comes first: it compiles the hot path before a lone request is timed. */
const CASES: readonly Case[] = [
  { name: BUSY, bytes: 256, inFlight: 64 },
  { name: '256 B, 512 in flight', bytes: 256, inFlight: 512 },
  { name: LONE, bytes: 256, inFlight: 1 },
  { name: '4 KiB, 64 in flight', bytes: 4_096, inFlight: 64 },
  { name: '64 KiB, 64 in flight', bytes: 65_536, inFlight: 64 },
]

const FIRST_WARM_UP: Load = { bytes: 256, inFlight: 64, warmUpMs: 0, durationMs: 4_000 }
const timed = ({ bytes, inFlight }: { bytes: number; inFlight: number }): Load => ({
  bytes,
  inFlight,
  warmUpMs: inFlight === 1 ? LONE_WARM_UP_MS : CASE_WARM_UP_MS,
  durationMs: DURATION_MS,
})

const readings = (name: string, figures: z.output<typeof figuresSchema>): Reading[] => [
  { case: name, metric: 'requests', unit: '/s', value: figures.perSecond },
  { case: name, metric: 'p50', unit: 'ms', value: figures.p50Ms },
  { case: name, metric: 'p99', unit: 'ms', value: figures.p99Ms },
]

/** Whoever reads of a failure needs to know which case it was. */
const failedIn =
  (name: string) =>
  (error: Error): never => {
    throw new Error(`${name}: ${error.message}`, { cause: error })
  }

export const rpc: Suite = {
  name: 'rpc',
  about: 'echo calls between two processes: requests/s, latency, latency beside a bulk stream',
  systems: [SUBJECT, 'nats', 'nats-newest', 'moleculer', 'rabbitmq', 'libp2p-stream-per-request', 'raw-tcp'],

  measure: async (start, pause) => {
    const responder = start('responder')
    const caller = start('caller')
    const address = await responder.ask('start', null, z.string(), START_LIMIT_MS)
    await caller.ask('start', address, z.null(), START_LIMIT_MS)
    await caller.ask('run', FIRST_WARM_UP, figuresSchema, RUN_LIMIT_MS).catch(failedIn('warm-up'))

    const found: Reading[] = []
    for (const one of CASES) {
      await pause()
      const figures = caller.ask('run', timed(one), figuresSchema, RUN_LIMIT_MS)
      found.push(...readings(one.name, await figures.catch(failedIn(one.name))))
    }
    const lone = timed({ bytes: 256, inFlight: 1 })
    await pause()
    const besideBulk = await caller
      .ask('runBesideBulk', lone, besideBulkSchema, RUN_LIMIT_MS)
      .catch(failedIn(BESIDE_BULK))
    if (besideBulk !== null) {
      found.push(...readings(BESIDE_BULK, besideBulk))
      found.push({ case: BESIDE_BULK, metric: 'bulk', unit: 'MB/s', value: besideBulk.bulkMbPerSecond })
    }
    return found
  },

  floors: (ledger) => {
    const busy = (system: string) => ledger.values(system, BUSY, 'requests')
    const lone = (system: string) => ledger.values(system, LONE, 'p50')
    return [
      judge({
        name: 'requests/s, 256 B, 64 in flight, over the best of nats, the newest nats and moleculer (at least)',
        bound: 'least',
        byRound: ratio(busy(SUBJECT), best(busy('nats'), busy('moleculer'), ...ifMeasured(busy('nats-newest')))),
        floor: 1.5,
        aim: 3,
      }),
      judge({
        name: 'lone call p50 over nats (at most)',
        bound: 'most',
        byRound: ratio(lone(SUBJECT), lone('nats')),
        floor: 1,
        aim: 0.6,
      }),
      judge({
        name: 'lone call p99 beside a bulk stream, ms (at most)',
        bound: 'most',
        byRound: ledger.values(SUBJECT, BESIDE_BULK, 'p99'),
        floor: 20,
        aim: 5,
      }),
    ]
  },
}
