/**
 * One call, message or event on its way through the interceptors of its kind.
 *
 * Guarantees: each hook runs in turn, `next` runs what is behind it at most once, and hooks that pass on without waiting
 * first do so in the same turn of the event loop. An error that comes from behind passes as it is; what a hook throws itself
 * is counted by its name, and is a ParleyError when it leaves. Time counts while interceptors have the matter, not while
 * what they stand around is at work, which has limits of its own.
 * State: whose turn it is, and the errors that are accounted for.
 */
import { isParleyError, ParleyError } from '../errors.ts'
import type { Clock, Stop, Timers } from '../port.ts'
import type { InterceptedKind, Interceptor, Next } from './interceptor.ts'

export type InterceptorOutcome = 'refused' | 'failed' | 'timeout'

/** Until when interceptors may have it. */
export interface RunLimit {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds that are left, asked after `sinceMs` of waiting for interceptors; infinite unless given. */
  leftMs?(sinceMs: number): number
  /** The limit has ended it: what is at work behind the interceptors is to end too. */
  ended?(error: unknown): void
}

/** Milliseconds that interceptors of a message or an event have before it is passed on, and again behind that. */
export const INTERCEPTOR_LIMIT_MS = 30_000
/** Of what has no deadline. */
export const INTERCEPTOR_TIME = {
  leftMs: (sinceMs: number): number => INTERCEPTOR_LIMIT_MS - sinceMs,
} as const satisfies RunLimit

export interface ChainRunDeps {
  readonly kind: InterceptedKind
  readonly list: readonly Interceptor[]
  /** What `next` may be given. */
  readonly changeable: ReadonlySet<string>
  /** A hook that returns without having passed on has failed. */
  readonly mustPass: boolean
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Pick<Timers, 'after'>
  count(interceptor: string, outcome: InterceptorOutcome): void
  failed(interceptor: string, error: unknown): void
}

type Hook<I, R> = (input: I, next: Next<object, R>) => unknown

const MAX_TIMER_MS = 2 ** 31 - 1
/** Timers may be early by a fraction of a millisecond. */
const EARLY_MS = 1

const fault = (message: string, hint: string, cause?: unknown): ParleyError =>
  new ParleyError('APP001', message, { hint, ...(cause !== undefined && { cause }) })

export class ChainRun<I extends object, R> {
  readonly #deps: ChainRunDeps
  readonly #core: (input: I) => R | PromiseLike<R>
  readonly #limit: RunLimit
  /** Behind each interceptor's answer: what replaces it; a stream's items are guarded there. */
  readonly #guard: ((index: number, answer: R, passed: R | undefined) => R) | undefined
  /** Came from behind, or were counted by the interceptor that threw them. */
  readonly #known = new Set<unknown>()
  #over: { readonly error: unknown } | undefined
  /** Whose turn it is. */
  #holder = 0
  #atWork = 0
  #fail: ((error: unknown) => void) | undefined
  #since = 0
  #stopTimer: Stop | undefined

