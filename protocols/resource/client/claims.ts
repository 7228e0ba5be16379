/**
 * What others have been given of this node's: it hears of each grant and each end, and says so to the program.
 *
 * Whatever it hears, and in whichever order, it lets nobody begin beyond what it has: a grant that is told before the end of
 * another one waits for that. State: those that there are, those that wait, who waits for one, who is told.
 */
import { waitFor } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import { compareFences, type Fence } from '../../journal/fencing/fence.ts'
import type { Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import type { Claim, ClaimOptions } from '../api.ts'
import type { Allocation } from '../resource-record.ts'
import { fits, isNone, NONE, plus, type Units } from '../units.ts'

const CLAIM_MS = 5_000
/** Grants that cannot begin yet. */
const MAX_EARLY = 10_000

interface Given {
  readonly claim: Claim
  readonly end: AbortController
}

const older = (id: string, fence: Fence, highest: Fence): ParleyError =>
  new ParleyError('STA002', `the allocation ${id} was granted again since`, {
    hint: 'ask its holder for the one that counts',
    details: { allocation: id, fence, highest },
  })

const notGiven = (id: string): ParleyError =>
  new ParleyError('STA001', `nothing is given here under the allocation ${id}`, {
    hint: 'it has ended, or is of another node: look at who gives it',
    details: { allocation: id },
  })

export class Claims {
  readonly #port: Pick<Port, 'self' | 'timers' | 'log'>
  /** What this node has. */
  readonly #capacity: () => Units
  #registration: number | undefined
  #used: Units = NONE
  readonly #given = new Map<string, Given>()
  /** Told before this node knew its registration, or before what has to end first has ended. */
  readonly #early = new Map<string, Allocation>()
  readonly #waiting = new Set<() => void>()
  readonly #listeners = new Set<(claim: Claim) => void>()

  constructor(port: Pick<Port, 'self' | 'timers' | 'log'>, capacity: () => Units) {
    this.#port = port
    this.#capacity = capacity
  }

  size(): number {
    return this.#given.size
  }

  /** All that is given together. */
  used(): Units {
    return this.#used
  }

  onTold(id: string, allocation: Allocation | undefined): void {
    const before = this.#given.get(id)
    const fence = allocation?.fence
    const isSame = before !== undefined && fence !== undefined && compareFences(before.claim.fence, fence) === 0
    if (isSame) return
    this.#early.delete(id)
    if (before !== undefined) this.#end(id, before, allocation?.reason ?? 'it was released')
    if (allocation !== undefined) this.#begin(id, allocation)
    if (before !== undefined) this.beginEarly()
  }

  #begin(id: string, allocation: Allocation): void {
    const { holder, task, fence } = allocation
    const units = this.#unitsHere(allocation)
    if (fence === undefined) return
    const isFree = !isNone(units) && fits(this.#capacity(), this.#used, units)
    if (!isFree) {
      if (this.#mayBegin(allocation) && this.#early.size < MAX_EARLY) this.#early.set(id, allocation)
      return
    }
    const end = new AbortController()
    const claim: Claim = { id, task, holder, units, fence, signal: end.signal }
    this.#used = plus(this.#used, units)
    this.#given.set(id, { claim, end })
    for (const look of [...this.#waiting]) look()
    for (const fn of [...this.#listeners]) this.#tell(fn, claim)
  }

  /** Something has ended, or this node has more. */
  beginEarly(): void {
    const early = [...this.#early]
    this.#early.clear()
    for (const [id, allocation] of early) this.#begin(id, allocation)
    for (const look of [...this.#waiting]) look()
  }

  /** This node gives under this registration from now on. */
  onRegistered(registration: number): void {
    this.#registration = registration
    this.beginEarly()
  }

  /** All there is was told. */
  onReset(ids: ReadonlySet<string>): void {
    for (const [id, given] of [...this.#given]) if (!ids.has(id)) this.#end(id, given, 'it has ended')
    for (const id of [...this.#early.keys()]) if (!ids.has(id)) this.#early.delete(id)
    this.beginEarly()
  }

  /** Whatever the journal says: nothing of this node's counts any more. */
  endAll(why: string): void {
    this.#registration = undefined
    for (const [id, given] of [...this.#given]) this.#end(id, given, why)
  }

  onClaim(fn: (claim: Claim) => void): Registration {
    this.#listeners.add(fn)
    for (const { claim } of [...this.#given.values()]) this.#tell(fn, claim)
    return createRegistration(() => this.#listeners.delete(fn))
  }

  /** @throws STA001, STA002 */
  async claim(id: string, { fence, timeoutMs = CLAIM_MS, signal }: ClaimOptions = {}): Promise<Claim> {
    const claim = await waitFor<Claim>(signal, (resolve, reject) => {
      const look = (): void => {
        const claim = this.#given.get(id)?.claim
        // One that was granted before is not what its holder has: the newer one may not have been told here yet.
        const isOlder = claim !== undefined && fence !== undefined && compareFences(claim.fence, fence) < 0
        if (claim !== undefined && !isOlder) resolve(claim)
      }
      this.#waiting.add(look)
      const stop = this.#port.timers.after(timeoutMs, () => reject(notGiven(id)))
      look()
      return () => {
        this.#waiting.delete(look)
        stop()
      }
    })
    if (fence !== undefined && compareFences(fence, claim.fence) < 0) throw older(id, fence, claim.fence)
    return claim
  }

  /** Resolves once that is true: looked at whenever something begins or ends here, or this node offers something else. */
  until(isTrue: () => boolean, signal: AbortSignal): Promise<void> {
    return waitFor(signal, (resolve) => {
      const look = (): void => {
        if (isTrue()) resolve()
      }
      this.#waiting.add(look)
      look()
      return () => this.#waiting.delete(look)
    })
  }

  /** It is of this life of the node, or of one that was decided and not answered yet. */
  #mayBegin({ places = [] }: Allocation): boolean {
    const { id } = this.#port.self
    const registration = this.#registration ?? -1
    return places.some((place) => place.owner === id && place.registration >= registration)
  }

  #unitsHere({ parts, places = [] }: Allocation): Units {
    let units = NONE
    for (const [i, place] of places.entries())
      if (place.owner === this.#port.self.id && place.registration === this.#registration)
        units = plus(units, parts[i]?.units ?? NONE)
    return units
  }

  #end(id: string, { end, claim }: Given, why: string): void {
    this.#given.delete(id)
    this.#used = plus(this.#used, claim.units, -1)
    end.abort(stateError('ended', `the allocation ${id} has ended: ${why}`, 'end the work on it', { allocation: id }))
    for (const look of [...this.#waiting]) look()
  }

  #tell(fn: (claim: Claim) => void, claim: Claim): void {
    try {
      fn(claim)
    } catch (error) {
      this.#port.log.error('a listener for what is given of this node failed', { allocation: claim.id, error })
    }
  }
}
