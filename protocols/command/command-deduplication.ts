/**
 * The commands that a receiver remembers, by who sent them and their id, so that one that comes again is not run again.
 *
 * What runs is never forgotten. What ended is, oldest first, when there are too many, when their results take too much
 * room, or when they are too old; then a command that comes again runs again. State: those commands. Time is given.
 */
import type { Amounts } from '../budget/amounts.ts'
import { ParleyError } from '../errors.ts'

export interface CommandDeduplicationLimits {
  /** Commands, running ones included. */
  readonly maxCount: number
  /** Of results. */
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** Of those that are remembered. */
  readonly maxRunning: number
}

export const DEFAULT_DEDUPLICATION_LIMITS: CommandDeduplicationLimits = {
  maxCount: 4_096,
  maxBytes: 16 << 20,
  maxAgeMs: 600_000,
  maxRunning: 1_024,
}

interface Entry<R> {
  readonly run: R
  /** Undefined while it runs. */
  endedAt: number | undefined
  bytes: number
}

export interface CommandDeduplication<R> {
  /**
   * The run of a command that is known, or the one that is begun.
   * @param isFinal false of a run that ended: it is forgotten, and another one begun
   * @throws COM003 where too many run
   */
  runOnce(key: string, nowMs: number, begin: () => R, isFinal?: (ended: R) => boolean): { run: R; isKnown: boolean }
  /** It ended; what is not worth keeping may be tried again. */
  markEnded(key: string, nowMs: number, bytes: number, isKept: boolean): void
  counts(): { running: number; remembered: number; bytes: number; forgotten: number }
}

export const createCommandDeduplication = <R>(
  limits: CommandDeduplicationLimits = DEFAULT_DEDUPLICATION_LIMITS,
): CommandDeduplication<R> => {
  const running = new Map<string, Entry<R>>()
  /** Ended longest ago first. */
  const ended = new Map<string, Entry<R>>()
  let bytes = 0
  let forgotten = 0

  const remove = (key: string, entry: Entry<R>): void => {
    ended.delete(key)
    bytes -= entry.bytes
  }
  const trim = (nowMs: number): void => {
    for (const [key, entry] of ended) {
      const isOld = nowMs - (entry.endedAt ?? nowMs) >= limits.maxAgeMs
      if (!isOld && bytes <= limits.maxBytes && ended.size + running.size <= limits.maxCount) return
      remove(key, entry)
      forgotten += 1
    }
  }

  return {
    runOnce(key, nowMs, begin, isFinal = () => true) {
      trim(nowMs)
      const atWork = running.get(key)
      if (atWork !== undefined) return { run: atWork.run, isKnown: true }
      const last = ended.get(key)
      if (last !== undefined && isFinal(last.run)) return { run: last.run, isKnown: true }
      if (running.size >= limits.maxRunning)
        throw new ParleyError('COM003', `${running.size} commands run here already`, {
          hint: 'send fewer commands at once, or to another agent',
          details: { retryAfterMs: 500 },
        })
      if (last !== undefined) remove(key, last)
      const run = begin()
      running.set(key, { run, endedAt: undefined, bytes: 0 })
      trim(nowMs)
      return { run, isKnown: false }
    },
    markEnded(key, nowMs, size, isKept) {
      const entry = running.get(key)
      if (entry === undefined) return
      running.delete(key)
      if (!isKept) return
      entry.endedAt = nowMs
      entry.bytes = size
      bytes += size
      ended.set(key, entry)
      trim(nowMs)
    },
    counts: () => ({ running: running.size, remembered: ended.size, bytes, forgotten }),
  }
}

/** What a run left of the part of a budget that came with its command. */
export interface Remainder {
  /** Names that part; undefined: it came from an older sender. */
  readonly part: string | undefined
  readonly left: Amounts
}

/**
 * What commands that may run again left of their budgets. At most as many and as old as the commands that are remembered; the
 * oldest goes first.
 */
export class CommandRemainders {
  readonly #limits: Pick<CommandDeduplicationLimits, 'maxCount' | 'maxAgeMs'>
  /** Longest ago first. */
  readonly #kept = new Map<string, Remainder & { readonly endedAt: number }>()

  #forgotten = 0

  constructor(limits: Pick<CommandDeduplicationLimits, 'maxCount' | 'maxAgeMs'> = DEFAULT_DEDUPLICATION_LIMITS) {
    this.#limits = limits
  }

  keep(key: string, nowMs: number, { part, left }: Remainder): void {
    this.#kept.delete(key)
    this.#kept.set(key, { part, left, endedAt: nowMs })
    for (const [oldest, { endedAt }] of this.#kept) {
      if (nowMs - endedAt < this.#limits.maxAgeMs && this.#kept.size <= this.#limits.maxCount) return
      this.#kept.delete(oldest)
      this.#forgotten += 1
    }
  }

  /** Whoever runs it has it from now on. @param part undefined: whichever it is of @returns undefined: none of that is kept */
  take(key: string, nowMs: number, part: string | undefined): Amounts | undefined {
    const kept = this.#kept.get(key)
    this.#kept.delete(key)
    if (kept === undefined || nowMs - kept.endedAt >= this.#limits.maxAgeMs) return undefined
    return part === undefined || part === kept.part ? kept.left : undefined
  }

  /** How many went before they were taken. */
  forgotten(): number {
    return this.#forgotten
  }
}
