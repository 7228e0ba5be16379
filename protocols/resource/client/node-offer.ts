/**
 * What this node's program offers, and what of that it gives now: a plan may have it give less, and more again up to that. State:
 * what was offered.
 */
import { ParleyError } from '../../errors.ts'
import { amountOf, NONE, type Units } from '../units.ts'
import type { NodeLease } from './node-lease.ts'

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

  /** It gives nothing more. */
  withdraw(units: Units): Promise<void> {
    return this.#lease.offer(units, true)
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
