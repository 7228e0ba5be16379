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
} from '../../protocols/wire/responder/concurrency-limiter.ts'
import type { InboundRequest } from '../../protocols/wire/responder/inbound-request.ts'
import type { PeerUsage } from '../../protocols/wire/responder/peer-slots.ts'
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
  peer: string
  /** None for a call of the node to itself. */
  stream: Stream | undefined
  protocolId: string
  connection: Connection | undefined
}

const leaving = (): ParleyError =>
  new ParleyError('COM002', 'the peer is stopping', { hint: 'call another peer', details: { sent: false } })

export const createOwnSlots = (): ConcurrencyLimiter => createConcurrencyLimiter(OWN_ACTIVE, OWN_QUEUED)

export class Router {
  readonly #deps: RouterDeps
  readonly #services = new Map<string, Served>()
  /** Also those that are not served any more: while the node stops, its own calls by them end. */
  readonly #ownProtocols = new Set<string>()
  readonly #inbound = new Set<Inbound>()
  readonly #denied: Record<string, number> = { SEC001: 0, SEC002: 0, MSG004: 0 }
  /** Streams of each peer; the open protocol has bounds of its own. */
  readonly #streams: ReturnType<typeof createFairShares>
  readonly #unread = {
    agents: createUnreadResponses(0, 0),
    own: createUnreadResponses(OWN_UNREAD_BYTES, OWN_PEER_UNREAD_BYTES),
  }
  #draining = false

  constructor(deps: RouterDeps) {
    this.#deps = deps
    this.#streams = createFairShares(Number.POSITIVE_INFINITY, deps.maxPeerStreams())
  }

  load(): number {
    return this.#deps.slots.active() + this.#deps.slots.queued()
  }

  #deny(code: 'SEC001' | 'SEC002' | 'MSG004', message: string, hint: string): never {
    this.#denied[code] = (this.#denied[code] ?? 0) + 1
    throw new ParleyError(code, message, { hint })
  }

  #checkMembership(peer: string, now: number): Membership | undefined {
    const membership = this.#deps.membership(peer)
    if (membership === undefined) return this.#deny('SEC001', `${peer} is not admitted to this mesh`, 'connect again')
    if (membership.endsAt <= now) {
      return this.#deny('SEC001', `the membership of ${peer} has run out`, 'connect again with a fresh token')
    }
    return membership
  }

  #checkCapability(membership: Membership | undefined, endpoint: Endpoint, peer: string): void {
    if (endpoint.capability === undefined || membership === undefined) return
    if (hasCapability(membership.caps, endpoint.capability)) return
    this.#deny(
      'SEC002',
      `${peer} lacks the capability ${endpoint.capability}`,
      'ask the operator of the mesh to grant it',
    )
  }

  #findEndpoint(served: Served, method: string): Endpoint {
    const endpoint = served.methods.get(method)
    if (endpoint !== undefined) return endpoint
    return this.#deny(
      'MSG004',
      `${served.name} ${served.version} has no method ${JSON.stringify(method.slice(0, 64))}`,
      `it has ${[...served.methods.keys()].slice(0, 20).join(', ')}; update the older of the two nodes`,
    )
  }

  #start(
    duplex: Duplex,
    stream: Stream | undefined,
    served: Served,
    peer: string,
    connection: Connection | undefined,
    open: boolean,
  ): void {
    const protocolId = wireId(served)
    const isOwn = this.#ownProtocols.has(protocolId)
    const { maxBytes, maxPeerBytes } = this.#deps.unreadBounds()
    this.#unread.agents.resize(maxBytes, maxPeerBytes)
    const responder = createResponder(
      duplex,
      {
        ...this.#deps,
        log: withFields(this.#deps.log, { source: peer, destination: this.#deps.self, protocol: protocolId }),
        limits: open ? { ...this.#deps.limits, maxMessageBytes: OPEN_MESSAGE_BYTES } : this.#deps.limits,
        slots: isOwn ? this.#deps.ownSlots : this.#deps.slots,
        unread: isOwn ? this.#unread.own : this.#unread.agents,
        load: () => this.load(),
        route: (method, now) => {
          if (this.#draining && !this.#ownProtocols.has(protocolId)) throw leaving()
          const membership = peer === this.#deps.self || open ? undefined : this.#checkMembership(peer, now)
          const endpoint = this.#findEndpoint(this.#services.get(protocolId) ?? served, method)
          this.#checkCapability(membership, endpoint, peer)
          return endpoint
        },
        done: this.#deps.meter(served.name, isOwn),
      },
      {
        id: this.#deps.self,
        protocol: served.name,
        version: served.version,
        peer,
        onClose: () => {
          this.#inbound.delete(entry)
          if (connection !== undefined && !open) this.#streams.give(peer)
        },
      },
    )
    const entry: Inbound = { responder, peer, stream, protocolId, connection }
    this.#inbound.add(entry)
  }

  async #closeAll(list: Inbound[], drainMs: number): Promise<void> {
    await Promise.all(list.map(({ responder }) => responder.close(drainMs)))
  }

  /**
   * Once the other side has closed its half, it has read ours. What it has not read when the connection goes may be lost
   * with it: a socket that is closed over unread bytes resets the other side's, and takes away what that has not read yet.
   */
  #untilClosed(stream: Stream): Promise<void> {
    return new Promise((resolve) => {
      if (stream.status !== 'open' && stream.status !== 'closing') return resolve()
      const stop = this.#deps.timers.after(READ_LIMIT_MS, resolve)
      stream.addEventListener('close', () => {
        stop()
        resolve()
      })
    })
  }

  /** @throws STA003 when this protocol is served already */
  async add(libp2p: Libp2p, served: Served, options: RouteOptions = {}): Promise<void> {
    const protocolId = wireId(served)
    if (this.#services.has(protocolId)) {
      throw new ParleyError('STA003', `${protocolId} is served already`, {
        hint: 'stop serving it first (serve() returns a function that does), or give the protocol another name',
        details: { reason: 'in-use' },
      })
    }
    this.#services.set(protocolId, served)
    if (options.own === true) this.#ownProtocols.add(protocolId)
    const open = options.beforeAdmission === true
    const take = (stream: Stream, connection: Connection): void => {
      const peer = connection.remotePeer.toString()
      const pass = (): void => {
        this.#streams.resize(Number.POSITIVE_INFINITY, this.#deps.maxPeerStreams())
        if (open || this.#streams.take(peer)) this.#start(streamDuplex(stream), stream, served, peer, connection, open)
        else stream.abort(new Error(`more than ${this.#deps.maxPeerStreams()} streams of one peer`))
      }
      if (open) pass()
      else this.#deps.gate.hold(stream, connection, pass)
    }
    await libp2p.handle(protocolId, take, {
      maxInboundStreams: open ? OPEN_STREAMS : MAX_STREAMS,
      maxOutboundStreams: MAX_STREAMS,
      runOnLimitedConnection: true,
    })
  }

  async remove(libp2p: Libp2p, protocolId: string): Promise<void> {
    this.#services.delete(protocolId)
    await libp2p.unhandle(protocolId)
    await this.#closeAll(
      [...this.#inbound].filter((entry) => entry.protocolId === protocolId),
      0,
    )
  }

  serves(protocolId: string): Served | undefined {
    return this.#services.get(protocolId)
  }

  served(): Served[] {
    return [...this.#services.values()]
  }

  /** A link of this node to itself; it goes the same way as all the others. */
  loopback(protocolId: string): Duplex {
    const served = this.#services.get(protocolId)
    if (served === undefined) {
      throw new ParleyError('MSG004', `this node does not serve ${protocolId}`, { hint: 'serve() it first' })
    }
    const [near, far] = duplexPair(queueMicrotask)
    this.#start(far, undefined, served, this.#deps.self, undefined, false)
    return near
  }

  /** Requests of agents, in line and in work. */
  *requests(): Generator<InboundRequest, void> {
    for (const { responder, protocolId } of this.#inbound)
      if (!this.#ownProtocols.has(protocolId)) yield* responder.requests()
  }

  /** @param peer who made it @param session of its link, in hex */
  requestOf(peer: string, session: string, exchange: number): InboundRequest | undefined {
    for (const entry of this.#inbound) {
      if (entry.peer !== peer || this.#ownProtocols.has(entry.protocolId)) continue
      const found = entry.responder.requestOf(session, exchange)
      if (found !== undefined) return found
    }
    return undefined
  }

  busy(connection: Connection): boolean {
    return [...this.#inbound].some((entry) => entry.connection === connection)
  }

  /** Breaks off all requests that came on this connection. */
  abortRequests(connection: Connection, error: ParleyError): void {
    for (const entry of [...this.#inbound]) if (entry.connection === connection) entry.responder.abort(error)
  }

  /** Protocols that the other side has a link for on this connection. */
  protocols(connection: Connection): string[] {
    return [...this.#inbound].filter((entry) => entry.connection === connection).map(({ protocolId }) => protocolId)
  }

  /** One of the mesh's own protocols. */
  isOwn(protocolId: string): boolean {
    return this.#ownProtocols.has(protocolId)
  }

  /** The same by the name of the protocol, whatever its major. */
  ownsName(name: string): boolean {
    return [...this.#ownProtocols].some((protocolId) => protocolId.startsWith(`/parley/${name}/`))
  }

  active(): number {
    return this.#deps.slots.active()
  }

  /** What a peer has in work and in line here; undefined where that is nothing. */
  usageOf(peer: string): PeerUsage | undefined {
    return this.#deps.slots.usageOf(peer)
  }

  figures(): RouterFigures {
    const { slots, ownSlots } = this.#deps
    const [agents, own] = [slots.refused(), ownSlots.refused()]
    return {
      active: slots.active(),
      queued: slots.queued(),
      parked: slots.parked(),
      topPeers: slots.top(TOP_PEERS),
      denied: { ...this.#denied },
      refused: {
        line: agents.line + own.line,
        streams: agents.streams + own.streams,
        bytes: agents.bytes + own.bytes,
        links: this.#streams.refused(),
        unread: this.#unread.agents.refused() + this.#unread.own.refused(),
      },
    }
  }

  /** From here on new requests are refused, but for those of the mesh itself. */
  refuseNew(): void {
    this.#draining = true
  }

  /** Waits for requests in work, closes their links, and waits a moment for the other sides to have read it all. */
  async drain(drainMs: number): Promise<void> {
    this.#draining = true
    const list = [...this.#inbound].filter(({ protocolId }) => !this.#ownProtocols.has(protocolId))
    await this.#closeAll(list, drainMs)
    await Promise.all(list.map(({ stream }) => (stream === undefined ? undefined : this.#untilClosed(stream))))
  }

  /** Lets requests in work end, then closes all inbound links. */
  close(drainMs: number): Promise<void> {
    return this.#closeAll([...this.#inbound], drainMs)
  }
}

export const createRouter = (deps: RouterDeps): Router => new Router(deps)
