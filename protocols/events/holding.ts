/**
 * The signed batches of the last seconds, this node's own and those it heard, for neighbours that missed some.
 *
 * Bounded in bytes over all topics and in age; the oldest goes first. State: soft.
 */
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from './protocol.ts'
import type { Range } from './seen.ts'

export const HOLD_MS = 15_000

/** Batches of one publisher under one first word, in one life of the publisher. */
export interface Series {
  readonly publisher: string
  readonly word: string
  readonly epoch: number
}

interface Held extends Range {
  readonly key: string
  readonly bytes: Uint8Array
  readonly at: number
}

export interface Holding {
  keep(series: Series, range: Range, bytes: Uint8Array): void
  /**
   * The batches that hold events of `range`, in order.
   * @returns at most MAX_FETCH_BYTES, unless the first one alone is larger; `more` when some did not fit
   */
  find(series: Series, range: Range): { batches: { bytes: Uint8Array; ageMs: number }[]; more: boolean }
  bytes(): number
}

/** A part of a larger buffer keeps all of it in memory; a copy does not. */
const detached = (bytes: Uint8Array): Uint8Array => (bytes.buffer.byteLength > 2 * bytes.length ? bytes.slice() : bytes)

const keyOf = ({ publisher, word, epoch }: Series): string => `${publisher} ${word} ${epoch}`

export const createHolding = (maxBytes: number, monotonic: () => number): Holding => {
  /** Oldest first, as they came. */
  const queue: (Held | undefined)[] = []
  let head = 0
  const bySeries = new Map<string, Held[]>()
  let bytes = 0

  const drop = (held: Held): void => {
    queue[head] = undefined
    head += 1
    bytes -= held.bytes.length
    const list = bySeries.get(held.key)
    // Both lists are in the order of arrival.
    list?.shift()
    if (list?.length === 0) bySeries.delete(held.key)
  }

  const trim = (): void => {
    const oldest = monotonic() - HOLD_MS
    for (let held = queue[head]; held !== undefined; held = queue[head]) {
      if (bytes <= maxBytes && held.at > oldest) break
      drop(held)
    }
    if (head > 1024 && head * 2 > queue.length) {
      queue.splice(0, head)
      head = 0
    }
  }

  return {
    keep(series, { from, to }, given) {
      if (given.length > maxBytes) return
      const held = { key: keyOf(series), from, to, bytes: detached(given), at: monotonic() }
      queue.push(held)
      bytes += given.length
      const list = bySeries.get(held.key)
      if (list === undefined) bySeries.set(held.key, [held])
      else list.push(held)
      trim()
    },
    find(series, range) {
      trim()
      const fitting = (bySeries.get(keyOf(series)) ?? [])
        .filter(({ from, to }) => from <= range.to && to >= range.from)
        .sort((a, b) => a.from - b.from)
      let size = 0
      const end = fitting.findIndex((held, index) => {
        size += held.bytes.length
        return index > 0 && (size > MAX_FETCH_BYTES || index >= MAX_FETCH_BATCHES)
      })
      const some = end < 0 ? fitting : fitting.slice(0, end)
      const now = monotonic()
      return { batches: some.map((held) => ({ bytes: held.bytes, ageMs: now - held.at })), more: end >= 0 }
    },
    bytes: () => bytes,
  }
}
