/**
 * What two directories tell each other to find out who is behind.
 *
 * A digest is walked, not listed: a mesh compares digests all the time, and an object for each entry is most of what a
 * quiet node would allocate.
 *
 * Source: anti-entropy after Demers et al., Epidemic Algorithms for Replicated Database Maintenance (PODC 1987).
 */
import type { RecordVersion, SignedRecord } from '../record/agent-record.ts'

/** `ageMs`: since the agent was last known to be alive; of what ended, since it ended. */
export type DigestVisitor = (peer: string, incarnation: number, version: number, ageMs: number) => void
/** Calls `visit` for each entry, as the tables are at that moment. */
export type Digest = (visit: DigestVisitor) => void

/** A record on its way, with the milliseconds since its writer was last known to be alive. */
export interface AgedRecord extends SignedRecord {
  readonly ageMs: number
}

/** What the other node said of its tables. */
export interface RemoteDigest {
  /** What it has and can pass on. */
  readonly digest: Digest
  /** What it knows of, does not have, and does not want to be told again. */
  readonly ended: Digest
  /** How many agents it can still take that it has never heard of. */
  readonly room: number
  /** The neighbour that says so, where it is one. */
  readonly from?: string
}

/**
 * The most that an age may lack of the truth when it arrives: it ages on its way, at most as long as a comparison takes.
 */
export const TRANSIT_MS = 2_000

/** Someone heard of the agent after the other node gave it up. */
export const outlives = (ageMs: number, endedAgeMs: number): boolean => ageMs + TRANSIT_MS < endedAgeMs

/** Whole milliseconds, rounded up: passing a record on never makes it younger. */
export const ageSince = (thenMs: number, nowMs: number): number => Math.max(0, Math.ceil(nowMs - thenMs))

/** Above 0 where the version is newer than the one of these numbers. */
export const compareNumbers = (one: RecordVersion, incarnation: number, version: number): number =>
  one.incarnation - incarnation || one.version - version

interface Ended extends RecordVersion {
  readonly ageMs: number
}

/** What the other node does not want to be told again, by peer. */
export const endedTable = (ended: Digest): ReadonlyMap<string, Ended> => {
  const table = new Map<string, Ended>()
  ended((peer, incarnation, version, ageMs) => table.set(peer, { incarnation, version, ageMs }))
  return table
}
