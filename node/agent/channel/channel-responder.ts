/**
 * The answering side of a channel.
 *
 * State: the exchanges in work, each with its signal and the credit that the asker gave. An iterator is asked for its next
 * item only while there is credit, and it is always ended: read to its end, or returned.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import { costOf } from './item-queue.ts'
import type { ChannelMessage, ThreadChannelOptions } from './thread-channel.ts'
import { packBytes } from './transferable-bytes.ts'
import { fromTransferableError, type TransferableError, toTransferableError } from './transferable-error.ts'

/** What the one who answers is told beside the request. */
export interface ChannelRequestContext {
  /** Aborted when the asker gives it up or is gone. */
  readonly signal: AbortSignal
  /** Tells the asker something before the answer; for rare things, since nothing holds it back. */
  aside(value: unknown): void
}

export type ChannelRequestHandler = (
  body: unknown,
  bytes: Uint8Array | undefined,
  asked: ChannelRequestContext,
) => Promise<unknown> | AsyncIterable<unknown>

export interface ChannelResponder {
  open(message: Extract<ChannelMessage, { kind: 'open' }>): void
  cancel(id: number, failure: TransferableError): void
  credit(id: number, units: number): void
  close(reason: Error): void
}

interface Work {
  readonly id: number
  readonly controller: AbortController
  credit: number
  wake: (() => void) | undefined
}

const isIterable = (answer: object): answer is AsyncIterable<unknown> => Symbol.asyncIterator in answer

export const createChannelResponder = ({
  post,
  answer,
  failed,
  unexpected,
}: ThreadChannelOptions): ChannelResponder => {
  const works = new Map<number, Work>()
  let closed = false

  const send = (kind: 'item' | 'end' | 'aside', id: number, value: unknown): void => {
    if (closed) return
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

  const room = (work: Work): Promise<void> | undefined => {
    if (work.credit > 0 || work.controller.signal.aborted) return undefined
    return new Promise((resolve) => {
      work.wake = resolve
    })
  }

  const pump = async (work: Work, items: AsyncIterator<unknown>): Promise<void> => {
    const { signal } = work.controller
    try {
      while (!signal.aborted) {
        const result = await items.next()
        if (result.done === true || signal.aborted) return
        work.credit -= costOf(result.value)
        send('item', work.id, result.value)
        await room(work)
      }
    } finally {
      await items.return?.()
    }
  }

  const run = async ({ body, bytes }: Extract<ChannelMessage, { kind: 'open' }>, work: Work): Promise<void> => {
    try {
      const given = answer(body, bytes, {
        signal: work.controller.signal,
        aside: (value) => send('aside', work.id, value),
      })
      const value = isIterable(given) ? await pump(work, given[Symbol.asyncIterator]()) : await given
      send('end', work.id, value)
    } catch (error) {
      // After an abort nobody waits for the reason, and most of it is the abort itself.
      if (!(error instanceof ParleyError) && !work.controller.signal.aborted) failed(error, body)
      if (!closed) post({ kind: 'fail', id: work.id, failure: toTransferableError(error, unexpected) }, [])
    } finally {
      works.delete(work.id)
    }
  }

  const end = (work: Work, reason: Error): void => {
    work.controller.abort(reason)
    work.wake?.()
  }

  return {
    open(message) {
      if (closed) return
      const work: Work = {
        id: message.id,
        controller: new AbortController(),
        credit: message.credit,
        wake: undefined,
      }
      works.set(message.id, work)
      void run(message, work)
    },
    cancel(id, failure) {
      const work = works.get(id)
      if (work !== undefined) end(work, fromTransferableError(failure))
    },
    credit(id, units) {
      const work = works.get(id)
      if (work === undefined) return
      work.credit += units
      if (work.credit > 0) work.wake?.()
    },
    close(reason) {
      closed = true
      for (const work of [...works.values()]) end(work, reason)
    },
  }
}
