/** What an end does that publishes: bursts of numbered, timed events at full speed or at a rate, and single probes. */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { bodies, sharedNowMs } from './body.ts'
import type { Verb } from './role.ts'
import type { Publisher } from './system.ts'

export const EVENT_BYTES = 256

export const burstSchema = z.object({
  first: z.int().nonnegative(),
  count: z.int().positive(),
  /** Stops early, so that a slow system does not hold up the run. */
  limitMs: z.number().positive(),
  /** Events per second; as fast as backpressure lets it when it is absent. */
  perSecond: z.number().positive().optional(),
})
export type Burst = z.output<typeof burstSchema>

export const publishedSchema = z.object({ published: z.int(), firstAtMs: z.number() })
type Published = z.output<typeof publishedSchema>

const publishFast = async (publisher: Publisher, { first, count, limitMs }: Burst): Promise<Published> => {
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

const publishSteadily = async (
  publisher: Publisher,
  { first, count, limitMs }: Burst,
  perSecond: number,
): Promise<Published> => {
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

export const publishing = (publisher: Publisher): Record<string, Verb> => ({
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
})
