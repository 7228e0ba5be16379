/**
 * Who is a member, and for how long yet.
 *
 * A membership ends at the time of the monotonic clock that was settled when its token was checked, so that a step of the
 * wall clock ends none. At half of its life, a little earlier or later at random, the peer is asked for fresh tokens on the
 * connection that is there; where that fails it is asked again and again until the end. A membership whose authority is
 * accepted no more, because the secrets of this node were changed, has a few seconds to be proven anew: whoever has the new
 * secret shows a token of it, and loses nothing. What has ended is told to whoever closes the connections.
 * State: one entry for each peer that is connected, and one timer.
 */
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import type { Clock, Stop, Timers } from '../../protocols/port.ts'
import { membershipError } from '../../protocols/security/membership-claims.ts'
import type { Membership } from './trust.ts'

/** No timer is set further ahead: one that is wrong, or too long for the platform, is mended within a day. */
const MAX_TIMER_MS = 24 * 3_600_000
/** Of a membership's life, half, give or take this share: who was admitted together is not asked together. */
const JITTER = 0.05
const RETRY_SHARE = 1 / 8
const MIN_RETRY_MS = 1_000
const MAX_RETRY_MS = 600_000
/** All are asked within this time once the secrets were changed. */
const SPREAD_MS = 1_000

export interface MembershipTerm {
  readonly membership: Membership
  /** By then it has to be of an authority that is accepted; Infinity where it is. Monotonic. */
  readonly proveBy: number
  /** When the peer is asked for fresh tokens. Monotonic. */
  readonly renewAt: number
  /** It was asked, and has not answered yet. */
  readonly isAsked: boolean
}

/**
 * A peer that shows tokens which are almost over does not choose how often it is asked: they end, and it with them.
 * @param chance from 0 to 1
 */
export const renewalAt = ({ lastsMs }: Membership, now: number, chance: number): number =>
  now + Math.max(MIN_RETRY_MS, lastsMs * (0.5 + JITTER * (2 * chance - 1)))

/** @param leftMs until the membership ends */
export const retryInMs = (leftMs: number, chance: number): number =>
  Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, leftMs * RETRY_SHARE)) * (0.75 + 0.5 * chance)

export const endOf = ({ membership, proveBy }: MembershipTerm): number => Math.min(membership.endsAt, proveBy)

/** What a membership needs now, and when it is to be looked at again. Pure. */
export const dueOf = (term: MembershipTerm, now: number): { due: 'end' | 'renew' | 'nothing'; at: number } => {
  const end = endOf(term)
  if (end <= now) return { due: 'end', at: now }
  if (term.isAsked) return { due: 'nothing', at: end }
  return { due: term.renewAt <= now ? 'renew' : 'nothing', at: Math.min(end, term.renewAt) }
}

const endedError = (term: MembershipTerm): ParleyError =>
  term.proveBy < term.membership.endsAt
    ? membershipError(
        'changed-secret',
        'the secret was changed, and this peer showed no token of the new one',
        'start it with the new secret',
      )
    : membershipError(
        'expired',
        'the membership ran out, and no fresh token was shown in time',
        'it is let in again with a fresh token; compare the clocks of both machines',
      )

/**
 * It has shown what it has, and nothing of it is of our secret, or it shows no credentials at all, as no node of a mesh does. A
 * refusal by the other side says nothing of that.
 */
const isDisproof = (error: unknown): boolean =>
  isParleyError(error, 'MSG004') ||
  (isParleyError(error, 'SEC001') &&
    !error.remote &&
    (error.details.reason === 'wrong-authority' || error.details.reason === 'no-token'))

export interface MembershipsDeps {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Pick<Timers, 'after'>
  /** A number from 0 to 1. */
  chance(): number
  /** Whether tokens of this issuer admit now. */
  accepts(issuer: string | null): boolean
  /** How long a peer has for showing a token of the new secret, milliseconds. */
  proveMs(): number
  /** Has the peer show fresh tokens; what it shows comes by `set`. */
  renew(peer: string): Promise<void>
  /** Its connections are to be closed. */
  ended(peer: string, error: ParleyError): void
}

export class Memberships {
  readonly #deps: MembershipsDeps
  readonly #terms = new Map<string, MembershipTerm>()
  #stopTimer: Stop = () => {}
  #timerAt = Number.POSITIVE_INFINITY
  #isStopped = true

