/** In which order a node leaves: what ends its running work, then what closes. */
import type { Endpoints } from '../observe/endpoints.ts'
import type { DirectoryLock } from '../store/data-directory.ts'
import type { NodeCore } from './node-core.ts'
import type { NodeFeatures } from './node-features.ts'
import { createShutdown, type Shutdown, type ShutdownStep } from './shutdown.ts'

/** Running work ends, and others are told to go elsewhere; calls of this node still go out. */
const drainSteps = (
  { startup, network }: NodeCore,
  { coordination, directory, messages, parts }: NodeFeatures,
): readonly ShutdownStep[] => {
  const departure = startup.options.dataDir === undefined ? 'leave' : 'stop'
  return [
    { what: 'the coordination', run: coordination.handOver },
    { what: 'the goodbye', run: () => directory.leave(departure) },
    { what: 'parts', drains: true, run: (leftMs) => parts.drain(leftMs) },
    { what: 'messages in work', drains: true, run: (leftMs) => messages.drain(leftMs) },
    { what: 'requests in work', drains: true, run: (leftMs) => network.router.drain(leftMs) },
  ]
}

/** What is asked closes before who asks: parts, messages and inbound links; then features; then calls, and libp2p. */
const featureSteps = ({ network }: NodeCore, features: NodeFeatures): readonly ShutdownStep[] => {
  const {
    activity,
    commands,
    deadlocks,
    directory,
    events,
    messages,
    neighbours,
    parts,
    presence,
    pruning,
    relays,
    replies,
  } = features
  const { libp2p, links, pubsub, router } = network
  return [
    ...parts.stopSteps(),
    { what: 'messages', run: () => messages.stop() },
    { what: 'links of peers', run: () => router.close(0) },
    { what: 'commands', run: async () => commands.stop() },
    { what: 'events', run: () => events.stop() },
    { what: 'the activity', run: async () => activity.stop() },
    { what: 'presence', run: () => presence.stop() },
    { what: 'parting', run: () => pruning.stop() },
    { what: 'deadlock detection', run: () => deadlocks.stop() },
    { what: 'neighbours', run: () => neighbours.stop() },
    { what: 'replies', run: () => replies.stop() },
    { what: 'calls in flight', drains: true, run: (leftMs) => links.close(leftMs) },
    { what: 'the directory', run: () => directory.stop() },
    { what: 'gossip', run: async () => pubsub.stop() },
    { what: 'relays', run: async () => relays?.stop() },
    { what: 'libp2p', run: async () => libp2p.stop() },
  ]
}

/** Others of this user see until here that the node is there: the lock is let go of when nothing of it runs. */
const processSteps = (
  { startup }: NodeCore,
  endpoints: Endpoints,
  lock: DirectoryLock | undefined,
): readonly ShutdownStep[] => [
  { what: 'the control socket', run: endpoints.closeControl },
  { what: 'the debug endpoint', run: endpoints.closeListeners },
  { what: 'metrics of the process', run: async () => endpoints.stopProcessMetrics() },
  { what: 'the lock', run: async () => lock?.release() },
  { what: 'the log', run: async () => startup.ownLog?.flush() },
]

export const createNodeShutdown = (
  core: NodeCore,
  features: NodeFeatures,
  endpoints: Endpoints,
  lock: DirectoryLock | undefined,
): Shutdown => {
  const { router, state, supervisor, upkeep } = core.network
  const { log, options } = core.startup
  return createShutdown({
    log,
    drainMs: () => options.timings.drainMs,
    onPhase(phase) {
      state.leaving = true
      router.refuseNew()
      if (phase === 'drain') return
      state.stopping = true
      supervisor.stop()
      upkeep.stop()
    },
    drain: drainSteps(core, features),
    stop: () => [...featureSteps(core, features), ...processSteps(core, endpoints, lock)],
  })
}
