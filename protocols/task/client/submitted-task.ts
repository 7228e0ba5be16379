/** A task as a program gives it, checked and completed. Pure, but for a new id. */
import { toString as encodeText } from 'uint8arrays/to-string'
import { checkedInput } from '../../checked-input.ts'
import type { Port } from '../../port.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { withoutHolders } from '../bytes/stored-bytes.ts'
import { type SubmittedTask, SubmittedTaskSchema } from '../journal/task-changes.ts'
import type { SubmitTask } from './task-api.ts'

const KEYS = keysOf<SubmitTask>({
  id: true,
  type: true,
  typeVersion: true,
  input: true,
  metadata: true,
  priority: true,
  deadline: true,
  requirements: true,
  dependencies: true,
  parent: true,
  retry: true,
  attemptTimeoutMs: true,
  takeover: true,
  plan: true,
  budget: true,
})
const RETRY = { max: 3, delayMs: 1_000, maxDelayMs: 30_000 } as const
const NO_DIGEST = ''

/** UUID version 7: its ids sort as they were made. */
export const newTaskId = ({ clock, random }: Pick<Port, 'clock' | 'random'>): string => uuid7(clock.now(), random(10))

const ENCODER = new TextEncoder()

/**
 * @param budget what it was given of one, which ends no later than its deadline
 * @throws MSG001
 */
export const submittedTask = (
  port: Pick<Port, 'clock' | 'random' | 'hash'>,
  given: SubmitTask,
  budget?: SubmittedTask['budget'],
): SubmittedTask => {
  checkKeys(given, KEYS, 'a task')
  const { id, type, typeVersion, input = null, metadata, priority = 'normal', deadline, requirements, parent } = given
  const { attemptTimeoutMs, takeover = 'at-once', plan } = given
  const dependencies = (given.dependencies ?? []).map((one) =>
    typeof one === 'string'
      ? { task_id: one, condition: 'completed' as const }
      : { task_id: one.task_id, condition: one.condition ?? 'completed' },
  )
  const task = {
    id: id ?? newTaskId(port),
    type,
    ...(typeVersion !== undefined && { typeVersion }),
    priority: PRIORITIES.indexOf(priority),
    ...(deadline !== undefined && { deadline: Number(deadline) }),
    ...(requirements !== undefined && { requirements }),
    ...(dependencies.length > 0 && { dependencies }),
    ...(parent !== undefined && { parent }),
    retry: { ...RETRY, ...given.retry },
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    // Anything but the usual one is checked with the rest.
    ...(takeover !== 'at-once' && { takeover }),
    ...(plan !== undefined && { plan }),
    ...(budget !== undefined && { budget }),
    input,
    ...(metadata !== undefined && { metadata }),
    digest: NO_DIGEST,
  }
  const checked: SubmittedTask = checkedInput(SubmittedTaskSchema, task, 'the task cannot be submitted')
  const { id: _id, ...what } = { ...checked, input: withoutHolders(checked.input) }
  return { ...checked, digest: encodeText(port.hash(ENCODER.encode(JSON.stringify(what))), 'base16') }
}
