/** How the members of a group talk. Wire id `/parley/raft/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import type { Message } from './messages.ts'

const Count = z.int().nonnegative()
/** `<peer>.<storage id>`, so that a node whose disk was lost is another member. */
const Member = z.string().min(1).max(192)
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes are needed')
/** Members of one group; five vote, and a few learn. */
const MAX_MEMBERS = 64
const MAX_ENTRIES = 4_096
/** The longest name of a group. */
const MAX_GROUP = 64

export const ConfigurationSchema = z.object({
  voters: z.array(Member).max(MAX_MEMBERS).readonly(),
  learners: z.array(Member).max(MAX_MEMBERS).readonly(),
})

const EntrySchema = z.object({
  index: Count,
  term: Count,
  kind: z.enum(['empty', 'command', 'configuration']),
  data: Bytes,
})

export const MetaSchema = z.object({ index: Count, term: Count, configuration: ConfigurationSchema })

const MessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('vote'),
    term: Count,
    isPre: z.boolean(),
    lastIndex: Count,
    lastTerm: Count,
    isTransfer: z.boolean(),
  }),
  z.object({ type: z.literal('voted'), term: Count, isPre: z.boolean(), granted: z.boolean() }),
  z.object({
    type: z.literal('append'),
    term: Count,
    previousIndex: Count,
    previousTerm: Count,
    entries: z.array(EntrySchema).max(MAX_ENTRIES).readonly(),
    commit: Count,
    round: Count,
  }),
  z.object({
    type: z.literal('appended'),
    term: Count,
    index: Count,
    accepted: z.boolean(),
    hintIndex: Count,
    hintTerm: Count,
    round: Count,
  }),
  z.object({ type: z.literal('snapshot'), term: Count, meta: MetaSchema }),
  z.object({ type: z.literal('timeout-now'), term: Count }),
  z.object({ type: z.literal('read'), term: Count, id: Count }),
  z.object({ type: z.literal('read-at'), term: Count, id: Count, index: Count }),
]) satisfies z.ZodType<Message>

const Group = z.string().min(1).max(MAX_GROUP)

export const raftProtocol = defineProtocol({
  name: 'raft',
  version: '1.0.0',
  methods: {
    step: {
      description: 'One message of the algorithm; lost ones are repeated by it',
      request: z.object({ group: Group, from: Member, to: Member, message: MessageSchema }),
      oneWay: true,
      priority: 'critical',
      content: 'cbor',
    },
    fetch: {
      description: 'The contents of a snapshot that a message named',
      request: z.object({ group: Group, index: Count, term: Count }),
      stream: Bytes,
      priority: 'high',
      timeoutMs: 120_000,
      content: 'cbor',
    },
    missed: {
      description: 'A snapshot that was offered did not arrive',
      request: z.object({ group: Group, from: Member }),
      oneWay: true,
      priority: 'high',
      content: 'cbor',
    },
  },
})
