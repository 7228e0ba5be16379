/** The ends of the tasks suite: what keeps, what works, and who submits and waits. */
import { asCount, asTexts, field } from '../input.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'
import { TASK_STEPS } from '../system.ts'

const STEPS_SUM = (TASK_STEPS * (TASK_STEPS + 1)) / 2

export const roles: Roles = {
  keeper: async ({ tasks }) => {
    const keeping = await tasks?.keep?.()
    return { hello: keeping?.address ?? null, verbs: {}, stop: async () => keeping?.stop() }
  },

  worker: async ({ tasks }, input) => {
    if (tasks === undefined) throw new Error('this system has no tasks')
    const working = await tasks.work(asTexts(input))
    return { hello: working.address, verbs: {}, stop: () => working.stop() }
  },

  submitter: async ({ tasks }, input) => {
    if (tasks === undefined) throw new Error('this system has no tasks')
    const submitter = await tasks.connect(asTexts(input))
    let next = 0
    return {
      hello: null,
      verbs: {
        /** Keeps `inFlight` tasks under way for a while. */
        run: async (what) => {
          const inFlight = asCount(field(what, 'inFlight'))
          const durationMs = asCount(field(what, 'durationMs'))
          const times = latencies()
          let [count, wrong] = [0, 0]
          const decided = submitter.decisions?.()
          const beginMs = performance.now()
          const lane = async (): Promise<void> => {
            while (performance.now() - beginMs < durationMs) {
              const n = next
              next += 1
              const startMs = performance.now()
              if ((await submitter.run(n)) !== n + STEPS_SUM) wrong += 1
              times.add(performance.now() - startMs)
              count += 1
            }
          }
          await Promise.all(Array.from({ length: inFlight }, lane))
          const seconds = (performance.now() - beginMs) / 1e3
          const values = times.values()
          return {
            perSecond: count / seconds,
            p50Ms: percentile(values, 0.5),
            p99Ms: percentile(values, 0.99),
            wrong,
            ...(decided !== undefined && { decisions: ((submitter.decisions?.() ?? 0) - decided) / count }),
          }
        },
      },
      stop: () => submitter.stop(),
    }
  },
}
