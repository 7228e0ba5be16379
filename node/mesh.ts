/**
 * A node of the mesh, put together. Each step of its start is made by the room that it belongs to, and gets what was made
 * before it; what the network needs of later ones it is given by them (network/extensions.ts).
 *
 * What stops in which order stands in lifecycle/node-shutdown.ts. State: that of what it starts.
 */
import { resolveTarget } from '../discovery/directory/find-agent.ts'
import { describe } from '../discovery/directory/record/describe-protocol.ts'
import { createCommands } from '../protocols/command/commands.ts'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import { createRegistration } from '../protocols/registration.ts'
import { compile } from '../protocols/wire/payload/contract.ts'
import type { Mesh, MeshDirectory } from './api.ts'
import type { Interception } from './calls/interception/interception.ts'
import { keepInternals } from './lifecycle/mesh-internals.ts'
import type { NodeCore } from './lifecycle/node-core.ts'
import type { NodeFeatures } from './lifecycle/node-features.ts'
import { createNodeShutdown } from './lifecycle/node-shutdown.ts'
import { NodeReadiness } from './lifecycle/readiness.ts'
import type { Shutdown } from './lifecycle/shutdown.ts'
import { startEvents, startMessages } from './lifecycle/start-messaging.ts'
import { prepareParts, type Serve, startParts } from './lifecycle/start-parts.ts'
import { startDirectory, startPresence } from './lifecycle/start-presence.ts'
import { startReachability } from './lifecycle/start-reachability.ts'
import { prepareStartup } from './lifecycle/startup.ts'
import { waitUntilJoined } from './lifecycle/wait-until-joined.ts'
import { portProblem } from './network/transports/port-check.ts'
import { type Endpoints, openEndpoints } from './observe/endpoints.ts'
import { exposeMeshFigures } from './observe/metrics/mesh-figures.ts'
import { createNodeView, meshFigures } from './observe/node-view.ts'
import { looksForOthers } from './options/discovery-options.ts'
import { createReloadQueue } from './options/reload-queue.ts'
import type { MeshOptionsInput } from './options/schema.ts'
import { budgets, coordination, notifications, resources, tasks } from './parts/built-in.ts'
import { coalitions, plans } from './parts/plan-parts.ts'
import { clock, random, timers } from './platform/platform.ts'
import { startMemory } from './platform/start-memory.ts'
import type { DirectoryLock } from './store/data-directory.ts'
import { createLoggedQuota } from './store/logged-quota.ts'

type Lock = { current: DirectoryLock | undefined }
type Undo = NodeCore['undo']

/** All that works without the features: nothing listens yet. Disk, secret and libp2p are opened at the same time. */
const openCore = async (input: MeshOptionsInput, lock: Lock, undo: Undo) => {
  const startup = await prepareStartup(input, lock)
  const { options, log, known } = startup
  // The disk works in other threads while this one loads libp2p.
  const { openMessageRows } = await import('./parts/durable-messages.ts')
  const rows = openMessageRows(options.dataDir, { random, log, timers }, known)
  rows.catch(() => {})
  undo.push(async () => (await rows).close())
  // The secret is stretched in another thread while this one loads libp2p, which takes longer than all the rest.
  const { createNetwork } = await import('./network/network.ts')
  const network = await createNetwork(startup, undo)
  const quota = createLoggedQuota(options.limits.maxDiskBytes, clock, log)
  return { core: { startup, network, quota, undo } satisfies NodeCore, rows }
}

/** From the network up to the parts, each after what it needs. */
const startFeatures = async (input: MeshOptionsInput, lock: Lock, undo: Undo) => {
  const { core, rows } = await openCore(input, lock, undo)
  const { startup, network } = core
  const serve: Serve = (protocol, handlers) => advertiser.serve(compile(protocol, handlers), describe(protocol))
  const { parts, interception } = await prepareParts(core, (protocol, handlers) => serve(protocol, handlers))
  await network.listen()
  const directory = await startDirectory(core)
  const { events, replies } = await startEvents(core, interception.chains)
  const presence = await startPresence(core, directory, events)
  const { activity } = presence
  const reachability = await startReachability(core, directory, activity, interception)
  const { advertiser } = reachability
  const messages = await startMessages(core, {
    ...{ rows, directory, events, advertiser, activity },
    chains: interception.chains,
  })
  const commands = createCommands({
    port: { ...interception.port, metrics: startup.metrics },
    serve,
    choose: network.choose,
    peerOf: (given) => resolveTarget(directory.agents, given, 'commands.send()'),
  })
  exposeMeshFigures(startup.metrics, () => meshFigures(core, features))
  const calls = interception.outgoing.clients
  const { advertise } = advertiser
  await startParts(core, parts, {
    ...{ directory, presence: presence.presence, calls, events, messages, commands, advertise },
  })
  const features: NodeFeatures = {
    ...{ ...presence, ...reachability, directory, events, replies, messages, commands, parts },
    coordination: await parts.use(coordination),
  }
  return { core, features, serve, interception }
}

