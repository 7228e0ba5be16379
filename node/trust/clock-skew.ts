/**
 * How far the clocks of peers are from this one: measured when credentials are exchanged (admission.ts), and shown. One thing is
 * decided by it: a node whose clock was set, and now contradicts most of the peers that it agreed with, admits nobody new.
 * What peers tell decides nothing by itself: they agreed when they were admitted, so a clock that nobody set is well.
 *
 * A measurement is an interval that holds the true difference, as in NTP (RFC 5905, section 8): who asked knows it to half
 * of the time that the exchange took; who was asked, to half of the longest time that the question can have been under way.
 * State: one entry for each connected peer. Whoever is too far off is logged once, until it is well again.
 */
import { isParleyError } from '../../protocols/errors.ts'
import type { Clock, Log } from '../../protocols/port.ts'
import { DEFAULT_SKEW_MS } from '../../protocols/security/membership-claims.ts'

export interface ClockSkew {
  /** Their clock minus ours, milliseconds: above 0 theirs is ahead. */
  readonly skewMs: number
  /** The true difference is at most this far from it, milliseconds. */
  readonly errorMs: number
}

export interface PeerSkew extends ClockSkew {
  readonly peer: string
  readonly name: string
}

/** A measurement is made again after this time, so that a clock that was set meanwhile is noticed. */
const FRESH_MS = 600_000
/** A jump of this node's own clock by more than this makes all measurements void. */
const STEP_MS = 1_000
/** Names in one sentence. */
const MAX_NAMES = 3
/** Rows of the metric: one more would be summed up with others, which means nothing here. */
const MAX_ROWS = 50

/**
 * @param theirsMs their clock when they answered
 * @param nowMs our clock when the answer came
 * @param tookMs from our question to their answer
 */
export const askerSkew = (theirsMs: number, nowMs: number, tookMs: number): ClockSkew => ({
  skewMs: theirsMs + tookMs / 2 - nowMs,
  errorMs: tookMs / 2,
})

/**
 * @param theirsMs their clock when they wrote
 * @param nowMs our clock when it came
 * @param longestMs that it can have been under way
 */
export const answererSkew = (theirsMs: number, nowMs: number, longestMs: number): ClockSkew => ({
  skewMs: theirsMs + longestMs / 2 - nowMs,
  errorMs: longestMs / 2,
})

/** Refusals carry what one side saw when the credentials came, which may have been under way for some seconds. */
const REFUSED_ERROR_MS = 5_000

/** What a refusal for its time says (admission.ts): a member whose clock was set meanwhile is not parted from. */
export const refusedSkew = (error: unknown): ClockSkew | undefined => {
  if (!isParleyError(error, 'SEC001') || typeof error.details.skewMs !== 'number') return undefined
  const { skewMs } = error.details
  return { skewMs: error.remote ? -skewMs : skewMs, errorMs: REFUSED_ERROR_MS }
}

/** What is known now: a wide measurement that agrees with a narrow one adds nothing, one that contradicts it is newer. */
export const newerSkew = (before: ClockSkew | undefined, next: ClockSkew): ClockSkew => {
  if (before === undefined || next.errorMs <= before.errorMs) return next
  const isSame = Math.abs(before.skewMs - next.skewMs) <= before.errorMs + next.errorMs
  return isSame ? before : next
}

/** By how much it is beyond doubt, milliseconds. */
export const certainMs = ({ skewMs, errorMs }: ClockSkew): number => Math.max(0, Math.abs(skewMs) - errorMs)

/** `12.3 s ahead` */
export const skewText = (skewMs: number): string => {
  const seconds = Math.abs(skewMs) / 1000
  const size = seconds >= 100 ? seconds.toFixed(0) : seconds.toFixed(1)
  return `${size} s ${skewMs < 0 ? 'behind' : 'ahead'}`
}

const against = (skewMs: number, whom: string): string => `${skewText(skewMs)}${skewMs < 0 ? '' : ' of'} ${whom}`

/** What people read of those that are too far off; undefined where nobody is. Pure. */
export const skewProblem = (all: readonly PeerSkew[], maxSkewMs: number): string | undefined => {
  const far = all.filter((one) => certainMs(one) > maxSkewMs).sort((a, b) => Math.abs(b.skewMs) - Math.abs(a.skewMs))
  const [first, second] = far
  if (first === undefined) return undefined
  // Where most others agree with each other, it is this clock that is wrong.
  const isOwn =
    second !== undefined && far.length * 2 > all.length && far.every((one) => one.skewMs > 0 === first.skewMs > 0)
  if (isOwn)
    return `the clock of this node is up to ${against(-first.skewMs, `those of ${far.length} of ${all.length} peers`)}`
  if (second === undefined) return `the clock of ${first.name} is ${against(first.skewMs, "this node's")}`
  const names = far.slice(0, MAX_NAMES).map(({ name }) => name)
  const more = far.length > names.length ? ` and ${far.length - names.length} more` : ''
  return `the clocks of ${names.join(', ')}${more} differ from this node's by up to ${(Math.abs(first.skewMs) / 1000).toFixed(1)} s`
}

/** A measurement by this node's clock, which may have been set since. */
interface Dated extends ClockSkew {
  /** Our clock minus the monotonic one at that time. */
  readonly offsetMs: number
}

