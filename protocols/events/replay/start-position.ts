/**
 * Where a subscription that catches up starts with each publisher, out of what this node and its neighbours hold. Pure.
 *
 * What neighbours say they hold is a hint: batches prove themselves, and nothing is reported as missed that is not followed by
 * something proven.
 */
import type { StartPosition } from '../api.ts'
import type { HeldRange, SavedCursor } from '../history/history-contract.ts'

export interface SeriesPosition {
  readonly epoch: number
  readonly next: number
}

/** What is held of one publisher under one word, by epoch. */
export type HeldEpochs = ReadonlyMap<number, { from: number; to: number; since: number | undefined }>

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** Adds what one node holds to what others do. */
export const mergeHeld = (
  known: Map<string, Map<number, { from: number; to: number; since: number | undefined }>>,
  held: readonly HeldRange[],
): void => {
  for (const { publisher, word, epoch, from, to, since } of held) {
    const key = `${publisher} ${word}`
    const epochs = known.get(key) ?? new Map()
    const before = epochs.get(epoch)
    epochs.set(epoch, {
      from: Math.min(from, before?.from ?? from),
      to: Math.max(to, before?.to ?? to),
      since: least(since, before?.since),
    })
    known.set(key, epochs)
  }
}

const lastOf = (epochs: HeldEpochs, count: number): SeriesPosition | undefined => {
  let left = count
  let start: SeriesPosition | undefined
  for (const [epoch, { to }] of [...epochs].toSorted(([a], [b]) => b - a)) {
    start = { epoch, next: Math.max(1, to - left + 1) }
    left -= to
    if (left <= 0) break
  }
  return start
}

const sinceOf = (epochs: HeldEpochs): SeriesPosition | undefined => {
  const ordered = [...epochs].toSorted(([a], [b]) => a - b)
  for (const [epoch, { since }] of ordered) if (since !== undefined) return { epoch, next: since }
  const newest = ordered.at(-1)
  return newest === undefined ? undefined : { epoch: newest[0], next: newest[1].to + 1 }
}

/**
 * Of a publisher that a cursor does not name. Where all that is held of it is from after the cursor, so may be what is gone before
 * that: it is asked for, and told as missed.
 */
const unnamedOf = (epochs: HeldEpochs): SeriesPosition | undefined => {
  const start = sinceOf(epochs)
  const held = start && epochs.get(start.epoch)
  return start !== undefined && held?.since === held?.from ? { ...start, next: 1 } : start
}

/**
 * @param epochs what is held of the publisher
 * @param live where gossip has come to with it, where it has
 */
export const startPositionOf = (
  from: StartPosition,
  cursor: SavedCursor | undefined,
  epochs: HeldEpochs,
  live: SeriesPosition | undefined,
): SeriesPosition | undefined => {
  // A publisher that the cursor does not know: what it said since the subscription was first made.
  if (cursor !== undefined)
    return unnamedOf(epochs) ?? (live === undefined ? undefined : { epoch: live.epoch, next: 1 })
  if (from === 'latest') return live
  if (from === 'earliest') {
    const epoch = least(live?.epoch, epochs.size === 0 ? undefined : Math.min(...epochs.keys()))
    return epoch === undefined ? undefined : { epoch, next: 1 }
  }
  if ('last' in from) return lastOf(epochs, from.last) ?? live
  return sinceOf(epochs) ?? live
}

/** The time from which on events are asked for, where the subscription starts at a time. */
export const sinceMs = (from: StartPosition, cursor: SavedCursor | undefined): number | undefined => {
  if (cursor !== undefined) return cursor.createdAt
  return typeof from === 'object' && 'since' in from ? Number(from.since) : undefined
}
