/**
 * What the debug endpoint shows, as data: the mesh implements DebugSource, the endpoint does not know the mesh.
 *
 * The schemas are types, documentation and filter at once: a field that is not named here never leaves the process,
 * so neither a secret nor a token can slip out with an object that was passed on as it was.
 */
import * as z from 'zod'
import { ACTIVITIES } from '../../../discovery/agent-activity.ts'
import type { Stop } from '../../../protocols/port.ts'
import { DeliverySchema, type MessageSource } from './message-schemas.ts'
import type { PartSource } from './part-schemas.ts'

/** Milliseconds since 1970, this node's clock. */
const At = z.number()

export const SelfSchema = z.object({
  /** Peer id, base58. */
  id: z.string(),
  name: z.string(),
  mesh: z.string(),
  incarnation: z.number(),
  /** Version of this software. */
  version: z.string(),
  /** Multiaddrs that it listens on, with the peer id. */
  addresses: z.array(z.string()),
  startedAt: At,
  /** How members are distinguished from strangers: `secret`, `loopback`, … */
  trust: z.string().optional(),
})
export type SelfView = z.input<typeof SelfSchema>

export const PeerSchema = z.object({
  id: z.string(),
  /** Empty until it is admitted. */
  name: z.string(),
  /** Who dialled. */
  direction: z.enum(['inbound', 'outbound']),
  /** Multiaddr at the other end. */
  address: z.string(),
  connectedAt: At,
  /** Milliseconds of the last ping there and back; absent before the first. */
  rttMs: z.number().optional(),
  /** Its clock minus this node's, milliseconds, as of the last exchange of cards; the truth is at most skewErrorMs from it. */
  skewMs: z.number().optional(),
  skewErrorMs: z.number().optional(),
  admitted: z.boolean(),
  /** Open streams of all protocols. */
  streams: z.number(),
  /** Exchanges of ours that wait for an answer. */
  inFlight: z.number(),
  bytesQueued: z.number(),
  /** What it has here of what all share: handlers, places in line, streams that it does not read, bytes of requests. */
  uses: z.object({ active: z.number(), queued: z.number(), parked: z.number(), bytes: z.number() }).optional(),
})
export type PeerView = z.input<typeof PeerSchema>

const MethodView = z.object({
  name: z.string(),
  kind: z.enum(['unary', 'stream', 'one-way']),
  capability: z.string().optional(),
  description: z.string().optional(),
})

/** With what the agent says of itself and its requests; a whole contract may take some 64 KB. */
const MethodDetails = MethodView.extend({
  idempotent: z.boolean().optional(),
  timeoutMs: z.number().optional(),
  content: z.string().optional(),
  /** JSON Schema, draft 2020-12. */
  request: z.record(z.string(), z.unknown()).optional(),
  /** JSON Schema of the response, or of one item of a stream. */
  response: z.record(z.string(), z.unknown()).optional(),
})

const Working = z.object({
  state: z.enum(ACTIVITIES),
  /** Milliseconds since it is so. */
  sinceMs: z.number().optional(),
  /** Of a request in work, 0 to 1. */
  progress: z.number().optional(),
})

export const AgentSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** This node's own judgement. */
  state: z.enum(['alive', 'suspect']),
  protocols: z.array(z.object({ name: z.string(), version: z.string(), methods: z.array(MethodView) })),
  labels: z.record(z.string(), z.string()),
  addresses: z.array(z.string()),
  /** Handlers in work, as the agent says; absent until it did. */
  load: z.number().optional(),
  queueLength: z.number().optional(),
  /** How it gets on with its work, as its node judges; absent where that is not known. */
  activity: Working.optional(),
  /** Milliseconds since the last message from it; absent for one that is not connected. */
  lastHeardMs: z.number().optional(),
})
export type AgentView = z.input<typeof AgentSchema>

/** One agent, with the schemas of its methods. */
export const AgentDetailsSchema = AgentSchema.extend({
  protocols: z.array(z.object({ name: z.string(), version: z.string(), methods: z.array(MethodDetails) })),
})
export type AgentDetailsView = z.input<typeof AgentDetailsSchema>

/** A peer to which recent calls failed. */
export const CallBreakerSchema = z.object({
  id: z.string(),
  /** Empty where it is not known any more. */
  name: z.string(),
  /** open: calls to it fail at once; half-open: one is let through. */
  state: z.enum(['closed', 'open', 'half-open']),
  /** Within the window, while it is closed. */
  failures: z.number(),
  /** Milliseconds until a call is let through; 0 where one is. */
  retryAfterMs: z.number(),
})
export type CallBreakerView = z.input<typeof CallBreakerSchema>

export const TopicSchema = z.object({
  name: z.string(),
  /** Of the mesh itself, not of programs. */
  own: z.boolean().optional(),
  /** Subscriptions of this node. */
  local: z.number(),
  /** Ids of neighbours that take its first word, as gossip tells: they listen to a topic of the word, or publish there. */
  peers: z.array(z.string()),
  /** Neighbours that listen to this topic, as they announced, with the number of their subscriptions. */
  listeners: z.array(z.object({ id: z.string(), count: z.number() })).optional(),
  /** Ids of those of `peers` that did not tell what they listen to. */
  unknown: z.array(z.string()).optional(),
  /** By this node, since its start. */
  published: z.number().optional(),
  /** Heard here, since its start. */
  received: z.number().optional(),
  /** Events a second, both together, since it was last looked at. */
  rate: z.number().optional(),
})
export type TopicView = z.input<typeof TopicSchema>

