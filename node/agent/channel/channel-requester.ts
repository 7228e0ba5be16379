/**
 * The asking side of a channel.
 *
 * State: the exchanges that this side opened and the other has not ended, with the bytes of their requests. A cancelled
 * exchange stays among them until the other side is done, so that a side that reads nothing cannot be piled up on.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import { createItemQueue, WINDOW_UNITS } from './item-queue.ts'
import type { ChannelMessage, ThreadChannelOptions } from './thread-channel.ts'
import { packBytes } from './transferable-bytes.ts'
import { fromTransferableError, toTransferableError } from './transferable-error.ts'

export interface ChannelRequestOptions {
  bytes?: Uint8Array | undefined
  signal?: AbortSignal | undefined
  /** Waits after an abort until the other side is done, instead of failing at once. */
  lingering?: boolean
  aside?: ((value: unknown) => void) | undefined
}

export interface ChannelRequester {
  /** COM003 when too much is open, MSG002 for what cannot be posted, COM002 when the other side is gone. */
  ask(body: unknown, options?: ChannelRequestOptions): Promise<unknown>
  stream(body: unknown, options?: ChannelRequestOptions): AsyncIterableIterator<unknown>
  size(): number
  /** Resolves when nothing is open. */
  idle(): Promise<void>
  receive(message: Extract<ChannelMessage, { kind: 'item' | 'aside' | 'end' | 'fail' }>): void
  close(lost: (sent: boolean) => Error): void
}

interface Exchange {
  readonly bytes: number
  end(value: unknown): void
  fail(error: unknown): void
  item?(value: unknown): void
  aside?: ((value: unknown) => void) | undefined
}

type Settle = Omit<Exchange, 'bytes' | 'aside'>

/** What the other side is told; a reason that is no ParleyError stays here. */
const reasonOf = (reason: unknown): ParleyError =>
  reason instanceof ParleyError
    ? reason
    : new ParleyError('COM001', 'the caller gave the call up', { hint: 'stop working on it' })

export const createChannelRequester = ({ post, maxOpen, maxBytes, other }: ThreadChannelOptions): ChannelRequester => {
  const exchanges = new Map<number, Exchange>()
  let last = 0
  let openBytes = 0
  let gone: ((sent: boolean) => Error) | undefined
  let whenIdle: PromiseWithResolvers<void> | undefined

  const settle = (id: number): Exchange | undefined => {
    const exchange = exchanges.get(id)
    if (exchange === undefined) return undefined
    exchanges.delete(id)
    openBytes -= exchange.bytes
    if (exchanges.size === 0) whenIdle?.resolve()
    return exchange
  }

  const checkRoom = (bytes: number): void => {
    if (gone !== undefined) throw gone(false)
    if (exchanges.size < maxOpen && (openBytes === 0 || openBytes + bytes <= maxBytes)) return
    throw new ParleyError('COM003', `${exchanges.size} exchanges of ${openBytes} bytes wait for ${other} already`, {
      hint: 'slow down: wait for some answers before asking for more',
      details: { retryAfterMs: 100 },
    })
  }

  /** Opens an exchange; `onAbort` is called once the signal is aborted and the other side was told. */
  const begin = (
    body: unknown,
    options: ChannelRequestOptions,
    credit: number,
    settled: Settle,
    onAbort: () => void,
  ): number => {
    const { signal, aside } = options
    signal?.throwIfAborted()
    const size = options.bytes?.byteLength ?? 0
    checkRoom(size)
    const { bytes, transfer } =
      options.bytes === undefined ? { bytes: undefined, transfer: [] } : packBytes(options.bytes)
    last += 1
    const id = last
    try {
      post({ kind: 'open', id, body, bytes, credit }, transfer)
    } catch (cause) {
      throw new ParleyError('MSG002', `this cannot be handed to ${other}: ${String(cause)}`, {
        hint: 'use plain data: no functions, no symbols',
        cause,
      })
    }
    const abort = (): void => {
      cancel(id, signal?.reason)
      onAbort()
    }
    signal?.addEventListener('abort', abort, { once: true })
    const free = (): void => signal?.removeEventListener('abort', abort)
    exchanges.set(id, {
      bytes: size,
      aside,
      ...(settled.item === undefined ? {} : { item: settled.item }),
      end(value) {
        free()
        settled.end(value)
      },
      fail(error) {
        free()
        settled.fail(error)
      },
    })
    openBytes += size
    return id
  }

  const cancel = (id: number, reason: unknown): void => {
    if (exchanges.has(id)) post({ kind: 'cancel', id, failure: toTransferableError(reasonOf(reason), '') }, [])
  }

  const ask = (body: unknown, options: ChannelRequestOptions = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      begin(body, options, 0, { end: resolve, fail: reject }, () => {
        if (options.lingering !== true) reject(options.signal?.reason)
      })
    })

  const stream = (body: unknown, options: ChannelRequestOptions = {}): AsyncIterableIterator<unknown> => {
    let id = 0
    const over = Promise.withResolvers<void>()
    const queue = createItemQueue({
      open() {
        const settled: Settle = {
          item: queue.put,
          end() {
            over.resolve()
            queue.finish()
          },
          fail(error) {
            over.resolve()
            queue.finish({ error })
          },
        }
        id = begin(body, options, WINDOW_UNITS, settled, () => {
          if (options.lingering !== true) queue.finish({ error: options.signal?.reason })
        })
      },
      grant: (units) => post({ kind: 'credit', id, units }, []),
      cancel() {
        cancel(id, undefined)
        return options.lingering === true ? over.promise : Promise.resolve()
      },
    })
    return queue
  }

  return {
    ask,
    stream,
    size: () => exchanges.size,
    idle() {
      if (exchanges.size === 0) return Promise.resolve()
      whenIdle ??= Promise.withResolvers<void>()
      return whenIdle.promise
    },
    receive(message) {
      if (message.kind === 'item') exchanges.get(message.id)?.item?.(message.value)
      else if (message.kind === 'aside') exchanges.get(message.id)?.aside?.(message.value)
      else if (message.kind === 'end') settle(message.id)?.end(message.value)
      else settle(message.id)?.fail(fromTransferableError(message.failure))
    },
    close(lost) {
      gone ??= lost
      for (const id of [...exchanges.keys()]) settle(id)?.fail(lost(true))
    },
  }
}
