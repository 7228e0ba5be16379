/**
 * Brings events that are missing: from this node's own history, from their publisher, from any neighbour (method `fetch` of
 * protocol `events`).
 *
 * In rounds with growing pauses, since others may be fetching the same and have it a little later; in each round all who are
 * connected are asked (holders.ts), until somebody has what comes first. Events are gone for good when all who can be asked
 * have said in several rounds that they do not have them, and one of them is sure: the publisher, which also counts as sure
 * where it cannot answer such questions at all, or one that gave them up itself. Where nobody is, after `gapMs`: the
 * publisher may come back. What a neighbour gives is checked like gossip, its signature included, and kept like it.
 *
 * State: holders.ts's; nothing beside those who wait.
 */
import { isParleyError } from '../../errors.ts'
import type { Member, Port, Stop } from '../../port.ts'
import { batchRange, type VerifiedBatch } from '../batch/batch-decoder.ts'
import type { History } from '../history/history.ts'
import { eventsProtocol } from '../protocol.ts'
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'
import { createHistoryHolders } from './history-holders.ts'

/** In which all must have said that they do not have it. */
export const RETRIEVE_ROUNDS = 4
/** Those rounds take at least as long, though each newcomer cuts a pause short. */
const SURE_MS = 1_000
/** Before the second round; twice that before each one more. */
const AGAIN_MS = 200
const MAX_PAUSE_MS = 3_000
const FETCH_TIMEOUT_MS = 2_000
const TAIL_TIMEOUT_MS = 1_000
/** Also where the time is over in which others wait: who is here gets the time to answer once. */
const LEAST_TIMEOUT_MS = 1_000
/** Calls in a row after which one that does not answer counts as not there. */
const MAX_SILENCES = 3

export interface Retrieved {
  /** These are nowhere to be had. */
  readonly gone: SequenceRange | undefined
  /** What follows `gone`, or what was asked for. */
  readonly batches: readonly VerifiedBatch[]
  /** Given by another node. */
  readonly fetched: boolean
}

export interface RetrieveOptions {
  /** Monotonic: since when others wait for the answer, or for one before it; from now on, unless told. */
  readonly since?: number | undefined
  /** For an open end: rounds after which nothing more is expected, where the publisher has answered. */
  readonly tailRounds?: number
  /** False once nobody waits for it any more. */
  needed(): boolean
}

export interface RetrieveHooks {
  /** Checks a batch that a neighbour gave; it must be of this series and hold something of `range`. */
  verify(
    series: EventSeries,
    range: SequenceRange,
    bytes: Uint8Array,
    ageMs: number,
  ): Promise<VerifiedBatch | undefined>
  /** Keeps what was given. */
  keep(proven: VerifiedBatch): void
  /** Opens a batch out of this node's own history. */
  decode(bytes: Uint8Array, ageMs: number): VerifiedBatch | undefined
  topicOf(word: string): string
}

export interface Retrieve {
  /** The first events of `range` that are to be had; for an open end nothing at all says that nothing follows. */
  (series: EventSeries, range: SequenceRange, asking: RetrieveOptions): Promise<Retrieved>
  /** This neighbour says that it holds some of the series. */
  holds(series: EventSeries, peer: string): void
  stop(): void
}

export type RetrievePort = Pick<
  Port,
  'self' | 'clock' | 'timers' | 'log' | 'gossip' | 'members' | 'onMember' | 'to' | 'random'
>

const NOTHING: Retrieved = { gone: undefined, batches: [], fetched: false }

/** Those of `batches` that follow each other without a gap. */
const unbroken = (batches: readonly VerifiedBatch[]): readonly VerifiedBatch[] => {
  const end = batches.findIndex(({ batch }, index) => {
    const before = batches[index - 1]
    return before !== undefined && batch.first !== batchRange(before.batch).to + 1
  })
  return end < 0 ? batches : batches.slice(0, end)
}

