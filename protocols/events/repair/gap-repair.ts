/**
 * Fills gaps: has what a publisher's row waits for (reorder-buffer.ts) fetched, and gives up what is gone for good.
 *
 * Signs that something is missing: a gap in the numbers; a publisher that says how far it is (publisher-heads.ts); one that left,
 * whose last batches others may have; one that started anew, whose earlier epoch may have an end that was not heard. Of
 * each row one range is asked for at a time, the lowest, so that what comes is let in at once; while the listeners are
 * behind, nothing is asked for.
 *
 * State: which rows are worked at, at most MAX_JOBS, and which wait for that.
 */
import type { Port, Stop } from '../../port.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import { batchRange } from '../batch/batch-decoder.ts'
import type { MissingRange, ReorderBuffer } from '../receive/reorder-buffer.ts'
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'
import type { Retrieval } from './retrieval.ts'

/** Rows worked at at one time; the others wait. */
export const MAX_JOBS = 16
/** After a publisher left: its last batches may still be on their way to the others, and not all shall ask at once. */
const LEFT_DELAY_MS = 100
/** Others may be fetching the last batches of a publisher that left. */
const LEFT_ROUNDS = 3

export interface GapRepairHooks {
  /** Lets a batch in that was fetched. */
  admit(proven: VerifiedBatch, fetched: boolean): void
  /** Events of the first epoch of a row are gone for good. */
  lost(series: EventSeries, range: SequenceRange): void
  /** Nothing follows in the first epoch of a row. */
  epochEnded(series: EventSeries): void
  /** Resolves when the listeners of a word can take more. */
  waitForRoom(word: string): Promise<void>
  /** False for a word that this node does not hear any more, or that nobody here listens to. */
  hasListeners(word: string): boolean
}

/** One timer for each key, until it is over. */
class KeyedDelays {
  readonly #timers: Port['timers']
  readonly #running = new Map<string, Stop>()

  constructor(timers: Port['timers']) {
    this.#timers = timers
  }

  after(key: string, delayMs: number, fn: () => void): void {
    if (this.#running.has(key)) return
    const stop = this.#timers.after(delayMs, () => {
      this.#running.delete(key)
      fn()
    })
    this.#running.set(key, stop)
  }

  cancel(key: string): void {
    this.#running.get(key)?.()
    this.#running.delete(key)
  }

  clear(): void {
    for (const stop of this.#running.values()) stop()
    this.#running.clear()
  }
}

export class GapRepair<T> {
  readonly #port: Pick<Port, 'timers' | 'random' | 'log'>
  readonly #order: Pick<ReorderBuffer<T>, 'missing' | 'position' | 'wordsOf' | 'missingSince'>
  readonly #retrieval: Pick<Retrieval, 'retrieve'>
  readonly #hooks: GapRepairHooks
  readonly #working = new Set<string>()
  readonly #queue = new Map<string, { publisher: string; word: string }>()
  /** Rows of which is asked what follows. */
  readonly #tails = new Set<string>()
  readonly #delays: KeyedDelays
  #stopped = false

  constructor(
    port: Pick<Port, 'timers' | 'random' | 'log'>,
    order: Pick<ReorderBuffer<T>, 'missing' | 'position' | 'wordsOf' | 'missingSince'>,
    retrieval: Pick<Retrieval, 'retrieve'>,
    hooks: GapRepairHooks,
  ) {
    this.#port = port
    this.#order = order
    this.#retrieval = retrieval
    this.#hooks = hooks
    this.#delays = new KeyedDelays(port.timers)
  }

  /** Something may be missing; it is asked for after `delayMs`. */
  check(publisher: string, word: string, delayMs: number): void {
    if (delayMs === 0) this.#enqueue(publisher, word)
    else if (!this.#stopped) this.#delays.after(`${publisher} ${word}`, delayMs, () => this.#enqueue(publisher, word))
  }

  /** The publisher left, or came back without saying how far it is. */
  askForTails(publisher: string): void {
    if (this.#stopped) return
    this.#delays.after(publisher, LEFT_DELAY_MS * (1 + (this.#port.random(1)[0] ?? 0) / 256), () => {
      for (const word of this.#order.wordsOf(publisher)) {
        this.#tails.add(`${publisher} ${word}`)
        this.#enqueue(publisher, word)
      }
    })
  }

  /** The publisher said itself how far it is. */
  cancelTails(publisher: string): void {
    this.#delays.cancel(publisher)
  }

  stop(): void {
    this.#stopped = true
    this.#delays.clear()
    this.#queue.clear()
  }

  #missingOf(publisher: string, word: string, key: string): (MissingRange & { rounds: number }) | undefined {
    if (!this.#hooks.hasListeners(word)) return undefined
    const want = this.#order.missing(publisher, word)
    if (want !== undefined) return { ...want, rounds: 1 }
    const at = this.#order.position(publisher, word)
    if (at === undefined || !this.#tails.has(key)) return undefined
    const series = { publisher, word, epoch: at.epoch }
    return { kind: 'tail', series, range: { from: at.next, to: OPEN_END }, rounds: LEFT_ROUNDS }
  }

  async #work(publisher: string, word: string, key: string): Promise<void> {
    while (!this.#stopped) {
      const want = this.#missingOf(publisher, word, key)
      if (want === undefined) return
      const { series, range } = want
      const needed = (): boolean => {
        const now = this.#missingOf(publisher, word, key)
        return now?.kind === want.kind && now.series.epoch === series.epoch && now.range.from === range.from
      }
      // Several gaps of a row are seen before the first of them is given up: their waits do not add up.
      const since = this.#order.missingSince(publisher, word)
      const answer = await this.#retrieval.retrieve(series, range, { tailRounds: want.rounds, needed, since })
      if (this.#stopped) return
      if (answer.batches.length > 0) await this.#hooks.waitForRoom(word)
      const now = this.#missingOf(publisher, word, key)
      if (this.#stopped || now === undefined || !needed()) continue
      // Some of what was asked for may have come meanwhile.
      const { gone } = answer
      if (gone !== undefined) this.#hooks.lost(series, { from: gone.from, to: Math.min(gone.to, now.range.to) })
      for (const proven of answer.batches) this.#hooks.admit(proven, answer.fetched)
      if (want.kind === 'tail' && answer.batches.length === 0) {
        this.#tails.delete(key)
        this.#hooks.epochEnded(series)
      }
      const [first] = answer.batches
      // What came cannot be let in: its numbers overlap with others of its publisher.
      if (first !== undefined && needed()) {
        this.#hooks.lost(series, { from: range.from, to: Math.min(range.to, batchRange(first.batch).to) })
      }
    }
  }

  #startNext(): void {
    for (const [key, { publisher, word }] of this.#queue) {
      if (this.#working.size >= MAX_JOBS || this.#stopped) return
      if (this.#working.has(key)) continue
      this.#queue.delete(key)
      this.#working.add(key)
      const done = (): void => {
        this.#working.delete(key)
        if (this.#missingOf(publisher, word, key) !== undefined) this.#queue.set(key, { publisher, word })
        this.#startNext()
      }
      this.#work(publisher, word, key).then(done, (error: unknown) => {
        this.#port.log.error('a gap could not be worked at', { publisher, word, error })
        this.#working.delete(key)
        this.#startNext()
      })
    }
  }

  #enqueue(publisher: string, word: string): void {
    const key = `${publisher} ${word}`
    if (this.#stopped || this.#working.has(key)) return
    this.#queue.set(key, { publisher, word })
    this.#startNext()
  }
}
