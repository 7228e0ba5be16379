/** The two ends of the rpc suite: one answers, one calls and measures. */
import { z } from 'zod'
import { watchFlow } from '../flow.ts'
import { closedLoop } from '../load.ts'
import type { Roles } from '../role.ts'

export const loadSchema = z.object({
  bytes: z.int(),
  inFlight: z.int().positive(),
  warmUpMs: z.number(),
  durationMs: z.number(),
})

export const figuresSchema = z.object({
  calls: z.number(),
  perSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
})
/** Null where the system has no bulk stream on the connection of its calls. */
export const besideBulkSchema = figuresSchema.extend({ bulkMbPerSecond: z.number() }).nullable()

/** A bulk stream that pauses longer than this does not saturate its connection, and the calls beside it do not count. */
const LONGEST_PAUSE_MS = 250

export const roles: Roles = {
  responder: async ({ rpc }) => {
    if (rpc === undefined) throw new Error('this system takes no part in rpc')
    const listening = await rpc.respond()
    return { hello: listening.address, verbs: {}, stop: () => listening.stop() }
  },

  caller: async ({ rpc }, input) => {
    if (rpc === undefined) throw new Error('this system takes no part in rpc')
    const caller = await rpc.connect(z.string().parse(input))
    const call = caller.call.bind(caller)
    return {
      hello: null,
      verbs: {
        run: async (load) => closedLoop(call, loadSchema.parse(load)),
        // The bulk stream ends with this process, so this is the last thing that is asked of it.
        runBesideBulk: async (input) => {
          if (caller.bulk === undefined) return null
          const load = loadSchema.parse(input)
          const flow = watchFlow(() => performance.now())
          const broken = caller.bulk((bytes) => flow.add(bytes))
          const measure = async () => {
            await closedLoop(call, { ...load, warmUpMs: 0, durationMs: load.warmUpMs })
            flow.begin()
            const figures = await closedLoop(call, { ...load, warmUpMs: 0 })
            const { bytes, longestPauseMs, durationMs } = flow.end()
            if (bytes === 0 || longestPauseMs > LONGEST_PAUSE_MS) {
              const pause = Math.round(longestPauseMs)
              throw new Error(`the bulk stream stood still for ${pause} ms of ${Math.round(durationMs)} ms measured`)
            }
            return { ...figures, bulkMbPerSecond: bytes / 1e3 / durationMs }
          }
          return Promise.race([measure(), broken])
        },
      },
      stop: () => caller.stop(),
    }
  },
}
