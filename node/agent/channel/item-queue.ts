/**
 * The reading end of a stream from another thread.
 *
 * State: items that came and were not read yet. The other side sends only what it holds credit for; what was read is
 * granted again once it is half a window. So at most a window of items, and one more of any size, waits here.
 */

/** Units of credit that a stream starts with. */
export const WINDOW_UNITS = 32
const UNIT_BYTES = 65_536

/** What an item costs: one unit, and one more for each 64 KiB. */
export const costOf = (item: unknown): number =>
  item instanceof Uint8Array ? 1 + Math.floor(item.byteLength / UNIT_BYTES) : 1

export interface ItemQueue extends AsyncIterableIterator<unknown> {
  put(item: unknown): void
  /** The stream ended, well or with an error; what waits is still read. */
  finish(failure?: { error: unknown }): void
}

export interface ItemQueueHooks {
  /** Called with the first next(); what it throws is what next() rejects with. */
  open(): void
  grant(units: number): void
  /** The reader wants no more; resolves when return() may. */
  cancel(): Promise<void>
}

type Result = IteratorResult<unknown, undefined>
const DONE: Result = { done: true, value: undefined }

export const createItemQueue = ({ open, grant, cancel }: ItemQueueHooks): ItemQueue => {
  let items: unknown[] = []
  let used = 0
  let state: 'new' | 'open' | 'ended' = 'new'
  let failure: { error: unknown } | undefined
  let reader: PromiseWithResolvers<Result> | undefined

  const take = (item: unknown): Result => {
    used += costOf(item)
    if (state === 'open' && used * 2 >= WINDOW_UNITS) {
      grant(used)
      used = 0
    }
    return { done: false, value: item }
  }

  const ending = (): Promise<Result> => {
    if (failure === undefined) return Promise.resolve(DONE)
    const { error } = failure
    failure = undefined
    return Promise.reject(error)
  }

  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      if (state === 'new') {
        state = 'ended'
        open()
        state = 'open'
      }
      if (items.length > 0) return take(items.shift())
      if (state === 'ended') return ending()
      if (reader !== undefined) throw new TypeError('next() was called before the last one was answered')
      reader = Promise.withResolvers<Result>()
      return reader.promise
    },
    async return() {
      const left = state
      state = 'ended'
      items = []
      failure = undefined
      reader?.resolve(DONE)
      reader = undefined
      if (left === 'open') await cancel()
      return DONE
    },
    put(item) {
      if (state === 'ended') return
      if (reader === undefined) {
        items.push(item)
        return
      }
      const waiting = reader
      reader = undefined
      waiting.resolve(take(item))
    },
    finish(ended) {
      if (state === 'ended') return
      state = 'ended'
      failure = ended
      const waiting = reader
      reader = undefined
      if (waiting !== undefined) ending().then(waiting.resolve, waiting.reject)
    },
  }
}
