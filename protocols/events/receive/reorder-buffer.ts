/**
 * In which order batches are let in: finds replays and gaps, and keeps what came behind a gap until the gap is filled or
 * given up. Nothing is let in twice, and of one publisher nothing before what has the lower number.
 *
 * Pure state, for each publisher and first word a row: its lives (epochs) that are not over, the oldest first; only the
 * first is let in, a later one when the one before it has ended. Bounded: publishers (the one heard longest ago is
 * forgotten, and is then heard like a new one), lives, and the bytes that wait, over all rows; what does not fit is
 * noted as missing and has to be fetched again. After the anti-replay window of RFC 4303 section 3.4.3, with ranges.
 */
import { type EventSeries, firstReaching, OPEN_END, type SequenceRange } from '../series.ts'

/** Of one publisher, that wait for each other. */
export const MAX_EPOCHS = 4

export interface BufferedBatch<T> extends SequenceRange {
  /** What it counts for in the bound. */
  readonly bytes: number
  /** Monotonic: when it came here. */
  readonly at: number
  readonly value: T
}

export type AdmitResult<T> =
  /** Let in, and with it what waited for it. */
  | { readonly kind: 'next'; readonly ready: readonly BufferedBatch<T>[] }
  /** Behind a gap, or of a life that is not begun here yet: it is let in later. */
  | { readonly kind: 'ahead' }
  /** As `ahead`, but there is no room: it has to come again. */
  | { readonly kind: 'unkept' }
  /** Holds something that was let in before, or that waits. */
  | { readonly kind: 'duplicate' }
  /** From a life of the publisher that is over. */
  | { readonly kind: 'stale' }

/** What a row waits for. `tail`: whatever follows, before the next life begins. */
export interface MissingRange {
  readonly kind: 'gap' | 'tail'
  readonly series: EventSeries
  readonly range: SequenceRange
}

interface Life<T> {
  readonly epoch: number
  /** Of the next event to be let in. */
  next: number
  /** The highest number that is proven to exist. */
  horizon: number
  /** Behind `next`, with a gap before the first; in ascending order. */
  readonly waiting: BufferedBatch<T>[]
  /** The first word of its publisher that told of more than was known here, while not all of that came. */
  told: { readonly to: number; readonly at: number } | undefined
}

interface Row<T> {
  lives: Life<T>[]
  /** False after this node stopped listening: what it did not hear meanwhile was not missed. */
  listening: boolean
}

export interface ReorderBuffer<T> {
  /** All of it was let in, or is of a life that is over: asked before a signature is paid for. */
  isPast(series: EventSeries, range: SequenceRange): 'duplicate' | 'stale' | undefined
  /** A verified batch came. @param hold false where nobody here minds a gap */
  admit(series: EventSeries, batch: BufferedBatch<T>, hold: boolean): AdmitResult<T>
  /** The publisher says that its last number is `last`. @returns true where something is missing */
  noteHead(series: EventSeries, last: number, at: number): boolean
  /** What this publisher said from number `next` on is for us; where more is known already, nothing changes. */
  startAt(series: EventSeries, next: number): void
  /** What the row waits for first. */
  missing(publisher: string, word: string): MissingRange | undefined
  /** Since when something of the row waits, or is known to be missing; undefined where nothing is. */
  missingSince(publisher: string, word: string): number | undefined
  /** These events of the first life will not come. @returns what waited for them */
  giveUp(series: EventSeries, lost: SequenceRange): readonly BufferedBatch<T>[]
  /** The first life is over, where there is a later one. @returns what waited in the next */
  endEpoch(series: EventSeries): readonly BufferedBatch<T>[]
  /** Publishers known under a first word. */
  publishers(word: string): string[]
  /** Where a publisher stands here, while it is heard. */
  position(publisher: string, word: string): { readonly epoch: number; readonly next: number } | undefined
  /** First words under which this publisher is known. */
  wordsOf(publisher: string): string[]
  /** This node stopped listening to `word`: the next batch of each publisher is no gap, but an old one stays old. */
  stopListening(word: string): void
  /** Publishers remembered. */
  size(): number
  waitingBytes(): number
}

