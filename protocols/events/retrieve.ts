/**
 * Brings events that are missing: from this node's own history, from their publisher, from any neighbour that hears the
 * topic (method `fetch` of protocol `events`).
 *
 * The publisher is asked first, then two others at a time (all at once for what follows the last that is known), in several rounds with growing pauses: others may be fetching
 * the same and have it a little later. Events are gone for good when all who can be asked have said in several rounds that
 * they do not have them, and one of them is sure: the publisher, or one that gave them up itself. Where nobody is, after
 * `gapMs`: the publisher may come back. What a neighbour gives is checked like gossip, its signature included.
 *
 * State: who gave something last, of MAX_GIVERS series.
 */
import type { Member, Port, Stop } from '../port.ts'
import type { History } from './history.ts'
import { eventsProtocol } from './protocol.ts'
import { type OpenBatch, rangeOf } from './read-batch.ts'
import { keyOf, OPEN_END, type Range, type Series } from './series.ts'

/** In which all must have said that they do not have it. */
export const ROUNDS = 4
/** Those rounds take at least as long, though each newcomer cuts a pause short. */
const SURE_MS = 1_000
/** Before the second round; twice that before each one more. */
const AGAIN_MS = 200
const MAX_PAUSE_MS = 3_000
/** Others than the publisher that are asked in one round; of a life that may have ended, fewer. */
const MAX_HOLDERS = 24
const TAIL_HOLDERS = 8
const AT_ONCE = 2
const FETCH_TIMEOUT_MS = 2_000
const TAIL_TIMEOUT_MS = 1_000
/** Calls in a row after which one that does not answer counts as not there. */
const MAX_SILENCES = 3
const MAX_GIVERS = 256

/** A batch that is proven to be its publisher's. */
export interface Proven {
  readonly batch: OpenBatch
  readonly bytes: Uint8Array
  /** Monotonic: since then this node or the one that gave it has had it. */
  readonly arrivedAt: number
}

export interface Answer {
  /** These are nowhere to be had. */
  readonly gone: Range | undefined
  /** What follows `gone`, or what was asked for. */
  readonly batches: readonly Proven[]
  /** Given by another node. */
  readonly fetched: boolean
}

export interface Asking {
  /** For an open end: rounds after which nothing more is expected, where the publisher has answered. */
  readonly tailRounds?: number
  /** False once nobody waits for it any more. */
  needed(): boolean
}

export interface RetrieveHooks {
  /** Checks a batch that a neighbour gave; it must be of this series and hold something of `range`. */
  prove(series: Series, range: Range, bytes: Uint8Array, ageMs: number): Promise<Proven | undefined>
  /** Opens a batch out of this node's own history. */
  open(bytes: Uint8Array, ageMs: number): Proven | undefined
  topicOf(word: string): string
}

export interface Retrieve {
  /** The first events of `range` that are to be had; for an open end nothing at all says that nothing follows. */
  (series: Series, range: Range, asking: Asking): Promise<Answer>
  stop(): void
}

export type RetrievePort = Pick<
  Port,
  'self' | 'clock' | 'timers' | 'log' | 'gossip' | 'members' | 'onMember' | 'to' | 'random'
>

const NOTHING: Answer = { gone: undefined, batches: [], fetched: false }

/** Those of `batches` that follow each other without a gap. */
const unbroken = (batches: readonly Proven[]): readonly Proven[] => {
  const end = batches.findIndex(({ batch }, index) => {
    const before = batches[index - 1]
    return before !== undefined && batch.first !== rangeOf(before.batch).to + 1
  })
  return end < 0 ? batches : batches.slice(0, end)
}