const skewNow = ({ skewMs, errorMs, offsetMs }: Dated, offsetNowMs: number): ClockSkew => {
  const stepMs = offsetNowMs - offsetMs
  return { skewMs: Math.abs(stepMs) > STEP_MS ? skewMs - stepMs : skewMs, errorMs }
}

/** How far this clock is from those of most peers, where that is too far; they agreed before it was set. Pure. */
export const ownError = (
  agreed: readonly ClockSkew[],
  limitMs: number,
): { aheadMs: number; peers: number; of: number } | undefined => {
  for (const sign of [1, -1]) {
    const far = agreed.filter((one) => certainMs(one) > limitMs && Math.sign(one.skewMs) === sign)
    if (far.length * 2 <= agreed.length) continue
    const largest = Math.max(...far.map(({ skewMs }) => Math.abs(skewMs)))
    return { aheadMs: -sign * largest, peers: far.length, of: agreed.length }
  }
  return undefined
}

interface Entry {
  name: string
  skew: ClockSkew
  /** Of the last time that the tokens of both were good. */
  agreed: Dated | undefined
  /** Monotonic. */
  measuredAt: number
  /** Our clock minus the monotonic one at that time. */
  offsetMs: number
  isFar: boolean
}

export interface ClockSkews {
  /** Of a peer whose credentials were accepted. */
  measured(peer: string, name: string, skew: ClockSkew): void
  /** Of a member whose credentials were refused for its time. */
  measuredOnRefusal(peer: string, name: string, skew: ClockSkew): void
  forget(peer: string): void
  get(peer: string): ClockSkew | undefined
  /** It was not measured for a while, or our own clock was set since. */
  isStale(peer: string): boolean
  all(): PeerSkew[]
  /** What does not work well meanwhile, for people. */
  problem(): string | undefined
  /** Why nobody new is admitted, where this node's own clock is wrong. */
  ownProblem(): string | undefined
  /** Seconds by agent name, the largest differences. */
  rows(): [name: string, seconds: number][]
  /** Seconds, without its sign. */
  largest(): number
}

export const createClockSkews = (
  deps: { clock: Clock; log: Log },
  { maxSkewMs, admissionTimeoutMs = 0 }: { maxSkewMs: number; admissionTimeoutMs?: number },
): ClockSkews => {
  const { clock, log } = deps
  const entries = new Map<string, Entry>()
  const offsetNow = (): number => clock.now() - clock.monotonic()

  const all = (): PeerSkew[] =>
    [...entries].map(([peer, { name, skew, offsetMs }]) => ({
      peer,
      name,
      ...skewNow({ ...skew, offsetMs }, offsetNow()),
    }))

  const note = (peer: string, name: string, next: ClockSkew, isAgreed: boolean): void => {
    const before = entries.get(peer)
    const offsetMs = offsetNow()
    const wasSet = before !== undefined && Math.abs(before.offsetMs - offsetMs) > STEP_MS
    const skew = newerSkew(wasSet ? undefined : before?.skew, next)
    const isFar = certainMs(skew) > maxSkewMs
    if (isFar && before?.isFar !== true)
      log.warn('the clock of a peer differs from this one', {
        peer,
        name,
        skewMs: Math.round(skew.skewMs),
        errorMs: Math.round(skew.errorMs),
        hint: 'set both clocks by NTP; beyond 60 s peers refuse each other',
      })
    const agreed = isAgreed ? { ...skew, offsetMs } : before?.agreed
    entries.set(peer, { name, skew, agreed, measuredAt: clock.monotonic(), offsetMs, isFar })
  }

  const ownProblem = (): string | undefined => {
    const agreed = [...entries.values()].flatMap((one) => (one.agreed === undefined ? [] : [one.agreed]))
    const found = ownError(
      agreed.map((one) => skewNow(one, offsetNow())),
      DEFAULT_SKEW_MS + admissionTimeoutMs,
    )
    if (found === undefined) return undefined
    const peers = `those of ${found.peers} of ${found.of} peers`
    return `the clock of this node was set and is ${against(found.aheadMs, peers)}: nobody new is admitted until they agree`
  }

  return {
    measured: (peer, name, skew) => note(peer, name, skew, true),
    measuredOnRefusal: (peer, name, skew) => note(peer, name, skew, false),
    forget: (peer) => void entries.delete(peer),
    get(peer) {
      const entry = entries.get(peer)
      return entry && skewNow({ ...entry.skew, offsetMs: entry.offsetMs }, offsetNow())
    },
    isStale(peer) {
      const entry = entries.get(peer)
      if (entry === undefined) return true
      return clock.monotonic() - entry.measuredAt >= FRESH_MS || Math.abs(entry.offsetMs - offsetNow()) > STEP_MS
    },
    all,
    problem: () => ownProblem() ?? skewProblem(all(), maxSkewMs),
    ownProblem,
    rows() {
      const largest = new Map<string, number>()
      for (const { name, skewMs } of all().sort((a, b) => Math.abs(b.skewMs) - Math.abs(a.skewMs))) {
        if (largest.size >= MAX_ROWS) break
        if (!largest.has(name)) largest.set(name, skewMs / 1000)
      }
      return [...largest]
    },
    largest: () => Math.max(0, ...all().map(({ skewMs }) => Math.abs(skewMs) / 1000)),
  }
}