  constructor(
    deps: ChainRunDeps,
    core: (input: I) => R | PromiseLike<R>,
    limit: RunLimit,
    guard?: (index: number, answer: R, passed: R | undefined) => R,
  ) {
    this.#deps = deps
    this.#core = core
    this.#limit = limit
    this.#guard = guard
    limit.signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  start(input: I): Promise<R> {
    const { signal } = this.#limit
    if (signal?.aborted) this.end(signal.reason)
    return this.within(() => this.#step(0, input))
  }

  /** What interceptors do now, within their time. */
  within<T>(begin: () => PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over.error)
      const settle = (): void => {
        this.#fail = undefined
        this.#disarm()
      }
      this.#fail = reject
      this.#arm()
      begin().then(
        (value) => {
          settle()
          resolve(value)
        },
        (error: unknown) => {
          settle()
          reject(error)
        },
      )
    })
  }

  /** Runs what the interceptors stand around: its time is not theirs. */
  work<T>(run: () => T | PromiseLike<T>): Promise<T> {
    if (this.#over !== undefined) return Promise.reject(this.#over.error)
    this.#atWork += 1
    this.#disarm()
    const back = (): void => {
      this.#atWork -= 1
      if (this.#atWork === 0 && this.#fail !== undefined) this.#arm()
    }
    let working: Promise<T>
    try {
      working = Promise.resolve(run())
    } catch (error) {
      working = Promise.reject(error)
    }
    return working.then(
      (value) => {
        back()
        return value
      },
      (error: unknown) => {
        this.#known.add(error)
        back()
        throw error
      },
    )
  }

  /** What a hook, or what it returned, threw: as others get it. */
  blame(index: number, error: unknown): unknown {
    if (this.#known.has(error) || this.#over?.error === error) return error
    const { signal } = this.#limit
    if (signal?.aborted === true && error === signal.reason) return error
    return isParleyError(error) ? this.#account(index, 'refused', error) : this.#unexpected(index, error)
  }

  /** No hook gets anything from here on, and whoever waits is told. */
  end(error: unknown): void {
    if (this.#over !== undefined) return
    this.close(error)
    this.#fail?.(error)
  }

  close(error: unknown = fault('the interceptors have ended', 'call next() before the hook returns')): void {
    this.#over ??= { error }
    this.#disarm()
    this.#limit.signal?.removeEventListener('abort', this.#aborted)
  }

  readonly #aborted = (): void => this.end(this.#limit.signal?.reason)

  #nameOf(index: number): string {
    return this.#deps.list[index]?.name ?? ''
  }

  #account(index: number, outcome: InterceptorOutcome, error: ParleyError): ParleyError {
    this.#deps.count(this.#nameOf(index), outcome)
    this.#known.add(error)
    return error
  }

  #unexpected(index: number, cause: unknown): ParleyError {
    const name = this.#nameOf(index)
    this.#deps.failed(name, cause)
    return this.#account(
      index,
      'failed',
      fault(`the interceptor ${name} failed`, 'its node says why in its log', cause),
    )
  }

  #step(index: number, input: I): Promise<R> {
    const interceptor = this.#deps.list[index]
    if (interceptor === undefined) return this.work(() => this.#core(input))
    this.#holder = index
    let passed: Promise<R> | undefined
    const next = (change?: object): Promise<R> => {
      if (this.#over !== undefined) return Promise.reject(this.#over.error)
      if (passed !== undefined) return Promise.reject(this.#twice(index))
      const misuse = this.#misuseOf(change)
      if (misuse !== undefined) return Promise.reject(this.#account(index, 'failed', misuse))
      passed = this.#step(index + 1, change === undefined ? input : { ...input, ...change })
      const back = (): void => {
        this.#holder = index
      }
      // A hook that does not wait for it makes no unhandled rejection.
      passed.then(back, back)
      return passed
    }
    let given: unknown
    try {
      // `list` holds only those that have a hook of this kind, which takes such input.
      const hook = interceptor[this.#deps.kind] as unknown as Hook<I, R>
      given = hook.call(interceptor, input, next)
    } catch (error) {
      return Promise.reject(this.blame(index, error))
    }
    return this.#outcome(index, given, () => passed)
  }

  async #outcome(index: number, given: unknown, passedOf: () => Promise<R> | undefined): Promise<R> {
    let answer: unknown
    try {
      answer = await given
    } catch (error) {
      throw this.blame(index, error)
    }
    const passed = passedOf()
    if (this.#deps.mustPass) {
      if (passed === undefined) throw this.#notPassed(index)
      return passed
    }
    // The contract says what an answer is, and is asked once the last interceptor gave it.
    const value = answer as R
    if (this.#guard === undefined) return value
    try {
      return this.#guard(index, value, await passed?.catch(() => undefined))
    } catch (error) {
      throw this.blame(index, error)
    }
  }

  #misuseOf(change: object | undefined): ParleyError | undefined {
    const keys = change === undefined ? [] : Object.keys(Object(change))
    const unknown = keys.find((key) => !this.#deps.changeable.has(key))
    return unknown === undefined
      ? undefined
      : new ParleyError('MSG001', `next() of an interceptor cannot change ${JSON.stringify(unknown.slice(0, 64))}`, {
          hint: `it takes ${[...this.#deps.changeable].join(', ')}`,
        })
  }

  #twice(index: number): ParleyError {
    const error = fault(
      `the interceptor ${this.#nameOf(index)} called next() twice`,
      'call it once; who calls retries by itself',
    )
    return this.#account(index, 'failed', error)
  }

  #notPassed(index: number): ParleyError {
    const error = fault(
      `the interceptor ${this.#nameOf(index)} neither passed on what it got nor refused it`,
      'return next(), or throw a ParleyError that says why not',
    )
    return this.#account(index, 'failed', error)
  }

  #arm(): void {
    const { leftMs } = this.#limit
    if (leftMs === undefined || this.#atWork > 0) return
    this.#since = this.#deps.clock.monotonic()
    this.#wait(leftMs(0))
  }

  #wait(leftMs: number): void {
    this.#disarm()
    if (leftMs === Number.POSITIVE_INFINITY) return
    this.#stopTimer = this.#deps.timers.after(Math.min(MAX_TIMER_MS, Math.max(EARLY_MS, leftMs)), () => this.#due())
  }

  #due(): void {
    const left = this.#limit.leftMs?.(this.#deps.clock.monotonic() - this.#since) ?? 0
    if (left > EARLY_MS) {
      this.#wait(left)
      return
    }
    const name = this.#nameOf(this.#holder)
    const error = new ParleyError('COM001', `the interceptor ${name} did not settle in time`, {
      hint: 'let it wait for nothing that may never come; input.signal is aborted when the time of a call is over',
    })
    this.#account(this.#holder, 'timeout', error)
    this.end(error)
    this.#limit.ended?.(error)
  }

  #disarm(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }
}
