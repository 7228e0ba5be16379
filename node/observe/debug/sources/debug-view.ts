/**
 * The mesh as the debug endpoint shows it. Read when somebody looks; nothing here runs on the hot path.
 */
import type { Activity } from '../../../../discovery/agent-activity.ts'
import type { Directory } from '../../../../discovery/directory/directory.ts'
import type { Agent, Change } from '../../../../discovery/directory/tables/agent-change.ts'
import type { PeerBreakers } from '../../../../protocols/delivery/recovery/peer-breakers.ts'
import type { Events } from '../../../../protocols/events/api.ts'
import type { Epoch } from '../../../../protocols/journal/state/built-in-kinds.ts'
import type { Clock, Gossip, Stop } from '../../../../protocols/port.ts'
import type { PeerUsage } from '../../../../protocols/wire/responder/peer-slots.ts'
import type { MeshLibp2p } from '../../../network/libp2p.ts'
import type { LinkPool } from '../../../network/link-pool.ts'
import type { Peers } from '../../../network/peers.ts'
import type { DurableMessages } from '../../../parts/durable-messages.ts'
import type { FailureDetection } from '../../../parts/failure-detection.ts'
import type { ClockSkews } from '../../../trust/clock-skew.ts'
import type { StreamGater } from '../../../trust/stream-gater.ts'
import type { NodeMetrics } from '../../metrics/metrics.ts'
import type { DebugEvent, DebugSource, PeerView, Readiness } from '../debug-schemas.ts'
import type { PartSource } from '../part-schemas.ts'
import { type CoordinatorFacts, coordinatorView } from './coordinator-view.ts'
import { graphView } from './graph-view.ts'
import { createMessageView, onDeadLetter } from './message-view.ts'
import type { Neighbours } from './neighbours.ts'
import { isOwnTopic, topicViews } from './topic-views.ts'

export interface DebugViewDeps {
  self(): { id: string; name: string; mesh: string; incarnation: number; addresses: string[] }
  version: string
  startedAt: number
  trust: string
  clock: Clock
  libp2p: MeshLibp2p
  gate: StreamGater
  peers: Peers
  links: LinkPool
  directory: Directory
  events: Events
  gossip: Gossip
  presence: FailureDetection
  skews: Pick<ClockSkews, 'get'>
  neighbours: Neighbours
  breakers: PeerBreakers
  messages: DurableMessages
  metrics: NodeMetrics
  parts: PartSource
  readiness(): Readiness
  coordinator(): CoordinatorFacts
  history(): Promise<Epoch[]>
  load(): { load: number; queueLength: number }
  /** What a peer has in work and in line here. */
  usesOf(peer: string): PeerUsage | undefined
  /** Taps that the mesh feeds itself: strangers, peers. */
  onRefused(fn: (refused: { id: string; address: string; reason: string }) => void): Stop
}

/** Without what is not known. */
const plain = ({ state, sinceMs, progress }: Activity) => ({
  state,
  ...(sinceMs === undefined ? {} : { sinceMs }),
  ...(progress === undefined ? {} : { progress }),
})

/** A tenth of a millisecond says all that a clock can. */
const round = (ms: number): number => Math.round(ms * 10) / 10

const offers = (change: Change): string[] =>
  change.agent.record.protocols.map(({ name, version }) => `${name}@${version}`)

const agentEvent = (change: Change, at: number): DebugEvent => {
  const { peer: id, name, state } = change.agent
  if (change.type === 'left') return { type: 'agent-left', at, id, name, reason: change.reason }
  return {
    type: change.type === 'joined' ? 'agent-joined' : 'agent-changed',
    at,
    id,
    name,
    protocols: offers(change),
    state,
    ...(change.agent.record.stuck && { stuck: true }),
  }
}

export const createDebugView = (deps: DebugViewDeps): DebugSource => {
  const { libp2p, peers, links, directory, events, clock } = deps
  const nameOf = (peer: string): string => peers.get(peer)?.name ?? directory.get(peer)?.name ?? ''

  const peerViews = (): PeerView[] =>
    libp2p.getConnections().map((connection) => {
      const id = connection.remotePeer.toString()
      const rttMs = deps.presence.rttMs(id)
      const skew = deps.skews.get(id)
      const uses = deps.usesOf(id)
      return {
        id,
        name: nameOf(id),
        direction: connection.direction,
        address: connection.remoteAddr.toString(),
        connectedAt: connection.timeline.open,
        ...(rttMs === undefined ? {} : { rttMs }),
        ...(skew === undefined ? {} : { skewMs: round(skew.skewMs), skewErrorMs: round(skew.errorMs) }),
        admitted: deps.gate.standing(connection) === 'admitted',
        streams: connection.streams.length,
        inFlight: links.inFlight(id),
        bytesQueued: links.queuedBytes(id),
        ...(uses === undefined ? {} : { uses }),
      }
    })

  const agentView = ({ peer, name, state, self, activity, record }: Agent) => {
    const load = self ? deps.load() : deps.presence.load(peer)
    const silentMs = self ? 0 : deps.presence.silentMs(peer)
    return {
      id: peer,
      name,
      state,
      protocols: record.protocols,
      labels: record.labels,
      addresses: record.addresses,
      ...(load === undefined ? {} : load),
      ...(activity === undefined ? {} : { activity: plain(activity) }),
      ...(silentMs === undefined ? {} : { lastHeardMs: Math.round(silentMs) }),
    }
  }

  return {
    self: () => ({ ...deps.self(), version: deps.version, startedAt: deps.startedAt, trust: deps.trust }),
    peers: peerViews,
    agents: () => directory.agents().map(agentView),
    agent(id) {
      const agent = directory.get(id)
      return agent === undefined ? undefined : agentView(agent)
    },
    topics: () => topicViews(deps),
    graph: () =>
      graphView({ self: deps.self(), directory, neighbours: deps.neighbours, members: () => peers.members() }),
    readiness: deps.readiness,
    parts: deps.parts,
    breakers: () =>
      deps.breakers.view(clock.monotonic()).map(({ peer: id, retryAfterMs, ...breaker }) => ({
        id,
        name: nameOf(id),
        ...breaker,
        retryAfterMs: Math.ceil(retryAfterMs),
      })),
    coordinator: async () => coordinatorView(deps.coordinator(), nameOf, deps.history),
    messages: createMessageView(deps.messages, nameOf),
    metrics: () => deps.metrics.exposition(),
    onEvent(fn) {
      const stops: Stop[] = [
        peers.onMember(({ id, name }, change) =>
          fn({ type: change === 'joined' ? 'peer-joined' : 'peer-left', at: clock.now(), id, name }),
        ),
        directory.onChange((change) => fn(agentEvent(change, clock.now()))).stop,
        events.onEvent(({ topic, source, data }) => {
          const bytes = JSON.stringify(data)?.length ?? 0
          const passed = { at: clock.now(), topic, bytes, ...(isOwnTopic(topic) && { own: true }) }
          const isHere = source === deps.self().id
          fn(isHere ? { type: 'event-published', ...passed } : { type: 'event-received', ...passed, source })
        }).stop,
        onDeadLetter(deps.messages, clock.now, fn),
        deps.onRefused((refused) => fn({ type: 'stranger-refused', at: clock.now(), ...refused })),
      ]
      return () => {
        for (const stop of stops) stop()
      }
    },
  }
}
