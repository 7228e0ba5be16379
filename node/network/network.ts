/**
 * The fabric of a node: libp2p behind the gate, admission, peers, links and router, gossip, the supervisor, and the Port
 * over all of them. Made from the ground up; what it needs of the features above it comes as functions.
 * State: the parts'; of its own how often calls were tried again and went elsewhere, and whether the node leaves.
 */
import type { Connection } from '@libp2p/interface'
import type { Directory } from '../../discovery/directory/directory.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { createOverlay } from '../../discovery/overlay.ts'
import { pick } from '../../discovery/two-choices.ts'
import { wireId } from '../../protocols/define.ts'
import { createRecoveries, type Undelivered } from '../../protocols/delivery/recovery/error-recovery.ts'
import { PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Port } from '../../protocols/port.ts'
import { compile, type Served } from '../../protocols/wire/payload/contract.ts'
import { createConcurrencyLimiter } from '../../protocols/wire/responder/concurrency-limiter.ts'
import type { ForwardedReply } from '../../protocols/wire/responder/responder.ts'
import { createClients } from '../calls/clients.ts'
import { createLoadBalancer } from '../calls/load-balancer.ts'
import { createMethodCodecs } from '../calls/method-codecs.ts'
import { type RecordCall, recordOwnCalls } from '../calls/recorded-calls.ts'
import { createRetryingCall } from '../calls/retrying-call.ts'
import type { Ground } from '../lifecycle/startup.ts'
import { createCallMetrics } from '../observe/metrics/call-metrics.ts'
import { libp2pMetrics } from '../observe/metrics/libp2p-metrics.ts'
import { looksForOthers } from '../options/discovery-options.ts'
import { slotBounds, unreadBounds } from '../options/limits.ts'
import type { FailureDetection } from '../parts/failure-detection.ts'
import { createDnsLookup } from '../platform/dns-lookup.ts'
import { chance, clock, hash, random, timers } from '../platform/platform.ts'
import { createAdmission } from '../trust/admission.ts'
import { createClockSkews } from '../trust/clock-skew.ts'
import { createMembershipRenewal } from '../trust/membership-renewal.ts'
import { createStreamGater } from '../trust/stream-gater.ts'
import { isLoopback } from './addresses/multiaddresses.ts'
import { followConnections, isOpen, openConnectionsTo } from './connection-events.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { createDialPolicy } from './dial/dial-policy.ts'
import { createDialer } from './dial/dialer.ts'
import { createPubsub } from './gossip/pubsub.ts'
import { createKeyedPromises } from './keyed-promises.ts'
import { createMeshLibp2p } from './libp2p.ts'
import { createLinkPool } from './link-pool.ts'
import { openLocalDiscovery } from './mdns/local-discovery.ts'
import { createCircuitTransport } from './nat/circuit-transport.ts'
import { carriesRelayed } from './nat/relay-messages.ts'
import { createPeers } from './peers.ts'
import { createOwnSlots, createRouter, type RouteOptions } from './router.ts'

/** How long the choice of a peer waits for a directory that was never compared with another one. */
const SETTLE_MS = 2_000
const REFUSAL_MEMORY_MS = 10_000
const LINK_IDLE_MS = 120_000
const GOSSIP_HIGH_WATER_BYTES = 1 << 20
const GOSSIP_CUT_OFF_BYTES = 32 << 20

/** What the fabric asks of the features that stand on it; they are made after it. */
export interface Above {
  directory(): Directory
  presence(): FailureDetection
  replies(): { send(reply: ForwardedReply): Promise<void> }
  /** Settles when it is decided whether the connection to this peer stays. */
  parting(peer: string): Promise<void> | undefined
  /** The founded mesh that this node belongs to, and what members say that they belong to. */
  meshId(): string | undefined
  heard(meshId: string): void
  /** Whether it may leave that mesh for another one. */
  mayMove(): boolean
  /** This node is reached through that relay. */
  hasPlace(relay: string): boolean
  /** The connection was made to try whether a peer can be dialled, and is about to be closed. */
  isTrial(connection: Connection): boolean
  /** Keeps a message that could not be delivered although its recovery was tried. */
  deadLetter(letter: Undelivered): void
  noteCall: RecordCall
  /** This node itself as a candidate, where it offers the protocol. */
  offered(protocol: string, major: number): Candidate | undefined
}