  constructor(deps: MembershipsDeps) {
    this.#deps = deps
  }

  /** From now on memberships end and are renewed. */
  start(): void {
    this.#isStopped = false
    this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#stopTimer()
  }

  get(peer: string): Membership | undefined {
    return this.#terms.get(peer)?.membership
  }

  /** A membership that was just proven. */
  set(peer: string, membership: Membership): void {
    const now = this.#deps.clock.monotonic()
    // The secrets may have been changed while its tokens were looked at.
    const isAccepted = this.#deps.accepts(membership.issuer)
    this.#put(peer, {
      membership,
      proveBy: isAccepted ? Number.POSITIVE_INFINITY : this.#proveBy(peer, now),
      renewAt: isAccepted ? renewalAt(membership, now, this.#deps.chance()) : now + MIN_RETRY_MS,
      isAsked: false,
    })
  }

  delete(peer: string): void {
    this.#terms.delete(peer)
  }

  /** Has the peer show fresh tokens now, unless it is being asked. */
  refresh(peer: string): void {
    const term = this.#terms.get(peer)
    if (term !== undefined && !term.isAsked) this.#put(peer, { ...term, renewAt: this.#deps.clock.monotonic() })
  }

  /** The secrets of this node are others now: everyone is asked, and who was admitted by a former one has little time. */
  secretsChanged(): void {
    const now = this.#deps.clock.monotonic()
    for (const [peer, term] of this.#terms) {
      const isAccepted = this.#deps.accepts(term.membership.issuer)
      const askAt = isAccepted ? now + SPREAD_MS * this.#deps.chance() : now
      this.#terms.set(peer, {
        membership: term.membership,
        proveBy: isAccepted ? Number.POSITIVE_INFINITY : this.#proveBy(peer, now),
        renewAt: Math.min(term.renewAt, askAt),
        // What is under way may have been asked under the former secrets.
        isAsked: false,
      })
    }
    this.#look()
  }

  /** Asking again and again wins no time. */
  #proveBy(peer: string, now: number): number {
    return Math.min(this.#terms.get(peer)?.proveBy ?? Number.POSITIVE_INFINITY, now + this.#deps.proveMs())
  }

  #put(peer: string, term: MembershipTerm): void {
    this.#terms.set(peer, term)
    const { at } = dueOf(term, this.#deps.clock.monotonic())
    if (at < this.#timerAt) this.#arm(at)
  }

  #arm(at: number): void {
    this.#stopTimer()
    this.#timerAt = at
    if (this.#isStopped || this.#terms.size === 0) return
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, at - this.#deps.clock.monotonic()))
    this.#stopTimer = this.#deps.timers.after(delayMs, () => this.#look())
  }

  #look(): void {
    if (this.#isStopped) return
    const now = this.#deps.clock.monotonic()
    this.#timerAt = Number.POSITIVE_INFINITY
    const due = [...this.#terms].map(([peer, term]) => ({ peer, term, due: dueOf(term, now).due }))
    for (const { peer, term, due: what } of due) {
      if (what === 'end') this.#end(peer, term)
      else if (what === 'renew') void this.#renew(peer, term)
    }
    let next = Number.POSITIVE_INFINITY
    for (const term of this.#terms.values()) next = Math.min(next, dueOf(term, now).at)
    this.#arm(next)
  }

  #end(peer: string, term: MembershipTerm): void {
    this.#terms.delete(peer)
    this.#deps.ended(peer, endedError(term))
  }

  async #renew(peer: string, term: MembershipTerm): Promise<void> {
    const asked: MembershipTerm = { ...term, isAsked: true }
    this.#terms.set(peer, asked)
    let failure: unknown
    try {
      await this.#deps.renew(peer)
    } catch (error) {
      failure = error
    }
    // It was proven meanwhile, has to be asked anew, or is gone.
    if (this.#terms.get(peer) !== asked) return
    const now = this.#deps.clock.monotonic()
    const again = now + retryInMs(endOf(asked) - now, this.#deps.chance())
    if (Number.isFinite(asked.proveBy) && isDisproof(failure)) this.#end(peer, asked)
    else this.#put(peer, { ...asked, isAsked: false, renewAt: again })
  }
}
