/**
 * A node of the mesh, put together: each part is made here and knows only what it is given.
 *
 * Start, in order: options, data directory's lock, identity and trust, libp2p (not listening), what is served before and
 * after admission, listening, directory, events, presence, supervisor, debug endpoint. Stop is the same backwards, with
 * the goodbye first. All state lives in the parts; this file keeps only whether the node stops.
 */

import type { Connection } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { describe } from '../discovery/describe.ts'
import type { Candidate } from '../discovery/directory/offers.ts'
import { createDirectory, type Directory } from '../discovery/directory.ts'
import type { ProtocolRecord } from '../discovery/record.ts'
import { type AnyProtocol, type Handlers, wireId } from '../protocols/define.ts'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import { createEvents } from '../protocols/events/events.ts'
import type { Log, Port } from '../protocols/port.ts'
import { compile, type Served } from '../protocols/wire/contract.ts'
import { linkCounts } from '../protocols/wire/link.ts'
import { createSlots } from '../protocols/wire/slots.ts'
import { isLoopback } from './addresses.ts'
import { createAddressing } from './addressing.ts'
import { createAdmission } from './admission.ts'
import type { Mesh, Unserve } from './api.ts'
import { createCallMetrics } from './call-metrics.ts'
import { createCallables } from './callable.ts'
import { createClients } from './clients.ts'
import { type DirectoryLock, lockDataDirectory } from './data-directory.ts'
import type { DebugEndpoint } from './debug/server.ts'
import { createDebugView } from './debug-view.ts'
import { exposeFigures, type MeshFigures } from './figures.ts'
import { createGate } from './gate.ts'
import { loadIdentity, nextIncarnation } from './identity.ts'
import { createInvoke } from './invoke.ts'
import { createLinks } from './links.ts'
import { createLog } from './log.ts'
import { createTrust, type Membership } from './membership.ts'
import { createMetrics } from './metrics.ts'
import { type MeshOptionsInput, parseOptions } from './options.ts'
import { createPeers } from './peers.ts'
import { clock, compressionOf, hash, random, timers } from './platform.ts'
import { createPresence } from './presence.ts'
import { startProcessMetrics } from './process-metrics.ts'
import { createPubsub } from './pubsub.ts'
import { createReplies } from './replies.ts'
import { createRouter, type ServeOptions } from './router.ts'
import { createSigner } from './signer.ts'
import { createSupervisor } from './supervisor.ts'
import { createTransport } from './transport.ts'
import { VERSION } from './version.ts'
import { createWaiters } from './waiters.ts'

const REFUSAL_MEMORY_MS = 10_000
const LINK_IDLE_MS = 120_000
const GOSSIP_HIGH_WATER_BYTES = 1 << 20
const GOSSIP_CUT_OFF_BYTES = 32 << 20
/** Memberships are renewed while they have this share of their time left. */
const RENEW_CHECK_MS = 60_000
const RENEW_BEFORE_MS = 3_600_000
const STEP_LIMIT_MS = 3_000
/** Requests of the mesh's own protocols in work and waiting: short ones, so a few for each peer. */
const OWN_ACTIVE = 512
const OWN_QUEUED = 4096

/** A number from 0 to 1. */
const chance = (): number => {
  const [byte = 0, low = 0] = random(2)
  return (byte * 256 + low) / 65_536
}

/** A step of the stop that does not end must not keep the next one from happening. */
const within = async (ms: number, step: Promise<unknown>, log: Log, what: string): Promise<void> => {
  let late = false
  const limit = new Promise<void>((resolve) => {
    timers.after(ms, () => {
      late = true
      resolve()
    })
  })
  await Promise.race([step.catch((error: unknown) => log.warn(`${what} did not stop cleanly`, { error })), limit])
  if (late) log.warn(`${what} took more than ${ms} ms to stop; going on`, {})
}

