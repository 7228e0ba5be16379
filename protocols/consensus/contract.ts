/** How the members of a group talk. Wire id `/parley/raft/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'

const Count = z.int().nonnegative()
/** `<peer>.<storage id>`, so that a node whose disk was lost is another member. */
const Member = z.string().min(1).max(192)
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes are needed')
const Group = z.string().min(1).max(64)

export const raftProtocol = defineProtocol({
  name: 'raft',
  version: '1.0.0',
  methods: {
    step: {
      description: 'One message of the algorithm, as raft.proto has it; lost ones are repeated by it',
      request: Bytes,
      oneWay: true,
      priority: 'critical',
      content: 'bytes',
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
