/**
 * The fabric of a node: libp2p behind the gate, admission, peers, links and router, gossip, the supervisor, and the Port
 * over all of them. Made from the ground up; what it needs of the features above it comes as functions.
 * State: the parts'; of its own how often calls were tried again and went elsewhere, and whether the node leaves.
 */
import type { Connection } from '@libp2p/interface'
import { pick } from '../discovery/choose.ts'
import type { Candidate } from '../discovery/directory/offers.ts'
import type { Directory } from '../discovery/directory.ts'
import { createOverlay } from '../discovery/overlay.ts'
import { wireId } from '../protocols/define.ts'
import { createBreakers } from '../protocols/delivery/breakers.ts'
import { createRecoveries, type Undelivered } from '../protocols/delivery/recovery.ts'
import { ParleyError } from '../protocols/errors.ts'
import type { Port } from '../protocols/port.ts'
import { compile, type Served } from '../protocols/wire/contract.ts'
import type { Reply } from '../protocols/wire/responder.ts'
import { createSlots } from '../protocols/wire/slots.ts'
import { isLoopback } from './addresses.ts'
import { createAddressing } from './addressing.ts'
import { createAdmission } from './admission.ts'
import type { Unserve } from './api.ts'
import { createCallMetrics } from './call-metrics.ts'
import { createCallables } from './callable.ts'
import { type NoteCall, noteOwnCalls } from './calls/noted-calls.ts'
import { createClients } from './clients.ts'
import { createClockSkews } from './clock-skew.ts'
import { looksForOthers } from './discovery-options.ts'
import { createLookup } from './dns-lookup.ts'
import { createGate } from './gate.ts'
import type { Ground } from './ground.ts'
import { createInvoke } from './invoke.ts'
import { createJoining } from './joining.ts'
import { libp2pMetrics } from './libp2p-metrics.ts'
import { createLinks } from './links.ts'
import { followConnections, isOpen, openTo } from './network/connection-events.ts'
import { createConnectionLimits } from './network/connection-limits.ts'
import { createDialPolicy } from './network/dial/dial-policy.ts'
import { openFinders } from './network/finders.ts'
import { createPeers } from './peers.ts'
import { chance, clock, hash, random, timers } from './platform.ts'
import type { Presence } from './presence.ts'
import { createPubsub } from './pubsub.ts'
import { createOwnSlots, createRouter, type ServeOptions } from './router.ts'
import { createCircuits } from './transport/relay.ts'
import { carries } from './transport/relay-wire.ts'
import { createTransport } from './transport.ts'
import { createUpkeep } from './trust/upkeep.ts'
import { slotBounds, unreadBounds } from './tuning.ts'
import { createWaiters } from './waiters.ts'

/** How long the choice of a peer waits for a directory that was never compared with another one. */
const SETTLE_MS = 2_000
const REFUSAL_MEMORY_MS = 10_000
const LINK_IDLE_MS = 120_000
const GOSSIP_HIGH_WATER_BYTES = 1 << 20
const GOSSIP_CUT_OFF_BYTES = 32 << 20

/** What the fabric asks of the features that stand on it; they are made after it. */
export interface Above {
  directory(): Directory
  presence(): Presence
  replies(): { send(reply: Reply): Promise<void> }
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
  noteCall: NoteCall
  /** This node itself as a candidate, where it offers the protocol. */
  offered(protocol: string, major: number): Candidate | undefined
}

/** Nothing of it listens before `listen`: what members may ask for from then on is served by then. */
export const weave = async (ground: Ground, above: Above, undo: (() => Promise<void>)[]) => {
  const { options, log, privateKey, identity, trusting, metrics, signer, linkDeps } = ground
  const { limits, timings } = options
  const selfId = identity.id

  const gate = createGate(
    limits.maxHeldStreams,
    timers,
    (peer) => pubsub.opened(peer),
    (peer) => pubsub.reopened(peer),
  )
  const slots = createSlots(limits.maxActive, limits.maxQueuedInbound, slotBounds(limits))
  const ownSlots = createOwnSlots()
  const waiters = createWaiters<Connection>()
  const state = { retries: 0, failovers: 0, leaving: false, stopping: false }

  const circuits = createCircuits({
    gate,
    connectionOf: (peer) => peers.get(peer)?.chosen,
    dial: (address, signal) => libp2p.services.direct.dial(address, signal),
    hasPlace: (relay) => above.hasPlace(relay),
  })
  const dialPolicy = createDialPolicy({
    clock,
    log,
    metrics,
    settings: options.dial,
    operator: { listen: options.listen, announce: options.announce ?? [], join: options.join },
    lookup: createLookup(),
    announcers: (peer) => (peers.get(peer) === undefined ? above.directory().announcers(peer) : [peer]),
  })
  const connectionLimits = createConnectionLimits({ clock, timers, limits, handshakeMs: timings.admissionTimeoutMs })
  const libp2p = await createTransport({
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
    denied: (peer) => admission.remembered(peer.toString()),
    log,
    metrics: options.metrics.libp2p ? libp2pMetrics(metrics.asNamed) : undefined,
  })
  undo.push(async () => libp2p.stop())
  const trust = await trusting

  const peers = createPeers({
    self: selfId,
    timers,
    now: () => clock.monotonic(),
    busy: (connection) => links.busy(connection) || router.busy(connection) || carries(connection),
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

  const links = createLinks({
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
      const coming = admission.waiting(peer)
      const admitted = coming === undefined ? undefined : await waiters.wait(coming).catch(() => undefined)
      return peers.get(peer)?.chosen ?? admitted ?? supervisor.reach(peer)
    },
  })

  const upkeep = createUpkeep({
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
    connectionsOf: (peer) => openTo(libp2p, peer),
  })
  const { memberships } = upkeep

  const breakers = createBreakers(options.delivery.breaker)
  const recoveries = createRecoveries({ clock, log, metrics, onDeadLetter: above.deadLetter })

  const invoke = createInvoke({
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
    barred: (peer) => pubsub.barred(peer),
    connectionOf: (peer) => peers.get(peer)?.chosen,
    meshId: () => above.meshId(),
    mayMove: () => above.mayMove(),
    ownClock: skews.ownProblem,
    ended: upkeep.told,
    refused: upkeep.refused,
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
    reopen: gate.reopen,
    highWaterBytes: GOSSIP_HIGH_WATER_BYTES,
    maxUnsentBytes: GOSSIP_CUT_OFF_BYTES,
    cut(peer) {
      for (const connection of peers.get(peer)?.connections ?? [])
        connection.abort(new Error('gossip of this peer had to be refused again and again'))
    },
  })

  const addServed = async (served: Served, how: ServeOptions = {}): Promise<Unserve> => {
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

  const calls = createAddressing({
    clock,
    timers,
    invoke: noteOwnCalls(invoke, above.noteCall),
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

  const callables = createCallables(
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
  const finders = await openFinders({ self: selfId, options, log, metrics, timers, clock, addresses: ownAddresses })
  undo.push(async () => finders.nearby?.stop())
  const supervisor = createJoining({
    self: selfId,
    log,
    chance,
    options,
    libp2p,
    gate,
    dialPolicy,
    waiters,
    connected: (peer) => peers.get(peer) !== undefined || admission.waiting(peer) !== undefined,
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
    isTrial: above.isTrial,
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
