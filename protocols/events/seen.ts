/**
 * Which sequence numbers have come from whom: finds replays, gaps, and publishers that started anew.
 *
 * Pure state, per publisher and first word: the epoch, the next number, and the last few holes. A batch that fills a
 * hole is late, not a replay: gossip may bring two batches over different paths. Holes are bounded, and what falls out
 * of them counts as seen, so nothing is ever let in twice. Publishers are bounded too: the one heard longest ago is
 * forgotten, and is then heard like a new one. After the anti-replay window of RFC 4303 section 3.4.3, with ranges in
 * place of a bitmap.
 */

export type Verdict =
  /**
   * In order. `missed` are the numbers between the last one heard and this batch; `dropped` is a hole that was given up
   * for them: it counts as heard from now on.
   */
  | { readonly kind: 'fresh'; readonly missed: Range | undefined; readonly dropped?: Range }
  /** Fills a hole that was reported as missed. */
  | { readonly kind: 'late' }
  /** Holds something that was heard before. */
  | { readonly kind: 'duplicate' }
  /** From a life of the publisher that is over. */
  | { readonly kind: 'stale' }

export interface Range {
  readonly from: number
  /** Inclusive. */
  readonly to: number
}

interface Window {
  epoch: number
  /** The next number in order. */
  next: number
  /** False after this node stopped listening: what it did not hear meanwhile was not missed. */
  listening: boolean
  /** Oldest first. */
  holes: Range[]
}

export const MAX_HOLES = 16

export interface Seen {
  /** Takes note of `count` events from number `first` on, and says what they are. Only for verified batches. */
  admit(publisher: string, word: string, epoch: number, first: number, count: number): Verdict
  /** This node stopped listening to `word`: the next batch of each publisher is no gap, but an old one stays old. */
  pause(word: string): void
  /** Publishers remembered. */
  size(): number
}

/** Takes `filled` out of the holes; false when it does not lie inside one of them. */
const fill = (window: Window, filled: Range): boolean => {
  const index = window.holes.findIndex((hole) => hole.from <= filled.from && filled.to <= hole.to)
  const hole = window.holes[index]
  if (hole === undefined) return false
  const rest = [
    { from: hole.from, to: filled.from - 1 },
    { from: filled.to + 1, to: hole.to },
  ].filter((part) => part.from <= part.to)
  window.holes.splice(index, 1, ...rest)
  if (window.holes.length > MAX_HOLES) window.holes.shift()
  return true
}

const advance = (window: Window, first: number, count: number): Verdict => {
  const last = first + count - 1
  if (first < window.next) return fill(window, { from: first, to: last }) ? { kind: 'late' } : { kind: 'duplicate' }
  const missed = window.listening && first > window.next ? { from: window.next, to: first - 1 } : undefined
  if (missed !== undefined) window.holes.push(missed)
  const dropped = window.holes.length > MAX_HOLES ? window.holes.shift() : undefined
  window.next = last + 1
  window.listening = true
  return { kind: 'fresh', missed, ...(dropped === undefined ? {} : { dropped }) }
}

export const createSeen = (maxPublishers: number): Seen => {
  // Insertion order is the order in which publishers were last heard.
  const publishers = new Map<string, Map<string, Window>>()

  const windowsOf = (publisher: string): Map<string, Window> => {
    const windows = publishers.get(publisher) ?? new Map<string, Window>()
    publishers.delete(publisher)
    publishers.set(publisher, windows)
    if (publishers.size > maxPublishers) {
      for (const oldest of publishers.keys()) {
        publishers.delete(oldest)
        break
      }
    }
    return windows
  }

  return {
    admit(publisher, word, epoch, first, count) {
      const windows = windowsOf(publisher)
      const window = windows.get(word)
      if (window === undefined) {
        windows.set(word, { epoch, next: first + count, listening: true, holes: [] })
        return { kind: 'fresh', missed: undefined }
      }
      if (epoch < window.epoch) return { kind: 'stale' }
      if (epoch > window.epoch) Object.assign(window, { epoch, next: 1, holes: [] })
      return advance(window, first, count)
    },
    pause(word) {
      for (const windows of publishers.values()) {
        const window = windows.get(word)
        if (window !== undefined) window.listening = false
      }
    },
    size: () => publishers.size,
  }
}
