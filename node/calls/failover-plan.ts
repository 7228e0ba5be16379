/**
 * Which peer a call to any goes to next: candidates one after the other, each once, then all of them again a few times
 * where they were only busy or gone; and what time the next one gets. Pure: the caller waits, calls and says what came of
 * it. State: those of one call that were tried, and its deadline.
 */
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { isBreakerOpenError } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { mayFailOver, neverHandled } from '../../protocols/wire/caller/retry-policy.ts'
import type { ByteCallOptions } from './clients.ts'
import type { MethodCodec } from './method-codecs.ts'

const RETRY_ROUND_MS = 100
const MAX_ROUNDS = 3

/** What is done next: one peer is called, nobody for a while, or nothing any more. */
export type FailoverStep =
  | {
      readonly kind: 'call'
      readonly peer: string
      readonly timeoutMs: number
      /** How many attempts the peer gets: one while others are left, as many as there may be for the last one. */
      readonly attempts: 1 | undefined
      /** What is left of `maxMs`, where the call has that. */
      readonly maxMs: number | undefined
    }
  | { readonly kind: 'wait'; readonly delayMs: number }
  | { readonly kind: 'give-up'; readonly error: unknown }

/** One of those that were not tried, by their load; undefined where there is none. */
export type ChoosePeer = (candidates: readonly Candidate[], tried: ReadonlySet<string>) => Candidate | undefined

export const nobodyOffers = ({ protocol, major }: MethodCodec): ParleyError =>
  new ParleyError('COM004', `no agent in the mesh offers ${protocol} ${major}.x`, {
    hint: 'start an agent that serves it; `parley agents` lists what is offered',
  })

const noTime = ({ label }: MethodCodec['codec'], timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `the ${timeoutMs} ms for ${label} were over before it could be sent`, {
    hint: 'give it more time with timeoutMs',
    details: { sent: false },
  })

export class FailoverPlan {
  /** The first failure that another peer was asked for. */
  original: ParleyError | undefined
  /** By how much progress puts the deadline off, milliseconds. */
  readonly extendMs: number
  readonly #target: MethodCodec
  readonly #exclude: readonly string[]
  readonly #tried: Set<string>
  readonly #limitAt: number
  #deadlineAt: number
  #round = 1
  #last: unknown

  constructor(
    target: MethodCodec,
    options: Pick<ByteCallOptions, 'timeoutMs' | 'maxMs'>,
    exclude: readonly string[],
    nowMs: number,
  ) {
    this.#target = target
    this.#exclude = exclude
    this.#tried = new Set(exclude)
    this.extendMs = options.timeoutMs ?? target.codec.timeoutMs
    this.#limitAt = nowMs + (options.maxMs ?? Number.POSITIVE_INFINITY)
    this.#deadlineAt = Math.min(nowMs + this.extendMs, this.#limitAt)
  }

  leftMs(nowMs: number): number {
    return this.#deadlineAt - nowMs
  }

  /** Whoever has the call works on it: its time counts anew. */
  progressed(nowMs: number): void {
    this.#deadlineAt = Math.min(nowMs + this.extendMs, this.#limitAt)
  }

  next(candidates: readonly Candidate[], choose: ChoosePeer, nowMs: number): FailoverStep {
    const chosen = choose(candidates, this.#tried)
    if (chosen === undefined) return this.#nextRound(nowMs)
    const leftMs = this.leftMs(nowMs)
    if (leftMs <= 0) return { kind: 'give-up', error: this.#last ?? noTime(this.#target.codec, this.extendMs) }
    // While others are left to be asked, nobody is asked twice.
    const isLast = candidates.every(({ peer }) => peer === chosen.peer || this.#tried.has(peer))
    const maxMs = this.#limitAt === Number.POSITIVE_INFINITY ? undefined : this.#limitAt - nowMs
    return { kind: 'call', peer: chosen.peer, timeoutMs: Math.max(1, leftMs), attempts: isLast ? undefined : 1, maxMs }
  }

  /** @returns whether another peer may be asked instead */
  failed(peer: string, error: unknown): error is ParleyError {
    if (!mayFailOver(error, this.#target.codec.idempotent)) return false
    this.original ??= error
    this.#tried.add(peer)
    this.#last = error
    return true
  }

  /** All were tried. Those who were only busy, or restarted meanwhile, get another chance. */
  #nextRound(nowMs: number): FailoverStep {
    const last = this.#last
    const isFinal = isBreakerOpenError(last) || !isParleyError(last, 'COM002', 'COM003') || !neverHandled(last)
    if (this.#round >= MAX_ROUNDS || isFinal) return { kind: 'give-up', error: last ?? nobodyOffers(this.#target) }
    this.#round += 1
    this.#tried.clear()
    for (const peer of this.#exclude) this.#tried.add(peer)
    return { kind: 'wait', delayMs: Math.min(RETRY_ROUND_MS * this.#round, Math.max(1, this.leftMs(nowMs))) }
  }
}
