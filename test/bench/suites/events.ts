/**
 * Suite events: one publisher process, one subscriber process, 256-byte events, none may be lost.
 *
 * Floors: design document, section 8.
 */
import { z } from 'zod'
import { delays, faults, measureBurst, waitUntilHeard, worstFaults } from '../bursts.ts'
import { SUBJECT } from '../catalogue.ts'
import { best, ifMeasured, judge, medianOf, ratio } from '../floors.ts'
import { rounded } from '../statistics.ts'
import type { Suite } from '../suite.ts'

const START_LIMIT_MS = 60_000

export const FULL_SPEED = '256 B, full speed'
export const STEADY = '256 B, 1,000/s'

/** Several times what is measured: before its code is compiled a program is slower. */
const WARM_UP = { first: 1_000_000, count: 800_000, limitMs: 5_000 }
const FAST = { first: 2_000_000, count: 200_000, limitMs: 2_500 }
const CALM = { first: 3_000_000, count: 1_000, limitMs: 2_000, perSecond: 1_000 }

export const events: Suite = {
  name: 'events',
  about: 'events from one publisher process to one subscriber process: events/s, latency, none lost',
  systems: [SUBJECT, 'nats', 'nats-newest', 'moleculer', 'rabbitmq', 'libp2p-gossipsub', 'raw-tcp'],

  measure: async (start, pause) => {
    const subscriber = start('subscriber')
    const publisher = start('publisher')
    const address = await subscriber.ask('start', null, z.string(), START_LIMIT_MS)
    await publisher.ask('start', address, z.null(), START_LIMIT_MS)
    const ends = { publisher, subscribers: [subscriber] }
    await waitUntilHeard(ends)

    await measureBurst(ends, WARM_UP)
    await pause()
    const fast = await measureBurst(ends, FAST)
    await pause()
    const calm = await measureBurst(ends, CALM)
    return [
      { case: FULL_SPEED, metric: 'events', unit: '/s', value: fast.perSecond },
      ...faults(FULL_SPEED, fast),
      ...delays(STEADY, calm),
      ...faults(STEADY, calm),
    ]
  },

  floors: (ledger) => {
    const rate = (system: string) => ledger.values(system, FULL_SPEED, 'events')
    const overNats = ratio(rate(SUBJECT), best(rate('nats'), ...ifMeasured(rate('nats-newest'))))
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
        reachesAim: (medianOf(overNats) ?? 0) >= 1,
      },
      judge({
        name: 'events/s, 256 B, over the better of nats and the newest nats (at least)',
        bound: 'least',
        byRound: overNats,
        floor: 0.7,
        aim: 1,
      }),
      judge({
        name: 'events lost or doubled, worst round (at most)',
        bound: 'most',
        byRound: worstFaults(ledger, SUBJECT, [FULL_SPEED, STEADY]),
        floor: 0,
        aim: 0,
      }),
    ]
  },
}
