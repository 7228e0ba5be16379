/**
 * The requesting side of a channel.
 *
 * State: the exchanges that this side opened and the other has not ended, with the bytes of their requests. A cancelled
 * exchange stays among them until the other side is done, so that requests cannot pile up at a side that reads nothing.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { ChannelMessage, ThreadChannelOptions } from './channel-message.ts'
import { createItemQueue, WINDOW_UNITS } from './item-queue.ts'
import { fromTransferableError, packBytes, toTransferableError } from './transferable.ts'

export interface ChannelRequestOptions {
  bytes?: Uint8Array | undefined
  signal?: AbortSignal | undefined
  /** Waits after an abort until the other side is done, instead of failing at once. */
  lingering?: boolean
  /** Told once the other side was handed the request. */
  onSent?: () => void
  onNotice?: ((value: unknown) => void) | undefined
}

/** Where the messages of an exchange go. */
interface Outcome {
  item?(value: unknown): void
  end(value: unknown): void
  fail(error: unknown): void
}

interface Exchange {
  readonly bytes: number
  readonly options: ChannelRequestOptions
  readonly outcome: Outcome
  readonly onAbort: () => void
}

/** What the other side gets; a reason that is no ParleyError stays here. */
const toCancelReason = (reason: unknown): ParleyError =>
  reason instanceof ParleyError
    ? reason
    : new ParleyError('COM001', 'the caller gave the call up', { hint: 'stop working on it' })

export class ChannelRequester {
  readonly #options: ThreadChannelOptions
  readonly #exchanges = new Map<number, Exchange>()
  #lastId = 0
  #openBytes = 0
  #closed: ((sent: boolean) => Error) | undefined
  #idle: PromiseWithResolvers<void> | undefined

  constructor(options: ThreadChannelOptions) {
    this.#options = options
  }

  size(): number {
    return this.#exchanges.size
  }

  /** Resolves when nothing is open. */
  idle(): Promise<void> {
    if (this.#exchanges.size === 0) return Promise.resolve()
    this.#idle ??= Promise.withResolvers<void>()
    return this.#idle.promise
  }

  /** COM003 when too much is open, MSG002 for what cannot be posted, COM002 when the other side is gone. */
  request(body: unknown, options: ChannelRequestOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#begin(body, options, 0, { end: resolve, fail: reject })
    })
  }

  stream(body: unknown, options: ChannelRequestOptions = {}): AsyncIterableIterator<unknown> {
    let id = 0
    const over = Promise.withResolvers<void>()
    const queue = createItemQueue({
      open: () => {
        id = this.#begin(body, options, WINDOW_UNITS, {
          item: queue.put,
          end() {
            over.resolve()
            queue.finish()
          },
          fail(error) {
            over.resolve()
            queue.finish({ error })
          },
        })
      },
      grant: (units) => this.#options.post({ kind: 'credit', id, units }, []),
      cancel: () => {
        this.#cancel(id, undefined)
        return options.lingering === true ? over.promise : Promise.resolve()
      },
    })
    return queue
  }

  receive(message: Extract<ChannelMessage, { kind: 'item' | 'notice' | 'end' | 'fail' }>): void {
    if (message.kind === 'item') this.#exchanges.get(message.id)?.outcome.item?.(message.value)
    else if (message.kind === 'notice') this.#exchanges.get(message.id)?.options.onNotice?.(message.value)
    else if (message.kind === 'end') this.#settle(message.id)?.end(message.value)
    else this.#settle(message.id)?.fail(fromTransferableError(message.failure))
  }

  close(lost: (sent: boolean) => Error): void {
    this.#closed ??= lost
    for (const id of [...this.#exchanges.keys()]) this.#settle(id)?.fail(lost(true))
  }

  #begin(body: unknown, options: ChannelRequestOptions, credit: number, outcome: Outcome): number {
    const { bytes, signal } = options
    signal?.throwIfAborted()
    const size = bytes?.byteLength ?? 0
    this.#checkRoom(size)
    this.#lastId += 1
    const id = this.#lastId
    this.#open(id, body, bytes, credit)
    options.onSent?.()
    const onAbort = (): void => {
      this.#cancel(id, signal?.reason)
      if (options.lingering !== true) outcome.fail(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#exchanges.set(id, { bytes: size, options, outcome, onAbort })
    this.#openBytes += size
    return id
  }

  #checkRoom(bytes: number): void {
    if (this.#closed !== undefined) throw this.#closed(false)
    const { maxOpen, maxBytes, otherSide } = this.#options
    const { size } = this.#exchanges
    if (size < maxOpen && (this.#openBytes === 0 || this.#openBytes + bytes <= maxBytes)) return
    throw new ParleyError('COM003', `${size} exchanges of ${this.#openBytes} bytes wait for ${otherSide} already`, {
      hint: 'slow down: wait for some answers before asking for more',
      details: { retryAfterMs: 100 },
    })
  }

  #open(id: number, body: unknown, bytes: Uint8Array | undefined, credit: number): void {
    const packed = bytes === undefined ? { bytes, transfer: [] } : packBytes(bytes)
    try {
      this.#options.post({ kind: 'open', id, body, bytes: packed.bytes, credit }, packed.transfer)
    } catch (cause) {
      throw new ParleyError('MSG002', `this cannot be handed to ${this.#options.otherSide}: ${String(cause)}`, {
        hint: 'use plain data: no functions, no symbols',
        cause,
      })
    }
  }

  #cancel(id: number, reason: unknown): void {
    if (!this.#exchanges.has(id)) return
    this.#options.post({ kind: 'cancel', id, failure: toTransferableError(toCancelReason(reason), '') }, [])
  }

  /** @returns where the end of the exchange goes; undefined for one that has ended */
  #settle(id: number): Outcome | undefined {
    const exchange = this.#exchanges.get(id)
    if (exchange === undefined) return undefined
    const { bytes, options, outcome, onAbort } = exchange
    this.#exchanges.delete(id)
    this.#openBytes -= bytes
    options.signal?.removeEventListener('abort', onAbort)
    if (this.#exchanges.size === 0) {
      this.#idle?.resolve()
      this.#idle = undefined
    }
    return outcome
  }
}