const createReload = (core: NodeCore, { events, messages, parts, announceAgain }: NodeFeatures) => {
  const { options, ownLog, linkDeps, log } = core.startup
  const { admission, connectionLimits, libp2p, slots, trust, upkeep } = core.network
  return createReloadQueue(
    {
      options,
      ownLog,
      slots,
      quota: core.quota,
      linkLimits: linkDeps.limits,
      trust,
      events,
      delivery: messages,
      setMaxConnections(most) {
        connectionLimits.setMaxConnections(most)
        libp2p.services.bounds.setMaxConnections(most)
      },
      setInboundPerSecond: (most) => connectionLimits.setInboundPerSecond(most),
      announce: announceAgain,
      forgetAllRefusals: () => admission.forgetAllRefusals(),
      secretsChanged: () => upkeep.memberships.secretsChanged(),
    },
    parts,
    log,
  )
}

interface Running {
  readonly core: NodeCore
  readonly features: NodeFeatures
  readonly serve: Serve
  readonly interception: Interception
  readonly readiness: NodeReadiness
  readonly endpoints: Endpoints
  readonly shutdown: Shutdown
}

/** Nothing of it that only the node calls. */
const shownDirectory = ({
  agents,
  find,
  get,
  offers,
  onChange,
  announce,
}: NodeFeatures['directory']): MeshDirectory => ({
  ...{ agents, find, get, offers, onChange, announce },
})

/** What a program gets. */
const meshOf = async ({
  core,
  features,
  serve,
  interception,
  readiness,
  endpoints,
  shutdown,
}: Running): Promise<Mesh> => {
  const { identity, options, log } = core.startup
  const { addresses, peers, state, supervisor } = core.network
  const { calls, clients } = interception.outgoing
  const { activity, advertiser, commands, directory, events, messages, parts, replies } = features
  const { coordinator, fences, journal } = features.coordination
  const mesh: Mesh = {
    self: {
      ...identity,
      get addresses() {
        return addresses()
      },
    },
    debugUrl: endpoints.debugUrl,
    healthUrl: endpoints.healthUrl,
    events,
    messages,
    directory: shownDirectory(directory),
    journal,
    activity: { current: () => activity.current() },
    coordinator: {
      ...coordinator,
      async transfer(to, given) {
        const whom = to === undefined ? to : resolveTarget(directory.agents, to, 'coordinator.transfer()')
        return coordinator.transfer(whom, given)
      },
    },
    fences,
    replies,
    port: interception.port,
    commands,
    notifications: await parts.use(notifications),
    tasks: await parts.use(tasks),
    resources: await parts.use(resources),
    budgets: await parts.use(budgets),
    plans: await parts.use(plans),
    coalitions: await parts.use(coalitions),
    part: (part) => parts.use(part),
    serve: async (protocol, handlers) => createRegistration(await serve(protocol, handlers)),
    to: clients.to,
    any: clients.any,
    all: clients.all,
    joined: (given) =>
      waitUntilJoined(
        { joins: looksForOthers(options), directory, supervisor, log, clock, timers, isStopping: () => state.stopping },
        given,
      ),
    reload: createReload(core, features),
    members: () => peers.members(),
    onMember: (fn) => createRegistration(peers.onMember((member, change) => fn(member, change))),
    figures: () => meshFigures(core, features),
    readiness: () => readiness.read(),
    notReady: (reason) => createRegistration(readiness.hold(reason)),
    onStopRequest: (fn) => createRegistration(endpoints.onStopRequest(fn)),
    drain: shutdown.drain,
    stop: shutdown.stop,
    [Symbol.asyncDispose]: shutdown.stop,
  }
  keepInternals(mesh, {
    ...{ calls, activity },
    serveCompiled: async (served, record) => createRegistration(await advertiser.serve(served, record)),
  })
  return mesh
}

const startLocked = async (input: MeshOptionsInput, lock: Lock, undo: Undo): Promise<Mesh> => {
  const { core, features, serve, interception } = await startFeatures(input, lock, undo)
  const { startup, network } = core
  const { options, log, metrics, identity, ports } = startup
  const readiness = new NodeReadiness({ options, network, ...features })
  const endpoints = await openEndpoints({
    options,
    debugPort: ports.debug,
    hasLock: lock.current !== undefined,
    source: createNodeView(core, features, readiness),
    mesh: () => mesh,
    log,
    metrics,
    undo,
  })
  network.supervisor.start()
  await ports.save(network.ownAddresses(), endpoints.debugUrl)
  await lock.current?.describe({
    name: options.name,
    peerId: identity.id,
    addresses: network.addresses(),
    ...endpoints.described(),
  })
  const shutdown = createNodeShutdown(core, features, endpoints, lock.current)
  const mesh = await meshOf({ core, features, serve, interception, readiness, endpoints, shutdown })
  if (options.minorGc) startMemory.giveBack()
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
  const lock: Lock = { current: undefined }
  const undo: Undo = []
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
