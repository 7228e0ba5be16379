/**
 * One bound for all that a node keeps on disk for others and for later: the history of events, the outbox, the inbox, dead
 * letters. Each of them has bounds of its own below it.
 *
 * Where there is no room, users that can do without give up their oldest first (the history of events, which is best
 * effort); what still has no room is refused, so that nothing that was promised is lost. A part stays free for what
 * answers somebody: else two nodes could wait for each other's room.
 *
 * State: the users, and how much there is at most, counted anew where it seems too much.
 */
import type { Stop } from '../port.ts'

/** Of the bound: only answers may use it. */
const ANSWERS_SHARE = 1 / 16

export interface QuotaUser {
  /** On disk, or on its way there. */
  bytes(): number
  /** Gives up its oldest, `bytes` of it or somewhat more. */
  giveUp?(bytes: number): void
}

export interface Quota {
  add(name: string, user: QuotaUser): Stop
  /** Whether so many bytes more have room, now that others have given up what they can. */
  fits(bytes: number, isAnswer?: boolean): boolean
  /** Whether so many would have room if nothing else were kept. */
  couldEverFit(bytes: number): boolean
  /** So many more are kept. What is freed need not be told. */
  recordGrowth(bytes: number): void
  /** There is more than there may be, whatever is given up. */
  isOver(): boolean
  /** What was freed counts from now on, and not only when it seems too much. */
  refresh(): void
  resize(maxBytes: number): void
  figures(): QuotaFigures
}

export interface QuotaFigures {
  readonly maxBytes: number
  readonly bytes: number
  readonly parts: Readonly<Record<string, number>>
  /** Bytes that were given up for others. */
  readonly givenUpBytes: number
}

/**
 * @param initialBytes without one there is no bound
 * @param refused there was no room
 */
export const createQuota = (initialBytes = Number.POSITIVE_INFINITY, refused = (): void => {}): Quota => {
  const users = new Map<string, QuotaUser>()
  let maxBytes = initialBytes
  let estimate = 0
  let givenUpBytes = 0

  const count = (): number => {
    estimate = 0
    for (const user of users.values()) estimate += user.bytes()
    return estimate
  }

  /** Has users give up until `bytes` more fit below `most`. @returns whether they do */
  const makeRoom = (bytes: number, most: number): boolean => {
    const isFree = (): boolean => count() + bytes <= most
    if (isFree()) return true
    if (bytes > most) return false
    for (const user of users.values()) {
      const before = user.bytes()
      user.giveUp?.(estimate + bytes - most)
      givenUpBytes += Math.max(0, before - user.bytes())
      if (isFree()) return true
    }
    return false
  }

  return {
    add(name, user) {
      users.set(name, user)
      estimate += user.bytes()
      return () => {
        if (users.get(name) === user) users.delete(name)
      }
    },
    fits(bytes, isAnswer = false) {
      const most = isAnswer ? maxBytes : maxBytes * (1 - ANSWERS_SHARE)
      if (estimate + bytes <= most || makeRoom(bytes, most)) return true
      refused()
      return false
    },
    couldEverFit: (bytes) => bytes <= maxBytes * (1 - ANSWERS_SHARE),
    recordGrowth(bytes) {
      estimate += bytes
    },
    isOver: () => estimate > maxBytes && !makeRoom(0, maxBytes),
    refresh: () => void count(),
    resize(next) {
      maxBytes = next
    },
    figures() {
      const parts = Object.fromEntries([...users].map(([name, user]) => [name, user.bytes()]))
      const bytes = Object.values(parts).reduce((sum, one) => sum + one, 0)
      return { maxBytes, bytes, parts, givenUpBytes }
    },
  }
}