const startLocked = async (
  input: MeshOptionsInput,
  lock: { current: DirectoryLock | undefined },
  undo: (() => Promise<void>)[],
): Promise<Mesh> => {
  const options = parseOptions(input)
  const { limits, timings } = options
  const ownLog =
    typeof options.log === 'string' ? createLog({ level: options.log, fields: { source: options.name } }) : undefined
  const log: Log = ownLog ?? (options.log as Log)
  if (options.dataDir !== undefined) lock.current = await lockDataDirectory(options.dataDir, { log })
  const privateKey = await loadIdentity(options.dataDir, log)
  const incarnation = await nextIncarnation(options.dataDir, clock.now(), log)
  const selfId = peerIdFromPrivateKey(privateKey).toString()
  const trusting = createTrust({ mesh: options.mesh, self: selfId, secrets: options.secret ?? [], now: clock.now })
  trusting.catch(() => {})
  const startedAt = clock.now()
  const identity = { id: selfId, name: options.name, mesh: options.mesh, incarnation }
  if (options.secret === undefined) {
    log.warn('no secret: this mesh is open to every process of this machine, and to nobody else', {
      hint: 'make a secret with `parley secret`',
    })
  }

  const metrics = createMetrics()
  const signer = createSigner(privateKey)
  const counts = linkCounts()
  const linkDeps = {
    clock,
    timers,
    log,
    compression: compressionOf(options.compression.encodings),
    defer: queueMicrotask,
    random,
    counts,
    limits: {
      ...limits,
      compressMinBytes: options.compression.encodings.length === 0 ? 0 : options.compression.minBytes,
    },
  }

  const gate = createGate(limits.maxHeldStreams, (peer) => pubsub.opened(peer))
  const slots = createSlots(limits.maxActive, limits.maxQueuedInbound)
  const ownSlots = createSlots(OWN_ACTIVE, OWN_QUEUED)
  const waiters = createWaiters<Connection>()
  const refusedListeners = new Set<(refused: { id: string; address: string; reason: string }) => void>()
  const memberships = new Map<string, Membership>()
  let retries = 0
  let failovers = 0
  let stopping = false

  const libp2p = await createTransport({
    privateKey,
    options,
    gate,
    denied: (peer) => admission.remembered(peer.toString()),
    metrics: undefined,
  })
  undo.push(async () => libp2p.stop())
  const trust = await trusting

  const peers = createPeers({
    self: selfId,
    timers,
    now: () => clock.monotonic(),
    busy: (connection) => links.busy(connection) || router.busy(connection),
    drainMs: timings.drainMs,
  })

  const callMetrics = createCallMetrics(metrics, {
    connections: () => peers.all().map(({ name, connections }): [string, number] => [name, connections.length]),
  })

  const router = createRouter({
    ...linkDeps,
    self: selfId,
    gate,
    slots,
    ownSlots,
    membership: (peer) => memberships.get(peer),
    reply: (reply) => replies.send(reply),
    done: callMetrics.handled,
  })

  const links = createLinks({
    ...linkDeps,
    self: selfId,
    openTimeoutMs: timings.dialTimeoutMs + timings.admissionTimeoutMs,
    idleMs: LINK_IDLE_MS,
    loopback: (protocolId) => router.loopback(protocolId),
    async connection(peer) {
      const known = peers.get(peer)
      if (known !== undefined) return known.chosen
      if (stopping)
        throw new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one', details: { sent: false } })
      return supervisor.reach(peer)
    },
  })

  const invoke = createInvoke({
    clock,
    timers,
    links,
    chance,
    done: callMetrics.called,
    retried: () => {
      retries += 1
    },
  })

  const admission = createAdmission({
    trust,
    clock,
    timers,
    log,
    links,
    self: identity,
    timeoutMs: timings.admissionTimeoutMs,
    rememberMs: REFUSAL_MEMORY_MS,
    isLoopback,
    connectionOf: (peer) => peers.get(peer)?.chosen,
    renewed: (peer, membership) => void memberships.set(peer, membership),
    admitted(connection, facts) {
      const peer = connection.remotePeer.toString()
      memberships.set(peer, facts.membership)
      gate.settle(connection, 'admitted')
      peers.admit(connection, facts)
      waiters.resolve(connection)
      if (Math.abs(facts.skewMs) > 60_000) {
        log.warn(`the clock of ${facts.name} differs by ${Math.round(facts.skewMs / 1000)} s`, { peer })
      }
    },
    refused(connection, error, side) {
      gate.settle(connection, 'refused')
      const refused = {
        id: connection.remotePeer.toString(),
        address: connection.remoteAddr.toString(),
        reason: typeof error.details.reason === 'string' ? error.details.reason : error.code,
      }
      log.warn(
        side === 'ours' ? `refused a peer: ${error.message}` : `a peer refused this node: ${error.message}`,
        refused,
      )
      for (const fn of refusedListeners) fn(refused)
      waiters.reject(connection, error)
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
  })

  const addServed = async (served: Served, how: ServeOptions = {}): Promise<Unserve> => {
    await router.add(libp2p, served, how)
    return () => router.remove(libp2p, wireId(served))
  }

  const settled = async (timeoutMs: number): Promise<void> => {
    if (options.join.length === 0) return
    await directory.firstSync({ signal: AbortSignal.timeout(timeoutMs) }).catch(() => {})
  }

  const calls = createAddressing({
    clock,
    timers,
    invoke,
    chance,
    candidates(protocol, major) {
      const others = directory.offers(protocol, major)
      const own = selfCandidate(protocol, major)
      return own === undefined ? others : [...others, own]
    },
    loadOf(peer) {
      if (peer === selfId) return slots.active() + slots.queued()
      const told = presence.load(peer)
      return links.inFlight(peer) + (told === undefined ? 0 : (told.load + told.queueLength) / 1000)
    },
    settled,
    failedOver: () => {
      failovers += 1
    },
  })

  const clients = createClients(calls, createCallables())

  const port: Port = {
    self: identity,
    clock,
    timers,
    log,
    metrics,
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
  const ownPort: Port = {
    ...port,
    serve: (protocol, handlers) => addServed(compile(protocol, handlers), { own: true }),
  }

  const withPeerId = (address: string, peer: string | undefined): Multiaddr => {
    const parsed = multiaddr(address)
    return peer === undefined || address.includes('/p2p/') ? parsed : parsed.encapsulate(`/p2p/${peer}`)
  }

  const supervisor = createSupervisor({
    self: selfId,
    clock,
    timers,
    log,
    chance,
    join: options.join,
    backoffMinMs: timings.backoffMinMs,
    backoffMaxMs: timings.backoffMaxMs,
    maxPeers: limits.maxPeersFullMesh,
    connected: (peer) => peers.get(peer) !== undefined || admission.waits(peer),
    addressesOf: (peer) => directory.get(peer)?.record.addresses ?? [],
    unreachable: (peer) => directory.markGone(peer),
    async dial(addresses, peer) {
      const signal = AbortSignal.timeout(timings.dialTimeoutMs)
      const targets = addresses.map((address) => withPeerId(address, peer))
      const connection = await (targets.length > 0
        ? libp2p.dial(targets, { signal })
        : libp2p.dial(peerIdFromString(peer ?? ''), { signal }))
      if (gate.standing(connection) === 'admitted') return connection
      return waiters.wait(connection)
    },
  })

  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    if (stopping) connection.abort(new Error('this node is stopping'))
    else admission.begin(connection)
  })
  libp2p.addEventListener('connection:close', ({ detail: connection }) => {
    admission.forget(connection)
    gate.forget(connection)
    peers.remove(connection)
    waiters.reject(
      connection,
      new ParleyError('COM002', 'the connection was closed before it was admitted', {
        hint: 'it is dialled again',
        details: { sent: false },
      }),
    )
  })
  peers.onChosen((peer, connection) => {
    if (gate.use(peerIdFromString(peer), connection)) pubsub.moved(peer)
    links.moveTo(peer, connection)
  })
  peers.onMember(({ id }, change) => {
    if (change === 'joined') return
    memberships.delete(id)
    gate.use(peerIdFromString(id), undefined)
    pubsub.forget(id)
    supervisor.lost(id)
  })

  await addServed(admission.served, { beforeAdmission: true, own: true })
  await libp2p.start()

  const directory: Directory = await createDirectory(ownPort, {
    ttlMs: timings.recordTtlMs,
    syncPeriodMs: timings.syncPeriodMs,
  })
  undo.push(() => directory.stop())
  directory.onChange((change) => {
    const { peer } = change.agent
    if (change.agent.self) return
    if (change.type !== 'left') supervisor.want(peer)
    else if (change.reason !== 'gone') supervisor.unwant(peer)
  })
  const events = createEvents(ownPort, options.events)
  const replies = await createReplies(ownPort, () => events, log)
  const load = () => ({ load: slots.active(), queueLength: slots.queued() })
  const presence = await createPresence(
    {
      port: ownPort,
      log,
      load,
      suspect: (peer) => directory.markSuspect(peer),
      alive: (peer) => directory.markAlive(peer),
      dead(peer, silentMs) {
        log.warn(`a peer was silent for ${Math.round(silentMs)} ms and is disconnected`, { peer })
        for (const connection of libp2p.getConnections(peerIdFromString(peer))) {
          connection.abort(new Error(`the peer was silent for ${Math.round(silentMs)} ms`))
        }
      },
    },
    {
      periodMs: timings.probePeriodMs,
      timeoutMs: timings.probeTimeoutMs,
      suspectAfter: timings.suspectAfter,
      deadAfterMs: timings.deadAfterMs,
    },
  )
  const stopRenewal = timers.every(RENEW_CHECK_MS, () => {
    for (const { id, chosen } of peers.all()) {
      const membership = memberships.get(id)
      if (membership === undefined || membership.expiresAtMs - clock.now() > RENEW_BEFORE_MS) continue
      admission
        .renew(chosen)
        .catch((error: unknown) => log.warn('a membership could not be renewed', { peer: id, error }))
    }
  })

  const addresses = (): string[] => libp2p.getMultiaddrs().map(String)
  const records = new Map<string, ProtocolRecord>()
  const announce = (): Promise<void> =>
    directory.announce({
      protocols: [...records.values()],
      labels: options.labels,
      addresses: addresses().slice(0, 16),
    })
  await announce()

  const serveCompiled = async (served: Served, record: ProtocolRecord): Promise<Unserve> => {
    const unserve = await addServed(served)
    const id = wireId(served)
    records.set(id, record)
    await announce()
    return async () => {
      records.delete(id)
      if (!stopping) await announce()
      await unserve()
    }
  }

  const selfCandidate = (protocol: string, major: number): Candidate | undefined => {
    const served = router.serves(`/parley/${protocol}/${major}`)
    if (served === undefined || !records.has(wireId(served))) return undefined
    return { peer: selfId, name: options.name, state: 'alive', version: served.version, methods: [] }
  }

  const joinedOnce = async (signal?: AbortSignal): Promise<void> => {
    if (options.join.length === 0) return
    const given = signal === undefined ? {} : { signal }
    const refused = new Promise<never>((_, reject) => {
      const stop = timers.every(50, () => {
        const error = supervisor.refusedEverywhere()
        if (error === undefined && !stopping && signal?.aborted !== true) return
        stop()
        reject(
          error ?? signal?.reason ?? new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one' }),
        )
      })
      directory.firstSync().then(stop, stop)
    })
    refused.catch(() => {})
    await Promise.race([directory.firstSync(given), refused])
  }

  const figures = (): MeshFigures => ({
    links: { ...counts, open: links.count() },
    late: links.late(),
    retries,
    failovers,
    active: slots.active(),
    queued: slots.queued(),
    admissions: { ...admission.counts() },
    denied: { ...router.denied() },
    heldStreams: gate.held(),
    refusedStreams: gate.refusedStreams(),
    duplicateConnections: peers.duplicates(),
    gossip: { ...pubsub.counts() },
    replies: { ...replies.counts() },
    connections: libp2p.getConnections().length,
  })
  exposeFigures(metrics, figures)

  const self = {
    ...identity,
    get addresses() {
      return addresses()
    },
  }

  let debug: DebugEndpoint | undefined
  let stopProcessMetrics = (): void => {}
  if (options.debug !== false) {
    const { startDebug } = await import('./debug/server.ts')
    stopProcessMetrics = startProcessMetrics(metrics)
    const source = createDebugView({
      self: () => ({ ...identity, addresses: addresses() }),
      version: VERSION,
      startedAt,
      trust: trust.mode,
      clock,
      libp2p,
      gate,
      peers,
      links,
      directory,
      events,
      gossip: pubsub,
      presence,
      metrics,
      load,
      readiness() {
        const reasons: string[] = []
        if (stopping) reasons.push('the node is stopping')
        if (options.join.length > 0 && peers.members().length === 0) reasons.push('no member of the mesh is connected')
        return { ready: reasons.length === 0, reasons }
      },
      onRefused(fn) {
        refusedListeners.add(fn)
        return () => refusedListeners.delete(fn)
      },
    })
    debug = await startDebug(source, { ...options.debug, log, metrics })
    undo.push(async () => debug?.close())
  }
  supervisor.start()
  await lock.current?.describe({
    name: options.name,
    peerId: selfId,
    addresses: addresses(),
    ...(debug === undefined ? {} : { debugUrl: debug.url }),
  })

  const stopAll = async (): Promise<void> => {
    stopping = true
    supervisor.stop()
    stopRenewal()
    await within(STEP_LIMIT_MS, directory.leave(), log, 'the goodbye')
    await within(timings.drainMs + STEP_LIMIT_MS, router.close(timings.drainMs), log, 'requests in work')
    await within(STEP_LIMIT_MS, events.stop(), log, 'events')
    await within(STEP_LIMIT_MS, presence.stop(), log, 'presence')
    await within(STEP_LIMIT_MS, replies.stop(), log, 'replies')
    await within(timings.drainMs + STEP_LIMIT_MS, links.close(timings.drainMs), log, 'calls in flight')
    await within(STEP_LIMIT_MS, directory.stop(), log, 'the directory')
    pubsub.stop()
    await within(STEP_LIMIT_MS, Promise.resolve(libp2p.stop()), log, 'libp2p')
    if (debug !== undefined) await within(STEP_LIMIT_MS, debug.close(), log, 'the debug endpoint')
    stopProcessMetrics()
    await lock.current?.release()
    ownLog?.flush()
  }
  let stopped: Promise<void> | undefined

  return {
    self,
    debugUrl: debug?.url,
    events,
    directory,
    replies,
    port,
    serve: <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) =>
      serveCompiled(compile(protocol, handlers), describe(protocol)),
    serveCompiled,
    calls,
    to: clients.to,
    any: clients.any,
    all: clients.all,
    joined: ({ signal } = {}) => joinedOnce(signal),
    members: () => peers.members(),
    onMember: (fn) => peers.onMember(fn),
    figures,
    stop() {
      stopped ??= stopAll()
      return stopped
    },
  }
}

/**
 * Starts a node.
 *
 * @param input see MeshOptionsSchema: each field has a default
 * @returns once it listens; `joined()` tells when it found the others
 * @throws MSG001 for options that are not usable, SEC001 where they would expose a mesh without a good secret, STA003
 *   when the data directory or a port is taken
 */
export const createMesh = async (input: MeshOptionsInput = {}): Promise<Mesh> => {
  const lock: { current: DirectoryLock | undefined } = { current: undefined }
  const undo: (() => Promise<void>)[] = []
  try {
    return await startLocked(input, lock, undo)
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => {})
    await lock.current?.release()
    if (isParleyError(error)) throw error
    throw startError(error)
  }
}

const startError = (error: unknown): ParleyError => {
  const message = error instanceof Error ? error.message : String(error)
  const taken = /EADDRINUSE|address already in use|UnableToListen|could not listen/i.test(
    `${message} ${error instanceof Error ? error.name : ''}`,
  )
  return new ParleyError(taken ? 'STA003' : 'COM002', `the node could not start: ${message}`, {
    hint: taken ? 'the port is taken: choose another one in listen, or 0 for any free one' : 'see the cause',
    cause: error,
  })
}
