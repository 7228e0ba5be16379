/** The one end of the scale suite: a whole mesh in one process. */
import { setTimeout as delay } from 'node:timers/promises'
import { createCrowd } from '../crowd.ts'
import { asCount, field } from '../input.ts'
import { readMemory } from '../memory.ts'
import type { Roles } from '../role.ts'
import { percentile } from '../statistics.ts'

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e3
}

export const roles: Roles = {
  crowd: async ({ members }) => {
    if (members === undefined) throw new Error('this system has no members')
    const crowd = createCrowd(members)
    return {
      hello: null,
      verbs: {
        memory: async () => readMemory(),
        grow: async (input) => crowd.grow(asCount(field(input, 'nodes')), asCount(field(input, 'limitMs'))),
        publish: async (input) => {
          const [first, count, limitMs] = ['first', 'count', 'limitMs'].map((name) => asCount(field(input, name)))
          const { expected, received, doubled, latenciesMs } = await crowd.publish(first ?? 0, count ?? 0, limitMs ?? 0)
          if (received === 0) throw new Error(`none of ${expected} deliveries came`)
          return {
            lost: expected - received,
            doubled,
            p50Ms: percentile(latenciesMs, 0.5),
            p99Ms: percentile(latenciesMs, 0.99),
            slowestMs: percentile(latenciesMs, 1),
          }
        },
        // The share of one core that all nodes take together, in percent.
        idle: async (input) => {
          const beforeMs = cpuMs()
          const beginMs = performance.now()
          await delay(asCount(input))
          return (100 * (cpuMs() - beforeMs)) / (performance.now() - beginMs)
        },
      },
      stop: () => crowd.stop(),
    }
  },
}
