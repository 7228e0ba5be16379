/**
 * What this node serves: protocol ids to endpoints, and the inbound order in one place.
 *
 * Inbound: size limit > decode (inbox, frame) > membership > capability > slot > schema > handler > reply. Membership is
 * asked of the gate for the stream and again for each request, since a membership can run out while a stream lives.
 * State: the served protocols and the inbound links of each connection.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { wireId } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { createFairShares } from '../../protocols/limits/fair-shares.ts'
import { hasCapability } from '../../protocols/security/membership-claims.ts'
import { type Duplex, duplexPair } from '../../protocols/wire/duplex.ts'
import type { LinkDeps } from '../../protocols/wire/link/link-limits.ts'
import type { Endpoint, Served } from '../../protocols/wire/payload/contract.ts'
import {
  type ConcurrencyLimiter,
  createConcurrencyLimiter,
  type PeerUsage,
} from '../../protocols/wire/responder/concurrency-limiter.ts'
import {
  createResponder,
  type ForwardedReply,
  type Responder,
  type ResponderDeps,
} from '../../protocols/wire/responder/responder.ts'
import { createUnreadResponses } from '../../protocols/wire/responder/unread-responses.ts'
import { withFields } from '../observe/log/log-fields.ts'
import type { MeshFigures } from '../observe/metrics/mesh-figures.ts'
import type { StreamGater } from '../trust/stream-gater.ts'
import type { Membership } from '../trust/trust.ts'
import { streamDuplex } from './stream-duplex.ts'

export interface RouterDeps extends LinkDeps {
  self: string
  gate: StreamGater
  slots: ConcurrencyLimiter
  /** For the mesh's own protocols: a node that is full of work still answers beats, and is not taken for dead. */
  ownSlots: ConcurrencyLimiter
  random(bytes: number): Uint8Array
  /** Streams of one peer that are answered at the same time. */
  maxPeerStreams(): number
  /** Bytes of answers that wait to be read: of all peers, and of one. */
  unreadBounds(): { maxBytes: number; maxPeerBytes: number }
  /** The caller's membership; undefined for a peer that is not admitted. */
  membership(peer: string): Membership | undefined
  reply(reply: ForwardedReply): Promise<void>
  meter(protocol: string, isOwn: boolean): ResponderDeps['done']
}

export interface RouteOptions {
  /** Peers that are not admitted may call it. */
  beforeAdmission?: boolean
  /** One of the mesh's own: it takes no slots from agents. */
  own?: boolean
}

export type RouterFigures = Pick<MeshFigures, 'active' | 'queued' | 'parked' | 'topPeers' | 'denied' | 'refused'>

export interface Router {
  /** @throws STA003 when this protocol is served already */
  add(libp2p: Libp2p, served: Served, options?: RouteOptions): Promise<void>
  remove(libp2p: Libp2p, protocolId: string): Promise<void>
  serves(protocolId: string): Served | undefined
  served(): Served[]
  /** A link of this node to itself; it goes the same way as all the others. */
  loopback(protocolId: string): Duplex
  busy(connection: Connection): boolean
  /** Breaks off all requests that came on this connection. */
  abortRequests(connection: Connection, error: ParleyError): void
  /** Protocols that the other side has a link for on this connection. */
  protocols(connection: Connection): string[]
  /** One of the mesh's own protocols. */
  isOwn(protocolId: string): boolean
  /** The same by the name of the protocol, whatever its major. */
  ownsName(name: string): boolean
  active(): number
  load(): number
  /** What a peer has in work and in line here; undefined where that is nothing. */
  usageOf(peer: string): PeerUsage | undefined
  figures(): RouterFigures
  /** From here on new requests are refused, but for those of the mesh itself. */
  refuseNew(): void
  /** Waits for requests in work, closes their links, and waits a moment for the other sides to have read it all. */
  drain(drainMs: number): Promise<void>
  /** Lets requests in work end, then closes all inbound links. */
  close(drainMs: number): Promise<void>
}

