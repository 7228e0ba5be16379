/** What a running node shows of itself: its figures, and what the debug endpoint reads. */
import type { NodeCore } from '../lifecycle/node-core.ts'
import type { NodeFeatures } from '../lifecycle/node-features.ts'
import { createPartViews } from '../parts/part-views.ts'
import { clock } from '../platform/platform.ts'
import { VERSION } from '../platform/version.ts'
import type { DebugSource, Readiness } from './debug/debug-schemas.ts'
import { createDebugView } from './debug/sources/debug-view.ts'
import type { MeshFigures } from './metrics/mesh-figures.ts'

/** The debug page does not wait longer for the history of coordinators. */
const HISTORY_MS = 2_000

/** Read when somebody looks. */
export const meshFigures = (
  { startup, network, quota }: NodeCore,
  { events, replies, commands, relays }: Pick<NodeFeatures, 'events' | 'replies' | 'commands' | 'relays'>,
): MeshFigures => {
  const { admission, breakers, callCounts, connectionLimits, dialPolicy, gate } = network
  const { libp2p, links, peers, pubsub, router, skews } = network
  return {
    links: { ...startup.counts, open: links.count() },
    traffic: events.traffic(),
    late: links.late(),
    ...callCounts,
    commands: commands.counts(),
    breakers: {
      ...breakers.counts(),
      open: breakers.view(clock.monotonic()).filter(({ state }) => state !== 'closed').length,
    },
    ...router.figures(),
    admissions: { ...admission.counts() },
    heldStreams: gate.heldStreams(),
    refusedStreams: gate.refusedStreams(),
    unadmitted: connectionLimits.figures(),
    dialsRefused: { ...dialPolicy.refused() },
    duplicateConnections: peers.duplicates(),
    gossip: { ...pubsub.counts() },
    replies: { ...replies.counts() },
    connections: libp2p.getConnections().length,
    clocks: skews.all(),
    disk: { ...quota.figures(), historyUnkept: events.figures().historyUnkept },
    relay: relays?.facts(),
  }
}

export const createNodeView = (
  { startup, network }: NodeCore,
  features: NodeFeatures,
  readiness: { read(): Readiness },
): DebugSource => {
  const { identity, startedAt, metrics } = startup
  const { addresses, breakers, gate, libp2p, links, peers, pubsub, router, skews, trust, upkeep } = network
  const { coordination, directory, events, load, messages, neighbours, parts, presence } = features
  return createDebugView({
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
    coordinator: coordination.facts,
    history: () => coordination.coordinator.history({ signal: AbortSignal.timeout(HISTORY_MS) }),
    readiness: () => readiness.read(),
    onRefused: (fn) => upkeep.onRefused(fn),
  })
}
