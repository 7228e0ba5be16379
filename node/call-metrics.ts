/**
 * Counts calls and requests for the metrics that MESSAGES.md names, with the label sets looked up once.
 */
import { type MeshMetricsOptions, meshMetrics } from './mesh-metrics.ts'
import type { Add, NodeMetrics, Observe } from './metrics.ts'

export interface CallMetrics {
  /** A call of ours ended. */
  called(label: string, status: string, seconds: number, peer: string): void
  /** A request of a peer ended. */
  handled(label: string, status: string, seconds: number): void
}

const cached = <T>(make: (status: string) => T): ((status: string) => T) => {
  const known = new Map<string, T>()
  return (status) => {
    let found = known.get(status)
    if (found === undefined) {
      found = make(status)
      known.set(status, found)
    }
    return found
  }
}

export const createCallMetrics = (metrics: NodeMetrics, options: MeshMetricsOptions): CallMetrics => {
  const mesh = meshMetrics(metrics, options)
  // Statuses are error codes and a few words: a closed set.
  const sent = cached((status): Add => mesh.messages('outbound', 'REQUEST', status))
  const received = cached((status): Add => mesh.messages('inbound', 'REQUEST', status))
  const callTime: Observe = mesh.latency('call', 'REQUEST')
  const handleTime: Observe = mesh.latency('handle', 'REQUEST')
  return {
    called(_label, status, seconds) {
      sent(status)()
      callTime(seconds)
    },
    handled(_label, status, seconds) {
      received(status)()
      handleTime(seconds)
    },
  }
}
