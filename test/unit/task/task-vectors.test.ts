/** Messages of tasks as others write them (test/interop/vectors/tasks.json): what is good is taken, what is bad is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as z from 'zod'
import { isParleyError } from '../../../protocols/errors.ts'
import { readTaskMessage, TASK_ANSWERS, TASK_MESSAGES } from '../../../protocols/task/client/seed-messages.ts'
import { taskProtocol } from '../../../protocols/task/contract.ts'
import { TaskChangeSchema } from '../../../protocols/task/journal/task-changes.ts'
import { stateChangedEvent, taskStatusEvent, taskSubmittedEvent } from '../../../protocols/task/task-events.ts'

const Cases = z.record(z.string(), z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1) }))
const vectors = z
  .object({ messages: Cases, answers: Cases, events: Cases, protocol: Cases, changes: Cases })
  .parse(JSON.parse(readFileSync(new URL('../../interop/vectors/tasks.json', import.meta.url), 'utf8')))

/** Each direction of each method, as the vectors name it. */
const protocolSchemas = Object.fromEntries(
  Object.entries(taskProtocol.methods).flatMap(([name, method]): [string, z.ZodType][] => [
    [`${name} request`, method.request],
    'stream' in method ? [`${name} item`, method.stream] : [`${name} response`, method.response],
  ]),
)
const SCHEMAS: Readonly<Record<keyof typeof vectors, Readonly<Record<string, z.ZodType>>>> = {
  messages: TASK_MESSAGES,
  answers: TASK_ANSWERS,
  events: Object.fromEntries(
    [taskStatusEvent, stateChangedEvent, taskSubmittedEvent].map(({ topic, schema }) => [topic, schema]),
  ),
  protocol: protocolSchemas,
  changes: Object.fromEntries(TaskChangeSchema.options.map((schema) => [schema.shape.do.value, TaskChangeSchema])),
}

for (const [where, schemas] of Object.entries(SCHEMAS))
  test(`${where}: each one has a vector, and is taken and refused as that says`, () => {
    const cases = vectors[where as keyof typeof vectors]
    assert.deepEqual(Object.keys(cases).sort(), Object.keys(schemas).sort())
    for (const [name, { good, bad }] of Object.entries(cases)) {
      const schema = schemas[name]
      for (const one of good) assert.ok(schema?.safeParse(one).success, `${name} ${JSON.stringify(one)}`)
      for (const one of bad) assert.ok(schema?.safeParse(one).success === false, `${name} ${JSON.stringify(one)}`)
    }
  })

test('what is good comes back as it was written', () => {
  for (const schemas of [vectors.changes, vectors.protocol])
    for (const [name, { good }] of Object.entries(schemas))
      for (const one of good)
        assert.deepEqual((schemas === vectors.changes ? TaskChangeSchema : SCHEMAS.protocol[name])?.parse(one), one)
})

test('a message that is not known, or does not fit, is refused with what to do', () => {
  const refused = (type: string, payload: unknown): unknown => {
    try {
      return readTaskMessage(type, payload)
    } catch (error) {
      return isParleyError(error) ? error.code : error
    }
  }
  assert.equal(refused('task.delete', {}), 'MSG004')
  assert.equal(refused('constructor', {}), 'MSG004')
  for (const [type, { bad }] of Object.entries(vectors.messages))
    for (const payload of bad) assert.equal(refused(type, payload), 'MSG001', `${type} ${JSON.stringify(payload)}`)
  const [good] = vectors.messages['task.submit']?.good ?? []
  assert.deepEqual(readTaskMessage('task.submit', good), {
    type: 'task.submit',
    task: {
      ...{ id: 'task-123e4567-e89b', type: 'data_processing', priority: 'normal', dependencies: [] },
      deadline: new Date('2024-03-21T15:00:00Z'),
      requirements: { cpu_cores: 4, memory_gb: 16, storage_gb: 100 },
      metadata: { source: 'user_request', batch_id: 'batch-789' },
    },
  })
})
