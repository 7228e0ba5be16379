/**
 * The runtime of this moment. One begins when the store opens, and ends when the store fails or the node stops; the next one
 * begins with the rows as they are then.
 *
 * State: the runtime; the next one's opening, while it is under way.
 */
import { ParleyError } from '../errors.ts'
import type { Log, Stop } from '../port.ts'
import type { DeliveryRuntime } from './runtime.ts'
import type { RowStore } from './store/row-storage.ts'
import { storeUnavailable } from './store/store-errors.ts'

export interface CurrentRuntimeDeps {
  readonly store: Pick<RowStore, 'state' | 'onState'>
  readonly log: Pick<Log, 'error'>
  /** Makes one of what the store holds. */
  open(): Promise<DeliveryRuntime>
  /** It is the current one. */
  opened(): void
}

export class CurrentRuntime {
  readonly #deps: CurrentRuntimeDeps
  #runtime: DeliveryRuntime | undefined
  #opening: Promise<void> | undefined
  #isStopped = false
  #stopWatching: Stop = () => {}

  constructor(deps: CurrentRuntimeDeps) {
    this.#deps = deps
  }

  /** Begins one where the store is open, and follows the store from now on. @throws what the store throws */
  async start(): Promise<void> {
    const { store } = this.#deps
    if (store.state() === 'open') await this.#begin()
    this.#stopWatching = store.onState((state) => {
      this.#end()
      if (state === 'open' && !this.#isStopped) this.#opening = this.#reopen(this.#opening)
    })
  }

  async #begin(): Promise<void> {
    const runtime = await this.#deps.open()
    if (this.#isStopped || this.#deps.store.state() !== 'open') {
      runtime.stop()
      return
    }
    this.#runtime = runtime
    this.#deps.opened()
  }

  async #reopen(before: Promise<void> | undefined): Promise<void> {
    await before
    try {
      await this.#begin()
      this.#runtime?.receiver.requestHellos()
    } catch (error) {
      this.#deps.log.error('the messages on disk could not be read', { error })
    }
  }

  #end(): void {
    this.#runtime?.stop()
    this.#runtime = undefined
  }

  /** Undefined while there is none. */
  get now(): DeliveryRuntime | undefined {
    return this.#runtime
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** @throws STA003 where the store is not open, COM002 where the node stops */
  get(): DeliveryRuntime {
    if (this.#runtime !== undefined) return this.#runtime
    throw this.#isStopped
      ? new ParleyError('COM002', 'this node is stopping', { hint: 'send before stop()' })
      : storeUnavailable(this.#deps.store.state())
  }

  /** @throws STA003 where another one than this is the current one by now */
  mustStillBe(runtime: DeliveryRuntime): void {
    if (this.#runtime !== runtime) throw storeUnavailable(this.#deps.store.state())
  }

  /** No further one begins. */
  close(): void {
    this.#isStopped = true
    this.#stopWatching()
  }

  /** After `close`. @returns once the one that was there has ended */
  async ended(): Promise<void> {
    await this.#opening
    this.#end()
  }
}
