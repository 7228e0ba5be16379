/**
 * A node of the mesh, put together: each part is made here and knows only what it is given.
 *
 * Start, in order: options, data directory's lock, identity and trust; the network (fabric.ts), which listens when it is
 * there and serves admission alone; directory, events, presence, messages, commands, coordination; debug endpoint; the
 * supervisor, which dials. What stops in which order stands in `createLeaving`. State: the parts'; of its own why the node
 * is not ready, by those who said so.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { describe } from '../discovery/describe.ts'
import { meantBy } from '../discovery/directory/find.ts'
import { createDirectory, type Directory } from '../discovery/directory.ts'
import { createCommands } from '../protocols/command/commands.ts'
import { raftProtocol } from '../protocols/consensus/contract.ts'
import { type AnyProtocol, type Handlers, wireId } from '../protocols/define.ts'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import { createEvents } from '../protocols/events/events.ts'
import { notifications } from '../protocols/notification/part.ts'
import type { Stop } from '../protocols/port.ts'
import { tokens } from '../protocols/tokens.ts'
import { compile } from '../protocols/wire/contract.ts'
import { createActivity } from './activity.ts'
import type { Mesh } from './api.ts'
import { noteRequests } from './calls/noted-calls.ts'
import type { Coordination } from './coordination.ts'
import { exposeCoordination } from './coordination-metrics.ts'
import type { DirectoryLock } from './data-directory.ts'
import { deadCall } from './dead-call.ts'
import { createDebugView } from './debug-view.ts'
import { looksForOthers } from './discovery-options.ts'
import { createDiskQuota } from './disk-quota.ts'
import { openEndpoints } from './endpoints.ts'
import type { Above } from './fabric.ts'
import { exposeFigures, type MeshFigures } from './figures.ts'
import { prepare } from './ground.ts'
import { joined } from './joined.ts'
import { createLeaving } from './leaving.ts'
import type { DurableMessages } from './messages.ts'
import { createNeighbours } from './neighbours.ts'
import { portProblem } from './network/try-port.ts'
import { createOffering } from './offering.ts'
import type { MeshOptionsInput } from './options.ts'
import { createParting } from './parting.ts'
import { PartRunner } from './parts/runner.ts'
import { exposeParts } from './parts/shown.ts'
import { chance, clock, random, timers } from './platform.ts'
import { createPresence } from './presence.ts'
import { createReach, type Reach } from './reach.ts'
import type { Relaying } from './relaying.ts'
import { createReloads } from './reloads.ts'
import { createReplies } from './replies.ts'
import { createEventStore } from './store/history-store.ts'
import { VERSION } from './version.ts'

/** The debug page does not wait longer for the history of coordinators. */
const HISTORY_MS = 2_000

