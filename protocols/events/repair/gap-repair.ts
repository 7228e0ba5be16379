/**
 * Fills gaps: has what a publisher's row waits for (order.ts) fetched, and gives up what is gone for good.
 *
 * Signs that something is missing: a gap in the numbers; a publisher that says how far it is (heads.ts); one that left,
 * whose last batches others may have; one that started anew, whose earlier life may have an end that was not heard. Of
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
import type { Retrieve } from './retrieve.ts'

/** Rows worked at at one time; the others wait. */
export const MAX_JOBS = 16
/** After a publisher left: its last batches may still be on their way to the others, and not all shall ask at once. */
const LEFT_DELAY_MS = 100
/** Others may be fetching the last batches of a publisher that left. */
const LEFT_ROUNDS = 3

export interface GapRepairHooks {
  /** Lets a batch in that was fetched. */
  admit(proven: VerifiedBatch, fetched: boolean): void
  /** Events of the first life of a row are gone for good. */
  lost(series: EventSeries, range: SequenceRange): void
  /** Nothing follows in the first life of a row. */
  epochEnded(series: EventSeries): void
  /** Resolves when the listeners of a word can take more. */
  waitForRoom(word: string): Promise<void>
  /** False for a word that this node does not hear any more, or that nobody here listens to. */
  hasListeners(word: string): boolean
}

export interface GapRepair {
  /** Something may be missing; it is asked for after `delayMs`. */
  check(publisher: string, word: string, delayMs: number): void
  /** The publisher left, or came back without saying how far it is. */
  askForTails(publisher: string): void
  /** The publisher said itself how far it is. */
  cancelTails(publisher: string): void
  stop(): void
}

/** One timer for each key, until it is over. */
const createDelays = (timers: Port['timers']) => {
  const running = new Map<string, Stop>()
  return {
    after(key: string, delayMs: number, fn: () => void): void {
      if (running.has(key)) return
      const stop = timers.after(delayMs, () => {
        running.delete(key)
        fn()
      })
      running.set(key, stop)
    },
    cancel(key: string): void {
      running.get(key)?.()
      running.delete(key)
    },
    clear(): void {
      for (const stop of running.values()) stop()
      running.clear()
    },
  }
}

export const createGapRepair = <T>(
  port: Pick<Port, 'timers' | 'random' | 'log'>,
  order: Pick<ReorderBuffer<T>, 'missing' | 'position' | 'wordsOf' | 'missingSince'>,
  retrieve: Retrieve,
  hooks: GapRepairHooks,
): GapRepair => {
  const jobs = new Set<string>()
  const queue = new Map<string, { publisher: string; word: string }>()
  /** Rows of which is asked what follows. */
  const tails = new Set<string>()
  const delays = createDelays(port.timers)
  let stopped = false

  const wantOf = (publisher: string, word: string, key: string): (MissingRange & { rounds: number }) | undefined => {
    if (!hooks.hasListeners(word)) return undefined
    const want = order.missing(publisher, word)
    if (want !== undefined) return { ...want, rounds: 1 }
    const at = order.position(publisher, word)
    if (at === undefined || !tails.has(key)) return undefined
    const series = { publisher, word, epoch: at.epoch }
    return { kind: 'tail', series, range: { from: at.next, to: OPEN_END }, rounds: LEFT_ROUNDS }
  }

  const work = async (publisher: string, word: string, key: string): Promise<void> => {
    while (!stopped) {
      const want = wantOf(publisher, word, key)
      if (want === undefined) return
      const { series, range } = want
      const needed = (): boolean => {
        const now = wantOf(publisher, word, key)
        return now?.kind === want.kind && now.series.epoch === series.epoch && now.range.from === range.from
      }
      // Several gaps of a row are seen before the first of them is given up: their waits do not add up.
      const since = order.missingSince(publisher, word)
      const answer = await retrieve(series, range, { tailRounds: want.rounds, needed, since })
      if (stopped) return
      if (answer.batches.length > 0) await hooks.waitForRoom(word)
      const now = wantOf(publisher, word, key)
      if (stopped || now === undefined || !needed()) continue
      // Some of what was asked for may have come meanwhile.
      const { gone } = answer
      if (gone !== undefined) hooks.lost(series, { from: gone.from, to: Math.min(gone.to, now.range.to) })
      for (const proven of answer.batches) hooks.admit(proven, answer.fetched)
      if (want.kind === 'tail' && answer.batches.length === 0) {
        tails.delete(key)
        hooks.epochEnded(series)
      }
      const [first] = answer.batches
      // What came cannot be let in: its numbers overlap with others of its publisher.
      if (first !== undefined && needed()) {
        hooks.lost(series, { from: range.from, to: Math.min(range.to, batchRange(first.batch).to) })
      }
    }
  }

  const next = (): void => {
    for (const [key, { publisher, word }] of queue) {
      if (jobs.size >= MAX_JOBS || stopped) return
      if (jobs.has(key)) continue
      queue.delete(key)
      jobs.add(key)
      const done = (): void => {
        jobs.delete(key)
        if (wantOf(publisher, word, key) !== undefined) queue.set(key, { publisher, word })
        next()
      }
      work(publisher, word, key).then(done, (error: unknown) => {
        port.log.error('a gap could not be worked at', { publisher, word, error })
        jobs.delete(key)
        next()
      })
    }
  }

  const look = (publisher: string, word: string): void => {
    const key = `${publisher} ${word}`
    if (stopped || jobs.has(key)) return
    queue.set(key, { publisher, word })
    next()
  }

  return {
    check(publisher, word, delayMs) {
      if (delayMs === 0) look(publisher, word)
      else if (!stopped) delays.after(`${publisher} ${word}`, delayMs, () => look(publisher, word))
    },
    askForTails(publisher) {
      if (stopped) return
      delays.after(publisher, LEFT_DELAY_MS * (1 + (port.random(1)[0] ?? 0) / 256), () => {
        for (const word of order.wordsOf(publisher)) {
          tails.add(`${publisher} ${word}`)
          look(publisher, word)
        }
      })
    },
    cancelTails: delays.cancel,
    stop() {
      stopped = true
      delays.clear()
      queue.clear()
    },
  }
}