/** Nothing of it listens before `listen`: what members may ask for from then on is served by then. */
export const weave = async (ground: Ground, above: Above, undo: (() => Promise<void>)[]) => {
  const { options, log, privateKey, identity, trusting, metrics, signer, linkDeps } = ground
  const { limits, timings } = options
  const selfId = identity.id

  const gate = createStreamGater(
    limits.maxHeldStreams,
    timers,
    (peer) => pubsub.opened(peer),
    (peer) => pubsub.reopened(peer),
  )
  const slots = createConcurrencyLimiter(limits.maxActive, limits.maxQueuedInbound, slotBounds(limits))
  const ownSlots = createOwnSlots()
  const waiters = createKeyedPromises<Connection>()
  const state = { retries: 0, failovers: 0, leaving: false, stopping: false }

  const circuits = createCircuitTransport({
    gate,
    connectionOf: (peer) => peers.get(peer)?.chosen,
    dial: (address, signal) => libp2p.services.direct.dial(address, signal),
    hasReservation: (relay) => above.hasPlace(relay),
  })
  const dialPolicy = createDialPolicy({
    clock,
    log,
    metrics,
    settings: options.dial,
    operator: { listen: options.listen, announce: options.announce ?? [], join: options.join },
    lookup: createDnsLookup(),
    announcers: (peer) => (peers.get(peer) === undefined ? above.directory().announcers(peer) : [peer]),
  })
  const connectionLimits = new ConnectionLimits({ clock, timers, limits, handshakeMs: timings.admissionTimeoutMs })
  const libp2p = await createMeshLibp2p({
    privateKey,
    options: { ...options, listen: ground.ports.listen },
    gate,
    dialPolicy,
    connectionLimits,
    circuits,
    dht: {
      connectionOf: (peer) => peers.get(peer)?.chosen,
      admitted: async (connection) =>
        gate.standing(connection) === 'admitted' ? connection : waiters.wait(connection),
      onMember: (fn) => peers.onMember(fn),
    },
    denied: (peer) => admission.wasRefused(peer.toString()),
    log,
    metrics: options.metrics.libp2p ? libp2pMetrics(metrics.asNamed) : undefined,
  })
  undo.push(async () => libp2p.stop())
  const trust = await trusting

  const peers = createPeers({
    self: selfId,
    timers,
    now: () => clock.monotonic(),
    busy: (connection) => links.busy(connection) || router.busy(connection) || carriesRelayed(connection),
  })

  const isOwn = (protocolId: string): boolean => router.isOwn(protocolId)
  const callMetrics = createCallMetrics(metrics, { self: identity.name, peers, isOwn, pairs: options.metrics.pairs })

  const skews = createClockSkews({ clock, log }, timings)
  metrics.gauges('clock_skew_seconds', 'Clock of a peer minus this one, the largest 50', 'peer', skews.rows)
  metrics.gauge('clock_skew_max_seconds', 'Largest difference between the clock of a peer and this one', skews.largest)

  const overlay = createOverlay({ self: selfId, hash }, limits.maxPeersFullMesh)

  const router = createRouter({
    ...linkDeps,
    self: selfId,
    gate,
    slots,
    ownSlots,
    maxPeerStreams: () => limits.maxPeerStreams,
    unreadBounds: () => unreadBounds(limits),
    membership: (peer) => memberships.get(peer),
    reply: (reply) => above.replies().send(reply),
    meter: callMetrics.handled,
  })

  const links = createLinkPool({
    ...linkDeps,
    self: selfId,
    openTimeoutMs: timings.dialTimeoutMs + timings.admissionTimeoutMs,
    idleMs: LINK_IDLE_MS,
    loopback: (protocolId) => router.loopback(protocolId),
    current: (peer) => peers.get(peer)?.chosen,
    isOwn,
    async connection({ peer, protocolId }) {
      // A connection that may be given up gets no new work until that is decided.
      if (!router.isOwn(protocolId)) await above.parting(peer)
      const known = peers.get(peer)
      if (known !== undefined) return known.chosen
      if (router.isOwn(protocolId) && isOpen(libp2p, peer))
        throw new ParleyError('COM002', `the connection to ${peer} was given up`, {
          hint: 'nothing needs it any more',
          details: { sent: false },
        })
      if (state.stopping)
        throw new ParleyError('COM002', 'this node is stopping', {
          hint: 'start a new one',
          details: { sent: false, reason: 'stopping' },
        })
      // One that is being admitted will do: with a dial there would be two.
      const coming = admission.pendingConnection(peer)
      const admitted = coming === undefined ? undefined : await waiters.wait(coming).catch(() => undefined)
      return peers.get(peer)?.chosen ?? admitted ?? supervisor.connect(peer)
    },
  })

  const upkeep = createMembershipRenewal({
    clock,
    timers,
    log,
    metrics,
    chance,
    trust,
    gate,
    links,
    peers,
    router,
    waiters,
    skews,
    timeoutMs: () => timings.admissionTimeoutMs,
    renew: (connection) => admission.renew(connection),
    connectionsOf: (peer) => openConnectionsTo(libp2p, peer),
  })
  const { memberships } = upkeep

  const breakers = new PeerBreakers(options.delivery.breaker)
  const recoveries = createRecoveries({ clock, log, metrics, onDeadLetter: above.deadLetter })

  const invoke = createRetryingCall({
    clock,
    timers,
    links,
    chance,
    done: callMetrics.called,
    retried: () => {
      state.retries += 1
    },
    breakers,
    isExempt: (peer, protocolId) => peer === selfId || router.isOwn(protocolId),
    recoveries,
  })

  const admission = createAdmission({
    trust,
    clock,
    timers,
    log,
    links,
    self: identity,
    get timeoutMs() {
      return timings.admissionTimeoutMs
    },
    rememberMs: REFUSAL_MEMORY_MS,
    isLoopback,
    refusalOf: (peer) => pubsub.banReason(peer),
    connectionOf: (peer) => peers.get(peer)?.chosen,
    meshId: () => above.meshId(),
    mayLeaveMesh: () => above.mayMove(),
    ownClockProblem: skews.ownProblem,
    ended: (peer, reason) => upkeep.endedByPeer(peer, reason),
    refused: (connection, error, side) => upkeep.refused(connection, error, side),
    renewed(peer, facts) {
      upkeep.renewed(peer, facts)
      if (facts.meshId !== undefined) above.heard(facts.meshId)
    },
    admitted(connection, facts) {
      const peer = connection.remotePeer.toString()
      memberships.set(peer, facts.membership)
      connectionLimits.admitted(connection)
      dialPolicy.admitted(connection)
      gate.settle(connection, 'admitted')
      peers.admit(connection, facts)
      if (peers.get(peer) !== undefined) skews.measured(peer, facts.name, facts.skew)
      waiters.resolve(connection)
      if (facts.meshId !== undefined) above.heard(facts.meshId)
    },
  })

  const pubsub = createPubsub({
    gossip: libp2p.services.gossip,
    mesh: options.mesh,
    timers,
    log,
    connections: () => peers.all().map(({ chosen }) => chosen),
    reopen: (connection) => gate.reopenGossip(connection),
    highWaterBytes: GOSSIP_HIGH_WATER_BYTES,
    maxUnsentBytes: GOSSIP_CUT_OFF_BYTES,
    cut(peer) {
      for (const connection of peers.get(peer)?.connections ?? [])
        connection.abort(new Error('gossip of this peer had to be refused again and again'))
    },
  })

  const addServed = async (served: Served, how: RouteOptions = {}): Promise<() => Promise<void>> => {
    await router.add(libp2p, served, how)
    return () => router.remove(libp2p, wireId(served))
  }

  const settled = async (timeoutMs: number): Promise<void> => {
    if (!looksForOthers(options)) return
    await above
      .directory()
      .firstSync({ signal: AbortSignal.timeout(timeoutMs) })
      .catch(() => {})
  }

  const loadOf = (peer: string): number => {
    if (peer === selfId) return slots.active() + slots.queued()
    const told = above.presence().load(peer)
    return links.inFlight(peer) + (told === undefined ? 0 : (told.load + told.queueLength) / 1000)
  }

  const candidates = (protocol: string, major: number): readonly Candidate[] => {
    const others = above.directory().offers(protocol, major)
    const own = above.offered(protocol, major)
    return own === undefined ? others : [...others, own]
  }

  const calls = createLoadBalancer({
    clock,
    timers,
    invoke: recordOwnCalls(invoke, above.noteCall),
    chance,
    candidates,
    agents: () => above.directory().agents(),
    loadOf,
    settled,
    failedOver: () => {
      state.failovers += 1
    },
    breakers,
    recoveries,
  })

  const callables = createMethodCodecs(
    () => timings.callTimeoutMs,
    (label, rewriting) => {
      if (rewriting.outcome === 'recovered') return recoveries.ended('MSG002', 'recovered')
      const { error, recoveryError } = rewriting
      const letter = { to: undefined, label, payload: undefined, conversationId: undefined }
      return recoveries.failed({ ...letter, code: 'MSG002', error, recoveryError })
    },
  )
  const clients = createClients(calls, callables)

  /** One that offers all of these protocols and was not tried; one that is left alone only where there is no other. */
  const choose = async (protocols: readonly string[], major: number, tried: ReadonlySet<string>) => {
    const [first = '', ...more] = protocols
    const found = (): Candidate[] =>
      candidates(first, major).filter(({ peer }) =>
        more.every((name) => candidates(name, major).some((one) => one.peer === peer)),
      )
    if (found().length === 0) await settled(SETTLE_MS)
    const all = found().filter(({ peer }) => !tried.has(peer))
    const closed = all.filter(({ peer }) => !breakers.isOpen(peer, clock.monotonic()))
    return pick(closed.length === 0 ? all : closed, loadOf, chance)?.peer
  }

  const port: Port = {
    self: identity,
    clock,
    timers,
    log,
    metrics: metrics.asNamed,
    compression: linkDeps.compression,
    gossip: pubsub,
    random,
    hash,
    sign: signer.sign,
    verify: signer.verify,
    members: () => peers.members(),
    onMember: (fn) => peers.onMember(fn),
    serve: (protocol, handlers) => addServed(compile(protocol, handlers)),
    to: (peer, protocol, defaults) => clients.to(peer, protocol, defaults),
  }
  /** Programs name their metrics; those of the mesh have its prefix. */
  const ownPort: Port = {
    ...port,
    metrics,
    serve: (protocol, handlers) => addServed(compile(protocol, handlers), { own: true }),
  }

  const ownAddresses = (): string[] => libp2p.getMultiaddrs().map(String)
  const finders = await openLocalDiscovery({
    self: selfId,
    options,
    log,
    metrics,
    timers,
    clock,
    addresses: ownAddresses,
  })
  undo.push(async () => finders.nearby?.stop())
  const supervisor = createDialer({
    self: selfId,
    log,
    chance,
    options,
    libp2p,
    gate,
    dialPolicy,
    waiters,
    connected: (peer) => peers.get(peer) !== undefined || admission.pendingConnection(peer) !== undefined,
    directory: above.directory,
    overlay,
    nearby: finders.nearby,
  })

  undo.push(async () => supervisor.stop())

  followConnections({
    libp2p,
    clock,
    connectionLimits,
    admission,
    gate,
    peers,
    memberships,
    waiters,
    links,
    pubsub,
    breakers,
    skews,
    supervisor,
    keepsAddresses: options.discovery.dht !== 'off',
    isStopping: () => state.stopping,
    isDialBack: above.isTrial,
  })

  await addServed(admission.served, { beforeAdmission: true, own: true })
  return {
    listen: async () => libp2p.start(),
    gate,
    connectionLimits,
    dialPolicy,
    slots,
    ownSlots,
    upkeep,
    skews,
    state,
    libp2p,
    circuits,
    trust,
    peers,
    router,
    links,
    admission,
    overlay,
    pubsub,
    addServed,
    breakers,
    loadOf,
    choose,
    calls,
    clients,
    port,
    ownPort,
    supervisor,
    localOthers: finders.localOthers,
  }
}

export type Fabric = Awaited<ReturnType<typeof weave>>
