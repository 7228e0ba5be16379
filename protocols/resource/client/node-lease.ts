/**
 * This node as the journal has it: what it has to give, and that it is there.
 *
 * A lease is counted from before it was asked for, by both of this node's clocks: a machine that was suspended finds that it is
 * over. Then all that it holds and gives has ended for it, and it registers again. State: what it offers, its registration, its
 * lease.
 */
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import { type LeaseTime, leaseAge, leaseTime } from '../../journal/client/lease-age.ts'
import type { Port, Stop } from '../../port.ts'
import type { Registered } from '../journal/apply-resources.ts'
import type { ResourceChange } from '../journal/resource-changes.ts'
import { LEASE_MS } from '../planner/resource-board.ts'
import { amountOf, most, NONE, type Units } from '../units.ts'

const RENEW_MS = 10_000
const LOOK_MS = 1_000
/** While an earlier life of this node ends, and between other tries. */
const AGAIN_MS = 200
/** A node that stops waits so long for a decision that nobody may be there to make. Milliseconds. */
const STOPPING_MS = 1_000

export interface LeaseDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log'>
  readonly batcher: Pick<ChangeBatcher<ResourceChange>, 'decide'>
  /** All that this node had under its registration is over. */
  onOver(why: string): void
  onRegistered(registration: number): void
  /** It has more than before, or may have. */
  onCapacity(): void
}

export class NodeLease {
  readonly #deps: LeaseDeps
  #capacity: Units = NONE
  #most: Units | undefined
  #isDraining = false
  /** As the journal has it. */
  #decided: { readonly capacity: Units; readonly isDraining: boolean } = { capacity: NONE, isDraining: false }
  /** Grows where a lease was over: what was granted before ends then, here and in the journal. */
  #incarnation: number
  #registration: number | undefined
  #lease: LeaseTime | undefined
  #busy: Promise<void> = Promise.resolve()
  #stopTimer: Stop | undefined
  #isRenewing = false
  /** What it has was not decided yet. */
  #isDue = false
  #isStopped = false

  constructor(deps: LeaseDeps) {
    this.#deps = deps
    this.#incarnation = deps.port.self.incarnation
  }

  /** Undefined: nothing was decided about this node, or its lease is over. */
  registration(): number | undefined {
    return this.#registration
  }

