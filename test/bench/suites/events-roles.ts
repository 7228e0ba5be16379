/** The two ends of the events suite: one publishes at full speed or at a rate, the other counts what arrives. */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { bodies, sentAtMsOf, sequenceOf, sharedNowMs } from '../body.ts'
import type { Roles } from '../role.ts'
import type { Publisher } from '../system.ts'
import { createTally } from '../tally.ts'

export const EVENT_BYTES = 256

export const rangeSchema = z.object({ first: z.int().nonnegative(), capacity: z.int().positive() })

export const burstSchema = z.object({
  first: z.int().nonnegative(),
  count: z.int().positive(),
  /** Stops early, so that a slow system does not hold up the run. */
  limitMs: z.number().positive(),
  /** Events per second; as fast as backpressure lets it when it is absent. */
  perSecond: z.number().positive().optional(),
})
type Burst = z.output<typeof burstSchema>

export const publishedSchema = z.object({ published: z.int(), firstAtMs: z.number() })

export const settleSchema = z.object({ expected: z.int(), limitMs: z.number(), stallMs: z.number() })

export const countSchema = z.object({
  received: z.int(),
  doubled: z.int(),
  lastAtMs: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
})

/** How long the subscriber sleeps between looks at its own counter; the time of arrival is taken at arrival. */
const LOOK_MS = 5

const publishFast = async (publisher: Publisher, { first, count, limitMs }: Burst) => {
  const make = bodies(EVENT_BYTES)
  const firstAtMs = sharedNowMs()
  let published = 0
  while (published < count && sharedNowMs() - firstAtMs < limitMs) {
    const size = Math.min(publisher.batch, count - published)
    const nowMs = sharedNowMs()
    const from = first + published
    await publisher.publish(Array.from({ length: size }, (_, i) => make(from + i, nowMs)))
    published += size
  }
  return { published, firstAtMs }
}

const publishSteadily = async (publisher: Publisher, { first, count, limitMs }: Burst, perSecond: number) => {
  const make = bodies(EVENT_BYTES)
  const firstAtMs = sharedNowMs()
  let published = 0
  while (published < count && sharedNowMs() - firstAtMs < limitMs) {
    const due = Math.min(count, Math.floor(((sharedNowMs() - firstAtMs) / 1_000) * perSecond) + 1)
    // One at a time: a late timer must not turn single events into a batch.
    for (; published < due; published++) await publisher.publish([make(first + published, sharedNowMs())])
    await delay(1)
  }
  return { published, firstAtMs }
}

export const roles: Roles = {
  subscriber: async ({ events }) => {
    if (events === undefined) throw new Error('this system takes no part in events')
    let tally = createTally(0, 1)
    const listening = await events.subscribe((body) => tally.add(sequenceOf(body), sentAtMsOf(body), sharedNowMs()))
    return {
      hello: listening.address,
      verbs: {
        expect: async (input) => {
          const { first, capacity } = rangeSchema.parse(input)
          tally = createTally(first, capacity)
          return null
        },
        received: async () => tally.received(),
        // Waits until all have come, none has come for a while, or the time is over.
        settle: async (input) => {
          const { expected, limitMs, stallMs } = settleSchema.parse(input)
          const beginMs = sharedNowMs()
          const waiting = (): boolean => {
            const nowMs = sharedNowMs()
            return (
              tally.received() < expected &&
              nowMs - beginMs < limitMs &&
              nowMs - Math.max(beginMs, tally.lastAtMs()) < stallMs
            )
          }
          while (waiting()) await delay(LOOK_MS)
          return tally.count()
        },
      },
      stop: () => listening.stop(),
    }
  },

  publisher: async ({ events }, input) => {
    if (events === undefined) throw new Error('this system takes no part in events')
    const publisher = await events.connect(z.string().parse(input))
    return {
      hello: null,
      verbs: {
        publish: async (input) => {
          const burst = burstSchema.parse(input)
          return burst.perSecond === undefined
            ? publishFast(publisher, burst)
            : publishSteadily(publisher, burst, burst.perSecond)
        },
        // A probe before the subscription has spread may be refused; only its arrival counts.
        probe: async (input) => {
          const { first } = burstSchema.pick({ first: true }).parse(input)
          await publisher.publish([bodies(EVENT_BYTES)(first, sharedNowMs())]).catch(() => {})
          return null
        },
      },
      stop: () => publisher.stop(),
    }
  },
}