/** What is known of those who were asked for one range. */
interface Inquiry {
  readonly asked: Map<string, number>
  /** Cannot answer such questions. */
  readonly unable: Set<string>
  /** Did not answer so many times in a row. */
  readonly silences: Map<string, number>
  /** In this round: up to where somebody is sure that all is gone, how many may answer yet, whether the publisher did. */
  sureTo: number
  silent: number
  heardPublisher: boolean
}

interface Found {
  /** What begins first of what is held anywhere. */
  batches: readonly VerifiedBatch[]
  fetched: boolean
}

const firstOf = ({ batches }: Found): number => batches[0]?.batch.first ?? OPEN_END

export const createRetrieve = (
  port: RetrievePort,
  history: Pick<History, 'find'>,
  settings: { readonly gapMs: number },
  hooks: RetrieveHooks,
): Retrieve => {
  const holders = createHistoryHolders(port, hooks.topicOf)
  /** Ends the pauses between rounds. */
  const wakes = new Set<() => void>()
  let stopped = false
  const random = (): number => (port.random(1)[0] ?? 0) / 256
  const wakeAll = (): void => {
    for (const wake of [...wakes]) wake()
  }
  // Somebody more can be asked.
  const stops: Stop[] = [
    port.onMember((_member: Member, change) => {
      if (change === 'joined') wakeAll()
    }),
    port.gossip.onSubscriptions(wakeAll),
  ]

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      let stop: Stop = () => undefined
      const end = (): void => {
        stop()
        wakes.delete(end)
        resolve()
      }
      stop = port.timers.after(ms, end)
      wakes.add(end)
    })

  /** Asks one and notes what it said. @returns what came, in order */
  const ask = async (
    holder: string,
    series: EventSeries,
    range: SequenceRange,
    inquiry: Inquiry,
    limitMs: number,
  ): Promise<readonly VerifiedBatch[]> => {
    const { asked, unable, silences } = inquiry
    const isPublisher = holder === series.publisher
    const sure = (to: number): void => {
      inquiry.sureTo = Math.max(inquiry.sureTo, to)
      inquiry.heardPublisher ||= isPublisher
    }
    const silent = silences.get(holder) ?? 0
    asked.set(holder, (asked.get(holder) ?? 0) + 1)
    try {
      const isTail = range.to === OPEN_END
      // A page takes its time on a slow link.
      const timeoutMs = (isTail ? TAIL_TIMEOUT_MS : FETCH_TIMEOUT_MS) * 2 ** Math.min(silent, MAX_SILENCES)
      const request = { ...series, from: range.from, to: range.to }
      const { batches, goneTo } = await port
        .to(holder, eventsProtocol)
        .fetch(request, { timeoutMs: Math.max(1, Math.min(timeoutMs, limitMs)) })
      const proven = await Promise.all(batches.map(({ bytes, ageMs }) => hooks.verify(series, range, bytes, ageMs)))
      silences.delete(holder)
      // The publisher knows, also one that does not say so.
      sure(goneTo ?? (isPublisher ? range.to : 0))
      return unbroken(proven.filter((one) => one !== undefined).toSorted((a, b) => a.batch.first - b.batch.first))
    } catch (error) {
      if (!stopped) port.log.info('a neighbour could not be asked for events', { peer: holder, error })
      if (isParleyError(error, 'MSG004')) {
        unable.add(holder)
        if (isPublisher) sure(range.to)
      } else {
        silences.set(holder, silent + 1)
        // What may follow is waited for only where somebody said that it does.
        const counts = range.to !== OPEN_END || holders.isLikely(series, holder)
        if (silent + 1 < MAX_SILENCES && counts) inquiry.silent += 1
      }
      return []
    }
  }

  const own = async (series: EventSeries, range: SequenceRange): Promise<Found> => {
    const { batches } = await history.find(series, range)
    const opened = batches.map(({ bytes, ageMs }) => hooks.decode(bytes, ageMs)).filter((one) => one !== undefined)
    return { batches: unbroken(opened), fetched: false }
  }

  /** Asks all, until somebody has what comes first. @returns the best of what came and of what was here */
  const askAll = async (
    series: EventSeries,
    range: SequenceRange,
    inquiry: Inquiry,
    here: Found,
    leftMs: () => number,
    needed: () => boolean,
  ): Promise<Found> => {
    let best = here
    for (const group of holders.groups(series, inquiry.asked, inquiry.unable, range.to === OPEN_END)) {
      if (stopped || !needed()) return best
      const limitMs = Math.max(LEAST_TIMEOUT_MS, leftMs())
      const given = await Promise.all(
        group.map(async (holder) => ({ holder, batches: await ask(holder, series, range, inquiry, limitMs) })),
      )
      for (const { holder, batches } of given) {
        if (batches.length === 0 || firstOf({ batches, fetched: true }) >= firstOf(best)) continue
        best = { batches, fetched: true }
        holders.gave(series, holder)
      }
      if (firstOf(best) <= range.from) return best
    }
    return best
  }

  const answer = (gone: SequenceRange | undefined, { batches, fetched }: Found): Retrieved => {
    if (fetched) for (const proven of batches) hooks.keep(proven)
    return { gone, batches, fetched }
  }

  const retrieve = async (
    series: EventSeries,
    range: SequenceRange,
    { tailRounds, needed, since }: RetrieveOptions,
  ): Promise<Retrieved> => {
    const isTail = range.to === OPEN_END
    let best = await own(series, range)
    if (firstOf(best) <= range.from) return answer(undefined, best)
    const startedAt = port.clock.monotonic()
    const leftMs = (): number => Math.min(since ?? startedAt, startedAt) + settings.gapMs - port.clock.monotonic()
    const inquiry: Inquiry = {
      asked: new Map(),
      unable: new Set(),
      silences: new Map(),
      sureTo: 0,
      silent: 0,
      heardPublisher: false,
    }
    for (let round = 1; !stopped && needed(); round += 1) {
      // What this node said itself it knows.
      const isOwn = series.publisher === port.self.id
      Object.assign(inquiry, { sureTo: inquiry.unable.has(series.publisher) ? range.to : 0, silent: 0 })
      inquiry.heardPublisher = isOwn || inquiry.unable.has(series.publisher)
      best = await askAll(series, range, inquiry, best, leftMs, needed)
      if (stopped || !needed()) return NOTHING
      if (firstOf(best) <= range.from) return answer(undefined, best)
      const lastBefore = Math.min(range.to, firstOf(best) - 1)
      const isLate = leftMs() <= 0
      const areAllAsked = holders.allAsked(inquiry.asked, inquiry.unable)
      const isSure =
        round >= RETRIEVE_ROUNDS &&
        port.clock.monotonic() - startedAt >= SURE_MS &&
        inquiry.silent === 0 &&
        areAllAsked &&
        inquiry.sureTo >= range.from
      if (isTail && best.batches.length === 0) {
        const enough = round >= (inquiry.heardPublisher ? (tailRounds ?? 1) : RETRIEVE_ROUNDS)
        if ((enough && areAllAsked && inquiry.silent === 0) || isLate) return NOTHING
      } else if (isSure || isLate) {
        const to = isLate ? lastBefore : Math.min(lastBefore, inquiry.sureTo)
        return answer({ from: range.from, to }, best)
      }
      const pauseMs = Math.min(MAX_PAUSE_MS, AGAIN_MS * 2 ** (round - 1)) * (0.75 + random() / 2)
      await pause(Math.max(1, Math.min(pauseMs, leftMs())))
      // Gossip may have brought it meanwhile.
      if (stopped || !needed()) return NOTHING
      const here = await own(series, range)
      if (firstOf(here) < firstOf(best)) best = here
      if (firstOf(best) <= range.from) return answer(undefined, best)
    }
    return NOTHING
  }

  return Object.assign(retrieve, {
    holds: holders.holds,
    stop() {
      stopped = true
      for (const stop of stops) stop()
      wakeAll()
    },
  })
}
