/**
 * What directories say to each other, and the options of the directory.
 *
 * Wire id `/parley/directory/1`; gossip topic `agents.presence` (one record a message, as `packRecord` writes it).
 */
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { AgedRecord } from './tables/digest.ts'

/** Each node tells its own record here when it changed, when it is new, and now and then. */
export const PRESENCE_TOPIC = 'agents.presence'
/**
 * Others up to which every record is published anew in a third of a ttl, where not all are connected to all: neighbours
 * of neighbours may make a long chain. A larger mesh has an overlay; ways through it are short, and the ages in digests
 * tell who is alive.
 */
export const ALL_PUBLISHED = 24
/** Bytes of records in one message: far below what a link takes, so that other traffic is not held up. */
export const MAX_BATCH_BYTES = 262_144
export const MAX_BATCH_RECORDS = 1024
/** The most that `maxAgents` may be; twice as many entries (agents and what ended) fit into a digest. */
export const MAX_DIRECTORY_AGENTS = 4096
export const MAX_DIGEST = 2 * MAX_DIRECTORY_AGENTS + 1

const Count = z.int().nonnegative()
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes are needed')
/** As packed.ts writes it. */
const PackedDigest = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= MAX_DIGEST * 30)
export const EMPTY_BYTES = new Uint8Array(0)

/** Size and signature are checked for each record alone, so that one bad record does not take the others with it. */
const TravellingSchema = z.object({
  bytes: Bytes,
  signature: Bytes,
  /** Milliseconds since the writer was last known to be alive. */
  ageMs: Count.default(0),
})
const Records = z.array(TravellingSchema).max(MAX_BATCH_RECORDS)

export const directoryProtocol = defineProtocol({
  name: 'directory',
  version: '1.0.0',
  methods: {
    sync: {
      description: 'Compares two directories: answers with what the caller lacks, and asks for what this node lacks',
      request: z.object({
        digest: PackedDigest,
        ended: PackedDigest.default(EMPTY_BYTES),
        /** Agents of the digest that others gave up, and how many milliseconds ago. */
        doubts: PackedDigest.default(EMPTY_BYTES),
        /** Of all that the caller has; then the digest names only whom it did not hear of for a while. */
        sum: Bytes.optional(),
        room: Count.default(MAX_DIRECTORY_AGENTS),
      }),
      response: z.object({
        records: Records,
        wants: PackedDigest,
        /** Agents of the digest that were heard of later here, and how many milliseconds ago. */
        fresher: PackedDigest.default(EMPTY_BYTES),
        /** The sums differ: ask again with the whole digest. */
        differs: z.boolean().default(false),
        /** There was more than one message takes: ask again. */
        more: z.boolean().default(false),
      }),
      idempotent: true,
      priority: 'high',
      timeoutMs: 2_000,
      content: 'cbor',
    },
    push: {
      description: 'Tells records that changed or were asked for',
      request: z.object({ records: Records }),
      oneWay: true,
      priority: 'high',
      timeoutMs: 2_000,
      content: 'cbor',
    },
  },
})

/** Cuts records into messages of at most MAX_BATCH_BYTES and MAX_BATCH_RECORDS. */
export const inBatches = (records: readonly AgedRecord[]): AgedRecord[][] => {
  const batches: AgedRecord[][] = []
  let bytes = 0
  for (const record of records) {
    const size = record.bytes.length + record.signature.length
    const batch = batches.at(-1)
    if (batch === undefined || bytes + size > MAX_BATCH_BYTES || batch.length >= MAX_BATCH_RECORDS) {
      batches.push([record])
      bytes = size
    } else {
      batch.push(record)
      bytes += size
    }
  }
  return batches
}

export const DirectoryOptionsSchema = z
  .strictObject({
    /**
     * Milliseconds that the own record counts after somebody heard of its agent. Shorter forgets the dead sooner. Two
     * thirds of it must be well above the time that comparing digests takes through the mesh.
     */
    ttlMs: z.int().min(100).max(3_600_000).default(30_000),
    /** Milliseconds between two comparisons with a random neighbour. Shorter repairs lost gossip sooner. */
    syncPeriodMs: z.int().min(10).max(60_000).default(1_000),
    /** Other agents that are kept; beyond it records are refused and counted. Up to 64 KiB each, usually about 2 KiB. */
    maxAgents: z.int().min(1).max(MAX_DIRECTORY_AGENTS).default(1024),
    /** Agents that ended lately and are remembered, so that old gossip cannot bring them back. */
    maxEnded: z.int().min(1).max(MAX_DIRECTORY_AGENTS).default(1024),
    /** Neighbours that a change of the own record is pushed to at once; the others hear it by gossip. */
    maxPushPeers: z.int().min(1).max(1024).default(64),
    /** Comparisons under way at the same time; further ones wait. */
    maxConcurrentSyncs: z.int().min(1).max(64).default(4),
    /** Milliseconds that `leave` waits at most for its farewell to be sent. */
    leaveTimeoutMs: z.int().min(1).max(60_000).default(1_000),
  })
  .refine(({ ttlMs, syncPeriodMs }) => syncPeriodMs <= ttlMs, 'syncPeriodMs must not be above ttlMs')
export type DirectoryOptions = z.input<typeof DirectoryOptionsSchema>
export type DirectorySettings = z.output<typeof DirectoryOptionsSchema>

/** @throws MSG001 naming the option */
export const readDirectoryOptions = (options: DirectoryOptions): DirectorySettings => {
  const read = DirectoryOptionsSchema.safeParse(options)
  if (read.success) return read.data
  throw new ParleyError('MSG001', `the options of the directory cannot be used: ${z.prettifyError(read.error)}`, {
    hint: 'ranges and defaults are in discovery/directory/protocol.ts',
  })
}
