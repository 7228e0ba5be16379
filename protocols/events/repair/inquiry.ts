/**
 * What those who were asked for one range have said, and what follows from it after each round. Pure: no clock, no calls.
 */
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'

/** In which all must have said that they do not have it. */
export const RETRIEVE_ROUNDS = 4
/** Those rounds take at least as long, though each newcomer cuts a pause short. */
const SURE_MS = 1_000
/** Calls in a row after which one that does not answer counts as not there. */
export const MAX_UNANSWERED = 3

/** How a round ended in which nobody gave the first number of the range. */
export interface RoundEnd {
  /** From 1 on. */
  readonly round: number
  /** The lowest number that somebody gave, or that is here; OPEN_END where there is none. */
  readonly foundFrom: number
  /** Nobody is connected and able that was not asked. */
  readonly areAllAsked: boolean
  /** Since the first round began. */
  readonly elapsedMs: number
  /** Until the time is over in which others wait for the answer. */
  readonly leftMs: number
  /** For an open end: rounds after which nothing more is expected, where the publisher has answered. */
  readonly tailRounds: number
}

export type RoundOutcome =
  /** Nothing follows what is known. */
  | { readonly kind: 'nothing' }
  /** What is missing is gone for good, up to this number. */
  | { readonly kind: 'gone'; readonly to: number }
  /** All are asked again, after a pause. */
  | { readonly kind: 'again' }

export class Inquiry {
  /** How often each neighbour was asked. */
  readonly asked = new Map<string, number>()
  /** Neighbours that do not know the method. */
  readonly unable = new Set<string>()
  readonly #series: EventSeries
  readonly #range: SequenceRange
  readonly #isOwn: boolean
  /** Calls in a row that a neighbour did not answer. */
  readonly #unanswered = new Map<string, number>()
  /** In this round: up to where somebody is sure that all is gone. */
  #sureTo = 0
  /** In this round: neighbours that did not answer and may yet. */
  #silent = 0
  /** In this round: the publisher has answered, or cannot. */
  #publisherAnswered = false

  /** @param isOwn this node is the publisher: what it said itself it knows */
  constructor(series: EventSeries, range: SequenceRange, isOwn: boolean) {
    this.#series = series
    this.#range = range
    this.#isOwn = isOwn
  }

  startRound(): void {
    const isUnable = this.unable.has(this.#series.publisher)
    this.#sureTo = isUnable ? this.#range.to : 0
    this.#silent = 0
    this.#publisherAnswered = this.#isOwn || isUnable
  }

  /** @returns calls in a row that it did not answer before this one */
  markAsked(peer: string): number {
    this.asked.set(peer, (this.asked.get(peer) ?? 0) + 1)
    return this.#unanswered.get(peer) ?? 0
  }

  /** @param goneTo up to where it is sure that what it did not give is gone; the publisher knows, also one that does not say so */
  markAnswered(peer: string, goneTo: number | undefined): void {
    this.#unanswered.delete(peer)
    this.#markSure(peer, goneTo ?? (peer === this.#series.publisher ? this.#range.to : 0))
  }

  /** It does not know the method: of a publisher, nobody can be surer. */
  markUnable(peer: string): void {
    this.unable.add(peer)
    if (peer === this.#series.publisher) this.#markSure(peer, this.#range.to)
  }

  /** @param isLikely it has given some of the series, or says that it holds some */
  markSilent(peer: string, isLikely: boolean): void {
    const calls = (this.#unanswered.get(peer) ?? 0) + 1
    this.#unanswered.set(peer, calls)
    // What may follow is waited for only where somebody said that it does.
    if (calls < MAX_UNANSWERED && (this.#range.to !== OPEN_END || isLikely)) this.#silent += 1
  }

  afterRound({ round, foundFrom, areAllAsked, elapsedMs, leftMs, tailRounds }: RoundEnd): RoundOutcome {
    const { from, to } = this.#range
    const isLate = leftMs <= 0
    const haveAllAnswered = areAllAsked && this.#silent === 0
    if (to === OPEN_END && foundFrom === OPEN_END) {
      const isEnough = round >= (this.#publisherAnswered ? tailRounds : RETRIEVE_ROUNDS)
      return (isEnough && haveAllAnswered) || isLate ? { kind: 'nothing' } : { kind: 'again' }
    }
    const lastBefore = Math.min(to, foundFrom - 1)
    if (isLate) return { kind: 'gone', to: lastBefore }
    const isSure = round >= RETRIEVE_ROUNDS && elapsedMs >= SURE_MS && haveAllAnswered && this.#sureTo >= from
    return isSure ? { kind: 'gone', to: Math.min(lastBefore, this.#sureTo) } : { kind: 'again' }
  }

  #markSure(peer: string, to: number): void {
    this.#sureTo = Math.max(this.#sureTo, to)
    this.#publisherAnswered ||= peer === this.#series.publisher
  }
}
