/**
 * Calls that carry a part of a budget: it is split off before the first attempt, and what is left is put back once the call has
 * ended.
 */
import { GivenShare } from '../../protocols/budget/carried/budget-share.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import { neverHandled } from '../../protocols/wire/caller/retry-policy.ts'
import { type PeerCallOptions, timeoutOf } from './call-budget.ts'
import type { MethodCodec } from './method-codecs.ts'

/** Whether an attempt that failed so was not begun by anybody, although it was written. */
export const isUnhandled = (error: unknown): boolean => error instanceof ParleyError && neverHandled(error)

/** What a timer takes; a deadline that is further away bounds no call. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** @throws as GivenShare.of, and MSG005 */
const begin = (clock: Pick<Clock, 'now'>, target: MethodCodec, { budget, ...options }: PeerCallOptions) => {
  const share = GivenShare.of(budget ?? {}, clock)
  try {
    const timeoutMs = share.cut(timeoutOf(target, options))
    // Progress puts the deadline of the call off, and not that of the budget.
    const maxMs = share.cut(options.maxMs ?? Number.POSITIVE_INFINITY)
    return { share, own: { ...options, share, timeoutMs, ...(maxMs <= MAX_TIMER_MS && { maxMs }) } }
  } catch (error) {
    share.end(false)
    throw error
  }
}

const endFailed = (share: GivenShare, error: unknown): void => {
  share.failed(isUnhandled(error))
  share.end(true)
}

/** @param run with the options that carry it */
export const budgetedOne = async <T>(
  clock: Pick<Clock, 'now'>,
  target: MethodCodec,
  options: PeerCallOptions,
  run: (own: PeerCallOptions) => Promise<T>,
): Promise<T> => {
  const { share, own } = begin(clock, target, options)
  try {
    const result = await run(own)
    share.end(true)
    return result
  } catch (error) {
    endFailed(share, error)
    throw error
  }
}

type OpenStream = (own: PeerCallOptions) => AsyncIterableIterator<unknown>

/** No generator: its return() would wait for a next() that is open. */
export class BudgetedStream implements AsyncIterableIterator<unknown> {
  readonly #clock: Pick<Clock, 'now'>
  readonly #target: MethodCodec
  readonly #options: PeerCallOptions
  readonly #open: OpenStream
  #begun: { readonly share: GivenShare; readonly source: AsyncIterableIterator<unknown> } | undefined
  #isOver = false

  constructor(clock: Pick<Clock, 'now'>, target: MethodCodec, options: PeerCallOptions, open: OpenStream) {
    this.#clock = clock
    this.#target = target
    this.#options = options
    this.#open = open
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return { value: undefined, done: true }
    this.#begun ??= this.#begin()
    const { share, source } = this.#begun
    try {
      const result = await source.next()
      if (result.done === true) {
        this.#isOver = true
        share.end(true)
      }
      return result
    } catch (error) {
      this.#isOver = true
      endFailed(share, error)
      throw error
    }
  }

  /** What it was given is spent, where it was sent: nobody says what is left of a stream that is not read to its end. */
  async return(): Promise<IteratorResult<unknown>> {
    this.#isOver = true
    const begun = this.#begun
    await begun?.source.return?.()
    begun?.share.failed(false)
    begun?.share.end(true)
    return { value: undefined, done: true }
  }

  #begin() {
    const { share, own } = begin(this.#clock, this.#target, this.#options)
    return { share, source: this.#open(own) }
  }
}
