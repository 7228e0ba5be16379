/**
 * What this node asks for: each allocation is asked for by its newest registration, and what nobody has or waits for any more
 * is given back before the same id is asked for again. State: what is being asked for, and given back.
 */
import { abortable } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import type { ResourceChange } from '../journal/resource-changes.ts'
import type { Allocation, Ask } from '../resource-record.ts'
import type { Holding, Holdings } from './holdings.ts'
import type { NodeLease } from './node-lease.ts'

export interface AskedAllocationsDeps {
  readonly batcher: Pick<ChangeBatcher<ResourceChange>, 'decide'>
  readonly lease: Pick<NodeLease, 'registered' | 'lost'>
  readonly holdings: Holdings
  /** One as the journal has it. */
  read(id: string, signal: AbortSignal): Promise<Allocation | undefined>
}

export class AskedAllocations {
  readonly #deps: AskedAllocationsDeps
  /** How many ask for it now, by its id. */
  readonly #asking = new Map<string, number>()
  /** By id, what is being released, until all of that is decided or has failed: who asks for the same id waits for it. */
  readonly #givenBack = new Map<string, Promise<void>>()
  #asked = 0
  #denied = 0

  constructor(deps: AskedAllocationsDeps) {
    this.#deps = deps
  }

  counts(): { readonly asked: number; readonly denied: number } {
    return { asked: this.#asked, denied: this.#denied }
  }

  /** Resolves once it is granted. @throws COM003 `resource-denied`; STA003 `ended`, `exists`; what the signal is aborted with */
  async ask(id: string, ask: Ask, signal: AbortSignal): Promise<Holding> {
    // Until then it does not count as one that asks: what another one leaves is not for it.
    await this.#untilGivenBack(id, signal)
    const { holdings } = this.#deps
    this.#asked += 1
    this.#asking.set(id, this.#askingFor(id) + 1)
    try {
      const holding = await this.#askOnce(id, ask, signal).catch((error: unknown) => {
        // Its registration was over, which it had not heard of: it is told of by that, and asks by the next one.
        if (!isParleyError(error, 'STA002')) throw error
        return this.#askOnce(id, ask, signal)
      })
      holdings.take(id)
      return holding
    } catch (error) {
      if (isParleyError(error, 'COM003') && error.details.reason === 'resource-denied') this.#denied += 1
      // What nobody has or waits for any more is not kept.
      if (this.#askingFor(id) === 1 && !holdings.isTaken(id)) this.#giveBack(id)
      throw error
    } finally {
      const others = this.#askingFor(id) - 1
      if (others > 0) this.#asking.set(id, others)
      else this.#asking.delete(id)
    }
  }

  /** What was had under this id before is not what is asked for now. */
  async #untilGivenBack(id: string, signal: AbortSignal): Promise<void> {
    for (let back = this.#givenBack.get(id); back !== undefined; back = this.#givenBack.get(id))
      await abortable(back, signal)
  }

  #askingFor(id: string): number {
    return this.#asking.get(id) ?? 0
  }

  release(id: string): Promise<void> {
    const released = this.#release(id)
    // Of two that are on their way the first may be decided last.
    const done: Promise<void> = Promise.allSettled([this.#givenBack.get(id), released]).then(() => {
      if (this.#givenBack.get(id) === done) this.#givenBack.delete(id)
    })
    this.#givenBack.set(id, done)
    return released
  }

  async #release(id: string): Promise<void> {
    const { batcher, holdings } = this.#deps
    const released = holdings.find(id)
    await batcher.decide({ do: 'release', id })
    if (released !== undefined) holdings.drop(released, 'it was released')
  }

  async #askOnce(id: string, ask: Ask, signal: AbortSignal): Promise<Holding> {
    const { batcher, lease, holdings, read } = this.#deps
    let registration: number
    do {
      await this.#untilGivenBack(id, signal)
      registration = await abortable(lease.registered(), signal)
      // A release may have begun meanwhile.
    } while (this.#givenBack.has(id))
    const open = holdings.expect(id, ask.task)
    // What becomes of it may be told before this node is answered.
    const granted = holdings.granted(id, signal)
    granted.catch(() => {})
    try {
      const { result, version } = await batcher.decide({ do: 'allocate', registration, id, ask }, { signal })
      holdings.asked(open, version)
      // It was asked for before: what is told of it may have been told already.
      const isKnown = Reflect.get(Object(result), 'isKnown') === true
      if (isKnown) holdings.onTold(id, await read(id, signal), version)
    } catch (error) {
      if (isParleyError(error, 'STA002')) lease.lost(registration)
      throw error
    }
    return granted
  }

  #giveBack(id: string): void {
    // Also where that it is released is not decided: it is given back again once it is told of.
    const { holdings } = this.#deps
    const open = holdings.find(id)
    if (open !== undefined) holdings.drop(open, 'nobody waits for it any more')
    this.release(id).catch(() => {})
  }
}
