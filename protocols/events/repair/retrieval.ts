/**
 * Brings events that are missing: from this node's own history, from their publisher, from any neighbour (method `fetch` of
 * protocol `events`).
 *
 * In rounds with growing pauses, since others may be fetching the same and have it a little later; in each round all who are
 * connected are asked (history-holders.ts), until somebody has what comes first. Events are gone for good when all who can
 * be asked have said in several rounds that they do not have them, and one of them is sure: the publisher, which also counts
 * as sure where it cannot answer such questions at all, or one that gave them up itself (inquiry.ts). Where nobody is, after
 * `gapMs`: the publisher may come back. What a neighbour gives is checked like gossip, its signature included, and kept like
 * it.
 *
 * State: the pauses that run; who holds what (history-holders.ts).
 */
import { isParleyError } from '../../errors.ts'
import type { Member, Port, Stop } from '../../port.ts'
import { batchRange, type VerifiedBatch } from '../batch/batch-decoder.ts'
import type { History } from '../history/history.ts'
import { eventsProtocol } from '../protocol.ts'
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'
import { createHistoryHolders, type HistoryHolders } from './history-holders.ts'
import { Inquiry, MAX_UNANSWERED } from './inquiry.ts'

/** Before the second round; twice that before each one more. */
const AGAIN_MS = 200
const MAX_PAUSE_MS = 3_000
const FETCH_TIMEOUT_MS = 2_000
const TAIL_TIMEOUT_MS = 1_000
/** Also where the time is over in which others wait: who is here gets the time to answer once. */
const LEAST_TIMEOUT_MS = 1_000

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
  /** For an open end: rounds after which nothing more is expected, where the publisher has answered; 1 unless told. */
  readonly tailRounds?: number
  /** False once nobody waits for it any more. */
  needed(): boolean
}

export interface RetrievalHooks {
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

export type RetrievalPort = Pick<
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

interface Found {
  /** What begins first of what is held anywhere. */
  readonly batches: readonly VerifiedBatch[]
  readonly fetched: boolean
}

const firstOf = ({ batches }: Found): number => batches[0]?.batch.first ?? OPEN_END

/** What is asked for: the same in all rounds. */
interface Request {
  readonly series: EventSeries
  readonly range: SequenceRange
  readonly inquiry: Inquiry
  needed(): boolean
  leftMs(): number
}

export class Retrieval {
  readonly #port: RetrievalPort
  readonly #history: Pick<History, 'find'>
  readonly #settings: { readonly gapMs: number }
  readonly #hooks: RetrievalHooks
  readonly #holders: HistoryHolders
  /** Ends the pauses between rounds. */
  readonly #wakes = new Set<() => void>()
  readonly #stops: readonly Stop[]
  #stopped = false

  constructor(
    port: RetrievalPort,
    history: Pick<History, 'find'>,
    settings: { readonly gapMs: number },
    hooks: RetrievalHooks,
  ) {
    this.#port = port
    this.#history = history
    this.#settings = settings
    this.#hooks = hooks
    this.#holders = createHistoryHolders(port, hooks.topicOf)
    // Somebody more can be asked.
    this.#stops = [
      port.onMember((_member: Member, change) => {
        if (change === 'joined') this.#wakeAll()
      }),
      port.gossip.onSubscriptions(() => this.#wakeAll()),
    ]
  }

