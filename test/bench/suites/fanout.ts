/**
 * Suite fanout: one publisher process, ten subscriber processes, 256-byte events, each must reach all of them.
 *
 * Eleven processes share the cores of the machine, so the rate is about work for each delivery, and the latency at a
 * steady 1,000 events/s is that of all 10,000 deliveries a second. Floors: design document, section 8.
 */
import { z } from 'zod'
import { delays, faults, measureBurst, waitUntilHeard, worstFaults } from '../bursts.ts'
import { SUBJECT } from '../catalogue.ts'
import { judge, ratio } from '../floors.ts'
import type { Suite } from '../suite.ts'

export const SUBSCRIBERS = 10
const START_LIMIT_MS = 60_000

export const FULL_SPEED = '256 B to 10, full speed'
export const STEADY = '256 B to 10, 1,000/s'

const WARM_UP = { first: 1_000_000, count: 60_000, limitMs: 4_000 }
const FAST = { first: 2_000_000, count: 60_000, limitMs: 2_000 }
/** A steady warm-up too: what full speed left behind (queues, garbage) is not the latency that is asked for. */
const CALM_WARM_UP = { first: 3_000_000, count: 500, limitMs: 1_000, perSecond: 1_000 }
const CALM = { first: 4_000_000, count: 2_000, limitMs: 4_000, perSecond: 1_000 }

export const fanout: Suite = {
  name: 'fanout',
  about: 'events from one publisher process to ten subscriber processes: deliveries/s, latency, none lost',
  systems: [SUBJECT, 'nats', 'moleculer', 'rabbitmq', 'libp2p-gossipsub', 'raw-tcp'],

  measure: async (start) => {
    const publisher = start('publisher')
    const subscribers = Array.from({ length: SUBSCRIBERS }, () => start('subscriber'))
    const address = await publisher.ask('start', null, z.string(), START_LIMIT_MS)
    await Promise.all(subscribers.map((one) => one.ask('start', address, z.null(), START_LIMIT_MS)))
    const ends = { publisher, subscribers }
    await waitUntilHeard(ends)

    await measureBurst(ends, WARM_UP)
    const fast = await measureBurst(ends, FAST)
    await measureBurst(ends, CALM_WARM_UP)
    const calm = await measureBurst(ends, CALM)
    return [
      { case: FULL_SPEED, metric: 'deliveries', unit: '/s', value: fast.perSecond },
      ...faults(FULL_SPEED, fast),
      ...delays(STEADY, calm),
      ...faults(STEADY, calm),
    ]
  },

  floors: (ledger) => {
    const rate = (system: string) => ledger.values(system, FULL_SPEED, 'deliveries')
    return [
      judge({
        name: 'events lost or doubled at 10 subscribers, worst round (at most)',
        bound: 'most',
        byRound: worstFaults(ledger, SUBJECT, [FULL_SPEED, STEADY]),
        floor: 0,
        aim: 0,
      }),
      judge({
        name: 'p99 at 1,000 events/s to 10, ms (at most)',
        bound: 'most',
        byRound: ledger.values(SUBJECT, STEADY, 'p99'),
        floor: 100,
        aim: 100,
      }),
      judge({
        name: 'deliveries/s to 10 over nats (an aim only)',
        bound: 'least',
        byRound: ratio(rate(SUBJECT), rate('nats')),
        floor: 0,
        aim: 1,
      }),
    ]
  },
}
