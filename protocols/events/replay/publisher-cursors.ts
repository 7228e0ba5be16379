/**
 * The lanes of a subscription that reads, one for each publisher and first word: where they start, which of them read on,
 * and whose turn it is.
 *
 * Where it starts in the past, this node and its neighbours are asked first what they hold (catalogs.ts); publishers that
 * are heard for the first time meanwhile wait for the answers, and a neighbour that comes later is asked then.
 *
 * State: the lanes, at most `maxPublishers`; what is held of each publisher, as it was told.
 */
import type { Port, Stop } from '../../port.ts'
import type { StartPosition } from '../api.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import type { CursorPosition, SavedCursor } from '../history/history-contract.ts'
import type { Retrieve } from '../repair/retrieve.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import type { CatalogQuery } from './history-catalog.ts'
import { createPublisherCursor, type PublisherCursor } from './publisher-cursor.ts'
import { mergeHeld, type SeriesPosition, sinceMs, startPositionOf } from './start-position.ts'

/** Lanes that read from the history at one time. */
const MAX_READING = 8
/** How often a neighbour is asked what it holds that does not answer; before the second time, and twice that before the third. */
const CATALOG_ATTEMPTS = 3
const CATALOG_AGAIN_MS = 1_000
/** Over all lanes; beyond it what is here is handed out first. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024

export interface CursorSlot {
  readonly lane: PublisherCursor
  /** Of the next event. */
  attempts: number
  /** Its next event waits: for another attempt, or to be acknowledged. */
  resting: boolean
}

export interface PublisherCursorsOptions {
  from: StartPosition
  cursor: SavedCursor | undefined
  maxPublishers: number
}

export interface PublisherCursorsHooks {
  retrieve: Retrieve
  catalogs: CatalogQuery
  /** Where gossip has come to, this node's own publishing included. */
  position(publisher: string, word: string): SeriesPosition | undefined
  /** Publishers heard under a word, this node included. */
  publishers(word: string): string[]
  missed(series: EventSeries, range: SequenceRange): void
  /** There may be something to hand out. */
  changed(): void
}

export interface PublisherCursors {
  /** Begins with a word: finds out what is held of it. */
  begin(word: string): Promise<void>
  /** A batch was let in, or published here, in order. */
  offer(proven: VerifiedBatch): void
  lost(series: EventSeries, range: SequenceRange): void
  /** More may be known of what this publisher said. */
  refresh(publisher: string, word: string): void
  /** A neighbour came, which may hold more. */
  neighbourJoined(peer: string): void
  /** A lane whose turn it is, perhaps with an event; it goes to the end of the line by `wake`. */
  takeReady(): CursorSlot | undefined
  markReady(seat: CursorSlot): void
  /** Lets lanes that have nothing read on. */
  readOn(): void
  positions(): CursorPosition[]
  bytes(): number
  close(): void
}

