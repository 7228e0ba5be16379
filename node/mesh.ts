/**
 * A node of the mesh, put together: each part is made here and knows only what it is given.
 *
 * Start, in order: options, data directory's lock, identity and trust; the network (network/network.ts), which listens when it is
 * there and serves admission alone; directory, events, presence, messages, commands, coordination; debug endpoint; the
 * supervisor, which dials. What stops in which order stands in `createLeaving`. State: the parts'; of its own why the node
 * is not ready, by those who said so.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { createDirectory, type Directory } from '../discovery/directory/directory.ts'
import { resolveTarget } from '../discovery/directory/find-agent.ts'
import { describe } from '../discovery/directory/record/describe-protocol.ts'
import { createCommands } from '../protocols/command/commands.ts'
import { raftProtocol } from '../protocols/consensus/contract.ts'
import { type AnyProtocol, type Handlers, wireId } from '../protocols/define.ts'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import { createEvents } from '../protocols/events/events.ts'
import { createRegistration } from '../protocols/registration.ts'
import { tokens } from '../protocols/tokens.ts'
import { compile } from '../protocols/wire/payload/contract.ts'
import type { Mesh } from './api.ts'
import { toDeadCall } from './calls/dead-letter-call.ts'
import { recordRequests } from './calls/recorded-calls.ts'
import { createReplies } from './calls/reply-to.ts'
import { NodeReadiness } from './lifecycle/readiness.ts'
import { createShutdown } from './lifecycle/shutdown.ts'
import { prepare } from './lifecycle/startup.ts'
import { waitUntilJoined } from './lifecycle/wait-until-joined.ts'
import { createConnectionPruning } from './network/connection-pruning.ts'
import { type Autonat, createAutonat } from './network/nat/autonat.ts'
import type { RelayClient } from './network/nat/relay-client.ts'
import type { Above, Fabric } from './network/network.ts'
import { portProblem } from './network/transports/port-check.ts'
import { createDebugView } from './observe/debug/sources/debug-view.ts'
import { createNeighbours } from './observe/debug/sources/neighbours.ts'
import { openEndpoints } from './observe/endpoints.ts'
import { exposeMeshFigures, type MeshFigures } from './observe/metrics/mesh-figures.ts'
import { looksForOthers } from './options/discovery-options.ts'
import { createReloadQueue } from './options/reload-queue.ts'
import type { MeshOptionsInput } from './options/schema.ts'
import { createAdvertiser } from './parts/advertise.ts'
import { coordination, notifications } from './parts/built-in.ts'
import type { DurableMessages } from './parts/durable-messages.ts'
import { createFailureDetection } from './parts/failure-detection.ts'
import { nodeTokens } from './parts/node-tokens.ts'
import { createPartViews } from './parts/part-views.ts'
import { PartRunner } from './parts/runner.ts'
import { exposeParts } from './parts/shown.ts'
import { createStuckDetection } from './parts/stuck-detection.ts'
import { chance, clock, random, timers } from './platform/platform.ts'
import { VERSION } from './platform/version.ts'
import type { DirectoryLock } from './store/data-directory.ts'
import { createEventStore } from './store/events/event-files.ts'
import { createLoggedQuota } from './store/logged-quota.ts'

/** The debug page does not wait longer for the history of coordinators. */
const HISTORY_MS = 2_000

