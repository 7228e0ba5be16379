/** What an end does that subscribes: it counts the events of one burst after another. State: the tally of this burst. */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { type Body, sentAtMsOf, sequenceOf, sharedNowMs } from './body.ts'
import type { Verb } from './role.ts'
import { createTally } from './tally.ts'

export const rangeSchema = z.object({ first: z.int().nonnegative(), capacity: z.int().positive() })
export const settleSchema = z.object({ expected: z.int(), limitMs: z.number(), stallMs: z.number() })
export const countSchema = z.object({ received: z.int(), doubled: z.int(), lastAtMs: z.number() })
export const latenciesSchema = z.array(z.number())

/** How long the subscriber sleeps between looks at its own counter; the time of arrival is taken at arrival. */
const LOOK_MS = 5

export interface Counting {
  onEvent(body: Body): void
  readonly verbs: Readonly<Record<string, Verb>>
}

export const counting = (): Counting => {
  let tally = createTally(0, 1)
  return {
    onEvent: (body) => tally.add(sequenceOf(body), sentAtMsOf(body), sharedNowMs()),
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
      latencies: async () => [...tally.latenciesMs()],
    },
  }
}
