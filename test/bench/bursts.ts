/**
 * Drives bursts of events from one publishing end to any number of subscribing ends, and sums up what arrived.
 *
 * The rate is what arrived at all subscribers together over the time from the first publish to the very last arrival,
 * both on the clock that all processes of the machine share.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { countSchema, latenciesSchema } from './counting.ts'
import type { ByRound } from './floors.ts'
import type { Ledger, Reading } from './ledger.ts'
import type { End } from './processes.ts'
import { type Burst, publishedSchema } from './publishing.ts'
import { percentile } from './statistics.ts'

const ASK_LIMIT_MS = 20_000
const READY_LIMIT_MS = 30_000
const PROBE_EACH_MS = 25
const SETTLE = { limitMs: 15_000, stallMs: 3_000 }

export interface Ends {
  readonly publisher: End
  readonly subscribers: readonly End[]
}

export interface Outcome {
  /** Arrivals a second, all subscribers together. */
  readonly perSecond: number
  /** Arrivals that are missing, all subscribers together. */
  readonly lost: number
  readonly doubled: number
  /** Over all arrivals at all subscribers; not a number at full speed, where they tell of queues only. */
  readonly p50Ms: number
  readonly p99Ms: number
}

const everyone = <T>({ subscribers }: Ends, ask: (subscriber: End) => Promise<T>): Promise<T[]> =>
  Promise.all(subscribers.map(ask))

/** Publishes single events until one has arrived at each subscriber: the subscriptions have then reached the publisher. */
export const waitUntilHeard = async (ends: Ends): Promise<void> => {
  const deadlineMs = performance.now() + READY_LIMIT_MS
  const expected = { first: 0, capacity: READY_LIMIT_MS }
  await everyone(ends, (one) => one.ask('expect', expected, z.null(), ASK_LIMIT_MS))
  let deaf = 0
  for (let first = 0; performance.now() < deadlineMs; first++) {
    await ends.publisher.ask('probe', { first }, z.null(), READY_LIMIT_MS)
    await delay(PROBE_EACH_MS)
    const counts = await everyone(ends, (one) => one.ask('received', null, z.int(), ASK_LIMIT_MS))
    deaf = counts.filter((count) => count === 0).length
    if (deaf === 0) return
  }
  throw new Error(`${deaf} of ${ends.subscribers.length} subscribers heard no event within ${READY_LIMIT_MS} ms`)
}

/** Each burst needs sequence numbers of its own, so that a straggler of one is never counted in the next. */
export const measureBurst = async (ends: Ends, burst: Burst): Promise<Outcome> => {
  const range = { first: burst.first, capacity: burst.count }
  await everyone(ends, (one) => one.ask('expect', range, z.null(), ASK_LIMIT_MS))
  const sent = await ends.publisher.ask('publish', burst, publishedSchema, burst.limitMs + 30_000)
  const settle = { expected: sent.published, ...SETTLE }
  const counts = await everyone(ends, (one) => one.ask('settle', settle, countSchema, SETTLE.limitMs + 5_000))
  const received = counts.reduce((sum, count) => sum + count.received, 0)
  if (received === 0) throw new Error(`none of ${sent.published} events arrived`)
  const latencies =
    burst.perSecond === undefined
      ? []
      : (await everyone(ends, (one) => one.ask('latencies', null, latenciesSchema, ASK_LIMIT_MS))).flat()
  return {
    perSecond: received / ((Math.max(...counts.map(({ lastAtMs }) => lastAtMs)) - sent.firstAtMs) / 1_000),
    lost: sent.published * ends.subscribers.length - received,
    doubled: counts.reduce((sum, count) => sum + count.doubled, 0),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  }
}

export const faults = (name: string, { lost, doubled }: Outcome): Reading[] => [
  { case: name, metric: 'lost', unit: 'events', value: lost },
  { case: name, metric: 'doubled', unit: 'events', value: doubled },
]

export const delays = (name: string, { p50Ms, p99Ms }: Outcome): Reading[] => [
  { case: name, metric: 'p50', unit: 'ms', value: p50Ms },
  { case: name, metric: 'p99', unit: 'ms', value: p99Ms },
]

/** Lost and doubled events of several cases together: the worst round, told for every round. */
export const worstFaults = (ledger: Ledger, system: string, cases: readonly string[]): ByRound => {
  const series = cases.flatMap((name) => ['lost', 'doubled'].map((metric) => ledger.values(system, name, metric)))
  const values = series.flat()
  const complete = values.length > 0 && values.every((value) => value !== undefined)
  return [complete ? Math.max(...values) : undefined]
}
