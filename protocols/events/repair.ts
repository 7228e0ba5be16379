/**
 * Brings back batches that a broken connection or a dead publisher took along.
 *
 * Three signs that some are missing: a gap in the numbers; a publisher that left, whose last batches others may have;
 * a publisher that came back. The publisher is asked where it is there, otherwise up to MAX_HOLDERS neighbours that hear
 * the topic (method `fetch` of protocol `events`). What comes is checked like gossip, its signature included, and is
 * delivered late. Holders keep some seconds (holding.ts): this mends a broken moment, it is no history.
 *
 * State: where each series stood that was heard lately, at most MAX_SERIES, and which are being asked for.
 */
import type { Member, Port, Stop } from '../port.ts'
import { HOLD_MS, type Series } from './holding.ts'
import { eventsProtocol } from './protocol.ts'
import type { Range } from './seen.ts'

const MAX_HOLDERS = 2
const MAX_SERIES = 1024
const MAX_JOBS = 256
/** Answers of one holder for one series: 16 of 256 KiB are all that it keeps. */
const MAX_ROUNDS = 16
/** After a publisher left: its last batches may still be on their way to the others, and not all shall ask at once. */
const LEFT_DELAY_MS = 100
const FETCH_TIMEOUT_MS = 2_000

export interface RepairHooks {
  /** Checks one batch and delivers it. @returns the range of its events, and whether they were news */
  take(word: string, bytes: Uint8Array, ageMs: number): Promise<{ range: Range; isNew: boolean } | undefined>
  /** Gossip topic of a word that this node hears; undefined for others. */
  topicOf(word: string): string | undefined
  repaired(word: string, events: number): void
  /** Nobody had the events of a gap, or too many gaps were open. */
  unrepaired(word: string): void
}

export interface Repair {
  /** A batch was let in. */
  heard(series: Series, range: Range): void
  /** Events did not come. */
  gap(series: Series, missing: Range): void
  stop(): void
}

interface Tail {
  readonly series: Series
  next: number
  at: number
}

interface Job {
  from: number
  to: number
}

export type RepairPort = Pick<Port, 'clock' | 'timers' | 'log' | 'gossip' | 'members' | 'onMember' | 'to' | 'random'>

const keyOf = ({ publisher, word, epoch }: Series): string => `${publisher} ${word} ${epoch}`

export const createRepair = (port: RepairPort, hooks: RepairHooks): Repair => {
  /** By publisher and word, the one heard longest ago first. */
  const tails = new Map<string, Tail>()
  const jobs = new Map<string, Job>()
  const timers = new Set<Stop>()
  let stopped = false
  const random = (): number => (port.random(1)[0] ?? 0) / 256

  const holders = (publisher: string, topic: string): string[] => {
    const members = new Set(port.members().map(({ id }) => id))
    if (members.has(publisher)) return [publisher]
    const others = port.gossip.subscribers(topic).filter((id) => members.has(id))
    const start = Math.floor(random() * others.length)
    return [...others.slice(start), ...others.slice(0, start)].slice(0, MAX_HOLDERS)
  }

  /** Moves `job.from` behind what came. @returns how many events were news */
  const askOne = async (holder: string, series: Series, job: Job): Promise<number> => {
    let news = 0
    for (let round = 0; round < MAX_ROUNDS && !stopped && job.from <= job.to; round += 1) {
      const client = port.to(holder, eventsProtocol)
      const { batches, more } = await client.fetch({ ...series, ...job }, { timeoutMs: FETCH_TIMEOUT_MS })
      const before = job.from
      for (const { bytes, ageMs } of batches) {
        const taken = await hooks.take(series.word, bytes, ageMs)
        if (taken === undefined) continue
        job.from = Math.max(job.from, taken.range.to + 1)
        if (taken.isNew) news += taken.range.to - taken.range.from + 1
      }
      if (!more || job.from === before) break
    }
    return news
  }

  const run = async (series: Series, { from, to }: Job): Promise<void> => {
    const topic = hooks.topicOf(series.word)
    if (topic === undefined) return
    const job = { from, to }
    let news = 0
    for (const holder of holders(series.publisher, topic)) {
      try {
        news += await askOne(holder, series, job)
      } catch (error) {
        if (!stopped) port.log.info('a neighbour could not be asked for events', { peer: holder, error })
      }
    }
    if (news > 0) hooks.repaired(series.word, news)
    else if (to < Number.MAX_SAFE_INTEGER) hooks.unrepaired(series.word)
  }

  const start = async (series: Series, job: Job): Promise<void> => {
    for (;;) {
      const now = { ...job }
      await run(series, now)
      // Asked for meanwhile: once more, for all of it.
      if (stopped || (job.from >= now.from && job.to <= now.to)) break
    }
    jobs.delete(keyOf(series))
  }

  const ask = (series: Series, from: number, to: number): void => {
    if (stopped) return
    const running = jobs.get(keyOf(series))
    if (running !== undefined) {
      running.from = Math.min(running.from, from)
      running.to = Math.max(running.to, to)
      return
    }
    if (jobs.size >= MAX_JOBS) {
      hooks.unrepaired(series.word)
      return
    }
    const job = { from, to }
    jobs.set(keyOf(series), job)
    void start(series, job)
  }

  /** Asks for whatever followed the last batch that came from `publisher`. */
  const askForTails = (publisher: string): void => {
    const oldest = port.clock.monotonic() - HOLD_MS
    for (const { series, next, at } of tails.values()) {
      if (series.publisher === publisher && at > oldest) ask(series, next, Number.MAX_SAFE_INTEGER)
    }
  }

  const stopWatching = port.onMember(({ id }: Member, change: 'joined' | 'left') => {
    if (change === 'joined') return askForTails(id)
    const stop = port.timers.after(LEFT_DELAY_MS * (1 + random()), () => {
      timers.delete(stop)
      askForTails(id)
    })
    timers.add(stop)
  })

  return {
    heard(series, { to }) {
      const key = `${series.publisher} ${series.word}`
      const known = tails.get(key)
      const at = port.clock.monotonic()
      if (known?.series.epoch === series.epoch) {
        known.next = Math.max(known.next, to + 1)
        known.at = at
        return
      }
      tails.delete(key)
      tails.set(key, { series, next: to + 1, at })
      if (tails.size <= MAX_SERIES) return
      for (const oldest of tails.keys()) {
        tails.delete(oldest)
        break
      }
    },
    gap: (series, { from, to }) => ask(series, from, to),
    stop() {
      stopped = true
      stopWatching()
      for (const stop of timers) stop()
      timers.clear()
    },
  }
}