const startLocked = async (
  input: MeshOptionsInput,
  lock: { current: DirectoryLock | undefined },
  undo: (() => Promise<void>)[],
): Promise<Mesh> => {
  const ground = await prepare(input, lock)
  const { options, log, ownLog, identity, startedAt, metrics, counts } = ground
  const { timings } = options
  const selfId = identity.id
  // The disk works in other threads while this one loads libp2p.
  const { openMessages, startMessages } = await import('./messages.ts')
  const rows = openMessages(options.dataDir, { random, log, timers }, ground.known)
  rows.catch(() => {})
  undo.push(async () => (await rows).close())
  let coordination: Coordination | undefined
  let durable: DurableMessages | undefined
  let reach: Reach | undefined
  let relaying: Relaying | undefined
  /** A founded mesh that was heard of before the coordination was there to hear it. */
  let early: string | undefined
  const above: Above = {
    directory: () => directory,
    presence: () => presence,
    replies: () => replies,
    noteCall: (call) => durable?.noteCall(call),
    parting: (peer) => parting.pending(peer),
    offered: (protocol, major) => offering.candidate(protocol, major),
    deadLetter(letter) {
      // What the mesh asks for itself it asks for again.
      if (!router.ownsName(letter.label.split('.', 1)[0] ?? '')) durable?.buryCall(deadCall(letter))
    },
    hasPlace: (relay) => relaying?.hasPlace(relay) === true,
    isTrial: (connection) => reach?.isTrial(connection) === true,
    meshId: () => coordination?.meshId(),
    mayMove: () => coordination?.mayMove() ?? true,
    heard(meshId) {
      if (coordination === undefined) early = meshId
      else coordination.heard(meshId)
    },
  }
  // The secret is stretched in another thread while this one loads libp2p, which takes longer than all the rest.
  const { weave } = await import('./fabric.ts')
  const fabric = await weave(ground, above, undo)
  const {
    gate,
    slots,
    upkeep,
    skews,
    state,
    libp2p,
    trust,
    peers,
    router,
    links,
    admission,
    overlay,
    pubsub,
    addServed,
    breakers,
    calls,
    clients,
    port,
    ownPort,
    supervisor,
  } = fabric

  const quota = createDiskQuota(options.limits.maxDiskBytes, clock, log)
  const isOwnPart = (part: { readonly name: string }): boolean => !part.name.includes('/')
  const parts = new PartRunner({
    parts: [notifications, ...options.parts],
    provides: Object.values(tokens),
    port: (part) => (isOwnPart(part) ? ownPort : { ...port, serve: (protocol, handlers) => serve(protocol, handlers) }),
    section: ({ name }) => options.partOptions[name],
    answer(part, protocol, handlers) {
      const served = compile(protocol, handlers)
      return isOwnPart(part) ? addServed(served, { own: true }) : addServed(noteRequests(served, above.noteCall))
    },
    quota,
  })
  await parts.prepare()
  undo.push(() => parts.stop())
  exposeParts(metrics, parts)
  await fabric.listen()

  const directory: Directory = await createDirectory(ownPort, {
    ttlMs: timings.recordTtlMs,
    syncPeriodMs: timings.syncPeriodMs,
    maxAgents: options.limits.maxAgents,
  })
  undo.push(() => directory.stop())
  directory.onChange((change) => {
    const { peer } = change.agent
    if (change.agent.self) return
    // Who tells no address (a node that only dials) cannot be dialled: it comes by itself.
    const reachable = change.agent.record.addresses.length > 0
    if (change.type === 'left') {
      // Given up or found dead: it may come back.
      if (change.reason === 'gone' || change.reason === 'dead') supervisor.gone(peer)
      else supervisor.unwant(peer)
    } else if (reachable) supervisor.want(peer)
  })
  const eventStore = options.dataDir === undefined ? undefined : createEventStore(options.dataDir, clock, log)
  const events = createEvents(ownPort, options.events, eventStore, quota)
  const replies = await createReplies(ownPort, () => events, log)
  const load = () => ({ load: slots.active(), queueLength: slots.queued() })
  const activity = createActivity(
    {
      port: ownPort,
      log,
      metrics,
      slots,
      tell(isStuck) {
        if (state.leaving) return
        directory
          .announce({ stuck: isStuck ? true : undefined })
          .catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
    },
    timings,
  )
  undo.push(async () => activity.stop())
  const presence = await createPresence(
    {
      port: ownPort,
      log,
      load,
      activity: activity.current,
      directory,
      cutOff(peer, silentMs) {
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
  const parting = await createParting({
    port: ownPort,
    overlay,
    peers,
    chance,
    used: (connection) =>
      relaying?.needs(connection) === true ||
      [...links.protocols(connection.remotePeer.toString()), ...router.protocols(connection)].some(
        (protocolId) => !router.isOwn(protocolId) || protocolId === wireId(raftProtocol),
      ),
    retire(connection) {
      peers.retire(connection)
      links.leave(connection)
    },
  })
  const { listening } = events
  const neighbours = await createNeighbours({ port: ownPort, rttMs: presence.rttMs, agents: directory.size, listening })
  upkeep.start((peer) => directory.markGone(peer))

  const ownAddresses = (): string[] => libp2p.getMultiaddrs().map(String)
  const addresses = (): string[] => [...ownAddresses(), ...(relaying?.addresses() ?? [])]
  const offering = createOffering({
    self: identity,
    labels: () => options.labels,
    directory,
    router,
    addresses,
    addServed: (served) => addServed(noteRequests(served, above.noteCall)),
    isLeaving: () => state.leaving,
    isStuck: () => activity.current().state === 'stuck',
  })
  for (const { protocols = [] } of options.parts)
    for (const protocol of protocols) await offering.tell(wireId(protocol), describe(protocol))
  await offering.announce()
  const dialDirect = (address: string, signal: AbortSignal) => libp2p.services.direct.dial(multiaddr(address), signal)
  reach = await createReach({ port: ownPort, dial: dialDirect, admit: admission.begin, chance })
  if (options.discovery.relay.use !== 'never' || options.discovery.relay.serve) {
    const { startRelaying } = await import('./relaying.ts')
    relaying = await startRelaying(
      {
        port: ownPort,
        clock,
        timers,
        log,
        circuits: fabric.circuits,
        peers,
        reach,
        directory,
        server: { gate, handle: (...given) => libp2p.handle(...given) },
        chance,
        addresses: ownAddresses,
        connect: supervisor.reach,
        dial: dialDirect,
        tell: offering.tell,
        changed() {
          if (state.leaving) return
          offering.announce().catch((error: unknown) => log.warn('the own record could not be written', { error }))
        },
        upgradeMs: timings.backoffMaxMs,
      },
      options.discovery.relay,
    )
    undo.push(async () => relaying?.stop())
  }
  const messages = await startMessages({
    port: ownPort,
    rows,
    quota,
    dataDir: options.dataDir,
    settings: options.delivery,
    directory,
    events,
    loadOf: fabric.loadOf,
    tell: offering.tell,
  })
  durable = messages
  undo.push(() => messages.stop())
  activity.include(messages.work)

  const figures = (): MeshFigures => ({
    links: { ...counts, open: links.count() },
    traffic: events.traffic(),
    late: links.late(),
    retries: state.retries,
    failovers: state.failovers,
    commands: commands.counts(),
    breakers: {
      ...breakers.counts(),
      open: breakers.view(clock.monotonic()).filter(({ state: kind }) => kind !== 'closed').length,
    },
    ...router.figures(),
    admissions: { ...admission.counts() },
    heldStreams: gate.held(),
    refusedStreams: gate.refusedStreams(),
    unadmitted: fabric.connectionLimits.figures(),
    dialsRefused: { ...fabric.dialPolicy.refused() },
    duplicateConnections: peers.duplicates(),
    gossip: { ...pubsub.counts() },
    replies: { ...replies.counts() },
    connections: libp2p.getConnections().length,
    clocks: skews.all(),
    disk: { ...quota.figures(), historyUnkept: events.figures().historyUnkept },
    relay: relaying?.facts(),
  })
  exposeFigures(metrics, figures)

  const serve = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) =>
    offering.serve(compile(protocol, handlers), describe(protocol))
  const whom = (where: string) => (given: unknown) => meantBy(directory.agents, given, where)
  const commands = createCommands({
    port: { ...port, metrics },
    serve,
    choose: fabric.choose,
    peerOf: whom('commands.send()'),
  })
  const holds = new Set<{ reason: string }>()
  const self = {
    ...identity,
    get addresses() {
      return addresses()
    },
  }

  /** Neighbours that have not heard of the mesh id are told, and those of another founded mesh are parted from. */
  const tellMeshId = (): void => {
    for (const { chosen } of peers.all())
      admission.renew(chosen).catch((error: unknown) => log.info('a neighbour was not told the mesh id', { error }))
  }
  const { startCoordination } = await import('./coordination.ts')
  coordination = await startCoordination({
    port: ownPort,
    events,
    dataDir: options.dataDir,
    joins: looksForOthers(options) || fabric.localOthers > 0,
    settings: options.coordination,
    known: ground.known,
    onGone: (fn) => directory.onChange(({ type, agent }) => type === 'left' && fn(agent.peer)),
    founded: tellMeshId,
  })
  // Who was admitted before has not been told.
  if (coordination.meshId() !== undefined) tellMeshId()
  const { journal, coordinator, fences, problems, degraded, handOver, stop: stopCoordination } = coordination
  exposeCoordination(metrics, coordination)
  undo.push(stopCoordination)
  if (early !== undefined) coordination.heard(early)
  parts.provide(tokens.events, events)
  parts.provide(tokens.journal, journal)
  parts.provide(tokens.fences, fences)
  parts.provide(tokens.coordinator, coordinator)
  parts.provide(tokens.messages, messages)
  parts.provide(tokens.commands, commands)
  undo.push(() => parts.stop())
  await parts.start()

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
    skews,
    neighbours,
    breakers,
    messages,
    metrics,
    load,
    usesOf: router.use,
    coordinator: coordination.facts,
    history: () => coordinator.history({ signal: AbortSignal.timeout(HISTORY_MS) }),
    readiness() {
      const ofParts = parts.readiness()
      const reasons = [...holds].map(({ reason }) => reason)
      reasons.push(...problems(), ...ofParts.reasons)
      const kept = messages.problem()
      if (kept !== undefined) reasons.push(kept)
      if (state.leaving) reasons.push('the node is stopping')
      // The first node of a mesh joins a name that stands for nobody else yet; who waits for it must not wait forever.
      if (looksForOthers(options) && peers.members().length === 0 && !supervisor.alone())
        reasons.push('no member of the mesh is connected')
      const missing = [...degraded(), ...ofParts.degraded]
      const clocks = skews.problem()
      if (clocks !== undefined) missing.push(clocks)
      if (activity.current().state === 'stuck') missing.push('the agent has requests in work and does not get on')
      return { ready: reasons.length === 0, reasons, ...(missing.length > 0 && { degraded: missing }) }
    },
    onRefused: upkeep.onRefused,
  })
  const endpoints = await openEndpoints({
    options,
    debugPort: ground.ports.debug,
    hasLock: lock.current !== undefined,
    source,
    mesh: () => mesh,
    log,
    metrics,
    undo,
  })
  supervisor.start()
  await ground.ports.keep(ownAddresses(), endpoints.debugUrl)
  await lock.current?.describe({
    name: options.name,
    peerId: selfId,
    addresses: addresses(),
    ...endpoints.described(),
  })

  const notReady = (reason: string): Stop => {
    const hold = { reason }
    holds.add(hold)
    return () => void holds.delete(hold)
  }

  const leaving = createLeaving({
    log,
    drainMs: () => timings.drainMs,
    entered(phase) {
      state.leaving = true
      router.refuse()
      if (phase === 'drain') return
      state.stopping = true
      supervisor.stop()
      upkeep.stop()
    },
    drain: [
      { what: 'the coordination', run: handOver },
      { what: 'the goodbye', run: () => directory.leave(options.dataDir === undefined ? 'leave' : 'stop') },
      { what: 'parts', drains: true, run: (leftMs) => parts.drain(leftMs) },
      { what: 'messages in work', drains: true, run: (leftMs) => messages.drain(leftMs) },
      { what: 'requests in work', drains: true, run: (leftMs) => router.drain(leftMs) },
    ],
    stop: () => [
      ...parts.stopSteps(),
      { what: 'the coordinator group', run: stopCoordination },
      { what: 'messages', run: () => messages.stop() },
      { what: 'links of peers', run: () => router.close(0) },
      { what: 'commands', run: async () => commands.stop() },
      { what: 'events', run: () => events.stop() },
      { what: 'the activity', run: async () => activity.stop() },
      { what: 'presence', run: () => presence.stop() },
      { what: 'parting', run: () => parting.stop() },
      { what: 'neighbours', run: () => neighbours.stop() },
      { what: 'replies', run: () => replies.stop() },
      { what: 'calls in flight', drains: true, run: (leftMs) => links.close(leftMs) },
      { what: 'the directory', run: () => directory.stop() },
      { what: 'gossip', run: async () => pubsub.stop() },
      { what: 'relays', run: async () => relaying?.stop() },
      { what: 'libp2p', run: async () => libp2p.stop() },
      { what: 'the control socket', run: endpoints.closeControl },
      { what: 'the debug endpoint', run: endpoints.closeListeners },
      { what: 'metrics of the process', run: async () => endpoints.stopProcessMetrics() },
      { what: 'the lock', run: async () => lock.current?.release() },
      { what: 'the log', run: async () => ownLog?.flush() },
    ],
  })

  const reload = createReloads(
    {
      options,
      ownLog,
      slots,
      quota,
      linkLimits: ground.linkDeps.limits,
      trust,
      events,
      delivery: messages,
      setMaxConnections(most) {
        fabric.connectionLimits.setMaxConnections(most)
        libp2p.services.bounds.setMaxConnections(most)
      },
      setInboundPerSecond: fabric.connectionLimits.setInboundPerSecond,
      announce() {
        if (state.leaving) return
        offering.announce().catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
      pardonAll: () => admission.pardonAll(),
      secretsChanged: () => upkeep.memberships.secretsChanged(),
    },
    parts,
    log,
  )

  const mesh: Mesh = {
    self,
    debugUrl: endpoints.debugUrl,
    healthUrl: endpoints.healthUrl,
    events,
    messages,
    directory,
    journal,
    activity,
    coordinator: {
      ...coordinator,
      transfer: async (to, given) =>
        coordinator.transfer(to === undefined ? to : whom('coordinator.transfer()')(to), given),
    },
    fences,
    replies,
    port,
    commands,
    notifications: await parts.use(notifications),
    part: (part) => parts.use(part),
    serve,
    serveCompiled: offering.serve,
    calls,
    to: clients.to,
    any: clients.any,
    all: clients.all,
    joined: (given) =>
      joined(
        { joins: looksForOthers(options), directory, supervisor, log, clock, timers, isStopping: () => state.stopping },
        given,
      ),
    reload,
    members: () => peers.members(),
    onMember: (fn) => peers.onMember(fn),
    figures,
    readiness: source.readiness,
    notReady,
    onStopRequest: endpoints.onStopRequest,
    drain: leaving.drain,
    stop: leaving.stop,
  }
  return mesh
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
    const message = error instanceof Error ? error.message : String(error)
    throw (
      (await portProblem(input.listen ?? [])) ??
      new ParleyError('COM002', `the node could not start: ${message}`, { hint: 'see the cause', cause: error })
    )
  }
}