const Seat = z.object({
  /** `<peer>.<storage id>`; of a node without a seat the peer id alone. */
  member: z.string(),
  peer: z.string(),
  /** Empty where it is not known. */
  name: z.string(),
  role: z.enum(['voter', 'learner']),
  /** Last index that is known to be the same there; only the coordinator knows. */
  match: z.number().optional(),
  silentMs: z.number().optional(),
})

export const CoordinatorSchema = z.object({
  /** Of the founded mesh; absent before it is founded. */
  meshId: z.string().optional(),
  /** Raft's term. */
  epoch: z.number(),
  /** Absent where nobody is known. */
  leader: z.object({ id: z.string(), name: z.string() }).optional(),
  /** Of this node. */
  seat: z.enum(['voter', 'learner', 'none']),
  /** This node coordinates. */
  acting: z.boolean(),
  quorum: z.boolean(),
  /** What is waited for, or went wrong. */
  problem: z.string().optional(),
  /** Of the journal, as this node has it. */
  version: z.number(),
  seats: z.array(Seat),
  /** Positions of this node's log; absent without a seat. */
  log: z.object({ commit: z.number(), applied: z.number(), last: z.number(), base: z.number() }).optional(),
  journal: z.object({ records: z.number(), bytes: z.number(), sessions: z.number() }),
  /** What was proven to this node of who coordinates; absent from a node of an older version. */
  proof: z
    .object({
      /** observe: the voters are of an older version, and are taken at their word. */
      mode: z.enum(['observe', 'enforce']),
      /** The newest one; 0 before. */
      epoch: z.number(),
      /** Changes of voters that are kept, and the index of the newest one. */
      links: z.number(),
      head: z.number(),
      /** Where they begin; pinned: with voters that were believed as they were first met. */
      base: z.enum(['founded', 'recovered', 'pinned']).optional(),
      /** Claims and proofs that were not believed. */
      refused: z.number(),
    })
    .optional(),
  /** Oldest first; empty where nobody answered. */
  history: z.array(z.object({ epoch: z.number(), leader: z.string(), name: z.string(), at: At })),
})
export type CoordinatorView = z.input<typeof CoordinatorSchema>

export const GraphSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      self: z.boolean(),
      /** Milliseconds since it reported whom it is connected to; absent where its connections are not known. */
      toldMs: z.number().optional(),
    }),
  ),
  /** Connections of this node, and those that others reported; each once. */
  edges: z.array(
    z.object({
      from: z.string(),
      to: z.string(),
      /** Milliseconds since it was so; 0 for those of this node. */
      ageMs: z.number().optional(),
      /** There and back, as `from` measured it. */
      rttMs: z.number().optional(),
    }),
  ),
})
export type GraphView = z.input<typeof GraphSchema>

export const ReadinessSchema = z.object({
  ready: z.boolean(),
  /** What it waits for, for people; empty when ready. */
  reasons: z.array(z.string()),
  /** What does not work meanwhile, although it is ready: without a quorum nothing new is decided, and all else goes on. */
  degraded: z.array(z.string()).optional(),
})
export type Readiness = z.input<typeof ReadinessSchema>

/** What a page over the mesh asks for again and again, in one answer. */
export const OverviewSchema = z.object({
  at: At,
  self: SelfSchema,
  readiness: ReadinessSchema,
  peers: z.array(PeerSchema),
  agents: z.array(AgentSchema),
  topics: z.array(TopicSchema),
  graph: GraphSchema,
  breakers: z.array(CallBreakerSchema),
  delivery: DeliverySchema,
})
export type Overview = z.output<typeof OverviewSchema>

const Peer = { at: At, id: z.string(), name: z.string() }
/** `name@version` of each protocol that the agent offers. */
const Offers = { ...Peer, protocols: z.array(z.string()) }
const Tapped = { at: At, topic: z.string(), bytes: z.number(), own: z.boolean().optional() }

/** One thing that happened. The tap shows that an event passed, not what it said. */
export const DebugEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('peer-joined'), ...Peer, address: z.string().optional() }),
  z.object({ type: z.literal('peer-left'), ...Peer, reason: z.string().optional() }),
  z.object({ type: z.literal('agent-joined'), ...Offers }),
  z.object({
    type: z.literal('agent-changed'),
    ...Offers,
    state: z.enum(['alive', 'suspect']).optional(),
    stuck: z.boolean().optional(),
  }),
  z.object({ type: z.literal('agent-left'), ...Peer, reason: z.string().optional() }),
  z.object({ type: z.literal('event-published'), ...Tapped }),
  /** `source`: id of the publisher. */
  z.object({ type: z.literal('event-received'), ...Tapped, source: z.string() }),
  z.object({
    type: z.literal('dead-letter'),
    at: At,
    id: z.string(),
    messageType: z.string(),
    destination: z.string(),
    code: z.string(),
    isCall: z.boolean(),
  }),
  z.object({
    type: z.literal('stranger-refused'),
    at: At,
    id: z.string().optional(),
    address: z.string().optional(),
    reason: z.string(),
  }),
])
/** It is kept as it is until it is sent, so it must not change afterwards. */
export type DebugEvent = z.input<typeof DebugEventSchema>

/** Figures are finite: what is not known yet is left out. Each method is called once per request. */
export interface DebugSource {
  self(): SelfView
  peers(): PeerView[]
  agents(): AgentView[]
  /** Undefined where it is not in the directory. */
  agent(id: string): AgentDetailsView | undefined
  topics(): TopicView[]
  graph(): GraphView
  breakers(): CallBreakerView[]
  readonly parts: PartSource
  coordinator(): Promise<CoordinatorView>
  readiness(): Readiness
  readonly messages: MessageSource
  /** Prometheus text format 0.0.4. */
  metrics(): Promise<string>
  /** Calls `fn` for each event from now on. */
  onEvent(fn: (event: DebugEvent) => void): Stop
}
