/**
 * Suite events: one publisher process, one subscriber process, 256-byte events, none may be lost.
 *
 * The rate is what arrived over the time from the first publish to the last arrival, both on the clock that all
 * processes of the machine share. Floors: design document, section 8.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { type ByRound, judge, medianOf, ratio } from '../floors.ts'
import type { Ledger, Reading } from '../ledger.ts'
import type { End } from '../processes.ts'
import { rounded } from '../statistics.ts'
import type { Suite } from '../suite.ts'
import { type burstSchema, countSchema, publishedSchema } from './events-roles.ts'

const START_LIMIT_MS = 20_000
const READY_LIMIT_MS = 15_000
const PROBE_EACH_MS = 25
const SETTLE = { limitMs: 15_000, stallMs: 3_000 }

export const FULL_SPEED = '256 B, full speed'
export const STEADY = '256 B, 1,000/s'

type Burst = Omit<z.output<typeof burstSchema>, 'first'>
const WARM_UP: Burst = { count: 30_000, limitMs: 1_000 }
const FAST: Burst = { count: 200_000, limitMs: 2_500 }
const CALM: Burst = { count: 1_000, limitMs: 2_000, perSecond: 1_000 }

interface Ends {
  readonly publisher: End
  readonly subscriber: End
}

/** Publishes single events until one arrives: the subscription has then reached the publisher. */
const waitUntilHeard = async ({ publisher, subscriber }: Ends): Promise<void> => {
  const deadlineMs = performance.now() + READY_LIMIT_MS
  await subscriber.ask('expect', { first: 0, capacity: READY_LIMIT_MS }, z.null(), START_LIMIT_MS)
  for (let first = 0; performance.now() < deadlineMs; first++) {
    await publisher.ask('probe', { first }, z.null(), READY_LIMIT_MS)
    await delay(PROBE_EACH_MS)
    if ((await subscriber.ask('received', null, z.int(), START_LIMIT_MS)) > 0) return
  }
  throw new Error(`no event reached the subscriber within ${READY_LIMIT_MS} ms`)
}

interface Outcome {
  readonly perSecond: number
  readonly lost: number
  readonly doubled: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const measureBurst = async ({ publisher, subscriber }: Ends, first: number, burst: Burst): Promise<Outcome> => {
  await subscriber.ask('expect', { first, capacity: burst.count }, z.null(), START_LIMIT_MS)
  const sent = await publisher.ask('publish', { first, ...burst }, publishedSchema, burst.limitMs + 30_000)
  const settle = { expected: sent.published, ...SETTLE }
  const count = await subscriber.ask('settle', settle, countSchema, SETTLE.limitMs + 5_000)
  if (count.received === 0) throw new Error(`none of ${sent.published} events arrived`)
  return {
    perSecond: count.received / ((count.lastAtMs - sent.firstAtMs) / 1_000),
    lost: sent.published - count.received,
    doubled: count.doubled,
    p50Ms: count.p50Ms,
    p99Ms: count.p99Ms,
  }
}

const faults = (name: string, { lost, doubled }: Outcome): Reading[] => [
  { case: name, metric: 'lost', unit: 'events', value: lost },
  { case: name, metric: 'doubled', unit: 'events', value: doubled },
]

/** Lost and doubled events of both cases together: the worst round, told for every round. */
const worstFaults = (ledger: Ledger): ByRound => {
  const series = [FULL_SPEED, STEADY].flatMap((name) =>
    ['lost', 'doubled'].map((metric) => ledger.values(SUBJECT, name, metric)),
  )
  const values = series.flat()
  const complete = values.length > 0 && values.every((value) => value !== undefined)
  return [complete ? Math.max(...values) : undefined]
}

export const events: Suite = {
  name: 'events',
  about: 'events from one publisher process to one subscriber process: events/s, latency, none lost',
  systems: [SUBJECT, 'nats', 'moleculer', 'libp2p-gossipsub', 'raw-tcp'],

  measure: async (start) => {
    const ends = { subscriber: start('subscriber'), publisher: start('publisher') }
    const address = await ends.subscriber.ask('start', null, z.string(), START_LIMIT_MS)
    await ends.publisher.ask('start', address, z.null(), START_LIMIT_MS)
    await waitUntilHeard(ends)

    // Each burst has sequence numbers of its own, so that a straggler of one is never counted in the next.
    await measureBurst(ends, 1_000_000, WARM_UP)
    const fast = await measureBurst(ends, 2_000_000, FAST)
    const calm = await measureBurst(ends, 3_000_000, CALM)
    return [
      { case: FULL_SPEED, metric: 'events', unit: '/s', value: fast.perSecond },
      ...faults(FULL_SPEED, fast),
      { case: STEADY, metric: 'p50', unit: 'ms', value: calm.p50Ms },
      { case: STEADY, metric: 'p99', unit: 'ms', value: calm.p99Ms },
      ...faults(STEADY, calm),
    ]
  },

  floors: (ledger) => {
    const rate = (system: string) => ledger.values(system, FULL_SPEED, 'events')
    const overNats = medianOf(ratio(rate(SUBJECT), rate('nats')))
    const natsRate = medianOf(rate('nats'))
    return [
      {
        ...judge({
          name: 'events/s, 256 B, one publisher, one subscriber (at least; the aim is what nats does)',
          bound: 'least',
          byRound: rate(SUBJECT),
          floor: 100_000,
          aim: natsRate === null ? null : rounded(natsRate),
        }),
        // Against NATS round by round, as every ratio here, and not median against median.
        reachesAim: overNats !== null && overNats >= 1,
      },
      judge({
        name: 'events lost or doubled, worst round (at most)',
        bound: 'most',
        byRound: worstFaults(ledger),
        floor: 0,
        aim: 0,
      }),
    ]
  },
}
