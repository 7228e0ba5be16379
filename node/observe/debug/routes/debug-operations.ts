/**
 * What can be asked of the debug endpoint, as data: each path with its methods, query and answers. The schemas are those
 * that the answers are made with; `/openapi.json` is written from this table, and a test holds it against the routes.
 */
import * as z from 'zod'
import { CONTENT_TYPE } from '../../metrics/exposition.ts'
import * as source from '../debug-schemas.ts'
import * as views from '../message-schemas.ts'
import * as parts from '../part-schemas.ts'

export type HttpMethod = 'GET' | 'POST' | 'DELETE'

export interface DebugOperation {
  readonly summary: string
  readonly description?: string
  /** Names of schemas below, or a media type. */
  readonly answer: keyof typeof SCHEMAS | { readonly type: string }
  readonly query?: z.ZodObject
  /** What the key of node.json does for it. */
  readonly key?: 'shows more' | 'needed'
  /** Beside 200, 403 for a foreign Host, and 500. */
  readonly statuses?: readonly number[]
}

const Text = z.string().min(1).max(256).optional()
/** Words that must be somewhere, and `-words` that must not. */
const Words = z.string().max(256).optional()
const Limit = z.coerce.number().int().min(1).max(1_000).optional()
export const DeadLettersQuery = z.object({
  limit: Limit,
  after: Text,
  type: Text,
  /** Empty: of calls that were for anybody. */
  destination: z.string().max(256).optional(),
  code: Text,
  text: Words,
})
export const GroupsQuery = z.object({ by: views.GroupingSchema.default('code') })
export const InboxQuery = z.object({ limit: Limit, after: Text, type: Text })
export const ConversationsQuery = z.object({ limit: Limit })
export const RetryQuery = z.object({ to: Text })

export const SCHEMAS = {
  Alive: z.object({ status: z.literal('ok') }),
  Readiness: source.ReadinessSchema,
  Overview: source.OverviewSchema,
  Self: source.SelfSchema,
  Peers: z.object({ peers: z.array(source.PeerSchema) }),
  Agents: z.object({ agents: z.array(source.AgentSchema) }),
  AgentDetails: source.AgentDetailsSchema,
  Topics: z.object({ topics: z.array(source.TopicSchema) }),
  Graph: source.GraphSchema,
  Breakers: z.object({ breakers: z.array(source.CallBreakerSchema) }),
  Coordinator: source.CoordinatorSchema,
  Parts: z.object({ parts: z.array(parts.PartSchema) }),
  PartData: parts.PartDataSchema,
  MeshEvent: source.DebugEventSchema,
  Delivery: views.DeliverySchema,
  DeadLetters: views.DeadLettersSchema,
  LetterGroups: views.DeadLetterGroupsSchema,
  DeadLetterDetails: views.DeadLetterDetailsSchema,
  Retried: views.RetriedSchema,
  Purged: views.PurgedSchema,
  Conversations: views.ConversationsSchema,
  Conversation: views.ConversationSchema,
  Inbox: views.InboxSchema,
  Problem: z.object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    hint: z.string(),
    code: z.string().optional(),
  }),
} as const