const NONE: readonly never[] = []

export const createReorderBuffer = <T>(limits: {
  maxPublishers: number
  maxWaitingBytes: number
}): ReorderBuffer<T> => {
  // Insertion order is the order in which publishers were last heard.
  const publishers = new Map<string, Map<string, Row<T>>>()
  let waitingBytes = 0

  const unkeep = (batches: readonly BufferedBatch<T>[]): void => {
    for (const { bytes } of batches) waitingBytes -= bytes
  }
  const clear = (lives: readonly Life<T>[]): void => {
    for (const { waiting } of lives) unkeep(waiting)
  }

  const rowsOf = (publisher: string): Map<string, Row<T>> => {
    const rows = publishers.get(publisher) ?? new Map<string, Row<T>>()
    publishers.delete(publisher)
    publishers.set(publisher, rows)
    if (publishers.size > limits.maxPublishers) {
      for (const [oldest, forgotten] of publishers) {
        publishers.delete(oldest)
        for (const { lives } of forgotten.values()) clear(lives)
        break
      }
    }
    return rows
  }

  const find = (publisher: string, word: string): Row<T> | undefined => publishers.get(publisher)?.get(word)
  const begin = (epoch: number, next: number): Life<T> => ({
    epoch,
    next,
    horizon: next - 1,
    waiting: [],
    told: undefined,
  })

  /** Takes out what follows `next` without a gap. */
  const drain = (life: Life<T>): readonly BufferedBatch<T>[] => {
    const ready: BufferedBatch<T>[] = []
    for (let batch = life.waiting[0]; batch !== undefined && batch.from <= life.next; batch = life.waiting[0]) {
      life.waiting.shift()
      waitingBytes -= batch.bytes
      // One that was overtaken by another with the same numbers is left out.
      if (batch.from < life.next) continue
      ready.push(batch)
      life.next = batch.to + 1
    }
    life.horizon = Math.max(life.horizon, life.next - 1)
    return ready
  }

  /** The life, added where it is a new one; undefined where it is over. */
  const lifeOf = (row: Row<T>, epoch: number): Life<T> | undefined => {
    const known = row.lives.find((life) => life.epoch === epoch)
    if (known !== undefined) return known
    if (epoch < (row.lives[0]?.epoch ?? 0)) return undefined
    const life = begin(epoch, 1)
    row.lives.push(life)
    row.lives.sort((a, b) => a.epoch - b.epoch)
    // The second, not the first, which is being let in, and not the newest.
    if (row.lives.length > MAX_EPOCHS) clear(row.lives.splice(1, 1))
    return row.lives.includes(life) ? life : undefined
  }

  /** Nobody minds what was not heard: the row continues behind it. */
  const jump = (row: Row<T>, epoch: number, next: number): void => {
    clear(row.lives)
    row.lives = [begin(epoch, next)]
    row.listening = true
  }

  const wait = (life: Life<T>, batch: BufferedBatch<T>): AdmitResult<T> => {
    const at = firstReaching(life.waiting, batch.from)
    const behind = life.waiting[at]
    if (batch.from < life.next || (behind !== undefined && behind.from <= batch.to)) return { kind: 'duplicate' }
    life.horizon = Math.max(life.horizon, batch.to)
    if (waitingBytes + batch.bytes > limits.maxWaitingBytes) return { kind: 'unkept' }
    life.waiting.splice(at, 0, batch)
    waitingBytes += batch.bytes
    return { kind: 'ahead' }
  }

  const letIn = (life: Life<T>, batch: BufferedBatch<T>): AdmitResult<T> => {
    life.next = batch.to + 1
    if (life.next > life.horizon) life.horizon = batch.to
    if (life.waiting.length === 0) return { kind: 'next', ready: [batch] }
    return { kind: 'next', ready: [batch, ...drain(life)] }
  }

  return {
    isPast({ publisher, word, epoch }, { to }) {
      const first = find(publisher, word)?.lives[0]
      if (first === undefined || epoch > first.epoch) return undefined
      if (epoch < first.epoch) return 'stale'
      return to < first.next ? 'duplicate' : undefined
    },
    admit({ publisher, word, epoch }, batch, hold) {
      const rows = rowsOf(publisher)
      const row = rows.get(word)
      if (row === undefined) {
        const life = begin(epoch, batch.from)
        rows.set(word, { lives: [life], listening: true })
        return letIn(life, batch)
      }
      const first = row.lives[0]
      if (first === undefined || epoch < first.epoch) return { kind: 'stale' }
      if (first.epoch === epoch && batch.from === first.next && row.listening) return letIn(first, batch)
      if (!hold || !row.listening) {
        const last = row.lives.at(-1) ?? first
        if (epoch < last.epoch) return { kind: 'stale' }
        if (epoch === last.epoch && batch.from < last.next) return { kind: 'duplicate' }
        jump(row, epoch, batch.from)
        return letIn(row.lives[0] ?? first, batch)
      }
      const life = lifeOf(row, epoch)
      return life === undefined ? { kind: 'stale' } : wait(life, batch)
    },
    noteHead({ publisher, word, epoch }, last, at) {
      const row = find(publisher, word)
      if (row === undefined || !row.listening) return false
      const life = lifeOf(row, epoch)
      if (life === undefined) return false
      if (last > life.horizon && (life.told === undefined || life.told.to < life.next)) life.told = { to: last, at }
      life.horizon = Math.max(life.horizon, last)
      return life.next <= life.horizon || row.lives.length > 1
    },
    startAt({ publisher, word, epoch }, next) {
      const rows = rowsOf(publisher)
      const row = rows.get(word)
      if (row === undefined) rows.set(word, { lives: [begin(epoch, next)], listening: true })
      else if (!row.listening) {
        const last = row.lives.at(-1)
        if (last === undefined || epoch > last.epoch) jump(row, epoch, next)
        else if (epoch === last.epoch) jump(row, epoch, Math.max(next, last.next))
      }
    },
    missing(publisher, word) {
      const row = find(publisher, word)
      const life = row?.lives[0]
      if (row === undefined || life === undefined || !row.listening) return undefined
      const { epoch, next, waiting, horizon } = life
      const series = { publisher, word, epoch }
      const to = (waiting[0]?.from ?? horizon + 1) - 1
      if (next <= to) return { kind: 'gap', series, range: { from: next, to } }
      return row.lives.length > 1 ? { kind: 'tail', series, range: { from: next, to: OPEN_END } } : undefined
    },
    missingSince(publisher, word) {
      let since = Number.POSITIVE_INFINITY
      for (const { waiting, told, next } of find(publisher, word)?.lives ?? []) {
        for (const { at } of waiting) if (at < since) since = at
        if (told !== undefined && told.to >= next && told.at < since) since = told.at
      }
      return since === Number.POSITIVE_INFINITY ? undefined : since
    },
    giveUp({ publisher, word, epoch }, { to }) {
      const life = find(publisher, word)?.lives[0]
      if (life === undefined || life.epoch !== epoch) return NONE
      life.next = Math.max(life.next, to + 1)
      return drain(life)
    },
    endEpoch({ publisher, word, epoch }) {
      const row = find(publisher, word)
      const [over, next] = row?.lives ?? []
      if (over === undefined || next === undefined || over.epoch !== epoch) return NONE
      clear([over])
      row?.lives.shift()
      return drain(next)
    },
    position(publisher, word) {
      const row = find(publisher, word)
      const life = row?.lives[0]
      return row?.listening !== true || life === undefined ? undefined : { epoch: life.epoch, next: life.next }
    },
    publishers: (word) => [...publishers].flatMap(([publisher, rows]) => (rows.has(word) ? [publisher] : [])),
    wordsOf: (publisher) => [...(publishers.get(publisher)?.keys() ?? [])],
    stopListening(word) {
      for (const rows of publishers.values()) {
        const row = rows.get(word)
        const last = row?.lives.at(-1)
        if (row === undefined || last === undefined) continue
        jump(row, last.epoch, Math.max(last.next, last.horizon + 1))
        row.listening = false
      }
    },
    size: () => publishers.size,
    waitingBytes: () => waitingBytes,
  }
}
