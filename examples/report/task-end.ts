/** How a task of the report ends: what it waits for nobody in vain, it is given up. Keeps no state. */
import { type Json, ParleyError, type TaskHandle, type TaskRecord } from '../../node/index.ts'

export interface EndOptions {
  readonly signal: AbortSignal
  /** Milliseconds that a task may wait while nobody does such tasks. */
  readonly patienceMs: number
  /** Told of its record, as it changes. */
  onChange?(record: TaskRecord): void
}

const nobody = (id: string, type: string, patienceMs: number): ParleyError =>
  new ParleyError('COM001', `for ${patienceMs / 1000} s nobody did tasks of the type ${type}`, {
    hint: 'see the lines above; is the machine overloaded?',
    details: { task: id },
  })

/** @throws what the task failed with; COM001 where nobody took it */
export const endOf = async (handle: TaskHandle, { signal, patienceMs, onChange }: EndOptions): Promise<Json> => {
  let given: ParleyError | undefined
  let timer: NodeJS.Timeout | undefined
  const giveUp = (type: string): void => {
    given = nobody(handle.id, type, patienceMs)
    // Where that is not decided either, nobody coordinates: it is known to be canceled once somebody does.
    handle.cancel('nobody does such tasks').catch(() => {})
  }
  try {
    for await (const { status, record } of handle.updates({ signal })) {
      clearTimeout(timer)
      onChange?.(record)
      if (status === 'queued' && record.reason === 'no-worker')
        timer = setTimeout(() => giveUp(record.type), patienceMs)
    }
  } finally {
    clearTimeout(timer)
  }
  try {
    return await handle.result({ signal })
  } catch (error) {
    throw given ?? error
  }
}
