/** The ends of the journal and failover suites: who keeps decisions, and who asks for them. */
import { bodies, sharedNowMs } from '../body.ts'
import { asCount, asText, asTexts, field } from '../input.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'

const KEYS = 1_000

export const roles: Roles = {
  seat: async ({ journal }, input) => {
    if (journal === undefined) throw new Error('this system keeps no decisions')
    const seat = await journal.seat({
      name: asText(field(input, 'name')),
      count: asCount(field(input, 'count')),
      seeds: asTexts(field(input, 'seeds')),
      directory: asText(field(input, 'directory')),
      port: asCount(field(input, 'port')),
    })
    return { hello: seat.address, verbs: { leads: async () => seat.leads() }, stop: () => seat.stop() }
  },

  decider: async ({ journal }, input) => {
    if (journal === undefined) throw new Error('this system keeps no decisions')
    const decider = await journal.connect(asTexts(input))
    const next = bodies(256)
    /** What was answered, in the shared clock: when it was asked, and when answered. */
    const answered: { askedMs: number; answeredMs: number }[] = []
    const acknowledged = new Map<string, string>()
    let running = false
    let lanes: Promise<void>[] = []
    let failures = 0

    const decideOnce = async (key: string, n: number): Promise<void> => {
      const askedMs = sharedNowMs()
      const body = next(n)
      await decider.decide(key, body)
      acknowledged.set(key, body.data)
      answered.push({ askedMs, answeredMs: sharedNowMs() })
    }

    return {
      hello: null,
      verbs: {
        /** Keeps `inFlight` decisions under way for a while. */
        run: async (what) => {
          const inFlight = asCount(field(what, 'inFlight'))
          const durationMs = asCount(field(what, 'durationMs'))
          const times = latencies()
          let count = 0
          const beginMs = performance.now()
          const lane = async (at: number): Promise<void> => {
            for (let n = at; performance.now() - beginMs < durationMs; n += inFlight) {
              const startMs = performance.now()
              await decider.decide(`k${n % KEYS}`, next(n))
              times.add(performance.now() - startMs)
              count += 1
            }
          }
          await Promise.all(Array.from({ length: inFlight }, (_, i) => lane(i)))
          const seconds = (performance.now() - beginMs) / 1e3
          const values = times.values()
          return { perSecond: count / seconds, p50Ms: percentile(values, 0.5), p99Ms: percentile(values, 0.99) }
        },
        /** Asks for decisions without end, one after the other in each lane; each key is decided on once. */
        begin: async (count) => {
          running = true
          lanes = Array.from({ length: asCount(count) }, async (_, lane) => {
            for (let n = 0; running; n += 1) {
              await decideOnce(`lane${lane}/${n}`, n).catch(() => {
                failures += 1
              })
            }
          })
          return null
        },
        /** Milliseconds from a moment of the shared clock to the first answer to what was asked after it. */
        after: async (moment) => {
          const atMs = typeof moment === 'number' ? moment : Number.NaN
          for (;;) {
            const first = answered.filter(({ askedMs }) => askedMs >= atMs).map(({ answeredMs }) => answeredMs)
            if (first.length > 0) {
              answered.length = 0
              return Math.min(...first) - atMs
            }
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
        },
        /** Stops asking, and counts what was acknowledged and is not there. */
        end: async () => {
          running = false
          await Promise.all(lanes)
          let lost = 0
          const keys = [...acknowledged]
          for (let at = 0; at < keys.length; at += 64) {
            const some = await Promise.all(
              keys.slice(at, at + 64).map(async ([key, data]) => (await decider.read(key))?.data === data),
            )
            lost += some.filter((isThere) => !isThere).length
          }
          return { acknowledged: keys.length, lost, failures }
        },
      },
      stop: () => decider.stop(),
    }
  },
}