export const OPERATIONS: Readonly<Record<string, Partial<Record<HttpMethod, DebugOperation>>>> = {
  '/': { GET: { summary: 'The debug page', answer: { type: 'text/html' } } },
  '/page.js': { GET: { summary: 'The program of the debug page', answer: { type: 'text/javascript' } } },
  '/page.css': { GET: { summary: 'The looks of the debug page', answer: { type: 'text/css' } } },
  '/openapi.json': { GET: { summary: 'This description', answer: { type: 'application/json' } } },
  '/healthz': { GET: { summary: 'Whether the process lives', answer: 'Alive' } },
  '/readyz': {
    GET: {
      summary: 'Whether the node is ready, and what it waits for',
      answer: 'Readiness',
      statuses: [503],
    },
  },
  '/metrics': {
    GET: { summary: "Figures in Prometheus' text format", answer: { type: CONTENT_TYPE } },
  },
  '/api/overview': {
    GET: { summary: 'What a page over the mesh needs, in one answer', answer: 'Overview' },
  },
  '/api/self': { GET: { summary: 'This node', answer: 'Self' } },
  '/api/peers': { GET: { summary: 'Open connections', answer: 'Peers' } },
  '/api/agents': { GET: { summary: 'The directory: who is in the mesh and offers what', answer: 'Agents' } },
  '/api/agents/{id}': {
    GET: { summary: 'One agent with the schemas of its methods', answer: 'AgentDetails', statuses: [404] },
  },
  '/api/topics': { GET: { summary: 'Topics that this node knows of', answer: 'Topics' } },
  '/api/graph': {
    GET: {
      summary: 'Who is connected to whom, as far as others tell',
      description: 'Asking has the node ask its neighbours in the background; ask again after a moment.',
      answer: 'Graph',
    },
  },
  '/api/breakers': { GET: { summary: 'Peers to which calls failed lately', answer: 'Breakers' } },
  '/api/coordinator': {
    GET: { summary: 'Who coordinates, who votes, the log and its history', answer: 'Coordinator' },
  },
  '/api/parts': { GET: { summary: 'The parts of this node, how they are and what they count', answer: 'Parts' } },
  '/api/parts/view': {
    GET: {
      summary: 'What a view of a part shows: a table, a timeline or a graph',
      answer: 'PartData',
      query: parts.PartViewQuery,
      statuses: [400, 404, 503, 504],
    },
  },
  '/api/events': {
    GET: {
      summary: 'What happens, as Server-Sent Events',
      description:
        'The data of each event is a MeshEvent; its name is the type. `Last-Event-ID` reads on after that event. `dropped` tells how many were missed.',
      answer: { type: 'text/event-stream' },
      statuses: [503],
    },
  },
  '/api/delivery': { GET: { summary: 'Figures of durable messages', answer: 'Delivery' } },
  '/api/dlq': {
    GET: {
      summary: 'Dead letters, all or those that a search finds, a page at a time',
      description:
        '`text`: words that must be in what is shown of a letter, and `-words` that must not. One answer looks through some thousand letters at most; `next` is the `after` of the next one, and absent at the end.',
      answer: 'DeadLetters',
      query: DeadLettersQuery,
      statuses: [400, 503],
    },
    DELETE: {
      summary: 'Purges all dead letters',
      answer: 'Purged',
      key: 'needed',
      statuses: [401, 503],
    },
  },
  '/api/dlq/groups': {
    GET: {
      summary: 'How many dead letters there are of each code, type or destination',
      answer: 'LetterGroups',
      query: GroupsQuery,
      statuses: [400, 503],
    },
  },
  '/api/dlq/{id}': {
    GET: { summary: 'One dead letter', answer: 'DeadLetterDetails', key: 'shows more', statuses: [404] },
    DELETE: { summary: 'Purges one dead letter', answer: 'Purged', key: 'needed', statuses: [401, 404] },
  },
  '/api/dlq/{id}/retry': {
    POST: {
      summary: 'Sends a dead letter again, to another peer where `to` names one',
      answer: 'Retried',
      query: RetryQuery,
      key: 'needed',
      statuses: [400, 401, 404, 409, 503],
    },
  },
  '/api/conversations': {
    GET: {
      summary: 'Conversations that are remembered',
      answer: 'Conversations',
      query: ConversationsQuery,
      statuses: [400],
    },
  },
  '/api/conversations/{id}': {
    GET: { summary: 'One conversation', answer: 'Conversation', key: 'shows more', statuses: [404] },
  },
  '/api/inbox': {
    GET: {
      summary: 'Messages without a handler that are kept',
      answer: 'Inbox',
      query: InboxQuery,
      statuses: [400, 503],
    },
  },
}
