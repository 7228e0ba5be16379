/**
 * Which options a running node can change, and which of its parts have to be told. What is not here needs a restart.
 */

import type { ResolvedDeliveryOptions as DeliverySettings } from '../../protocols/delivery/options.ts'
import type { EventsSettings } from '../../protocols/events/options.ts'
import type { Quota } from '../../protocols/limits/quota.ts'
import type { LinkLimits } from '../../protocols/wire/link/link-limits.ts'
import type { ConcurrencyLimiter } from '../../protocols/wire/responder/concurrency-limiter.ts'
import type { NodeLog } from '../observe/log/node-log.ts'
import type { Trust } from '../trust/trust.ts'
import { slotBounds } from './limits.ts'
import type { LiveSetting, LiveSettings } from './reload.ts'
import type { MeshOptions } from './schema.ts'

export interface LiveParts {
  readonly options: MeshOptions
  readonly ownLog: Pick<NodeLog, 'setLevel'> | undefined
  readonly slots: Pick<ConcurrencyLimiter, 'resize'>
  readonly quota: Pick<Quota, 'resize'>
  /** Of all links, which read them at use. */
  readonly linkLimits: LinkLimits
  readonly trust: Pick<Trust, 'prepare'>
  readonly events: { retune(next: Partial<EventsSettings>): void }
  readonly delivery: { retune(next: Partial<DeliverySettings>): void }
  setMaxConnections(most: number): void
  setInboundPerSecond(most: number): void
  /** Writes the own record anew. */
  announce(): void
  /** Peers that were refused may be let in now. */
  forgetAllRefusals(): void
  /** Memberships by a former secret have to be proven anew. */
  secretsChanged(): void
}

const LINK_LIMITS = ['maxInFlight', 'maxQueuedCalls', 'maxQueuedBytes', 'maxUnsentBytes', 'streamWindow'] as const
const LINK_TIMES = ['maxCallMs', 'maxStreamMs', 'streamIdleMs'] as const
const SLOTS = ['maxActive', 'maxQueuedInbound', 'maxParkedStreams', 'maxRequestBytes', 'maxPeerRequestBytes'] as const
/** Read where they are used, at each use. */
const TIMINGS = ['callTimeoutMs', 'admissionTimeoutMs', 'backoffMinMs', 'backoffMaxMs', 'drainMs']
/** The others are in figures that a history, a subscription or a queue took when it was made. */
const EVENTS = [
  'batchEvents',
  'batchBytes',
  'batchMs',
  'pipeline',
  'maxEventBytes',
  'maxQueuedBytes',
  'queueEvents',
  'syncMs',
  'topics',
]
const DELIVERY = [
  'guarantee',
  'window',
  'windowBytes',
  'ackTimeoutMs',
  'rebindAfterMs',
  'retry.maxRetries',
  'retry.initialDelayMs',
  'retry.maxDelayMs',
  'breaker.failures',
  'breaker.windowMs',
  'breaker.minWaitMs',
  'breaker.halfOpenAfterMs',
  'outboxMessages',
  'outboxBytes',
  'roomTimeoutMs',
  'maxMessageBytes',
  'heldBytes',
  'senders',
  'senderKeepMs',
  'deadLetters',
  'deadLetterBytes',
  'inboxMessages',
  'inboxBytes',
  'conversations',
  'conversationMessages',
  'conversationBytes',
  'effects',
  'effectKeepMs',
]

const within = (group: string, names: readonly string[]): string[] => names.map((name) => `${group}.${name}`)

/** Paths of the options that a running node can change. */
export const LIVE_OPTIONS: ReadonlySet<string> = new Set([
  'log',
  'labels',
  'secret',
  'allowWeakSecret',
  'partOptions',
  'limits.maxPeerStreams',
  'limits.maxConnections',
  'limits.maxDiskBytes',
  'limits.inboundConnectionsPerSecond',
  'compression.minBytes',
  ...within('limits', LINK_LIMITS),
  ...within('limits', SLOTS),
  ...within('timings', LINK_TIMES),
  ...within('timings', TIMINGS),
  ...within('events', EVENTS),
  ...within('delivery', DELIVERY),
])

export const liveSettings = (parts: LiveParts): LiveSettings => {
  const { options, ownLog } = parts
  const noted: LiveSetting = {}
  const log: LiveSetting = {
    takes: ({ log: level }) => ownLog !== undefined && typeof level === 'string',
    apply() {
      if (typeof options.log === 'string') ownLog?.setLevel(options.log)
    },
  }
  const links: LiveSetting = {
    apply() {
      for (const name of LINK_LIMITS) parts.linkLimits[name] = options.limits[name]
      for (const name of LINK_TIMES) parts.linkLimits[name] = options.timings[name]
      const { encodings, minBytes } = options.compression
      parts.linkLimits.compressMinBytes = encodings.length === 0 ? 0 : minBytes
    },
  }
  const slots: LiveSetting = {
    apply: () =>
      parts.slots.resize(options.limits.maxActive, options.limits.maxQueuedInbound, slotBounds(options.limits)),
  }
  const disk: LiveSetting = { apply: () => parts.quota.resize(options.limits.maxDiskBytes) }
  const connections: LiveSetting = { apply: () => parts.setMaxConnections(options.limits.maxConnections) }
  const rate: LiveSetting = {
    apply: () => parts.setInboundPerSecond(options.limits.inboundConnectionsPerSecond),
  }
  const labels: LiveSetting = { apply: parts.announce }
  const events: LiveSetting = { apply: () => parts.events.retune(options.events) }
  const delivery: LiveSetting = { apply: () => parts.delivery.retune(options.delivery) }
  const secret: LiveSetting = {
    async prepare({ secret: given = [] }) {
      const take = await parts.trust.prepare(given)
      if (take === undefined) return undefined
      return () => {
        take()
        parts.forgetAllRefusals()
        parts.secretsChanged()
      }
    },
  }
  const single: Readonly<Record<string, LiveSetting>> = {
    log,
    labels,
    secret,
    allowWeakSecret: noted,
    // Each part says what it takes (reload.ts).
    partOptions: noted,
    'limits.maxPeerStreams': noted,
    ...Object.fromEntries(within('limits', SLOTS).map((path) => [path, slots])),
    ...Object.fromEntries(within('timings', LINK_TIMES).map((path) => [path, links])),
    'limits.maxConnections': connections,
    'limits.maxDiskBytes': disk,
    'limits.inboundConnectionsPerSecond': rate,
  }
  const groups: Readonly<Record<string, LiveSetting>> = {
    limits: links,
    compression: links,
    timings: noted,
    events,
    delivery,
  }
  return ([group = '', ...rest]) => {
    const path = [group, ...rest].join('.')
    return LIVE_OPTIONS.has(path) ? (single[path] ?? groups[group]) : undefined
  }
}
