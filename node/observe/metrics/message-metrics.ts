/**
 * The metrics of messages by their type, with names and labels that stand fixed: of all messages, the mesh's own too,
 * and so without the prefix and the labels of call-metrics.ts. `message_latency` has no unit in its name, which
 * is fixed too; it is in seconds like the others.
 * REQUEST, COMMAND and HEARTBEAT are counted when they end, with how. The other types are counted where they pass, as plain
 * numbers that are read at the scrape. A RESPONSE is an answer, an acknowledgement or the end of a stream, or the error in
 * place of it; an EVENT that arrives counts when its batch was let in, a BATCH when its signature held.
 */
import type { EventTraffic } from '../../../protocols/events/event-traffic.ts'
import type { MessageType } from '../../../protocols/wire/envelope.ts'
import type { LinkCounts } from '../../../protocols/wire/link/link-limits.ts'
import type { AddToCounter, GaugeRows, NamedMetrics, ObserveValue } from './metrics.ts'

export type Direction = 'inbound' | 'outbound'

export const MESSAGE_METRICS = {
  messages: {
    name: 'messages_total',
    help: 'Messages, by direction (inbound, outbound), type and status',
    labels: ['direction', 'type', 'status'],
  },
  latency: {
    name: 'message_latency_seconds',
    help: 'Time that an operation on a message took, by operation and type of the message',
    labels: ['operation', 'type'],
  },
  pairLatency: {
    name: 'message_latency',
    help: 'Seconds from sending a request to its answer, by agent names',
    labels: ['source', 'destination'],
  },
  connections: {
    name: 'active_connections',
    help: 'Connections that are open, by name of the agent at the other end',
    label: 'destination',
  },
} as const

export interface MessageMetrics {
  /** The counter for one combination; look it up once and keep it. `status`: `sent`, `received`, or why it failed. */
  messages(direction: Direction, type: MessageType, status: string): AddToCounter
  /** `operation`: `call`, `handle`, … ; look it up once and keep it. */
  latency(operation: string, type: MessageType): ObserveValue
  /** Names of agents, not peer ids. Does nothing unless it is switched on. */
  pairLatency(source: string, destination: string, seconds: number): void
}

export interface MessageMetricsOptions {
  /** Open connections by agent name, read at each scrape; several rows of one name are added up. */
  connections(): GaugeRows
  /** `message_latency{source,destination}`: up to 1,000 more series; off unless told. */
  pairLatency?: boolean
}

export interface MessageTotals {
  readonly links: Pick<LinkCounts, 'answersIn' | 'answersOut' | 'faultsIn' | 'faultsOut'>
  readonly traffic: EventTraffic
}

type Figure = (totals: MessageTotals) => number

const FOLLOWED: readonly (readonly [type: MessageType, status: string, inbound: Figure, outbound: Figure])[] = [
  ['RESPONSE', 'ok', ({ links }) => links.answersIn, ({ links }) => links.answersOut],
  ['RESPONSE', 'error', ({ links }) => links.faultsIn, ({ links }) => links.faultsOut],
  ['EVENT', 'ok', ({ traffic }) => traffic.in.events, ({ traffic }) => traffic.out.events],
  ['NOTIFICATION', 'ok', ({ traffic }) => traffic.in.notifications, ({ traffic }) => traffic.out.notifications],
  ['BATCH', 'ok', ({ traffic }) => traffic.in.batches, ({ traffic }) => traffic.out.batches],
  ['BATCH', 'error', ({ traffic }) => traffic.in.failed, ({ traffic }) => traffic.out.failed],
]

/** @param read what passed since the start */
export const followMessages = (metrics: NamedMetrics, read: () => MessageTotals): void => {
  const { name, help, labels } = MESSAGE_METRICS.messages
  const { follow } = metrics.counter(name, help, labels)
  for (const [type, status, inbound, outbound] of FOLLOWED) {
    follow({ direction: 'inbound', type, status }, () => inbound(read()))
    follow({ direction: 'outbound', type, status }, () => outbound(read()))
  }
}

export const createMessageMetrics = (metrics: NamedMetrics, options: MessageMetricsOptions): MessageMetrics => {
  const { messages, latency, pairLatency, connections } = MESSAGE_METRICS
  const count = metrics.counter(messages.name, messages.help, messages.labels)
  const time = metrics.histogram(latency.name, latency.help, latency.labels)
  const pair = options.pairLatency
    ? metrics.histogram(pairLatency.name, pairLatency.help, pairLatency.labels)
    : undefined
  metrics.gauges(connections.name, connections.help, connections.label, options.connections)

  return {
    messages: (direction, type, status) => count.with({ direction, type, status }),
    latency: (operation, type) => time.with({ operation, type }),
    pairLatency: (source, destination, seconds) => pair?.(seconds, { source, destination }),
  }
}
