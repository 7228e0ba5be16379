/** What one process weighs right now, after its garbage was collected. */
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { queryObjects } from 'node:v8'

const MIB = 1 << 20
/** Buffers are given back by a thread of its own, and what a finalizer frees is garbage of the next round. */
const ROUNDS = 2
const BETWEEN_MS = 30
const LAG_RESOLUTION_MS = 10
/** Figures by series name. */
export type Sample = Record<string, number>

const resources = (): Sample => {
  const counts: Sample = { timeouts: 0, sockets: 0, 'other handles': 0 }
  for (const name of process.getActiveResourcesInfo()) {
    const key = name === 'Timeout' ? 'timeouts' : name === 'TCPSocketWrap' ? 'sockets' : 'other handles'
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

const listeners = (): number => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)

/**
 * Connections, streams, signals and what else is an EventTarget. Counting them collects all garbage that there is, drops
 * compiled code that is not used and gives memory back, which gc() does not: so heap and RSS are read after it.
 */
const liveEventTargets = (): number => {
  const count = queryObjects(EventTarget)
  return typeof count === 'number' ? count : count.length
}

export interface Scales {
  weigh(): Promise<Sample>
  close(): void
}

export const createScales = (): Scales => {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  lag.enable()
  return {
    async weigh() {
      // Before the collection, which holds the loop up itself.
      const lagMs = lag.percentile(99) / 1e6 - LAG_RESOLUTION_MS
      for (let round = 0; round < ROUNDS; round += 1) {
        globalThis.gc?.()
        await sleep(BETWEEN_MS)
      }
      const eventTargets = liveEventTargets()
      const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage()
      const sample = {
        'heap MiB': heapUsed / MIB,
        'external MiB': external / MIB,
        'buffers MiB': arrayBuffers / MIB,
        'rss MiB': rss / MIB,
        ...resources(),
        fds: readdirSync('/proc/self/fd').length,
        'process listeners': listeners(),
        'live EventTargets': eventTargets,
        'loop p99 ms': Math.max(0, lagMs),
      }
      lag.reset()
      return sample
    },
    close: () => void lag.disable(),
  }
}
