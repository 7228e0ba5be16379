/**
 * A subscription that reads: from a point in the past on, or acknowledged, or with a name under which its position is
 * kept. It has a lane for each publisher and first word (lane.ts) and hands out one event at a time, in order for each
 * publisher, lanes taking turns; a slow listener slows the reading, and nothing overflows.
 *
 * Acknowledged: an event is handled when the listener's promise resolves, or when the loop asks for the next one. One
 * that fails is handed out again after a growing pause, other publishers' events meanwhile; after the last attempt it is
 * told and left behind.
 *
 * State: the lanes, at most `maxPublishers`, and what is held of each publisher, as it was told.
 */
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import type { Catalogs } from './catalogs.ts'
import type { Listener, MeshEvent, Missed } from './event.ts'
import type { Cursor, CursorPosition } from './history-store.ts'
import { createLane, type Lane, type LaneEvent } from './lane.ts'
import type { Proven, Retrieve } from './retrieve.ts'
import type { Range, Series } from './series.ts'
import { type From, type Lives, merge, type Start, sinceMs, startOf } from './starts.ts'

/** Lanes that read from the history at one time. */
const MAX_READING = 8
/** Over all lanes; then those that have something are handed out first. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024
const MAX_BACKOFF_MS = 10_000
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

export interface ReaderOptions {
  from: From
  cursor: Cursor | undefined
  ack: boolean
  /** Attempts of one event. */
  attempts: number
  /** Milliseconds before the second attempt; twice that before each one more, up to 10 s. */
  retryMs: number
  maxPublishers: number
}

export interface ReaderHooks {
  retrieve: Retrieve
  catalogs: Catalogs
  /** Where gossip has come to, this node's own publishing included. */
  position(publisher: string, word: string): Start | undefined
  /** Publishers heard under a word, this node included. */
  publishers(word: string): string[]
  /** The event as the listener gets it; undefined for one that it does not get. */
  shape(event: LaneEvent): MeshEvent | undefined
  missed(missed: Missed): void
  /** The listener threw, and nobody tries it again. */
  failed(error: unknown): void
  /** An event was handed out and handled. */
  delivered(): void
  redelivered(): void
  givenUp(event: MeshEvent, error: unknown): void
  /** Events were handled. */
  moved(): void
}

export interface Reader {
  /** Begins with a word: finds out what is held of it. */
  begin(word: string): Promise<void>
  /** A batch was let in, or published here, in order. */
  offer(proven: Proven): void
  lost(series: Series, range: Range): void
  /** More may be known of what this publisher said. */
  look(publisher: string, word: string): void
  /** A neighbour came, which may hold more. */
  joined(peer: string): void
  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent>
  positions(): CursorPosition[]
  delivered(): number
  /** Bytes of batches that wait to be handed out. */
  bytes(): number
  close(): void
}

interface Seat {
  readonly lane: Lane
  /** Of the next event. */
  attempts: number
  /** Its next event waits for another attempt. */
  resting: boolean
}