export const createPublisherCursors = (
  port: Pick<Port, 'clock' | 'timers' | 'log'>,
  options: PublisherCursorsOptions,
  hooks: PublisherCursorsHooks,
): PublisherCursors => {
  const { from, cursor } = options
  /** Where nothing is to be found out first. */
  const isLive = from === 'latest' && cursor === undefined
  const seats = new Map<string, CursorSlot>()
  const held = new Map<string, Map<number, { from: number; to: number; since: number | undefined }>>()
  const words = new Set<string>()
  /** In turn. */
  const ready = new Set<CursorSlot>()
  const toRead = new Set<CursorSlot>()
  const newcomers = new Map<string, EventSeries & { first: number }>()
  let gathering = 0
  let reading = 0
  let closed = false
  const stops = new Set<Stop>()

  const keyOf = (publisher: string, word: string): string => `${publisher} ${word}`
  const bytes = (): number => {
    let sum = 0
    for (const { lane } of seats.values()) sum += lane.bytes()
    return sum
  }

  const lifeAfter = (publisher: string, word: string, epoch: number): number | undefined => {
    const told = [...(held.get(keyOf(publisher, word))?.keys() ?? [])]
    const live = hooks.position(publisher, word)?.epoch
    const later = [...told, ...(live === undefined ? [] : [live])].filter((one) => one > epoch)
    return later.length === 0 ? undefined : Math.min(...later)
  }

  const makeRoom = (): void => {
    if (seats.size < options.maxPublishers) return
    for (const [key, { lane }] of seats) {
      if (lane.bytes() > 0) continue
      lane.close()
      seats.delete(key)
      return
    }
  }

  const seat = (publisher: string, word: string, start: SeriesPosition): CursorSlot => {
    makeRoom()
    const lane = createPublisherCursor(publisher, word, start, {
      retrieve: hooks.retrieve,
      position: () => hooks.position(publisher, word),
      epochAfter: (epoch) => lifeAfter(publisher, word, epoch),
      missed: hooks.missed,
      monotonic: () => port.clock.monotonic(),
    })
    const made = { lane, attempts: 0, resting: false }
    seats.set(keyOf(publisher, word), made)
    toRead.add(made)
    return made
  }

  /** The lane of a publisher, begun where it starts; undefined where that is not known. */
  const place = (publisher: string, word: string, live: SeriesPosition | undefined): CursorSlot | undefined => {
    const known = seats.get(keyOf(publisher, word))
    if (known !== undefined) return known
    const start = startPositionOf(from, cursor, held.get(keyOf(publisher, word)) ?? new Map(), live)
    return start === undefined ? undefined : seat(publisher, word, start)
  }

  const read = (): void => {
    for (const one of toRead) {
      if (closed || reading >= MAX_READING || bytes() > MAX_BUFFERED_BYTES) return
      toRead.delete(one)
      reading += 1
      one.lane
        .fill()
        .catch((error: unknown) => {
          const { publisher, word } = one.lane
          port.log.error('events could not be read from the history', { publisher, word, error })
        })
        .finally(() => {
          reading -= 1
          if (one.lane.bytes() > 0) ready.add(one)
          hooks.changed()
        })
    }
  }

  /** Who was busy may hold what nobody else does. */
  const gatherAgain = (word: string, silent: readonly string[], attempt: number): void => {
    if (silent.length === 0 || attempt > CATALOG_ATTEMPTS || closed) return
    const stop = port.timers.after(CATALOG_AGAIN_MS * 2 ** (attempt - 2), () => {
      stops.delete(stop)
      gatherOf(word, silent, attempt)
    })
    stops.add(stop)
  }

  const gatherOf = (word: string, peers: readonly string[], attempt: number): void => {
    gather(word, peers, attempt).catch((error: unknown) =>
      port.log.error('a neighbour could not be asked what it holds', { word, error }),
    )
  }

  const gather = async (word: string, peers: readonly string[] | undefined, attempt = 1): Promise<void> => {
    gathering += 1
    try {
      const told = await hooks.catalogs(word, sinceMs(from, cursor), peers, attempt)
      mergeHeld(held, told.held)
      gatherAgain(word, told.silent, attempt + 1)
    } finally {
      gathering -= 1
    }
    if (closed) return
    const told = [...held.keys()].filter((key) => key.endsWith(` ${word}`)).map((key) => key.split(' ')[0] ?? '')
    for (const publisher of new Set([...told, ...hooks.publishers(word)])) {
      const one = place(publisher, word, hooks.position(publisher, word))
      one?.lane.retry()
      if (one !== undefined) toRead.add(one)
    }
    if (gathering === 0) {
      for (const { publisher, word: of, epoch, first } of newcomers.values()) {
        const one = place(publisher, of, hooks.position(publisher, of) ?? { epoch, next: first })
        if (one !== undefined) toRead.add(one)
      }
      newcomers.clear()
    }
    hooks.changed()
  }

  return {
    async begin(word) {
      if (words.has(word)) return
      words.add(word)
      for (const { publisher, word: of, epoch, next } of cursor?.positions ?? []) {
        if (of === word) seat(publisher, word, { epoch, next })
      }
      if (!isLive) await gather(word, undefined)
    },
    offer(proven) {
      if (closed) return
      const { publisher, word, epoch, first } = proven.batch
      const key = keyOf(publisher, word)
      if (!seats.has(key) && gathering > 0 && newcomers.size < options.maxPublishers) {
        if (!newcomers.has(key)) newcomers.set(key, { publisher, word, epoch, first })
        return
      }
      const one = place(publisher, word, { epoch, next: first })
      if (one === undefined) return
      if (one.lane.offer(proven, bytes() <= MAX_BUFFERED_BYTES)) ready.add(one)
      else toRead.add(one)
      hooks.changed()
    },
    lost({ publisher, word, epoch }, range) {
      if (closed) return
      const one = place(publisher, word, { epoch, next: range.from })
      if (one === undefined) return
      one.lane.lost(epoch, range)
      toRead.add(one)
      hooks.changed()
    },
    refresh(publisher, word) {
      const one = seats.get(keyOf(publisher, word))
      if (one === undefined || closed) return
      one.lane.retry()
      toRead.add(one)
      hooks.changed()
    },
    neighbourJoined(peer) {
      if (isLive || closed) return
      for (const word of words) gatherOf(word, [peer], 1)
    },
    takeReady() {
      for (const one of ready) {
        ready.delete(one)
        if (one.resting) continue
        if (one.lane.bytes() > 0) return one
        toRead.add(one)
      }
      return undefined
    },
    markReady: (one) => void ready.add(one),
    readOn: read,
    positions() {
      const begun = [...seats.values()].map(({ lane: { publisher, word, position: at } }) => ({
        publisher,
        word,
        ...at(),
      }))
      // Of words that nobody holds at the moment.
      const kept = (cursor?.positions ?? []).filter(({ word }) => !words.has(word))
      return [...begun, ...kept]
    },
    bytes,
    close() {
      closed = true
      for (const stop of stops) stop()
      stops.clear()
      for (const { lane } of seats.values()) lane.close()
    },
  }
}
