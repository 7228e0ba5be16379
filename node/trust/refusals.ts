/**
 * Refused memberships: which refusals asking again cannot change, and who was refused a short time ago.
 *
 * State: the peers that were refused, at most `MAX_REFUSALS`; of more the oldest is forgotten.
 */
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import type { MembershipRefusal } from '../../protocols/security/membership-claims.ts'

const LASTING: ReadonlySet<unknown> = new Set<MembershipRefusal | 'not-loopback'>([
  'no-token',
  'unexpected-token',
  'malformed',
  'signature',
  'wrong-mesh',
  'wrong-authority',
  'other-peer',
  'not-loopback',
])

/**
 * Whether it stands until somebody changes a secret, the name of a mesh or an address. Not so: clocks that differ, a mesh that was founded apart and may be left, a peer that
 * was busy or is no node (yet).
 */
export const isPermanentRefusal = (error: unknown): error is ParleyError =>
  isParleyError(error, 'SEC001') && LASTING.has(error.details.reason)

const MAX_REFUSALS = 1024

/** Peers that were not admitted a short time ago, and are not let in again until it is over. */
export class RecentRefusals {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #rememberMs: number
  /** By peer: until when, the newest last. */
  readonly #untilMs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonic'>, rememberMs: number) {
    this.#clock = clock
    this.#rememberMs = rememberMs
  }

  add(peer: string): void {
    this.#untilMs.delete(peer)
    this.#untilMs.set(peer, this.#clock.monotonic() + this.#rememberMs)
    if (this.#untilMs.size <= MAX_REFUSALS) return
    const oldest = this.#untilMs.keys().next().value
    if (oldest !== undefined) this.#untilMs.delete(oldest)
  }

  has(peer: string): boolean {
    const untilMs = this.#untilMs.get(peer)
    if (untilMs === undefined) return false
    if (untilMs > this.#clock.monotonic()) return true
    this.#untilMs.delete(peer)
    return false
  }

  delete(peer: string): void {
    this.#untilMs.delete(peer)
  }

  clear(): void {
    this.#untilMs.clear()
  }
}
