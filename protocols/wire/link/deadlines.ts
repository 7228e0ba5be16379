/**
 * The deadlines of the exchanges of one link. A link has tens of thousands a second, nearly all of which are met, so
 * those that end at about the same time share a timer, and setting and clearing one allocates nothing.
 *
 * State: lists of the deadlines that are set, by the millisecond at which they fire, and at most one list more. None fires early; one that is a
 * second or more away fires at most 8 ms late, a nearer one at most 1 ms, beside what the timer itself is late.
 */
import type { Clock, Stop, Timers } from '../../port.ts'

interface Bucket {
  readonly atMs: number
  first: Deadline | undefined
  stop: Stop
}

/** Something that ends at a time; at most one bucket's list goes through it. */
export abstract class Deadline {
  bucket: Bucket | undefined = undefined
  before: Deadline | undefined = undefined
  after: Deadline | undefined = undefined

  /** Its time is over. */
  abstract overdue(): void
}

export interface Deadlines {
  /** Has `entry.overdue()` called at `atMs` (monotonic); `nowMs` is the time now. An entry that is set already is moved. */
  set(entry: Deadline, atMs: number, nowMs: number): void
  /** Harmless for an entry that is not set. */
  clear(entry: Deadline): void
}

const FAR_MS = 1000
const COARSE_MS = 8

export const createDeadlines = ({ monotonic }: Clock, timers: Timers): Deadlines => {
  const buckets = new Map<number, Bucket>()
  /** The bucket opened last stays when it is empty: where work ends at once, each would open it and close it again. */
  let latest: Bucket | undefined

  const close = (bucket: Bucket): void => {
    buckets.delete(bucket.atMs)
    bucket.stop()
  }

  const fire = (bucket: Bucket): void => {
    // Timers may be a fraction early.
    const restMs = bucket.atMs - monotonic()
    if (restMs > 0) {
      bucket.stop = timers.after(Math.ceil(restMs), () => fire(bucket))
      return
    }
    buckets.delete(bucket.atMs)
    if (latest === bucket) latest = undefined
    for (let entry = bucket.first; entry !== undefined; entry = bucket.first) {
      remove(entry, bucket)
      entry.overdue()
    }
  }

  const open = (atMs: number, nowMs: number): Bucket => {
    const bucket: Bucket = { atMs, first: undefined, stop: () => {} }
    bucket.stop = timers.after(Math.max(1, Math.ceil(atMs - nowMs)), () => fire(bucket))
    buckets.set(atMs, bucket)
    if (latest !== undefined && latest.first === undefined) close(latest)
    latest = bucket
    return bucket
  }

  const remove = (entry: Deadline, bucket: Bucket): void => {
    const { before, after } = entry
    if (before === undefined) bucket.first = after
    else before.after = after
    if (after !== undefined) after.before = before
    entry.bucket = undefined
    entry.before = undefined
    entry.after = undefined
  }

  const clear = (entry: Deadline): void => {
    const { bucket } = entry
    if (bucket === undefined) return
    remove(entry, bucket)
    if (bucket.first === undefined && bucket !== latest && buckets.get(bucket.atMs) === bucket) close(bucket)
  }

  return {
    set(entry, atMs, nowMs) {
      clear(entry)
      const grain = atMs - nowMs >= FAR_MS ? COARSE_MS : 1
      const rounded = Math.ceil(atMs / grain) * grain
      const bucket = buckets.get(rounded) ?? open(rounded, nowMs)
      entry.bucket = bucket
      entry.after = bucket.first
      if (bucket.first !== undefined) bucket.first.before = entry
      bucket.first = entry
    },
    clear,
  }
}
