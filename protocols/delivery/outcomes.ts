/** What became of a message, for whoever waits for it. State: in each outcome, gone with its receipt. */
import type { ParleyError } from '../errors.ts'

export interface Outcome {
  /** Called once for each destination. */
  told(error: ParleyError | undefined): void
  wait(options?: { signal?: AbortSignal }): Promise<void>
}

/** @param destinations how many have to tell */
export const createOutcome = (destinations: number): Outcome => {
  let open = destinations
  let failure: ParleyError | undefined
  let waiters: (() => void)[] | undefined

  const settled = (): boolean => open === 0 || failure !== undefined
  return {
    told(error) {
      open -= 1
      failure ??= error
      if (!settled() || waiters === undefined) return
      for (const wake of waiters.splice(0)) wake()
    },
    wait: ({ signal } = {}) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          signal?.removeEventListener('abort', onAbort)
          if (failure === undefined) resolve()
          else reject(failure)
        }
        const onAbort = (): void => {
          const at = waiters?.indexOf(settle) ?? -1
          if (at >= 0) waiters?.splice(at, 1)
          reject(signal?.reason)
        }
        if (settled()) return settle()
        if (signal?.aborted) return reject(signal.reason)
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters ??= []
        waiters.push(settle)
      }),
  }
}
