/** A task that failed, as it is submitted once more. Keeps no state. */
import { stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import { isFinal } from '../task-status.ts'
import type { SubmitTask } from './task-api.ts'
import type { TaskReader } from './task-reader.ts'

/**
 * @param load the value of what stands in the journal @param as id of the new one
 * @throws STA001; STA003 `not-failed`, `input-gone`; of a large input what loading it throws
 */
export const failedTask = async (
  reader: Pick<TaskReader, 'read' | 'done'>,
  load: (row: Json) => Promise<TaskValue>,
  id: string,
  { as, signal }: { readonly as: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<SubmitTask> => {
  const { status } = await reader.read(id, signal)
  if (!isFinal(status) || status === 'completed')
    throw stateError(
      'not-failed',
      `the task ${id} is ${status}, and is not submitted again`,
      status === 'completed' ? 'read its result; submit another task' : 'cancel it first, or wait for its end',
      { task: id, status },
    )
  const { record, metadata, input } = await reader.done(id, signal)
  if (input === undefined)
    throw stateError(
      'input-gone',
      `what the task ${id} was submitted with is not there any more`,
      'it ended under an older version: submit a new task with its input',
      { task: id },
    )
  const { type, typeVersion, priority, requirements, retry } = record
  return {
    ...{ type, input: await load(input), priority: PRIORITIES[priority] ?? 'normal', retry },
    ...(as !== undefined && { id: as }),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(metadata !== undefined && { metadata }),
    ...(requirements !== undefined && { requirements }),
  }
}
