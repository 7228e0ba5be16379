/**
 * A child as the attempt that submitted it waits for it. An attempt that waits in its place keeps its slot; where all slots of a
 * type are kept so, by parents that wait for children of the same type, no child would ever begin. So an attempt whose child
 * nobody has begun gives its slot back, as with `sleep`: it ends, and another one begins from the top after a while, in which
 * the child has its turn. An attempt whose child is in work stays where it is. Keeps no state.
 */
import { within } from '../../async.ts'
import type { Port } from '../../port.ts'
import type { TaskHandle, TaskState, TaskWaitOptions } from '../client/task-api.ts'

/** Milliseconds that an attempt waits in its place before it looks whether somebody works on its child, and between two looks. */
export const STAY_MS = 5_000
/** Milliseconds until the next attempt: longer than a sleep that is waited for in place. */
export const GIVEN_BACK_MS = 6_000
/** Begins the names of the sleeps in which a slot is given back. */
export const CHILD_WAIT = 'wait-for-child.'

export interface WaitingParent {
  readonly timers: Pick<Port['timers'], 'after'>
  /** Of the attempt. */
  readonly signal: AbortSignal
  /** Ends the attempt. @throws that it is over */
  giveBack(): Promise<void>
}

/** Nobody has begun it, or whoever had has ended. */
const isInLine = ({ status }: TaskState): boolean => status === 'submitted' || status === 'queued'

export const childHandle = (handle: TaskHandle, { timers, signal, giveBack }: WaitingParent): TaskHandle => {
  const untilEnded = async <T>(
    options: TaskWaitOptions,
    wait: (options: TaskWaitOptions) => Promise<T>,
  ): Promise<T> => {
    const own = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal])
    const waiting = wait({ ...options, signal: own })
    while (!(await within(timers, STAY_MS, waiting))) {
      // One that cannot be looked at now is looked at again.
      const state = await handle.state({ timeoutMs: STAY_MS, signal: own }).catch(() => undefined)
      if (state === undefined || !isInLine(state)) continue
      // It ends with the attempt.
      waiting.catch(() => {})
      await giveBack()
    }
    return waiting
  }
  return {
    ...handle,
    result: (options = {}) => untilEnded(options, (own) => handle.result(own)) as never,
    ended: (options = {}) => untilEnded(options, (own) => handle.ended(own)),
  }
}