export const createRetrieve = (
  port: RetrievePort,
  history: Pick<History, 'find'>,
  gapMs: number,
  hooks: RetrieveHooks,
): Retrieve => {
  const givers = new Map<string, string>()
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

  /** Who is asked, together with whom. */
  const groups = (series: Series, isTail: boolean): string[][] => {
    const { publisher, word } = series
    const members = new Set(port.members().map(({ id }) => id))
    const giver = givers.get(keyOf(series))
    const first = [...new Set([giver ?? publisher, publisher])].filter((id) => members.has(id))
    const others = port.gossip.subscribers(hooks.topicOf(word)).filter((id) => members.has(id) && !first.includes(id))
    const start = Math.floor(random() * others.length)
    const turned = [...others.slice(start), ...others.slice(0, start)].slice(0, isTail ? TAIL_HOLDERS : MAX_HOLDERS)
    // Others wait for what follows a tail.
    if (isTail) return [[...first, ...turned]]
    const pairs = Array.from({ length: Math.ceil(turned.length / AT_ONCE) }, (_, index) =>
      turned.slice(index * AT_ONCE, (index + 1) * AT_ONCE),
    )
    return [...first.map((id) => [id]), ...pairs]
  }

  /** @returns what came, in order; undefined where the holder did not answer */
  const ask = async (
    holder: string,
    series: Series,
    range: Range,
    timeoutMs: number,
  ): Promise<{ came: readonly Proven[]; goneTo: number } | undefined> => {
    try {
      const request = { ...series, from: range.from, to: range.to }
      const { batches, goneTo } = await port.to(holder, eventsProtocol).fetch(request, { timeoutMs })
      const proven = await Promise.all(batches.map(({ bytes, ageMs }) => hooks.prove(series, range, bytes, ageMs)))
      const good = proven.filter((one) => one !== undefined).toSorted((a, b) => a.batch.first - b.batch.first)
      // The publisher knows, also one that does not say so.
      return { came: unbroken(good), goneTo: goneTo ?? (holder === series.publisher ? range.to : 0) }
    } catch (error) {
      if (!stopped) port.log.info('a neighbour could not be asked for events', { peer: holder, error })
      return undefined
    }
  }

  const remember = (series: Series, holder: string): void => {
    const key = keyOf(series)
    givers.delete(key)
    givers.set(key, holder)
    const [oldest] = givers.keys()
    if (givers.size > MAX_GIVERS && oldest !== undefined) givers.delete(oldest)
  }

  const own = async (series: Series, range: Range): Promise<readonly Proven[]> => {
    const { batches } = await history.find(series, range)
    return unbroken(batches.map(({ bytes, ageMs }) => hooks.open(bytes, ageMs)).filter((one) => one !== undefined))
  }

  const retrieve = async (series: Series, range: Range, { tailRounds, needed }: Asking): Promise<Answer> => {
    const isTail = range.to === OPEN_END
    const isFirst = ([first]: readonly Proven[]): boolean => first !== undefined && first.batch.first <= range.from
    /** What begins first of what is held anywhere. */
    let best = await own(series, range)
    let fetched = false
    if (isFirst(best)) return { gone: undefined, batches: best, fetched }
    const silences = new Map<string, number>()
    const startedAt = port.clock.monotonic()
    for (let round = 1; !stopped && needed(); round += 1) {
      let sureTo = 0
      // What this node said itself it knows.
      let heardPublisher = series.publisher === port.self.id
      let silent = 0
      for (const group of groups(series, isTail)) {
        if (stopped || !needed()) return NOTHING
        const timeoutMs = isTail ? TAIL_TIMEOUT_MS : FETCH_TIMEOUT_MS
        // A page takes its time on a slow link.
        const limitOf = (holder: string): number => timeoutMs * 2 ** (silences.get(holder) ?? 0)
        const answers = await Promise.all(
          group.map(async (holder) => ({ holder, answer: await ask(holder, series, range, limitOf(holder)) })),
        )
        for (const { holder, answer } of answers) {
          if (answer === undefined) {
            const times = (silences.get(holder) ?? 0) + 1
            silences.set(holder, times)
            if (times < MAX_SILENCES) silent += 1
            continue
          }
          silences.delete(holder)
          sureTo = Math.max(sureTo, answer.goneTo)
          heardPublisher ||= holder === series.publisher
          const { came } = answer
          const [first] = came
          if (first !== undefined && (best[0] === undefined || first.batch.first < best[0].batch.first)) {
            best = came
            fetched = true
            remember(series, holder)
          }
        }
        if (isFirst(best)) return { gone: undefined, batches: best, fetched }
      }
      const [first] = best
      const lastBefore = Math.min(range.to, (first?.batch.first ?? OPEN_END) - 1)
      const waitedMs = port.clock.monotonic() - startedAt
      const isSure = round >= ROUNDS && waitedMs >= SURE_MS && silent === 0 && sureTo >= range.from
      if (isTail && first === undefined) {
        if (round >= (heardPublisher ? (tailRounds ?? 1) : ROUNDS)) return NOTHING
      } else if (isSure || waitedMs >= gapMs) {
        const to = waitedMs >= gapMs ? lastBefore : Math.min(lastBefore, sureTo)
        return { gone: { from: range.from, to }, batches: best, fetched }
      }
      const pauseMs = Math.min(MAX_PAUSE_MS, AGAIN_MS * 2 ** (round - 1)) * (0.75 + random() / 2)
      await pause(Math.max(1, Math.min(pauseMs, gapMs - waitedMs)))
      // Gossip may have brought it meanwhile.
      const here = needed() && !stopped ? await own(series, range) : []
      if (isFirst(here)) return { gone: undefined, batches: here, fetched: false }
      if (here[0] !== undefined && here[0].batch.first < (best[0]?.batch.first ?? OPEN_END)) {
        best = here
        fetched = false
      }
    }
    return NOTHING
  }

  return Object.assign(retrieve, {
    stop() {
      stopped = true
      for (const stop of stops) stop()
      wakeAll()
    },
  })
}