export const createReader = (
  port: Pick<Port, 'timers' | 'log'>,
  listener: Listener<unknown> | undefined,
  options: ReaderOptions,
  hooks: ReaderHooks,
): Reader => {
  const { from, cursor, ack } = options
  /** Where nothing is to be found out first. */
  const isLive = from === 'latest' && cursor === undefined
  const seats = new Map<string, Seat>()
  const held = new Map<string, Map<number, { from: number; to: number; since: number | undefined }>>()
  const words = new Set<string>()
  /** Whose next event is here, perhaps; in turn. */
  const ready = new Set<Seat>()
  const toRead = new Set<Seat>()
  const newcomers = new Map<string, Series & { first: number }>()
  const timers = new Set<Stop>()
  const waiting: ((result: IteratorResult<MeshEvent, undefined>) => void)[] = []
  let gathering = 0
  let reading = 0
  let busy = false
  let closed = false
  let delivered = 0
  /** Handed to the loop, which has not asked for the next one. */
  let unacknowledged: Seat | undefined

  const buffered = (): number => {
    let bytes = 0
    for (const { lane } of seats.values()) bytes += lane.bytes()
    return bytes
  }

  /** Lets lanes that have nothing read on. */
  const read = (): void => {
    for (const seat of toRead) {
      if (closed || reading >= MAX_READING || buffered() > MAX_BUFFERED_BYTES) return
      toRead.delete(seat)
      reading += 1
      seat.lane
        .fill()
        .catch((error: unknown) => {
          const { publisher, word } = seat.lane
          port.log.error('events could not be read from the history', { publisher, word, error })
        })
        .finally(() => {
          reading -= 1
          if (seat.lane.bytes() > 0) ready.add(seat)
          pump()
        })
    }
  }

  const lifeAfter = (publisher: string, word: string, epoch: number): number | undefined => {
    const told = [...(held.get(`${publisher} ${word}`)?.keys() ?? [])]
    const live = hooks.position(publisher, word)?.epoch
    const later = [...told, ...(live === undefined ? [] : [live])].filter((one) => one > epoch)
    return later.length === 0 ? undefined : Math.min(...later)
  }

  const makeRoom = (): void => {
    if (seats.size < options.maxPublishers) return
    for (const [key, { lane }] of seats) {
      if (lane.peek() !== undefined) continue
      lane.close()
      seats.delete(key)
      return
    }
  }

  const seat = (publisher: string, word: string, start: Start): Seat => {
    const key = `${publisher} ${word}`
    const known = seats.get(key)
    if (known !== undefined) return known
    makeRoom()
    const lane = createLane(publisher, word, start, {
      retrieve: hooks.retrieve,
      position: () => hooks.position(publisher, word),
      lifeAfter: (epoch) => lifeAfter(publisher, word, epoch),
      missed: (series, range) => hooks.missed({ ...series, ...range, reason: 'gap' }),
    })
    const made = { lane, attempts: 0, resting: false }
    seats.set(key, made)
    toRead.add(made)
    return made
  }

  /** The next event in turn, and whose it is. */
  const next = (): { seat: Seat; event: MeshEvent } | undefined => {
    for (const one of ready) {
      ready.delete(one)
      if (one.resting) continue
      for (let found = one.lane.peek(); found !== undefined; found = one.lane.peek()) {
        const event = hooks.shape(found)
        if (event !== undefined) {
          // To the end of the line.
          ready.add(one)
          return { seat: one, event }
        }
        one.lane.advance()
        hooks.moved()
      }
      if (one.lane.bytes() === 0) toRead.add(one)
    }
    return undefined
  }

  const handled = (one: Seat): void => {
    one.attempts = 0
    one.lane.advance()
    hooks.moved()
  }

  const taken = (one: Seat): void => {
    delivered += 1
    hooks.delivered()
    handled(one)
  }

  const later = (ms: number, fn: () => void): void => {
    const stop = port.timers.after(ms, () => {
      timers.delete(stop)
      fn()
    })
    timers.add(stop)
  }

  const failed = (one: Seat, event: MeshEvent, error: unknown): void => {
    if (closed) return
    one.attempts += 1
    if (!ack) hooks.failed(error)
    else if (one.attempts < options.attempts) {
      hooks.redelivered()
      one.resting = true
      later(Math.min(MAX_BACKOFF_MS, options.retryMs * 2 ** (one.attempts - 1)), () => {
        one.resting = false
        ready.add(one)
        pump()
      })
      return
    } else hooks.givenUp(event, error)
    handled(one)
  }

  const hand = (one: Seat, event: MeshEvent): void => {
    try {
      const pending = listener?.(event)
      if (pending !== undefined && typeof pending.then === 'function') {
        busy = true
        pending
          .then(
            () => taken(one),
            (error: unknown) => failed(one, event, error),
          )
          .finally(() => {
            busy = false
            pump()
          })
        return
      }
      taken(one)
    } catch (error) {
      failed(one, event, error)
    }
  }

  const pump = (): void => {
    while (!busy && !closed) {
      const loop = listener === undefined ? waiting[0] : undefined
      if (listener === undefined && loop === undefined) break
      const found = next()
      if (found === undefined) break
      if (loop === undefined) hand(found.seat, found.event)
      else {
        waiting.shift()
        if (ack) {
          // Its lane stands still until it is acknowledged.
          found.seat.resting = true
          unacknowledged = found.seat
        } else taken(found.seat)
        loop({ done: false, value: found.event })
      }
    }
    read()
  }

  const acknowledge = (): void => {
    const one = unacknowledged
    unacknowledged = undefined
    if (one === undefined) return
    one.resting = false
    ready.add(one)
    taken(one)
  }

  const place = (publisher: string, word: string, live: Start | undefined): Seat | undefined => {
    const known = seats.get(`${publisher} ${word}`)
    if (known !== undefined) return known
    const lives: Lives = held.get(`${publisher} ${word}`) ?? new Map()
    const start = startOf(from, cursor, lives, live)
    return start === undefined ? undefined : seat(publisher, word, start)
  }

  /** Finds out what is held; publishers that are heard for the first time meanwhile wait for it. */
  const gather = async (word: string, peers: readonly string[] | undefined): Promise<void> => {
    gathering += 1
    try {
      merge(held, await hooks.catalogs(word, sinceMs(from, cursor), peers))
    } finally {
      gathering -= 1
    }
    if (closed) return
    const told = [...held.keys()].filter((key) => key.endsWith(` ${word}`)).map((key) => key.split(' ')[0] ?? '')
    for (const publisher of new Set([...told, ...hooks.publishers(word)])) {
      const one = place(publisher, word, hooks.position(publisher, word))
      one?.lane.renew()
      if (one !== undefined) toRead.add(one)
    }
    if (gathering === 0) {
      for (const { publisher, word: of, epoch, first } of newcomers.values()) {
        const one = place(publisher, of, hooks.position(publisher, of) ?? { epoch, next: first })
        if (one !== undefined) toRead.add(one)
      }
      newcomers.clear()
    }
    pump()
  }

  for (const { publisher, word, epoch, next: number } of cursor?.positions ?? []) {
    seat(publisher, word, { epoch, next: number })
  }

  return {
    async begin(word) {
      if (words.has(word)) return
      words.add(word)
      if (!isLive) await gather(word, undefined)
    },
    offer(proven) {
      if (closed) return
      const { publisher, word, epoch, first } = proven.batch
      const key = `${publisher} ${word}`
      let one = seats.get(key)
      if (one === undefined) {
        if (gathering > 0 && newcomers.size < options.maxPublishers) {
          if (!newcomers.has(key)) newcomers.set(key, { publisher, word, epoch, first })
          return
        }
        one = place(publisher, word, { epoch, next: first })
      }
      if (one === undefined) return
      if (one.lane.offer(proven, buffered() <= MAX_BUFFERED_BYTES)) ready.add(one)
      else toRead.add(one)
      pump()
    },
    lost(series, range) {
      const { publisher, word, epoch } = series
      const one = seats.get(`${publisher} ${word}`) ?? place(publisher, word, { epoch, next: range.from })
      one?.lane.lost(epoch, range)
      if (one !== undefined) toRead.add(one)
      pump()
    },
    look(publisher, word) {
      const one = seats.get(`${publisher} ${word}`)
      if (one === undefined || closed) return
      one.lane.renew()
      toRead.add(one)
      pump()
    },
    joined(peer) {
      if (isLive || closed) return
      for (const word of words) {
        gather(word, [peer]).catch((error: unknown) =>
          port.log.error('a neighbour could not be asked', { peer, error }),
        )
      }
    },
    iterate(unsubscribe) {
      if (listener !== undefined) {
        throw new ParleyError('MSG001', 'this subscription has a listener and cannot be read by a loop as well', {
          hint: 'subscribe a second time without a listener',
        })
      }
      return {
        next() {
          if (closed) return Promise.resolve(DONE)
          acknowledge()
          return new Promise((resolve) => {
            waiting.push(resolve)
            pump()
          })
        },
        return() {
          unsubscribe()
          return Promise.resolve(DONE)
        },
      }
    },
    positions: () =>
      [...seats.values()].map(({ lane }) => ({ publisher: lane.publisher, word: lane.word, ...lane.at() })),
    delivered: () => delivered,
    bytes: buffered,
    close() {
      closed = true
      for (const stop of timers) stop()
      timers.clear()
      for (const { lane } of seats.values()) lane.close()
      for (const resolve of waiting.splice(0)) resolve(DONE)
    },
  }
}
