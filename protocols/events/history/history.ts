/**
 * The history: the signed batches that this node published or heard, as they came, so that it can prove them to whoever
 * missed them or came late. Bounded for each first word, by its rule in the settings, and in memory over all words.
 *
 * In memory unless a rule says `disk` and there is a data directory. Batches that come while a word's files are still
 * being opened wait in memory. What is on disk gives way where the quota of the disk is used up. State: soft, but for the
 * files.
 */

import type { Quota } from '../../limits/quota.ts'
import type { Log } from '../../port.ts'
import { HistoryRule } from '../options.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import { firstWord, isFirstWord, isOpen } from '../topic.ts'
import type { ChannelHistory, EventStore, FoundBatches, HeldRange, HistoryBounds } from './history-contract.ts'
import { createMemoryHistory, type MemoryHistory } from './memory-history.ts'

export interface History {
  /** @param ageMs since somebody had it first; what is older than its history keeps is not kept */
  keep(series: EventSeries, range: SequenceRange, bytes: Uint8Array, sentAt: number, ageMs?: number): void
  /** The batches that hold events of `range`, in order; from memory at once. */
  find(series: EventSeries, range: SequenceRange): FoundBatches | Promise<FoundBatches>
  list(word: string, since?: number | undefined): Promise<HeldRange[]>
  /** @returns with `unkept`: batches for which the quota of the disk had no room */
  figures(): { bytes: number; events: number; unkept: number }
  close(): Promise<void>
}

const NOTHING: FoundBatches = { batches: [], more: false }
const sum = (all: Iterable<{ bytes: number; events: number }>): { bytes: number; events: number } => {
  const total = { bytes: 0, events: 0 }
  for (const { bytes, events } of all) {
    total.bytes += bytes
    total.events += events
  }
  return total
}

/** The files of one word; what comes before they are open waits, at most `bounds.maxBytes` of it. */
const createFiled = (word: string, bounds: HistoryBounds, store: EventStore, log: Log): ChannelHistory => {
  let open: ChannelHistory | undefined
  let early: Parameters<ChannelHistory['keep']>[] = []
  let earlyBytes = 0
  const opening = store.open(word, bounds).then(
    (opened) => {
      open = opened
      for (const one of early) opened.keep(...one)
      early = []
    },
    (error: unknown) => {
      early = []
      log.error('the history of a word cannot be opened; nothing of it is kept', { word, error })
    },
  )
  return {
    keep(...one) {
      if (open !== undefined) return open.keep(...one)
      const { length } = one[2]
      if (earlyBytes + length > bounds.maxBytes) return false
      earlyBytes += length
      early.push(one)
      return true
    },
    holds: (series, range) => open?.holds(series, range) ?? false,
    oldestAt: () => open?.oldestAt(),
    dropOldest: () => open?.dropOldest(),
    find: (series, range) =>
      open === undefined ? opening.then(() => open?.find(series, range) ?? NOTHING) : open.find(series, range),
    list: (since) => open?.list(since) ?? [],
    figures: () => open?.figures() ?? { bytes: earlyBytes, events: 0 },
    async close() {
      await opening
      await open?.close()
    },
  }
}

/** The words that are kept in memory: at most `maxWords`, and at most `maxHeldBytes` of all. */
const createMemory = (
  { maxHeldBytes, maxWords }: { maxHeldBytes: number; maxWords: number },
  boundsOf: (word: string) => HistoryBounds,
  monotonic: () => number,
) => {
  const words = new Map<string, MemoryHistory>()
  /** At least what is in memory: counted anew where it seems too much. */
  let estimate = 0

  const made = (word: string): MemoryHistory => {
    const known = words.get(word)
    if (known !== undefined) return known
    if (words.size >= maxWords) {
      for (const [name, history] of words) if (history.figures().bytes === 0) words.delete(name)
      const [oldest] = words.keys()
      if (words.size >= maxWords && oldest !== undefined) words.delete(oldest)
    }
    const history = createMemoryHistory(boundsOf(word), monotonic)
    words.set(word, history)
    return history
  }

  /** Where all words together are too much, the largest gives up its oldest. */
  const trim = (added: number): void => {
    estimate += added
    while (estimate > maxHeldBytes) {
      let total = 0
      let largest: MemoryHistory | undefined
      let most = 0
      for (const history of words.values()) {
        const { bytes } = history.figures()
        total += bytes
        if (bytes > most) [most, largest] = [bytes, history]
      }
      estimate = total
      if (total > maxHeldBytes) largest?.dropOldest()
    }
  }

  return {
    words: words as ReadonlyMap<string, MemoryHistory>,
    keep(...one: Parameters<ChannelHistory['keep']>): void {
      const [{ word }, , { length }] = one
      if (length <= maxHeldBytes && made(word).keep(...one)) trim(length)
    },
  }
}

