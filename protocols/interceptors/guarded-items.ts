/**
 * Streams between interceptors: each sees the items of what is behind it, and may return others. Who failed, and whose
 * time it is, is told here for each item.
 */
import type { ChainRun } from './chain-run.ts'
import { itemsOf } from './interceptor.ts'

type Run = Pick<ChainRun<object, unknown>, 'work' | 'within' | 'blame' | 'close'>
type Items = AsyncIterator<unknown>

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

const iterable = (items: Items): AsyncIterableIterator<unknown> => ({
  [Symbol.asyncIterator]() {
    return this
  },
  next: () => items.next(),
  return: () => items.return?.() ?? Promise.resolve(DONE),
})

/** What the interceptors stand around. */
export const coreItems = (run: Run, source: AsyncIterable<unknown>): AsyncIterableIterator<unknown> => {
  const items = source[Symbol.asyncIterator]()
  return iterable({
    next: () => run.work(() => items.next()),
    return: async () => {
      await items.return?.()
      return DONE
    },
  })
}

/** What the interceptor at `index` returned in place of what was behind it. @throws APP001 for what is no stream */
export const layerItems = (run: Run, index: number, answer: unknown, passed: unknown): unknown => {
  if (answer === passed) return answer
  const items = itemsOf(answer)[Symbol.asyncIterator]()
  const blamed = async <T>(begin: () => Promise<T> | undefined): Promise<T | typeof DONE> => {
    try {
      return (await begin()) ?? DONE
    } catch (error) {
      throw run.blame(index, error)
    }
  }
  return iterable({ next: () => blamed(() => items.next()), return: () => blamed(() => items.return?.()) })
}

/** What leaves the interceptors: each item within their time, and checked by `check`. */
export const outerItems = (
  run: Run,
  source: AsyncIterable<unknown>,
  check: (item: unknown) => unknown,
): AsyncIterableIterator<unknown> => {
  const items = source[Symbol.asyncIterator]()
  /** It is told to end in any case, and waited for while there is time. */
  const end = async (): Promise<void> => {
    const ending = (async () => items.return?.())()
    ending.catch(() => {})
    try {
      await run.within(() => ending)
    } finally {
      run.close()
    }
  }
  const failed = async (error: unknown): Promise<never> => {
    await end().catch(() => {})
    throw error
  }
  return iterable({
    async next() {
      let result: IteratorResult<unknown>
      try {
        result = await run.within(() => items.next())
      } catch (error) {
        return failed(error)
      }
      if (result.done === true) {
        run.close()
        return DONE
      }
      try {
        return { done: false, value: check(result.value) }
      } catch (error) {
        return failed(error)
      }
    },
    async return() {
      await end()
      return DONE
    },
  })
}
