/**
 * Which stream a call takes: the router answers what comes in, the link pool has the links for what goes out.
 * State: that of what it makes.
 */
import type { Connection } from '@libp2p/interface'
import { ParleyError } from '../../protocols/errors.ts'
import { createConcurrencyLimiter } from '../../protocols/wire/responder/concurrency-limiter.ts'
import type { Startup } from '../lifecycle/startup.ts'
import { createCallMetrics } from '../observe/metrics/call-metrics.ts'
import { slotBounds, unreadBounds } from '../options/limits.ts'
import type { Membership } from '../trust/trust.ts'
import { isOpen } from './connection-events.ts'
import type { NetworkExtensions } from './extensions.ts'
import { createLinkPool } from './link-pool.ts'
import { createOwnSlots, createRouter } from './router.ts'
import type { Transport } from './transport.ts'

const LINK_IDLE_MS = 120_000

/** Who gets connected and admitted; asked once the node listens. */
export interface ConnectionSource {
  /** The peer's membership; undefined while it is not admitted. */
  membership(peer: string): Membership | undefined
  /** A connection to the peer that is being admitted. */
  pendingConnection(peer: string): Connection | undefined
  connect(peer: string): Promise<Connection>
  isStopping(): boolean
}

const givenUp = (peer: string): ParleyError =>
  new ParleyError('COM002', `the connection to ${peer} was given up`, {
    hint: 'nothing needs it any more',
    details: { sent: false },
  })
const stopping = (): ParleyError =>
  new ParleyError('COM002', 'this node is stopping', {
    hint: 'start a new one',
    details: { sent: false, reason: 'stopping' },
  })

export const createRouting = (
  { options, identity, metrics, linkDeps }: Startup,
  extensions: NetworkExtensions,
  { gate, peers, libp2p, waiters }: Transport,
  source: ConnectionSource,
) => {
  const { limits, timings } = options
  const self = identity.id
  const slots = createConcurrencyLimiter(limits.maxActive, limits.maxQueuedInbound, slotBounds(limits))
  const ownSlots = createOwnSlots()
  const isOwn = (protocolId: string): boolean => router.isOwn(protocolId)
  const callMetrics = createCallMetrics(metrics, { self: identity.name, peers, isOwn, pairs: options.metrics.pairs })
  const router = createRouter({
    ...linkDeps,
    self,
    gate,
    slots,
    ownSlots,
    maxPeerStreams: () => limits.maxPeerStreams,
    unreadBounds: () => unreadBounds(limits),
    membership: (peer) => source.membership(peer),
    reply: (reply) => extensions.sendReply.current(reply),
    meter: callMetrics.handled,
  })
  const links = createLinkPool({
    ...linkDeps,
    self,
    openTimeoutMs: timings.dialTimeoutMs + timings.admissionTimeoutMs,
    idleMs: LINK_IDLE_MS,
    loopback: (protocolId) => router.loopback(protocolId),
    current: (peer) => peers.get(peer)?.chosen,
    isOwn,
    async connection({ peer, protocolId }) {
      // A connection that may be given up gets no new work until that is decided.
      if (!router.isOwn(protocolId)) await extensions.connectionPruning.current(peer)
      const known = peers.get(peer)
      if (known !== undefined) return known.chosen
      if (router.isOwn(protocolId) && isOpen(libp2p, peer)) throw givenUp(peer)
      if (source.isStopping()) throw stopping()
      // One that is being admitted will do: with a dial there would be two.
      const coming = source.pendingConnection(peer)
      const admitted = coming === undefined ? undefined : await waiters.wait(coming).catch(() => undefined)
      return peers.get(peer)?.chosen ?? admitted ?? source.connect(peer)
    },
  })
  return { slots, ownSlots, router, links, callMetrics }
}

export type Routing = ReturnType<typeof createRouting>