export const createHistory = (
  settings: { maxHeldBytes: number; maxWords: number; history: readonly HistoryRule[] },
  store: EventStore | undefined,
  monotonic: () => number,
  log: Log,
  quota?: Quota,
): History => {
  const onDisk = new Map<string, ChannelHistory>()
  let unkept = 0
  const general = settings.history.find(({ topic }) => isOpen(topic))
  const byWord = new Map(settings.history.map((rule) => [firstWord(rule.topic), rule]))
  const defaults: HistoryBounds = HistoryRule.parse({ topic: '#' })

  const ruleOf = (word: string): HistoryRule | undefined => byWord.get(word) ?? general
  const inMemory = createMemory(settings, (word) => ruleOf(word) ?? defaults, monotonic)
  const isFiled = (word: string): boolean => store !== undefined && ruleOf(word)?.store === 'disk'

  /** Its files are opened when they are first asked for. */
  const filed = (word: string): ChannelHistory | undefined => {
    const known = onDisk.get(word)
    const rule = ruleOf(word)
    if (known !== undefined || rule === undefined || store === undefined) return known
    // The name of a folder, told by a peer.
    if (!isFirstWord(word) || onDisk.size >= settings.maxWords) return undefined
    const made = createFiled(word, rule, store, log)
    onDisk.set(word, made)
    return made
  }

  /** Peers may ask for any word: where nothing of it is held, it takes no place. */
  const look = async <T>(word: string, at: (disk: ChannelHistory) => T | Promise<T>, nothing: T): Promise<T> => {
    const disk = filed(word)
    if (disk === undefined) return nothing
    // Waits until its files are open.
    await disk.find({ publisher: '', word, epoch: 0 }, { from: 1, to: 1 })
    const found = await at(disk)
    if (disk.figures().bytes === 0 && onDisk.get(word) === disk) {
      onDisk.delete(word)
      await disk.close()
    }
    return found
  }

  const bytesOnDisk = (): number => sum([...onDisk.values()].map((history) => history.figures())).bytes

  /** What was kept longest ago goes first, of whichever word. */
  const giveUp = (wanted: number): void => {
    const most = bytesOnDisk() - wanted
    while (bytesOnDisk() > most) {
      let [oldest, oldestAt]: [ChannelHistory | undefined, number] = [undefined, Number.POSITIVE_INFINITY]
      for (const history of onDisk.values()) {
        const at = history.oldestAt() ?? Number.POSITIVE_INFINITY
        if (at < oldestAt) [oldest, oldestAt] = [history, at]
      }
      if (oldest === undefined) return
      oldest.dropOldest()
    }
  }
  const stopCounting = quota?.add('history', { bytes: bytesOnDisk, giveUp })

  const keepOnDisk = (disk: ChannelHistory, ...one: Parameters<ChannelHistory['keep']>): void => {
    const [series, range, { length }] = one
    // Nothing is given up for what is held already.
    if (disk.holds(series, range)) return
    if (quota?.fits(length) === false) unkept += 1
    else if (disk.keep(...one)) quota?.recordGrowth(length)
  }

  return {
    keep(series, range, bytes, sentAt, ageMs = 0) {
      const disk = isFiled(series.word) ? filed(series.word) : undefined
      if (disk !== undefined) return keepOnDisk(disk, series, range, bytes, sentAt, ageMs)
      inMemory.keep(series, range, bytes, sentAt, ageMs)
    },
    find(series, range) {
      const { word } = series
      if (isFiled(word) && !onDisk.has(word)) return look(word, (disk) => disk.find(series, range), NOTHING)
      const found = isFiled(word) ? onDisk.get(word) : inMemory.words.get(word)
      return found?.find(series, range) ?? NOTHING
    },
    list: async (word, since) =>
      isFiled(word) ? look(word, (disk) => disk.list(since), []) : (inMemory.words.get(word)?.list(since) ?? []),
    figures: () => ({
      ...sum([...inMemory.words.values(), ...onDisk.values()].map((history) => history.figures())),
      unkept,
    }),
    async close() {
      stopCounting?.()
      await Promise.all([...onDisk.values()].map((history) => history.close()))
    },
  }
}
