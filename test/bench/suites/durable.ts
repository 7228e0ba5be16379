/**
 * Suite durable: messages that outlive their processes, from one producer process to one consumer process, 256 bytes.
 *
 * One rule for all systems: a message is in flight from its sending until the producer knows that the consumer has
 * processed it and that every acknowledgement which the system gives was given; only then the next one is sent, and only
 * then it counts. `at-least-once`: the consumer counts in memory. `exactly-once`: its effect is durable and is there once;
 * systems that do not promise that keep their effects in a synced file. Floors: design document, section 8.
 *
 * One in flight is measured twice: right after the load, and once `WARM_UP_FEW` has let each system's code be compiled for
 * it. Some 15,000 messages after the load V8 still compiles again, and what waits for it is most of the p99 then.
 */
import { z } from 'zod'
import { SUBJECT } from '../catalogue.ts'
import { countSchema } from '../counting.ts'
import { type ByRound, judge, ratio } from '../floors.ts'
import type { Ledger, Reading } from '../ledger.ts'
import type { End } from '../processes.ts'
import { busyMsOf } from '../processor.ts'
import type { StartEnd, Suite } from '../suite.ts'
import type { Guarantee } from '../system.ts'
import { type Done, doneSchema } from './durable-roles.ts'

const START_LIMIT_MS = 90_000
const RUN_LIMIT_MS = 60_000
const SETTLE = { limitMs: 15_000, stallMs: 3_000 }
const CAPACITY = 10_000_000
const RABBIT = 'rabbitmq-quorum'
const GUARANTEES: readonly Guarantee[] = ['at-least-once', 'exactly-once']

const WARM_UP = { inFlight: 64, durationMs: 4_000 }
const WARM_UP_FEW = { inFlight: 4, durationMs: 5_000 }
const RUNS: readonly { inFlight: number; durationMs: number; before?: typeof WARM_UP_FEW; after?: string }[] = [
  { inFlight: 64, durationMs: 5_000 },
  { inFlight: 1, durationMs: 2_000, after: ' after a load' },
  { inFlight: 1, durationMs: 2_000, before: WARM_UP_FEW },
]

export const caseOf = (guarantee: Guarantee, inFlight: number, after = ''): string =>
  `${guarantee}, ${inFlight} in flight${after}`

const OWN_FILE = 'exactly-once: the consumer also syncs a file of its own before it acknowledges'

/**
 * What is on the disk at which acknowledgement: seen with `strace -f` at RabbitMQ 3.10.8, nats-server 2.9.10 and 2.15.2, in the order
 * of their writes, syncs and answers; what was only read says so.
 */
const LABELS: ReadonlyMap<string, string> = new Map([
  [
    SUBJECT,
    'confirms when its outbox is synced; exactly-once: acknowledges when effect and dedupe row are; at-least-once: when the handler returned',
  ],
  [
    RABBIT,
    `confirms and delivers when the log of its only node is synced; syncs the consumer's acknowledgement later, tells nobody; ${OWN_FILE}`,
  ],
  [
    'nats-jetstream',
    `confirms when the message is written, syncs nothing (its documentation: every 2 minutes); writes the consumer's acknowledgement within 0.1 s, unsynced; ${OWN_FILE}`,
  ],
  [
    'nats-jetstream-synced',
    `confirms and delivers when the message is synced; syncs its removal after the consumer's acknowledgement; ${OWN_FILE}`,
  ],
])

interface Ends {
  readonly producer: End
  readonly consumer: End
}

interface Measured {
  readonly done: Done
  readonly lost: number
  readonly doubled: number
  /** All processes together, the broker too; undefined where it cannot be read. */
  readonly busyMs: number | undefined
}

const begin = async (start: StartEnd, guarantee: Guarantee): Promise<Ends> => {
  const consumer = start('consumer')
  const producer = start('producer')
  const address = await consumer.ask('start', guarantee, z.string(), START_LIMIT_MS)
  await producer.ask('start', { address, guarantee }, z.null(), START_LIMIT_MS)
  return { producer, consumer }
}

