/**
 * The history: the signed batches that this node published or heard, as they came, so that it can prove them to whoever
 * missed them or came late. Bounded for each first word, by its rule in the settings, and in memory over all words.
 *
 * In memory unless a rule says `disk` and there is a data directory. Batches that come while a word's files are still
 * being opened wait in memory. What is on disk gives way where the quota of the disk is used up. State: soft, but for the
 * files.
 */
import type { Log } from '../port.ts'
import type { Quota } from '../quota.ts'
import type { EventStore, Found, Held, HistoryBounds, WordHistory } from './history-store.ts'
import { createMemoryHistory, type MemoryHistory } from './memory-history.ts'
import { HistoryRule } from './options.ts'
import type { Range, Series } from './series.ts'
import { firstWord, isFirstWord, isOpen } from './topic.ts'

export interface History {
  keep(series: Series, range: Range, bytes: Uint8Array, sentAt: number): void
  /** The batches that hold events of `range`, in order; from memory at once. */
  find(series: Series, range: Range): Found | Promise<Found>
  list(word: string, since?: number | undefined): Promise<Held[]>
  /** @returns with `unkept`: batches for which the quota of the disk had no room */
  figures(): { bytes: number; events: number; unkept: number }
  close(): Promise<void>
}

const NOTHING: Found = { batches: [], more: false }
const sum = (all: Iterable<{ bytes: number; events: number }>): { bytes: number; events: number } => {
  const total = { bytes: 0, events: 0 }
  for (const { bytes, events } of all) {
    total.bytes += bytes
    total.events += events
  }
  return total
}

/** The files of one word; what comes before they are open waits, at most `bounds.maxBytes` of it. */
const createFiled = (word: string, bounds: HistoryBounds, store: EventStore, log: Log): WordHistory => {
  let open: WordHistory | undefined
  let early: { series: Series; range: Range; bytes: Uint8Array; sentAt: number }[] = []
  let earlyBytes = 0
  const opening = store.open(word, bounds).then(
    (opened) => {
      open = opened
      for (const { series, range, bytes, sentAt } of early) opened.keep(series, range, bytes, sentAt)
      early = []
    },
    (error: unknown) => {
      early = []
      log.error('the history of a word cannot be opened; nothing of it is kept', { word, error })
    },
  )
  return {
    keep(series, range, bytes, sentAt) {
      if (open !== undefined) return open.keep(series, range, bytes, sentAt)
      if (earlyBytes + bytes.length > bounds.maxBytes) return
      earlyBytes += bytes.length
      early.push({ series, range, bytes, sentAt })
    },
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

export const createHistory = (
  settings: { maxHeldBytes: number; maxWords: number; history: readonly HistoryRule[] },
  store: EventStore | undefined,
  monotonic: () => number,
  log: Log,
  quota?: Quota,
): History => {
  const inMemory = new Map<string, MemoryHistory>()
  const onDisk = new Map<string, WordHistory>()
  let unkept = 0
  const general = settings.history.find(({ topic }) => isOpen(topic))
  const byWord = new Map(settings.history.map((rule) => [firstWord(rule.topic), rule]))
  const defaults: HistoryBounds = HistoryRule.parse({ topic: '#' })

  const ruleOf = (word: string): HistoryRule | undefined => byWord.get(word) ?? general
  const isFiled = (word: string): boolean => store !== undefined && ruleOf(word)?.store === 'disk'

  /** Its files are opened when they are first asked for. */
  const filed = (word: string): WordHistory | undefined => {
    const known = onDisk.get(word)
    const rule = ruleOf(word)
    if (known !== undefined || rule === undefined || store === undefined) return known
    // The name of a folder, told by a peer.
    if (!isFirstWord(word) || onDisk.size >= settings.maxWords) return undefined
    const made = createFiled(word, rule, store, log)
    onDisk.set(word, made)
    return made
  }

  const memory = (word: string): MemoryHistory => {
    let made = inMemory.get(word)
    if (made === undefined) {
      if (inMemory.size >= settings.maxWords) {
        for (const [name, history] of inMemory) if (history.figures().bytes === 0) inMemory.delete(name)
        const [oldest] = inMemory.keys()
        if (inMemory.size >= settings.maxWords && oldest !== undefined) inMemory.delete(oldest)
      }
      made = createMemoryHistory(ruleOf(word) ?? defaults, monotonic)
      inMemory.set(word, made)
    }
    return made
  }

  /** At least what is in memory: counted anew where it seems too much. */
  let estimate = 0

  /** Where all words together are too much, the largest gives up its oldest. */
  const trim = (added: number): void => {
    estimate += added
    while (estimate > settings.maxHeldBytes) {
      let total = 0
      let largest: MemoryHistory | undefined
      let most = 0
      for (const history of inMemory.values()) {
        const { bytes } = history.figures()
        total += bytes
        if (bytes > most) [most, largest] = [bytes, history]
      }
      estimate = total
      if (total > settings.maxHeldBytes) largest?.dropOldest()
    }
  }

  const bytesOnDisk = (): number => sum([...onDisk.values()].map((history) => history.figures())).bytes

  /** What was kept longest ago goes first, of whichever word. */
  const giveUp = (wanted: number): void => {
    const most = bytesOnDisk() - wanted
    while (bytesOnDisk() > most) {
      let [oldest, oldestAt]: [WordHistory | undefined, number] = [undefined, Number.POSITIVE_INFINITY]
      for (const history of onDisk.values()) {
        const at = history.oldestAt() ?? Number.POSITIVE_INFINITY
        if (at < oldestAt) [oldest, oldestAt] = [history, at]
      }
      if (oldest === undefined) return
      oldest.dropOldest()
    }
  }
  const stopCounting = quota?.add('history', { bytes: bytesOnDisk, giveUp })

  const keepOnDisk = (disk: WordHistory, series: Series, range: Range, bytes: Uint8Array, sentAt: number): void => {
    if (quota?.fits(bytes.length) === false) {
      unkept += 1
      return
    }
    quota?.grew(bytes.length)
    disk.keep(series, range, bytes, sentAt)
  }

  return {
    keep(series, range, bytes, sentAt) {
      const disk = isFiled(series.word) ? filed(series.word) : undefined
      if (disk !== undefined) return keepOnDisk(disk, series, range, bytes, sentAt)
      if (bytes.length > settings.maxHeldBytes) return
      memory(series.word).keep(series, range, bytes, sentAt)
      trim(bytes.length)
    },
    find(series, range) {
      const found = isFiled(series.word) ? filed(series.word) : inMemory.get(series.word)
      return found?.find(series, range) ?? NOTHING
    },
    async list(word, since) {
      const disk = isFiled(word) ? filed(word) : undefined
      // Waits until its files are open.
      if (disk !== undefined) await disk.find({ publisher: '', word, epoch: 0 }, { from: 1, to: 1 })
      return disk?.list(since) ?? inMemory.get(word)?.list(since) ?? []
    },
    figures: () => ({ ...sum([...inMemory.values(), ...onDisk.values()].map((history) => history.figures())), unkept }),
    async close() {
      stopCounting?.()
      await Promise.all([...onDisk.values()].map((history) => history.close()))
    },
  }
}