const MAX_STREAMS = 64
const TOP_PEERS = 10
/** Requests of the mesh's own protocols in work and waiting: short ones, so a few for each peer. */
const OWN_ACTIVE = 512
const OWN_QUEUED = 4096
/** Answers of the mesh's own protocols that peers have not read: pieces of at most some MiB. */
const OWN_UNREAD_BYTES = 128 * 2 ** 20
const OWN_PEER_UNREAD_BYTES = 32 * 2 ** 20
/** For a peer that does not even read any more. */
const READ_LIMIT_MS = 1_000
/** What a peer may send and hold open before it is admitted: credentials with their tokens, in a stream or two. */
const OPEN_MESSAGE_BYTES = 32 * 1024
const OPEN_STREAMS = 8

interface Inbound {
  responder: Responder
  /** None for a call of the node to itself. */
  stream: Stream | undefined
  protocolId: string
  connection: Connection | undefined
}

const leaving = (): ParleyError =>
  new ParleyError('COM002', 'the peer is stopping', { hint: 'call another peer', details: { sent: false } })

export const createOwnSlots = (): ConcurrencyLimiter => createConcurrencyLimiter(OWN_ACTIVE, OWN_QUEUED)

export const createRouter = (deps: RouterDeps): Router => {
  const services = new Map<string, Served>()
  /** Also those that are not served any more: while the node stops, its own calls by them end. */
  const ownProtocols = new Set<string>()
  const inbound = new Set<Inbound>()
  const denied: Record<string, number> = { SEC001: 0, SEC002: 0, MSG004: 0 }
  /** Streams of each peer; the open protocol has bounds of its own. */
  const streams = createFairShares(Number.POSITIVE_INFINITY, deps.maxPeerStreams())
  const unread = {
    agents: createUnreadResponses(0, 0),
    own: createUnreadResponses(OWN_UNREAD_BYTES, OWN_PEER_UNREAD_BYTES),
  }
  const load = () => deps.slots.active() + deps.slots.queued()
  let draining = false

  const deny = (code: 'SEC001' | 'SEC002' | 'MSG004', message: string, hint: string): never => {
    denied[code] = (denied[code] ?? 0) + 1
    throw new ParleyError(code, message, { hint })
  }

  const checkMembership = (peer: string, now: number): Membership | undefined => {
    const membership = deps.membership(peer)
    if (membership === undefined) return deny('SEC001', `${peer} is not admitted to this mesh`, 'connect again')
    if (membership.endsAt <= now) {
      return deny('SEC001', `the membership of ${peer} has run out`, 'connect again with a fresh token')
    }
    return membership
  }

  const checkCapability = (membership: Membership | undefined, endpoint: Endpoint, peer: string): void => {
    if (endpoint.capability === undefined || membership === undefined) return
    if (hasCapability(membership.caps, endpoint.capability)) return
    deny('SEC002', `${peer} lacks the capability ${endpoint.capability}`, 'ask the operator of the mesh to grant it')
  }

  const findEndpoint = (served: Served, method: string): Endpoint => {
    const endpoint = served.methods.get(method)
    if (endpoint !== undefined) return endpoint
    return deny(
      'MSG004',
      `${served.name} ${served.version} has no method ${JSON.stringify(method.slice(0, 64))}`,
      `it has ${[...served.methods.keys()].slice(0, 20).join(', ')}; update the older of the two nodes`,
    )
  }

  const start = (
    duplex: Duplex,
    stream: Stream | undefined,
    served: Served,
    peer: string,
    connection: Connection | undefined,
    open: boolean,
  ): void => {
    const protocolId = wireId(served)
    const isOwn = ownProtocols.has(protocolId)
    const { maxBytes, maxPeerBytes } = deps.unreadBounds()
    unread.agents.resize(maxBytes, maxPeerBytes)
    const responder = createResponder(
      duplex,
      {
        ...deps,
        log: withFields(deps.log, { source: peer, destination: deps.self, protocol: protocolId }),
        limits: open ? { ...deps.limits, maxMessageBytes: OPEN_MESSAGE_BYTES } : deps.limits,
        slots: isOwn ? deps.ownSlots : deps.slots,
        unread: isOwn ? unread.own : unread.agents,
        load,
        route(method, now) {
          if (draining && !ownProtocols.has(protocolId)) throw leaving()
          const membership = peer === deps.self || open ? undefined : checkMembership(peer, now)
          const endpoint = findEndpoint(services.get(protocolId) ?? served, method)
          checkCapability(membership, endpoint, peer)
          return endpoint
        },
        done: deps.meter(served.name, isOwn),
      },
      {
        id: deps.self,
        protocol: served.name,
        version: served.version,
        peer,
        onClose() {
          inbound.delete(entry)
          if (connection !== undefined && !open) streams.give(peer)
        },
      },
    )
    const entry: Inbound = { responder, stream, protocolId, connection }
    inbound.add(entry)
  }

  const closeAll = async (list: Inbound[], drainMs: number): Promise<void> => {
    await Promise.all(list.map(({ responder }) => responder.close(drainMs)))
  }

  /**
   * Once the other side has closed its half, it has read ours. What it has not read when the connection goes may be lost
   * with it: a socket that is closed over unread bytes resets the other side's, and takes away what that has not read yet.
   */
  const untilClosed = (stream: Stream): Promise<void> =>
    new Promise((resolve) => {
      if (stream.status !== 'open' && stream.status !== 'closing') return resolve()
      const stop = deps.timers.after(READ_LIMIT_MS, resolve)
      stream.addEventListener('close', () => {
        stop()
        resolve()
      })
    })

  return {
    async add(libp2p, served, options = {}) {
      const protocolId = wireId(served)
      if (services.has(protocolId)) {
        throw new ParleyError('STA003', `${protocolId} is served already`, {
          hint: 'stop serving it first (serve() returns a function that does), or give the protocol another name',
          details: { reason: 'in-use' },
        })
      }
      services.set(protocolId, served)
      if (options.own === true) ownProtocols.add(protocolId)
      const open = options.beforeAdmission === true
      const take = (stream: Stream, connection: Connection): void => {
        const peer = connection.remotePeer.toString()
        const pass = (): void => {
          streams.resize(Number.POSITIVE_INFINITY, deps.maxPeerStreams())
          if (open || streams.take(peer)) start(streamDuplex(stream), stream, served, peer, connection, open)
          else stream.abort(new Error(`more than ${deps.maxPeerStreams()} streams of one peer`))
        }
        if (open) pass()
        else deps.gate.hold(stream, connection, pass)
      }
      await libp2p.handle(protocolId, take, {
        maxInboundStreams: open ? OPEN_STREAMS : MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        runOnLimitedConnection: true,
      })
    },
    async remove(libp2p, protocolId) {
      services.delete(protocolId)
      await libp2p.unhandle(protocolId)
      await closeAll(
        [...inbound].filter((entry) => entry.protocolId === protocolId),
        0,
      )
    },
    serves: (protocolId) => services.get(protocolId),
    served: () => [...services.values()],
    loopback(protocolId) {
      const served = services.get(protocolId)
      if (served === undefined) {
        throw new ParleyError('MSG004', `this node does not serve ${protocolId}`, { hint: 'serve() it first' })
      }
      const [near, far] = duplexPair(queueMicrotask)
      start(far, undefined, served, deps.self, undefined, false)
      return near
    },
    busy: (connection) => [...inbound].some((entry) => entry.connection === connection),
    abortRequests(connection, error) {
      for (const entry of [...inbound]) if (entry.connection === connection) entry.responder.abort(error)
    },
    protocols: (connection) =>
      [...inbound].filter((entry) => entry.connection === connection).map(({ protocolId }) => protocolId),
    isOwn: (protocolId) => ownProtocols.has(protocolId),
    ownsName: (name) => [...ownProtocols].some((protocolId) => protocolId.startsWith(`/parley/${name}/`)),
    active: () => deps.slots.active(),
    load,
    usageOf: (peer) => deps.slots.usageOf(peer),
    figures() {
      const { slots, ownSlots } = deps
      const [agents, own] = [slots.refused(), ownSlots.refused()]
      return {
        active: slots.active(),
        queued: slots.queued(),
        parked: slots.parked(),
        topPeers: slots.top(TOP_PEERS),
        denied: { ...denied },
        refused: {
          line: agents.line + own.line,
          streams: agents.streams + own.streams,
          bytes: agents.bytes + own.bytes,
          links: streams.refused(),
          unread: unread.agents.refused() + unread.own.refused(),
        },
      }
    },
    refuseNew() {
      draining = true
    },
    async drain(drainMs) {
      draining = true
      const list = [...inbound].filter(({ protocolId }) => !ownProtocols.has(protocolId))
      await closeAll(list, drainMs)
      await Promise.all(list.map(({ stream }) => (stream === undefined ? undefined : untilClosed(stream))))
    },
    close: (drainMs) => closeAll([...inbound], drainMs),
  }
}