  /** @returns its registration, once it has one */
  async registered(): Promise<number> {
    if (this.#registration === undefined) await this.#register()
    return this.#registration ?? this.registered()
  }

  /** It was refused for that its lease is over, before this node heard of that. */
  lost(registration: number): void {
    if (this.#registration === registration) this.#end('the lease of this node was over')
  }

  /** What it has; while that changes, the more of both. */
  capacity(): Units {
    return this.#most ?? this.#capacity
  }

  /** What it has from now on; where nobody decides, it is tried again. @throws STA003 `in-use`, for which it stays as it was */
  async offer(capacity: Units, isDraining = false): Promise<void> {
    this.#most = most(this.capacity(), capacity)
    this.#capacity = capacity
    this.#isDraining = isDraining
    this.#deps.onCapacity()
    try {
      await this.#register()
    } catch (error) {
      // Another one may have been asked for meanwhile.
      const isRefused = isParleyError(error, 'STA003') && error.details.reason === 'in-use'
      if (isRefused && this.#capacity === capacity) {
        // Not to what was asked for before it: that may have been refused too.
        this.#capacity = this.#decided.capacity
        this.#isDraining = this.#decided.isDraining
        this.#most = undefined
      }
      this.#isDue = !isRefused
      throw error
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopTimer?.()
    const registration = this.#registration
    this.#end('this node stops')
    if (registration === undefined) return
    const limit = new AbortController()
    const stop = this.#deps.port.timers.after(STOPPING_MS, () => limit.abort(new Error('nobody decides')))
    await this.#deps.batcher.decide({ do: 'withdraw', registration }, { signal: limit.signal }).catch(() => {})
    stop()
  }

  /** One after the other. */
  #register(): Promise<void> {
    const next = this.#busy.then(() => this.#registerNow())
    this.#busy = next.catch(() => {})
    return next
  }

  async #registerNow(): Promise<void> {
    const { port, batcher } = this.#deps
    this.#stopTimer ??= port.timers.every(LOOK_MS, () => void this.#keep())
    for (;;) {
      if (this.#isStopped) throw stateError('closed', 'this node is stopping', 'start it again')
      const asked = leaseTime(port.clock)
      const [incarnation, capacity, draining] = [this.#incarnation, this.#capacity, this.#isDraining]
      const { result } = await batcher.decide({ do: 'register', incarnation, capacity, draining })
      const { registration } = result as unknown as Registered
      // The lease was over while this was on its way, and what it stands for has ended here.
      if (incarnation !== this.#incarnation) continue
      if (registration !== undefined) {
        if (this.#registration !== undefined && this.#registration !== registration)
          this.#deps.onOver('it was registered anew')
        this.#registration = registration
        this.#lease = asked
        this.#decided = { capacity, isDraining: draining }
        if (this.#capacity === capacity) {
          this.#isDue = false
          this.#most = undefined
        }
        this.#deps.onRegistered(registration)
        return
      }
      await new Promise<void>((resolve) => port.timers.after(AGAIN_MS, resolve))
    }
  }

  #end(why: string): void {
    this.#registration = undefined
    this.#incarnation = Math.max(this.#incarnation + 1, this.#deps.port.clock.now())
    this.#deps.onOver(why)
  }

  async #keep(): Promise<void> {
    if (this.#isStopped) return
    const age = this.#lease === undefined ? 0 : leaseAge(this.#deps.port.clock, this.#lease)
    if (age > LEASE_MS && this.#registration !== undefined) this.#end('the lease of this node is over')
    if ((age < RENEW_MS && !this.#isDue) || this.#isRenewing) return
    this.#isRenewing = true
    try {
      await (this.#isDue ? this.#register() : this.#renew())
    } catch (error) {
      if (!this.#isStopped)
        this.#deps.port.log.warn('what this node has and gives was not renewed; it is tried again', { error })
    } finally {
      this.#isRenewing = false
    }
  }

  async #renew(): Promise<void> {
    const registration = this.#registration
    const asked = leaseTime(this.#deps.port.clock)
    try {
      if (registration === undefined) return await this.#register()
      await this.#deps.batcher.decide({ do: 'renew', registration })
      if (this.#registration === registration) this.#lease = asked
    } catch (error) {
      if (!isParleyError(error, 'STA002')) throw error
      // It was on its way for long, and this node has registered since: that one is not over.
      if (this.#registration !== undefined && this.#registration !== registration) return
      this.#end('the lease of this node was over')
      await this.#register()
    }
  }
}

/**
 * What this node's program offers, and what of that it gives now: a plan may have it give less, and more again up to that. State:
 * what was offered.
 */
export class NodeOffer {
  readonly #lease: Pick<NodeLease, 'offer' | 'capacity'>
  readonly #used: () => Units
  #offered: Units = NONE

  /** @param used what is given of this node's */
  constructor(lease: Pick<NodeLease, 'offer' | 'capacity'>, used: () => Units) {
    this.#lease = lease
    this.#used = used
  }

  /** @throws STA003 `in-use` */
  async offer(units: Units): Promise<void> {
    const before = this.#offered
    this.#offered = units
    try {
      await this.#lease.offer(units)
    } catch (error) {
      if (this.#offered === units) this.#offered = before
      throw error
    }
  }

  /** Whether that is what its program offered last. */
  isOffered(units: Units): boolean {
    return this.#offered === units
  }

  /** It gives nothing more; where something else was offered since, that stays. */
  async withdraw(units: Units): Promise<void> {
    if (!this.isOffered(units)) return
    this.#offered = NONE
    // It may give less by now than was offered.
    await this.#lease.offer(this.#lease.capacity(), true)
  }

  /** By name, 0 to 1. */
  utilization(): Record<string, number> {
    const [capacity, used] = [this.#lease.capacity(), this.#used()]
    return Object.fromEntries(
      Object.keys(capacity)
        .filter((name) => amountOf(capacity, name) > 0)
        .map((name) => [name, Math.min(1, amountOf(used, name) / amountOf(capacity, name))]),
    )
  }

  /** So much more or less of each, between nothing and what was offered. @throws MSG001 for what was not; STA003 `in-use` */
  async adjust(changes: ReadonlyMap<string, number>): Promise<void> {
    const unknown = [...changes.keys()].find((name) => amountOf(this.#offered, name) === 0)
    if (unknown !== undefined)
      throw new ParleyError('MSG001', `this node offers no ${unknown}`, { hint: 'adjust what it offers' })
    const now = this.#lease.capacity()
    const next = Object.keys(this.#offered).map((name) => {
      const wanted = amountOf(now, name) + (changes.get(name) ?? 0)
      return [name, Math.max(0, Math.min(amountOf(this.#offered, name), wanted))] as const
    })
    await this.#lease.offer(Object.fromEntries(next))
  }
}