  /** The first events of `range` that are to be had; for an open end nothing at all says that nothing follows. */
  async retrieve(
    series: EventSeries,
    range: SequenceRange,
    { tailRounds = 1, needed, since }: RetrieveOptions,
  ): Promise<Retrieved> {
    let best = await this.#findOwn(series, range)
    if (firstOf(best) <= range.from) return this.#answer(undefined, best)
    const { clock } = this.#port
    const startedAt = clock.monotonic()
    const leftMs = (): number => Math.min(since ?? startedAt, startedAt) + this.#settings.gapMs - clock.monotonic()
    const inquiry = new Inquiry(series, range, series.publisher === this.#port.self.id)
    const request: Request = { series, range, inquiry, needed, leftMs }
    for (let round = 1; !this.#stopped && needed(); round += 1) {
      inquiry.startRound()
      best = await this.#askAll(request, best)
      if (this.#stopped || !needed()) return NOTHING
      const foundFrom = firstOf(best)
      if (foundFrom <= range.from) return this.#answer(undefined, best)
      const areAllAsked = this.#holders.allAsked(inquiry.asked, inquiry.unable)
      const elapsedMs = clock.monotonic() - startedAt
      const outcome = inquiry.afterRound({ round, foundFrom, areAllAsked, elapsedMs, leftMs: leftMs(), tailRounds })
      if (outcome.kind === 'nothing') return NOTHING
      if (outcome.kind === 'gone') return this.#answer({ from: range.from, to: outcome.to }, best)
      await this.#pause(round, leftMs())
      // Gossip may have brought it meanwhile.
      if (this.#stopped || !needed()) return NOTHING
      const here = await this.#findOwn(series, range)
      if (firstOf(here) < firstOf(best)) best = here
      if (firstOf(best) <= range.from) return this.#answer(undefined, best)
    }
    return NOTHING
  }

  /** This neighbour says that it holds some of the series. */
  holds(series: EventSeries, peer: string): void {
    this.#holders.holds(series, peer)
  }

  stop(): void {
    this.#stopped = true
    for (const stop of this.#stops) stop()
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of [...this.#wakes]) wake()
  }

  #pause(round: number, leftMs: number): Promise<void> {
    const random = (this.#port.random(1)[0] ?? 0) / 256
    const pauseMs = Math.min(MAX_PAUSE_MS, AGAIN_MS * 2 ** (round - 1)) * (0.75 + random / 2)
    return new Promise((resolve) => {
      let stop: Stop = () => undefined
      const end = (): void => {
        stop()
        this.#wakes.delete(end)
        resolve()
      }
      stop = this.#port.timers.after(Math.max(1, Math.min(pauseMs, leftMs)), end)
      this.#wakes.add(end)
    })
  }

  #answer(gone: SequenceRange | undefined, { batches, fetched }: Found): Retrieved {
    if (fetched) for (const proven of batches) this.#hooks.keep(proven)
    return { gone, batches, fetched }
  }

  async #findOwn(series: EventSeries, range: SequenceRange): Promise<Found> {
    const { batches } = await this.#history.find(series, range)
    const opened = batches
      .map(({ bytes, ageMs }) => this.#hooks.decode(bytes, ageMs))
      .filter((one) => one !== undefined)
    return { batches: unbroken(opened), fetched: false }
  }

  /** Asks all, until somebody has what comes first. @returns the best of what came and of what was here */
  async #askAll(request: Request, here: Found): Promise<Found> {
    const { series, range, inquiry, needed, leftMs } = request
    let best = here
    for (const group of this.#holders.groups(series, inquiry.asked, inquiry.unable, range.to === OPEN_END)) {
      if (this.#stopped || !needed()) return best
      const limitMs = Math.max(LEAST_TIMEOUT_MS, leftMs())
      const given = await Promise.all(
        group.map(async (holder) => ({ holder, batches: await this.#ask(holder, request, limitMs) })),
      )
      for (const { holder, batches } of given) {
        if (batches.length === 0 || firstOf({ batches, fetched: true }) >= firstOf(best)) continue
        best = { batches, fetched: true }
        this.#holders.gave(series, holder)
      }
      if (firstOf(best) <= range.from) return best
    }
    return best
  }

  /** Asks one and notes what it said. @returns what came, in order */
  async #ask(holder: string, { series, range, inquiry }: Request, limitMs: number): Promise<readonly VerifiedBatch[]> {
    const unanswered = inquiry.markAsked(holder)
    try {
      // A page takes its time on a slow link.
      const baseMs = range.to === OPEN_END ? TAIL_TIMEOUT_MS : FETCH_TIMEOUT_MS
      const timeoutMs = Math.min(baseMs * 2 ** Math.min(unanswered, MAX_UNANSWERED), limitMs)
      const { batches, goneTo } = await this.#port
        .to(holder, eventsProtocol)
        .fetch({ ...series, from: range.from, to: range.to }, { timeoutMs: Math.max(1, timeoutMs) })
      const proven = await Promise.all(
        batches.map(({ bytes, ageMs }) => this.#hooks.verify(series, range, bytes, ageMs)),
      )
      inquiry.markAnswered(holder, goneTo)
      return unbroken(proven.filter((one) => one !== undefined).toSorted((a, b) => a.batch.first - b.batch.first))
    } catch (error) {
      if (!this.#stopped) this.#port.log.info('a neighbour could not be asked for events', { peer: holder, error })
      if (isParleyError(error, 'MSG004')) inquiry.markUnable(holder)
      else inquiry.markSilent(holder, this.#holders.isLikely(series, holder))
      return []
    }
  }
}
