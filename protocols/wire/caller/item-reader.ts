/**
 * The reading end of a stream: items wait here until the program asks for them.
 *
 * State: the items that came and were not read yet, at most what the peer was granted and one item; a peer that sends
 * more is broken. What was read is granted again once it is half a window, so that the peer is never told item by item
 * and never stands still.
 */
import { ParleyError } from '../../errors.ts'
import { creditUnitsOf } from '../link/link-limits.ts'

export interface ItemSource {
  /** First window, in units. */
  window: number
  /** Opens the exchange; called with the first next(). */
  open(): void
  /** Grants units to the peer. */
  grant(units: number): void
  /** The program wants no more of an exchange that is still open. */
  giveUp(): void
}

export interface ItemReader {
  iterator: AsyncIterableIterator<Uint8Array>
  /** @throws MSG003 when the peer had no credit for it */
  item(payload: Uint8Array): void
  /** The stream ended, well or with an error; what waits is still read. */
  finish(error?: { error: unknown }): void
}

export const createItemReader = (source: ItemSource): ItemReader => {
  let items: Uint8Array[] = []
  let consumed = 0
  /** Units that the peer may still send. */
  let credit = source.window
  let started = false
  let done = false
  let failure: { error: unknown } | undefined
  let pull: { resolve(result: IteratorResult<Uint8Array>): void; reject(error: unknown): void } | undefined

  const finish = (error?: { error: unknown }): void => {
    if (done) return
    done = true
    failure = error
    const waiter = pull
    if (waiter === undefined || items.length > 0) return
    pull = undefined
    failure = undefined
    if (error === undefined) waiter.resolve({ value: undefined, done: true })
    else waiter.reject(error.error)
  }

  /** The reader took an item: grant what it freed once that is half a window. */
  const took = (item: Uint8Array): void => {
    consumed += creditUnitsOf(item.length)
    if (done || consumed * 2 < source.window) return
    const units = consumed
    consumed = 0
    credit += units
    source.grant(units)
  }

  const iterator: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]() {
      return this
    },
    next() {
      if (!started) {
        started = true
        source.open()
      }
      const item = items.shift()
      if (item !== undefined) {
        took(item)
        return Promise.resolve({ value: item, done: false })
      }
      if (failure !== undefined) {
        const { error } = failure
        failure = undefined
        return Promise.reject(error)
      }
      if (done) return Promise.resolve({ value: undefined, done: true })
      if (pull !== undefined) {
        return Promise.reject(new TypeError('next() was called before the last one was answered'))
      }
      return new Promise((resolve, reject) => {
        pull = { resolve, reject }
      })
    },
    return() {
      started = true
      items = []
      if (!done) {
        const waiter = pull
        pull = undefined
        done = true
        waiter?.resolve({ value: undefined, done: true })
        source.giveUp()
      }
      failure = undefined
      return Promise.resolve({ value: undefined, done: true })
    },
  }

  return {
    iterator,
    item(payload) {
      if (credit <= 0) {
        throw new ParleyError('MSG003', `the peer sent more than the ${source.window} units that it was granted`, {
          hint: 'the peer is broken',
        })
      }
      credit -= creditUnitsOf(payload.length)
      const waiter = pull
      if (waiter === undefined) {
        items.push(payload)
        return
      }
      pull = undefined
      took(payload)
      waiter.resolve({ value: payload, done: false })
    },
    finish,
  }
}
