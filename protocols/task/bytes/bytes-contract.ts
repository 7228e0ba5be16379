/**
 * How nodes keep and fetch values of tasks that are too large for the journal. Wire id `/parley/task-bytes/1`.
 *
 * Bytes go one way: whoever is to hold them fetches them from whoever asks for that. No message names an address.
 */
import * as z from 'zod'
import { defineProtocol } from '../../define.ts'
import { PeerId } from '../task-record.ts'
import { BytesPlaceSchema, MAX_STORED_BYTES } from './stored-bytes.ts'

/** Of one item of a stream. */
export const PART_BYTES = 65_536
/** Milliseconds for 64 MiB, over a slow connection too. */
const TRANSFER_MS = 120_000

const PartSchema = z.object({
  bytes: z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= PART_BYTES,
    `use at most ${PART_BYTES} bytes`,
  ),
})

export const taskBytesProtocol = defineProtocol({
  name: 'task-bytes',
  version: '1.0.0',
  methods: {
    hold: {
      description: 'Fetches a value of a task from the caller, and keeps it on disk before it answers',
      request: BytesPlaceSchema.extend({ size: z.int().min(0).max(MAX_STORED_BYTES) }),
      response: z.object({}),
      idempotent: true,
      timeoutMs: TRANSFER_MS,
    },
    fetch: {
      description: 'The bytes of a value, for its submitter, its assignee, and whoever was asked to hold it',
      request: BytesPlaceSchema,
      stream: PartSchema,
      content: 'cbor',
      timeoutMs: TRANSFER_MS,
    },
    read: {
      description: 'The bytes of a value of a task of somebody else; for holders of the capability coordinate',
      request: BytesPlaceSchema,
      stream: PartSchema,
      capability: 'coordinate',
      content: 'cbor',
      timeoutMs: TRANSFER_MS,
    },
    has: {
      description:
        'Whether this node holds a value; when asked to, it reads it again, and removes it where it is damaged',
      request: BytesPlaceSchema.extend({ verify: z.boolean().optional() }),
      response: z.object({ has: z.boolean() }),
      idempotent: true,
      timeoutMs: 10_000,
    },
    replace: {
      description: 'Asks the coordinator to write down another holder of a value; for those who hold it',
      request: BytesPlaceSchema.extend({
        /** Absent: one more. */
        from: PeerId.optional(),
        to: PeerId,
      }),
      response: z.object({ holders: z.array(PeerId) }),
      timeoutMs: 10_000,
    },
  },
})
