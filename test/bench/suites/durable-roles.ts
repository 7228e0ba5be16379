/** The two ends of the durable suite: one keeps a fixed number of messages in flight, the other counts their effects. */
import { z } from 'zod'
import { bodies, sharedNowMs } from '../body.ts'
import { counting } from '../counting.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'

const BYTES = 256

const guaranteeSchema = z.enum(['at-least-once', 'exactly-once'])
export const producerSchema = z.object({ address: z.string(), guarantee: guaranteeSchema })
export const runSchema = z.object({
  /** Number of the first message; those of two runs must not meet. */
  first: z.int().nonnegative(),
  /** The most that may be sent; it ends there however long it was to go on. */
  capacity: z.int().positive(),
  inFlight: z.int().positive(),
  durationMs: z.number().positive(),
})
export const doneSchema = z.object({
  sent: z.int(),
  seconds: z.number(),
  /** From sending to the word that it was processed and acknowledged. */
  p50Ms: z.number(),
  p99Ms: z.number(),
  /** From sending to the moment from which the producer may forget it. */
  confirmedP50Ms: z.number(),
})
export type Done = z.output<typeof doneSchema>

export const roles: Roles = {
  consumer: async ({ durable }, input) => {
    if (durable === undefined) throw new Error('this system has no durable messages')
    const { onEvent, verbs } = counting()
    const listening = await durable.receive(guaranteeSchema.parse(input), onEvent)
    return { hello: listening.address, verbs, stop: () => listening.stop() }
  },

  producer: async ({ durable }, input) => {
    if (durable === undefined) throw new Error('this system has no durable messages')
    const { address, guarantee } = producerSchema.parse(input)
    const sender = await durable.connect(address, guarantee)
    const make = bodies(BYTES)

    const run = async ({ first, capacity, inFlight, durationMs }: z.output<typeof runSchema>): Promise<Done> => {
      const done = latencies()
      const confirmed = latencies()
      const beginMs = sharedNowMs()
      let sent = 0
      const lane = async (): Promise<void> => {
        for (let nowMs = sharedNowMs(); nowMs - beginMs < durationMs && sent < capacity; ) {
          const sentMs = nowMs
          await sender.send(make(first + sent++, sentMs), () => confirmed.add(sharedNowMs() - sentMs))
          nowMs = sharedNowMs()
          done.add(nowMs - sentMs)
        }
      }
      await Promise.all(Array.from({ length: inFlight }, lane))
      const values = done.values()
      return {
        sent,
        // What was in flight at the end is waited for and counted, and so is the time that it took.
        seconds: (sharedNowMs() - beginMs) / 1_000,
        p50Ms: percentile(values, 0.5),
        p99Ms: percentile(values, 0.99),
        confirmedP50Ms: percentile(confirmed.values(), 0.5),
      }
    }
    return {
      hello: null,
      verbs: { run: async (what) => run(runSchema.parse(what)) },
      stop: () => sender.stop(),
    }
  },
}
