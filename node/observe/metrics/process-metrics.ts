/**
 * Figures of the process that this node runs in: memory, CPU, event loop. Names and units are those of prom-client's
 * default metrics, so that dashboards made for Node fit.
 *
 * State: one event loop monitor, started by the first scrape, so that a node that nobody scrapes pays nothing.
 * Guarantees: nothing is left running after stop. prom-client's default collectors cannot be stopped: each keeps a
 * garbage collection observer and a loop monitor alive, in a process that may start and stop many meshes.
 */
import { type ELDHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Stop } from '../../../protocols/port.ts'
import type { NamedMetrics } from './metrics.ts'

/** How finely lag is seen; the monitor wakes up this often. */
const LAG_RESOLUTION_MS = 20

/**
 * The monitor reports the time between two of its ticks, of which the resolution is meant to be there. It starts anew
 * with each scrape, so what holds the loop up within its first tick is not seen.
 */
const lagSeconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1000)

export const startProcessMetrics = (metrics: Pick<NamedMetrics, 'gauge' | 'gauges' | 'total'>): Stop => {
  let monitor: ELDHistogram | undefined
  let stopped = false
  const { gauge, gauges, total } = metrics

  const startedAt = performance.timeOrigin / 1000
  gauge('process_start_time_seconds', 'When the process started, since 1970', () => startedAt)
  gauge('process_resident_memory_bytes', 'Memory of the process that is in RAM', () => process.memoryUsage.rss())
  gauge('nodejs_heap_size_total_bytes', 'JavaScript heap, reserved', () => process.memoryUsage().heapTotal)
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap, in use', () => process.memoryUsage().heapUsed)
  gauge(
    'nodejs_external_memory_bytes',
    'Memory beside the heap, buffers included',
    () => process.memoryUsage().external,
  )
  total('process_cpu_user_seconds_total', 'CPU time in user code', () => process.cpuUsage().user / 1e6)
  total('process_cpu_system_seconds_total', 'CPU time in the kernel', () => process.cpuUsage().system / 1e6)
  total(
    'nodejs_eventloop_active_seconds_total',
    'Time in which the event loop was busy',
    () => performance.eventLoopUtilization().active / 1000,
  )

  gauges('nodejs_eventloop_lag_seconds', 'Delay of the event loop since the last scrape', 'quantile', () => {
    if (stopped) return []
    if (monitor === undefined) {
      monitor = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
      monitor.enable()
    }
    const figures = [
      ['0.5', lagSeconds(monitor.percentile(50))],
      ['0.99', lagSeconds(monitor.percentile(99))],
      ['1', lagSeconds(monitor.max)],
    ] as const
    monitor.reset()
    return figures
  })

  return () => {
    stopped = true
    monitor?.disable()
    monitor = undefined
  }
}
