/**
 * Brings back batches that a broken connection or a dead publisher took along.
 *
 * Three signs that some are missing: a gap in the numbers; a publisher that left, whose last batches others may have;
 * a publisher that came back. The publisher is asked first, where it is there, then neighbours that hear the topic
 * (method `fetch` of protocol `events`), a few times. What comes is checked like gossip, its signature included, and is
 * delivered late. Holders keep some seconds (holding.ts): this mends a broken moment, it is no history.
 *
 * State: where each series stood that was heard lately, at most MAX_SERIES, and which are being asked for.
 */
import type { Member, Port, Stop } from '../port.ts'
import { HOLD_MS, type Series } from './holding.ts'
import { eventsProtocol } from './protocol.ts'
import type { Range } from './seen.ts'

/** Asked in one attempt. */
const MAX_HOLDERS = 2
const ATTEMPTS = 3
/** Before the second attempt, and twice that before the third. */
const AGAIN_MS = 200
/** Asked for at one holder in one attempt. */
const MAX_RANGES = 64
/** Gaps of one series. */
const MAX_WANTS = 64
const OPEN_END = Number.MAX_SAFE_INTEGER
const MAX_SERIES = 1024
const MAX_JOBS = 256
/** Answers of one holder for one series: 16 of 256 KiB are all that it keeps. */
const MAX_ROUNDS = 16
/** After a publisher left: its last batches may still be on their way to the others, and not all shall ask at once. */
const LEFT_DELAY_MS = 100
const FETCH_TIMEOUT_MS = 2_000

export interface RepairHooks {
  /**
   * Checks one batch, which must be of this series and hold something of `range`, and delivers it.
   * @returns the range of its events, where they are here now; undefined for a batch that was refused
   */
  take(series: Series, range: Range, bytes: Uint8Array, ageMs: number): Promise<Range | undefined>
  /** Gossip topic of a word that this node hears; undefined for others. */
  topicOf(word: string): string | undefined
  /** Nobody had all events of a gap, or too many gaps were open. */
  unrepaired(word: string): void
}

export interface Repair {
  /** A batch was let in. */
  heard(series: Series, range: Range): void
  /** This node hears the word no more: what it does not hear from now on is not missed. */
  forget(word: string): void
  /** Events did not come. */
  gap(series: Series, missing: Range): void
  stop(): void
}

interface Tail {
  readonly series: Series
  next: number
  at: number
}

/** A gap, or a tail: it ends at OPEN_END. */
interface Want extends Range {
  /** Begun so far. */
  readonly attempts: number
  /** Of the next attempt. */
  readonly at: number
  readonly asked: Set<string>
}

interface Job {
  wants: Want[]
  /** Ends the pause between two attempts. */
  wake: Stop
}

export type RepairPort = Pick<Port, 'clock' | 'timers' | 'log' | 'gossip' | 'members' | 'onMember' | 'to' | 'random'>

/** What of `ranges` lies outside of `taken`. */
const without = (ranges: readonly Range[], taken: Range): Range[] =>
  ranges
    .flatMap(({ from, to }) => [
      { from, to: Math.min(to, taken.from - 1) },
      { from: Math.max(from, taken.to + 1), to },
    ])
    .filter(({ from, to }) => from <= to)

const keyOf = ({ publisher, word, epoch }: Series): string => `${publisher} ${word} ${epoch}`

