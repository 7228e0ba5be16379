/** A task as a program holds it, from any node: its state, its end, and what may be done to it. */
import { abortable, waitFor } from '../../async.ts'
import { fromFault, ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import type { StoredBytes, TaskValue } from '../bytes/stored-bytes.ts'
import { isFinal, type TaskStatus } from '../task-status.ts'
import type { TaskHandle, TaskHistory, TaskRecorded, TaskState, TaskWaitOptions } from './task-api.ts'
import type { Watching } from './task-trackers.ts'
import { limitedWait } from './wait-limit.ts'

export type Control =
  | { readonly action: 'pause' | 'cancel'; readonly reason?: string }
  | { readonly action: 'resume'; readonly checkpoint?: Json }
  | { readonly action: 'signal'; readonly name: string; readonly value: Json }

export interface HandleDeps {
  readonly port: Pick<Port, 'timers'>
  /** As it is now. @throws STA001 */
  read(id: string, signal: AbortSignal | undefined): Promise<TaskState>
  /** Told of each state from now on, until it is stopped; resolves once nothing is missed. */
  watch(id: string, fn: (state: TaskState) => void, signal: AbortSignal | undefined): Promise<Watching>
  control(id: string, control: Control): Promise<TaskStatus>
  recorded(id: string): Promise<TaskRecorded | undefined>
  /** The value of a large result. */
  load(id: string, stored: StoredBytes, signal: AbortSignal | undefined): Promise<TaskValue>
  history(id: string, signal: AbortSignal | undefined): Promise<TaskHistory>
}

/** @throws what it failed with; STA003 `ended` */
const resultOf = ({ id, status, result, error, record }: TaskState): Json => {
  if (status === 'completed') return result ?? null
  if (status === 'failed')
    throw fromFault({
      code: error?.code ?? 'APP001',
      message: error?.message ?? 'the task failed',
      ...(error?.hint !== undefined && { hint: error.hint }),
      details: { ...error?.details, task: id },
    })
  throw stateError(
    'ended',
    `the task ${id} is ${status}${record.reason === undefined ? '' : `: ${record.reason}`}`,
    'submit another task',
    {
      task: id,
      status,
    },
  )
}

const notEnded = (id: string, timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `the task ${id} has not ended within ${timeoutMs} ms`, {
    hint: 'it goes on: wait again, or cancel it',
    details: { task: id },
  })

export const createTaskHandle = (deps: HandleDeps, id: string): TaskHandle => {
  const { port, read, watch, control, recorded, history } = deps

  async function* updates({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<TaskState, void> {
    const told: TaskState[] = []
    let wake: (() => void) | undefined
    const { stop, last: known } = await watch(
      id,
      (state) => {
        told.push(state)
        wake?.()
      },
      signal,
    )
    try {
      let last = known
      if (last !== undefined) yield last
      while (last === undefined || !isFinal(last.status)) {
        const next = told.shift()
        if (next === undefined) {
          await waitFor(signal, (resolve) => {
            wake = resolve
            if (told.length > 0) resolve()
            return () => {
              wake = undefined
            }
          })
          continue
        }
        if (last !== undefined && next.version <= last.version && !isFinal(next.status)) continue
        last = next
        yield next
      }
    } finally {
      stop()
    }
  }

  const ended = async (options: TaskWaitOptions = {}): Promise<TaskState> => {
    const limit = limitedWait(port, options, () => notEnded(id, options.timeoutMs ?? 0))
    try {
      for await (const state of updates(limit.signal === undefined ? {} : { signal: limit.signal }))
        if (isFinal(state.status)) return state
      throw new ParleyError('STA001', `the task ${id} is not known any more`, { hint: 'it ended long ago' })
    } finally {
      limit.stop()
    }
  }

  /** Within the time that its caller gives it. */
  const limited = async <T>(
    options: TaskWaitOptions,
    ask: (id: string, signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> => {
    const limit = limitedWait(port, options, () => notEnded(id, options.timeoutMs ?? 0))
    try {
      return await abortable(ask(id, limit.signal), limit.signal)
    } finally {
      limit.stop()
    }
  }

  const result = async <R extends TaskValue = Json>(options: TaskWaitOptions = {}): Promise<R> => {
    const limit = limitedWait(port, options, () => notEnded(id, options.timeoutMs ?? 0))
    try {
      const state = await ended(limit.signal === undefined ? {} : { signal: limit.signal })
      const { storedResult } = state
      const value = storedResult === undefined ? resultOf(state) : await deps.load(id, storedResult, limit.signal)
      // Of the type that the program says.
      return value as R
    } finally {
      limit.stop()
    }
  }

  return {
    id,
    state: (options = {}) => limited(options, read),
    history: (options = {}) => limited(options, history),
    recorded: () => recorded(id),
    result,
    ended,
    updates,
    signal: (name, value) => control(id, { action: 'signal', name, value }),
    pause: (reason) => control(id, { action: 'pause', ...(reason !== undefined && { reason }) }),
    resume: ({ checkpoint } = {}) => control(id, { action: 'resume', ...(checkpoint !== undefined && { checkpoint }) }),
    cancel: (reason) => control(id, { action: 'cancel', ...(reason !== undefined && { reason }) }),
  }
}
