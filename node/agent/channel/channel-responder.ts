/**
 * The responding side of a channel.
 *
 * State: the requests in work, each with its signal and the credit that the requester gave. An iterator is read on only
 * while there is credit, and it is always ended: read to its end, or returned.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { ChannelMessage, ThreadChannelOptions } from './channel-message.ts'
import { costOf } from './item-queue.ts'
import { fromTransferableError, packBytes, type TransferableError, toTransferableError } from './transferable.ts'

type OpenMessage = Extract<ChannelMessage, { kind: 'open' }>

interface InboundRequest {
  readonly id: number
  readonly controller: AbortController
  credit: number
  /** Set while the handler's next item waits for credit. */
  wake: (() => void) | undefined
}

const isIterable = (answer: object): answer is AsyncIterable<unknown> => Symbol.asyncIterator in answer

/** Resolves when there is credit again, or nobody wants the items any more. */
const creditOf = (request: InboundRequest): Promise<void> | undefined => {
  if (request.credit > 0 || request.controller.signal.aborted) return undefined
  return new Promise((resolve) => {
    request.wake = resolve
  })
}

const abort = (request: InboundRequest, reason: Error): void => {
  request.controller.abort(reason)
  request.wake?.()
}

export class ChannelResponder {
  readonly #options: ThreadChannelOptions
  readonly #requests = new Map<number, InboundRequest>()
  #isClosed = false

  constructor(options: ThreadChannelOptions) {
    this.#options = options
  }

  open(message: OpenMessage): void {
    if (this.#isClosed) return
    const { id, credit } = message
    const request: InboundRequest = { id, controller: new AbortController(), credit, wake: undefined }
    this.#requests.set(id, request)
    void this.#run(message, request)
  }

  cancel(id: number, failure: TransferableError): void {
    const request = this.#requests.get(id)
    if (request !== undefined) abort(request, fromTransferableError(failure))
  }

  credit(id: number, units: number): void {
    const request = this.#requests.get(id)
    if (request === undefined) return
    request.credit += units
    if (request.credit > 0) request.wake?.()
  }

  close(reason: Error): void {
    this.#isClosed = true
    for (const request of [...this.#requests.values()]) abort(request, reason)
  }

  async #run({ body, bytes }: OpenMessage, request: InboundRequest): Promise<void> {
    const { id } = request
    const { signal } = request.controller
    const { handle, onUnexpected, unexpectedText, post } = this.#options
    try {
      const answer = handle(body, bytes, { signal, notify: (value) => this.#send('notice', id, value) })
      const value = isIterable(answer) ? await this.#pump(request, answer[Symbol.asyncIterator]()) : await answer
      this.#send('end', id, value)
    } catch (error) {
      // After an abort nobody waits for the reason, and most of it is the abort itself.
      if (!(error instanceof ParleyError) && !signal.aborted) onUnexpected(error, body)
      if (!this.#isClosed) post({ kind: 'fail', id, failure: toTransferableError(error, unexpectedText) }, [])
    } finally {
      this.#requests.delete(id)
    }
  }

  async #pump(request: InboundRequest, items: AsyncIterator<unknown>): Promise<void> {
    const { signal } = request.controller
    try {
      while (!signal.aborted) {
        const result = await items.next()
        if (result.done === true || signal.aborted) return
        request.credit -= costOf(result.value)
        this.#send('item', request.id, result.value)
        await creditOf(request)
      }
    } finally {
      await items.return?.()
    }
  }

  #send(kind: 'item' | 'end' | 'notice', id: number, value: unknown): void {
    if (this.#isClosed) return
    const { post } = this.#options
    try {
      if (value instanceof Uint8Array) {
        const { bytes, transfer } = packBytes(value)
        post({ kind, id, value: bytes }, transfer)
      } else post({ kind, id, value }, [])
    } catch (cause) {
      throw new ParleyError('MSG002', `the answer cannot be handed to the other thread: ${String(cause)}`, {
        hint: 'use plain data: no functions, no symbols',
        cause,
      })
    }
  }
}