const measure = async (
  { producer, consumer }: Ends,
  first: number,
  run: { inFlight: number; durationMs: number },
): Promise<Measured> => {
  const busyMs = () => busyMsOf([...producer.pids(), ...consumer.pids()])
  await consumer.ask('expect', { first, capacity: CAPACITY }, z.null(), RUN_LIMIT_MS)
  const beforeMs = busyMs()
  const done = await producer.ask('run', { first, capacity: CAPACITY, ...run }, doneSchema, RUN_LIMIT_MS)
  const afterMs = busyMs()
  const settle = { expected: done.sent, ...SETTLE }
  const count = await consumer.ask('settle', settle, countSchema, SETTLE.limitMs + RUN_LIMIT_MS)
  return {
    done,
    lost: done.sent - count.received,
    doubled: count.doubled,
    busyMs: beforeMs === undefined || afterMs === undefined ? undefined : afterMs - beforeMs,
  }
}

const readings = (name: string, { done, lost, doubled, busyMs }: Measured): Reading[] => [
  { case: name, metric: 'messages', unit: '/s', value: done.sent / done.seconds },
  { case: name, metric: 'p50', unit: 'ms', value: done.p50Ms },
  { case: name, metric: 'p99', unit: 'ms', value: done.p99Ms },
  { case: name, metric: 'confirmed p50', unit: 'ms', value: done.confirmedP50Ms },
  ...(busyMs === undefined
    ? []
    : [{ case: name, metric: 'processor, all processes', unit: 'µs/message', value: (busyMs * 1_000) / done.sent }]),
  { case: name, metric: 'lost', unit: 'messages', value: lost },
  { case: name, metric: 'doubled', unit: 'messages', value: doubled },
]

/** Losses under both guarantees, and doubles under the one that excludes them: the worst round, told for every round. */
const worst = (ledger: Ledger): ByRound => {
  const values = GUARANTEES.flatMap((guarantee) =>
    RUNS.flatMap(({ inFlight, after }) =>
      (guarantee === 'exactly-once' ? ['lost', 'doubled'] : ['lost']).flatMap((metric) =>
        ledger.values(SUBJECT, caseOf(guarantee, inFlight, after), metric),
      ),
    ),
  )
  const found = values.filter((value) => value !== undefined)
  return [found.length > 0 && found.length === values.length ? Math.max(...found) : undefined]
}

export const durable: Suite = {
  name: 'durable',
  about: 'durable messages between two processes: messages/s and latency, at least once and exactly once, none lost',
  systems: [SUBJECT, RABBIT, 'nats-jetstream', 'nats-jetstream-synced'],
  labels: LABELS,

  measure: async (start, pause) => {
    const found: Reading[] = []
    for (const guarantee of GUARANTEES) {
      const ends = await begin(start, guarantee)
      let first = 0
      await measure(ends, first, WARM_UP)
      for (const run of RUNS) {
        await pause()
        first += CAPACITY
        if (run.before !== undefined) {
          await measure(ends, first, run.before)
          first += CAPACITY
        }
        found.push(...readings(caseOf(guarantee, run.inFlight, run.after), await measure(ends, first, run)))
      }
      await Promise.all([ends.producer.stop(), ends.consumer.stop()])
    }
    return found
  },

  floors: (ledger) => [
    judge({
      name: 'exactly-once messages/s, 64 in flight, over the quorum queue of rabbitmq, which promises at least once (at least)',
      bound: 'least',
      byRound: ratio(
        ledger.values(SUBJECT, caseOf('exactly-once', 64), 'messages'),
        ledger.values(RABBIT, caseOf('at-least-once', 64), 'messages'),
      ),
      floor: 1.5,
      aim: 3,
    }),
    judge({
      name: 'exactly-once messages/s, 64 in flight, over JetStream that syncs each write (at least)',
      bound: 'least',
      byRound: ratio(
        ledger.values(SUBJECT, caseOf('exactly-once', 64), 'messages'),
        ledger.values('nats-jetstream-synced', caseOf('exactly-once', 64), 'messages'),
      ),
      floor: 1,
      aim: 3,
    }),
    ...GUARANTEES.map((guarantee) =>
      judge({
        name: `${guarantee} p99, 1 in flight, over the quorum queue of rabbitmq (at most)`,
        bound: 'most',
        byRound: ratio(
          ledger.values(SUBJECT, caseOf(guarantee, 1), 'p99'),
          ledger.values(RABBIT, caseOf(guarantee, 1), 'p99'),
        ),
        floor: 1,
        aim: 0.6,
      }),
    ),
    judge({
      name: 'messages lost, or doubled where exactly once is promised, worst round (at most)',
      bound: 'most',
      byRound: worst(ledger),
      floor: 0,
      aim: 0,
    }),
  ],
}
