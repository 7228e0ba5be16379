/**
 * What failure detectors say to each other. Wire id `/parley/presence/1`. The message is a heartbeat (agent, load, queue
 * length), with claims beside it that a peer of an earlier release skips.
 */
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { ACTIVITIES } from '../agent-activity.ts'
import { DEPARTURES, PeerIdSchema } from '../directory/record/agent-record.ts'
import { MEMBER_STATUSES, type MembershipUpdate } from './membership-update.ts'
import { PROBE_OUTCOMES } from './swim-state.ts'

/** Claims of one message that are looked at; more than any release sends. */
const MAX_CLAIMS = 64
const MAX_ACCUSERS = 8

const ClaimSchema = z.object({
  peer: PeerIdSchema,
  standing: z.enum(MEMBER_STATUSES),
  incarnation: z.int().nonnegative(),
  by: z.array(PeerIdSchema).max(MAX_ACCUSERS).readonly().default([]),
  departure: z.enum(DEPARTURES).optional().catch(undefined),
}) satisfies z.ZodType<MembershipUpdate>

/** A claim that a newer release invented is left out, and the rest is read. */
const News = z
  .array(z.unknown())
  .max(MAX_CLAIMS)
  .transform((items): MembershipUpdate[] =>
    items.flatMap((item) => {
      const read = ClaimSchema.safeParse(item)
      return read.success ? [read.data] : []
    }),
  )

const Heartbeat = z.object({
  agentId: z.string().max(128),
  /** Of this start, and one more for each suspicion that it spoke against. */
  incarnation: z.int().nonnegative(),
  /** Handlers in work. */
  load: z.number().nonnegative(),
  /** Requests that wait for a handler. */
  queueLength: z.number().int().nonnegative(),
  /** How it gets on with its work; what a newer release invented is left out. */
  activity: z.enum(ACTIVITIES).optional().catch(undefined),
  /** Milliseconds since it is so. */
  sinceMs: z.number().nonnegative().optional().catch(undefined),
  /** Of a request in work, 0 to 1. */
  progress: z.number().min(0).max(1).optional().catch(undefined),
  /** What goes round; mostly nothing. */
  news: News.optional(),
})
export type Heartbeat = z.output<typeof Heartbeat>

export const presenceProtocol = defineProtocol({
  name: 'presence',
  version: '1.2.0',
  methods: {
    beat: {
      description: 'Is it there? The answer is the same message of the other side',
      request: Heartbeat,
      response: Heartbeat,
      idempotent: true,
      priority: 'critical',
      timeoutMs: 1000,
    },
    ask: {
      description: 'Asks a neighbour to look whether a peer is there that did not answer',
      request: z.object({ target: PeerIdSchema }),
      response: z.object({ outcome: z.enum(PROBE_OUTCOMES).catch('unknown') }),
      idempotent: true,
      priority: 'critical',
      timeoutMs: 1000,
    },
  },
})