/** Whoever announces an address is to be connected to, until it leaves. */
const dialAnnounced = (directory: Pick<Directory, 'onChange'>, supervisor: Fabric['supervisor']): void => {
  directory.onChange((change) => {
    const { peer } = change.agent
    if (change.agent.self) return
    // Who tells no address (a node that only dials) cannot be dialled: it comes by itself.
    const reachable = change.agent.record.addresses.length > 0
    if (change.type === 'left') {
      // Given up or found dead: it may come back.
      if (change.reason === 'gone' || change.reason === 'dead') supervisor.markUnreachable(peer)
      else supervisor.removePeer(peer)
    } else if (reachable) supervisor.addPeer(peer)
  })
}

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
  const { openMessageRows, startDurableMessages } = await import('./parts/durable-messages.ts')
  const rows = openMessageRows(options.dataDir, { random, log, timers }, ground.known)
  rows.catch(() => {})
  undo.push(async () => (await rows).close())
  let durable: DurableMessages | undefined
  let reach: Autonat | undefined
  let relaying: RelayClient | undefined
  /** A founded mesh that was heard of before the coordination was there to hear it. */
  let early: string | undefined
  const above: Above = {
    directory: () => directory,
    presence: () => presence,
    replies: () => replies,
    noteCall: (call) => durable?.noteCall(call),
    parting: (peer) => parting.decision(peer),
    offered: (protocol, major) => offering.ownCandidate(protocol, major),
    deadLetter(letter) {
      // What the mesh asks for itself it asks for again.
      if (!router.ownsName(letter.label.split('.', 1)[0] ?? '')) durable?.addFailedCall(toDeadCall(letter))
    },
    hasPlace: (relay) => relaying?.hasReservation(relay) === true,
    isTrial: (connection) => reach?.isDialBack(connection) === true,
    meshId: () => parts.get(coordination)?.meshId(),
    mayMove: () => parts.get(coordination)?.mayMove() ?? true,
    heard(meshId) {
      const agreed = parts.get(coordination)
      if (agreed === undefined) early = meshId
      else agreed.heard(meshId)
    },
  }
  // The secret is stretched in another thread while this one loads libp2p, which takes longer than all the rest.
  const { weave } = await import('./network/network.ts')
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

  const quota = createLoggedQuota(options.limits.maxDiskBytes, clock, log)
  const isOwnPart = (part: { readonly name: string }): boolean => !part.name.includes('/')
  const parts = new PartRunner({
    parts: [coordination, notifications, ...options.parts],
    provides: [...Object.values(nodeTokens), tokens.events, tokens.messages, tokens.commands],
    port: (part) => (isOwnPart(part) ? ownPort : { ...port, serve: (protocol, handlers) => serve(protocol, handlers) }),
    section: ({ name }) => options.partOptions[name],
    answer(part, protocol, handlers) {
      const served = compile(protocol, handlers)
      return isOwnPart(part) ? addServed(served, { own: true }) : addServed(recordRequests(served, above.noteCall))
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
  dialAnnounced(directory, supervisor)
  const eventStore = options.dataDir === undefined ? undefined : createEventStore(options.dataDir, clock, log)
  const events = createEvents(ownPort, options.events, eventStore, quota)
  const replies = await createReplies(ownPort, () => events, log)
  const load = () => ({ load: slots.active(), queueLength: slots.queued() })
  const activity = createStuckDetection(
    {
      port: ownPort,
      log,
      metrics,
      slots,
      announce(isStuck) {
        if (state.leaving) return
        directory
          .announce({ stuck: isStuck ? true : undefined })
          .catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
    },
    timings,
  )
  undo.push(async () => activity.stop())
  const presence = await createFailureDetection(
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
  const parting = await createConnectionPruning({
    port: ownPort,
    overlay,
    peers,
    chance,
    used: (connection) =>
      relaying?.isNeeded(connection) === true ||
      [...links.protocols(connection.remotePeer.toString()), ...router.protocols(connection)].some(
        (protocolId) => !router.isOwn(protocolId) || protocolId === wireId(raftProtocol),
      ),
    retire(connection) {
      peers.retire(connection)
      links.drainConnection(connection)
    },
  })
  const { listening } = events
  const neighbours = await createNeighbours({ port: ownPort, rttMs: presence.rttMs, agents: directory.size, listening })
  upkeep.start((peer) => directory.markGone(peer))

  const ownAddresses = (): string[] => libp2p.getMultiaddrs().map(String)
  const addresses = (): string[] => [...ownAddresses(), ...(relaying?.addresses() ?? [])]
  const offering = createAdvertiser({
    self: identity,
    labels: () => options.labels,
    directory,
    router,
    addresses,
    addServed: (served) => addServed(recordRequests(served, above.noteCall)),
    isLeaving: () => state.leaving,
    isStuck: () => activity.current().state === 'stuck',
  })
  for (const { protocols = [] } of options.parts)
    for (const protocol of protocols) await offering.advertise(wireId(protocol), describe(protocol))
  await offering.announce()
  const dialDirect = (address: string, signal: AbortSignal) => libp2p.services.direct.dial(multiaddr(address), signal)
  reach = await createAutonat({
    port: ownPort,
    dial: dialDirect,
    admit: (connection) => admission.begin(connection),
    chance,
  })
  if (options.discovery.relay.use !== 'never' || options.discovery.relay.serve) {
    const { startRelayClient } = await import('./network/nat/relay-client.ts')
    relaying = await startRelayClient(
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
        connect: (peer) => supervisor.connect(peer),
        dial: dialDirect,
        advertise: offering.advertise,
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
  const messages = await startDurableMessages({
    port: ownPort,
    rows,
    quota,
    dataDir: options.dataDir,
    settings: options.delivery,
    directory,
    events,
    loadOf: fabric.loadOf,
    advertise: offering.advertise,
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
    heldStreams: gate.heldStreams(),
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
  exposeMeshFigures(metrics, figures)

  const serve = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) =>
    offering.serve(compile(protocol, handlers), describe(protocol))
  const whom = (where: string) => (given: unknown) => resolveTarget(directory.agents, given, where)
  const commands = createCommands({
    port: { ...port, metrics },
    serve,
    choose: fabric.choose,
    peerOf: whom('commands.send()'),
  })
  const self = {
    ...identity,
    get addresses() {
      return addresses()
    },
  }

  parts.provide(nodeTokens.ground, ground)
  parts.provide(nodeTokens.network, fabric)
  parts.provide(nodeTokens.directory, directory)
  parts.provide(nodeTokens.decisions, parts.journals())
  parts.provide(tokens.events, events)
  parts.provide(tokens.messages, messages)
  parts.provide(tokens.commands, commands)
  undo.push(() => parts.stop())
  await parts.start()
  const agreed = await parts.use(coordination)
  const { coordinator } = agreed
  if (early !== undefined) agreed.heard(early)

  const readiness = new NodeReadiness({ options, network: fabric, parts, messages, activity })
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
    usesOf: (peer) => router.usageOf(peer),
    parts: createPartViews(parts),
    coordinator: agreed.facts,
    history: () => coordinator.history({ signal: AbortSignal.timeout(HISTORY_MS) }),
    readiness: () => readiness.read(),
    onRefused: (fn) => upkeep.onRefused(fn),
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
  await ground.ports.save(ownAddresses(), endpoints.debugUrl)
  await lock.current?.describe({
    name: options.name,
    peerId: selfId,
    addresses: addresses(),
    ...endpoints.described(),
  })

  const leaving = createShutdown({
    log,
    drainMs: () => timings.drainMs,
    onPhase(phase) {
      state.leaving = true
      router.refuseNew()
      if (phase === 'drain') return
      state.stopping = true
      supervisor.stop()
      upkeep.stop()
    },
    drain: [
      { what: 'the coordination', run: agreed.handOver },
      { what: 'the goodbye', run: () => directory.leave(options.dataDir === undefined ? 'leave' : 'stop') },
      { what: 'parts', drains: true, run: (leftMs) => parts.drain(leftMs) },
      { what: 'messages in work', drains: true, run: (leftMs) => messages.drain(leftMs) },
      { what: 'requests in work', drains: true, run: (leftMs) => router.drain(leftMs) },
    ],
    stop: () => [
      ...parts.stopSteps(),
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

  const reload = createReloadQueue(
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
      setInboundPerSecond: (most) => fabric.connectionLimits.setInboundPerSecond(most),
      announce() {
        if (state.leaving) return
        offering.announce().catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
      forgetAllRefusals: () => admission.forgetAllRefusals(),
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
    journal: agreed.journal,
    activity,
    coordinator: {
      ...coordinator,
      transfer: async (to, given) =>
        coordinator.transfer(to === undefined ? to : whom('coordinator.transfer()')(to), given),
    },
    fences: agreed.fences,
    replies,
    port,
    commands,
    notifications: await parts.use(notifications),
    part: (part) => parts.use(part),
    serve: async (protocol, handlers) => createRegistration(await serve(protocol, handlers)),
    serveCompiled: async (served, record) => createRegistration(await offering.serve(served, record)),
    calls,
    to: clients.to,
    any: clients.any,
    all: clients.all,
    joined: (given) =>
      waitUntilJoined(
        { joins: looksForOthers(options), directory, supervisor, log, clock, timers, isStopping: () => state.stopping },
        given,
      ),
    reload,
    members: () => peers.members(),
    onMember: (fn) => createRegistration(peers.onMember((member, change) => fn(member, change))),
    figures,
    readiness: source.readiness,
    notReady: (reason) => createRegistration(readiness.hold(reason)),
    onStopRequest: (fn) => createRegistration(endpoints.onStopRequest(fn)),
    drain: leaving.drain,
    stop: leaving.stop,
    [Symbol.asyncDispose]: leaving.stop,
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
