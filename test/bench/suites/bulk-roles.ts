/** The two ends of the bulk suite: one sends chunks for a while, the other fetches them, checks and measures. */
import { z } from 'zod'
import { checkStream, createChunks } from '../chunks.ts'
import { watchFlow } from '../flow.ts'
import type { Roles } from '../role.ts'
import { BULK_CHUNK_BYTES, BULK_CHUNKS_KEPT } from '../system.ts'

export const plannedSchema = z.object({ durationMs: z.number().positive() })
export const fetchedSchema = z.object({
  bytes: z.int(),
  durationMs: z.number(),
  longestPauseMs: z.number(),
})

export const roles: Roles = {
  sender: async ({ bulk }) => {
    if (bulk === undefined) throw new Error('this system takes no part in bulk')
    const chunk = createChunks(BULK_CHUNK_BYTES, BULK_CHUNKS_KEPT)
    let durationMs = 0
    let sent = 0
    const open = function* (): Generator<Uint8Array<ArrayBuffer>, void> {
      const endMs = performance.now() + durationMs
      sent = 0
      while (performance.now() < endMs) yield chunk(sent++)
    }
    const listening = await bulk.offer(open)
    return {
      hello: listening.address,
      verbs: {
        plan: async (input) => {
          durationMs = plannedSchema.parse(input).durationMs
          return null
        },
        sent: async () => sent,
      },
      stop: () => listening.stop(),
    }
  },

  receiver: async ({ bulk }, input) => {
    if (bulk === undefined) throw new Error('this system takes no part in bulk')
    const fetcher = await bulk.connect(z.string().parse(input))
    return {
      hello: null,
      verbs: {
        fetch: async () => {
          const check = checkStream()
          const flow = watchFlow(() => performance.now())
          await fetcher.fetch((piece) => {
            flow.add(piece.length)
            check.add(piece)
          })
          return flow.end()
        },
      },
      stop: () => fetcher.stop(),
    }
  },
}