export const createRepair = (port: RepairPort, hooks: RepairHooks): Repair => {
  /** By publisher and word. */
  const tails = new Map<string, Tail>()
  const jobs = new Map<string, Job>()
  const timers = new Set<Stop>()
  let stopped = false
  const random = (): number => (port.random(1)[0] ?? 0) / 256

  /** The publisher, where it is there and was not asked; then others, those first that were not asked. */
  const holders = (publisher: string, topic: string, asked: ReadonlySet<string>): string[] => {
    const members = new Set(port.members().map(({ id }) => id))
    if (members.has(publisher) && !asked.has(publisher)) return [publisher]
    const others = port.gossip.subscribers(topic).filter((id) => members.has(id))
    const start = Math.floor(random() * others.length)
    const turned = [...others.slice(start), ...others.slice(0, start)]
    const isAsked = (id: string): number => (asked.has(id) ? 1 : 0)
    return turned.toSorted((a, b) => isAsked(a) - isAsked(b)).slice(0, MAX_HOLDERS)
  }

  const pause = (job: Job, ms: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        stop()
        timers.delete(end)
        resolve()
      }
      const stop = port.timers.after(ms, end)
      timers.add(end)
      job.wake = end
    })

  /** Fetches what `holder` has of `range`. @returns the ranges that came */
  const askOne = async (holder: string, series: Series, range: Range): Promise<Range[]> => {
    const came: Range[] = []
    let { from } = range
    for (let round = 0; round < MAX_ROUNDS && !stopped && from <= range.to; round += 1) {
      const request = { ...series, from, to: range.to }
      const { batches, more } = await port.to(holder, eventsProtocol).fetch(request, { timeoutMs: FETCH_TIMEOUT_MS })
      const before = from
      for (const { bytes, ageMs } of batches) {
        const taken = await hooks.take(series, range, bytes, ageMs)
        if (taken === undefined) continue
        came.push(taken)
        from = Math.max(from, taken.to + 1)
      }
      if (!more || from === before) break
    }
    return came
  }

  /** Asks some holders for what is still missing. @returns what came */
  const askSome = async (series: Series, want: Want): Promise<Range[]> => {
    const topic = hooks.topicOf(series.word)
    if (topic === undefined) return []
    const came: Range[] = []
    for (const holder of holders(series.publisher, topic, want.asked)) {
      want.asked.add(holder)
      const left = came.reduce<Range[]>(without, [want])
      if (left.length === 0 || stopped) break
      try {
        for (const range of left.slice(0, MAX_RANGES)) came.push(...(await askOne(holder, series, range)))
      } catch (error) {
        if (!stopped) port.log.info('a neighbour could not be asked for events', { peer: holder, error })
      }
    }
    return came
  }

  /** What of a wanted range is still missing, to be asked for later; nothing where it was asked for often enough. */
  const rest = (series: Series, want: Want, came: readonly Range[]): Want[] => {
    const attempts = want.attempts + 1
    const isTail = want.to === OPEN_END
    const left = came.reduce<Range[]>(without, [want])
    // Whoever has some of a tail has all of it.
    if (left.length === 0 || (isTail && came.length > 0)) return []
    if (attempts >= ATTEMPTS) {
      if (!isTail) hooks.unrepaired(series.word)
      return []
    }
    const at = port.clock.monotonic() + AGAIN_MS * attempts * (1 + random())
    return left.map(({ from, to }) => ({ from, to, attempts, at, asked: want.asked }))
  }

  /** Others may be fetching it as well, and have it a little later: asks again, and others. */
  const work = async (series: Series, job: Job): Promise<void> => {
    while (job.wants.length > 0 && !stopped) {
      const now = port.clock.monotonic()
      const due = job.wants.find(({ at }) => at <= now)
      if (due === undefined) {
        await pause(job, Math.max(1, Math.min(...job.wants.map(({ at }) => at)) - now))
        continue
      }
      job.wants = job.wants.filter((want) => want !== due)
      const came = await askSome(series, due)
      if (jobs.get(keyOf(series)) !== job || stopped) return
      job.wants.push(...rest(series, due, came))
    }
    if (jobs.get(keyOf(series)) === job) jobs.delete(keyOf(series))
  }

  const ask = (series: Series, from: number, to: number): void => {
    if (stopped) return
    const key = keyOf(series)
    const want: Want = { from, to, attempts: 0, at: 0, asked: new Set() }
    const running = jobs.get(key)
    if (running !== undefined && running.wants.length < MAX_WANTS) {
      // A tail that is asked for again is one tail.
      if (to === OPEN_END) running.wants = running.wants.filter((other) => other.to !== OPEN_END)
      running.wants.push(want)
      running.wake()
    } else if (running !== undefined || jobs.size >= MAX_JOBS) hooks.unrepaired(series.word)
    else {
      const job: Job = { wants: [want], wake: () => {} }
      jobs.set(key, job)
      void work(series, job)
    }
  }

  /** Asks for whatever followed the last batch that came from `publisher`. */
  const askForTails = (publisher: string): void => {
    const oldest = port.clock.monotonic() - HOLD_MS
    for (const { series, next, at } of tails.values()) {
      if (series.publisher === publisher && at > oldest) ask(series, next, OPEN_END)
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
      tails.set(key, { series, next: to + 1, at })
      if (tails.size <= MAX_SERIES) return
      let oldest: [string, Tail] | undefined
      for (const entry of tails) if (oldest === undefined || entry[1].at < oldest[1].at) oldest = entry
      if (oldest !== undefined) tails.delete(oldest[0])
    },
    forget(word) {
      for (const [key, { series }] of tails) if (series.word === word) tails.delete(key)
      for (const [key, job] of jobs) {
        if (key.split(' ')[1] !== word) continue
        jobs.delete(key)
        job.wants = []
        job.wake()
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
