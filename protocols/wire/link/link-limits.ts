/**
 * What the two sides of a link are given: its limits, its counters, and what they need of the node. Credit, by which the
 * reader of a stream bounds what is sent to it, is counted in units.
 */
import type { Clock, Compression, Log, Timers } from '../../port.ts'

export interface LinkLimits {
  /** Largest payload after decoding. */
  maxMessageBytes: number
  /** Largest frame that is taken; above it the link is broken off. */
  maxFrameBytes: number
  /** Payload bytes in one frame; larger ones are split. */
  partBytes: number
  /** Exchanges that one caller has open on a link; further calls wait. */
  maxInFlight: number
  /** Calls that wait for a place or for room; beyond it COM003. */
  maxQueuedCalls: number
  /** Bytes that wait to be written before callers wait and requests are no longer read. */
  maxQueuedBytes: number
  /** Bytes given to the stream that it has not taken yet. */
  maxUnsentBytes: number
  /** First window of a stream, in units of one item or each started 4 KiB of it. */
  streamWindow: number
  /** Payloads from this size on are compressed; 0 switches it off. */
  compressMinBytes: number
  /** The longest deadline that a caller gets for one answer, milliseconds; the method's own where that is longer. */
  maxCallMs: number
  /** The same for a stream. */
  maxStreamMs: number
  /** How long a stream waits for a reader that takes nothing, milliseconds. */
  streamIdleMs: number
}

/** Counters of all links of a node; read by the metrics when they are scraped. */
export interface LinkCounts {
  framesIn: number
  framesOut: number
  bytesIn: number
  bytesOut: number
  lateReplies: number
  expired: number
  refusedFrames: number
  unknownFrames: number
  overloaded: number
  /** Answers and ends of streams; `faults` are errors in their place. */
  answersIn: number
  answersOut: number
  faultsIn: number
  faultsOut: number
}

export const createLinkCounts = (): LinkCounts => ({
  framesIn: 0,
  framesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  lateReplies: 0,
  expired: 0,
  refusedFrames: 0,
  unknownFrames: 0,
  overloaded: 0,
  answersIn: 0,
  answersOut: 0,
  faultsIn: 0,
  faultsOut: 0,
})

export interface LinkDeps {
  clock: Clock
  timers: Timers
  log: Log
  compression: Compression
  /** Runs a function at the end of this turn. */
  defer(fn: () => void): void
  limits: LinkLimits
  counts: LinkCounts
}

export const CREDIT_UNIT_BYTES = 4096

/** What an item takes from the window. */
export const creditUnitsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / CREDIT_UNIT_BYTES))

/** Credit that an exchange has at most, in units. */
export const MAX_CREDIT = 1_000_000
