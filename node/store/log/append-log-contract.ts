/** What an append log is, for those that keep something in one. */
import type { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import type { FrameBuffer } from './log-frames.ts'
import type { LogReader } from './log-segments.ts'

export interface AppendLogOptions {
  readonly random: (bytes: number) => Uint8Array
  /** A segment that has grown beyond it is followed by another one, bytes. */
  readonly segmentBytes?: number
  /** Zeros that are kept behind the last record, bytes; none unless told. */
  readonly roomBytes?: number
  /** Without them the log is sealed on closing only. */
  readonly timers?: Pick<Port['timers'], 'after'>
}

/** Whoever writes the log. */
export interface LogOwner extends LogReader {
  /** What a new segment begins with, so that those before it can go. */
  carry(): Uint8Array
}

export interface AppendLogCounts {
  readonly syncs: number
  readonly bytes: number
  /** Times that segments which are not needed any more could not be removed. */
  readonly kept: number
  readonly segments: number
  /** Bytes of a torn tail that opening cut off. */
  readonly cutOff: number
  readonly seals: number
  /** Times that the mark could not be written or synced: an older one says less. */
  readonly unmarked: number
}

export interface AppendLog {
  /** Of the contents as a whole, hexadecimal: a disk that was lost or replaced has another one. */
  readonly storageId: string
  /** Of the segment that is written now. */
  sequence(): number
  /**
   * Resolves once it is durable. Nobody else may append until then.
   * @param record its payload is not empty
   * @param reach highest number of what is in it
   * @throws STA003 with `details.reason`: `disk-full` (try again once there is room), `disk-failed`, `broken` (open it again)
   */
  append(record: FrameBuffer, reach: number): Promise<void>
  /** Begins another segment: what is appended next is in it. @throws as `append` */
  roll(): Promise<void>
  /** Makes the file of the next segment, so that `roll` has less to wait for. */
  prepare(): void
  /** Removes segments that hold nothing above this number; those that the disk does not let go are tried again. */
  prune(upTo: number): Promise<void>
  /** Why nothing is taken any more. */
  broken(): ParleyError | undefined
  counts(): AppendLogCounts
  /** Waits for what is under way. */
  close(): Promise<void>
}
