/** What became of a message, for whoever waits for it. State: in each outcome, gone with its receipt. */
import { waitFor } from '../async.ts'
import { ParleyError } from '../errors.ts'
import type { Timers } from '../port.ts'

export interface WaitOptions {
  /** Milliseconds, 1 to 2^31 - 1; no limit unless told. */
  timeoutMs?: number
  signal?: AbortSignal
}

export interface DeliveryOutcome {
  /** Called once for each destination; `movedTo`: it is on its way to another one, and nothing is told yet. */
  report(error: ParleyError | undefined, movedTo?: string): void
  wait(options?: WaitOptions): Promise<void>
}

const late = (timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `the message was not processed within ${timeoutMs} ms`, {
    hint: 'it is kept, and goes on: wait for it again, or see parley dlq and the figures of messages',
  })

/** @param destinations how many have to tell */
export const createDeliveryOutcome = (destinations: number, timers: Pick<Timers, 'after'>): DeliveryOutcome => {
  let open = destinations
  let failure: ParleyError | undefined
  let waiters: (() => void)[] | undefined

  const settled = (): boolean => open === 0 || failure !== undefined
  return {
    report(error, movedTo) {
      if (movedTo !== undefined) return
      open -= 1
      failure ??= error
      if (!settled() || waiters === undefined) return
      for (const wake of waiters.splice(0)) wake()
    },
    wait({ signal, timeoutMs } = {}) {
      if (settled()) return failure === undefined ? Promise.resolve() : Promise.reject(failure)
      return waitFor(signal, (resolve, reject) => {
        const settle = (): void => (failure === undefined ? resolve() : reject(failure))
        const stopLimit = timeoutMs === undefined ? undefined : timers.after(timeoutMs, () => reject(late(timeoutMs)))
        waiters ??= []
        waiters.push(settle)
        return () => {
          stopLimit?.()
          const at = waiters?.indexOf(settle) ?? -1
          if (at >= 0) waiters?.splice(at, 1)
        }
      })
    },
  }
}
