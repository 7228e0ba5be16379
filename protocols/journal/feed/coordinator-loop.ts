/**
 * What the coordinator's side of each part does over and over: it waits until there is something to look at, and has changes
 * decided. State: what wakes it, and how many changes were refused.
 */
import { waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'

/** Milliseconds before what was not decided is asked for again. */
const AGAIN_MS = 500

interface LoopOptions {
  readonly port: Pick<Port, 'timers' | 'log'>
  /** What changes are of, for people. */
  readonly of: string
  /** Ends it. */
  readonly signal: AbortSignal
}

export class CoordinatorLoop {
  readonly #options: LoopOptions
  #wake: (() => void) | undefined
  #refused = 0

  constructor(options: LoopOptions) {
    this.#options = options
  }

  /** Changes that did not fit any more when they were decided. */
  refused(): number {
    return this.#refused
  }

  readonly wake = (): void => this.#wake?.()

  /** Until it is woken, which all that is applied together does once. @param ms at the latest; as long as it takes unless told */
  untilNews(ms?: number): Promise<void> {
    const { port, signal } = this.#options
    return waitFor(signal, (resolve) => {
      this.#wake = () => queueMicrotask(resolve)
      const stop = ms === undefined ? undefined : port.timers.after(ms, resolve)
      return () => {
        this.#wake = undefined
        stop?.()
      }
    }).catch(() => {})
  }

  /**
   * Has it decided. It may have changed meanwhile, which is seen by reading; anything else is to be tried again, after a while.
   * @param restsWhenRefused also what changed meanwhile is
   * @returns whether it was decided
   */
  async decide(
    change: { readonly do: string },
    decide: (ending: { readonly signal: AbortSignal }) => Promise<unknown>,
    restsWhenRefused = false,
  ): Promise<boolean> {
    const { port, of, signal } = this.#options
    try {
      await decide({ signal })
      return true
    } catch (error) {
      if (signal.aborted) return false
      const isRefused = isParleyError(error, 'STA001', 'STA002', 'STA003')
      if (isRefused) this.#refused += 1
      else port.log.warn(`a change of ${of} was not decided; it is tried again`, { change: change.do, error })
      if (!isRefused || restsWhenRefused)
        await waitFor(signal, (resolve) => port.timers.after(AGAIN_MS, resolve)).catch(() => {})
      return false
    }
  }
}
