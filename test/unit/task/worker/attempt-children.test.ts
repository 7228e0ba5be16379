/** What children of an attempt take of its task's budget, and what an attempt lets go of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import type { SubmitTask, TaskHandle, TaskState } from '../../../../protocols/task/client/task-api.ts'
import type { TaskRecord } from '../../../../protocols/task/task-record.ts'
import { AttemptChildren, drawOrWait } from '../../../../protocols/task/worker/attempt-children.ts'
import { failureOf } from '../../../support/until.ts'

type Known = Readonly<Record<string, Partial<TaskRecord>>>

/** @param known children that are there already */
const create = (attempt: number, known: Known = {}) => {
  const slice = new Slice({ amounts: { tokens: 0, fanOut: 0 } })
  const log: string[] = []
  const stateOf = (id: string): TaskState => {
    const record = known[id]
    if (record === undefined) throw new ParleyError('STA001', `there is no ${id}`)
    return { id, status: record.status ?? 'queued', version: 1, record: record as TaskRecord }
  }
  const handleOf = (id: string) => ({ id, state: async () => stateOf(id) }) as TaskHandle
  const tasks = {
    async submit({ id = '', budget }: SubmitTask) {
      log.push(`submit ${id} ${JSON.stringify(budget?.amounts)}`)
      const of = budget?.of ?? slice
      of.reserve({ fanOut: 1 })
      of.split(budget?.amounts ?? {})
      return handleOf(id)
    },
    get(id: string) {
      log.push(`get ${id}`)
      return handleOf(id)
    },
    list: async () => Object.keys(known).map(stateOf),
    letGo: (id: string) => id !== 't.over',
  }
  const draw = async (amounts: Amounts): Promise<void> => {
    log.push(`draw ${JSON.stringify(amounts)}`)
    slice.add(amounts)
  }
  const { signal } = new AbortController()
  const children = new AttemptChildren(tasks, { id: 't', attempt, slice, signal, draw })
  return { children, slice, log }
}
const child = (tokens: number) => ({ type: 'sum', budget: { amounts: { tokens } } })
const before = (tokens: number, more: object = {}): Partial<TaskRecord> => ({
  ...{ parent: 't', type: 'sum', budget: { amounts: { tokens, fanOut: 0 }, used: {} } },
  ...more,
})

test('what a child gets is drawn, as far as the attempt has not as much', async () => {
  const { children, slice, log } = create(1)
  slice.add({ tokens: 30 })
  await children.submit('a', child(20))
  await children.submit('b', child(20))
  await children.submit('c', { type: 'sum' })
  const fanOut = '"fanOut":1'
  assert.deepEqual(log, [
    ...[`draw {"tokens":0,${fanOut}}`, 'submit t.a {"tokens":20}'],
    ...[`draw {"tokens":10,${fanOut}}`, 'submit t.b {"tokens":20}'],
    ...[`draw {"tokens":0,${fanOut}}`, 'submit t.c undefined'],
  ])
})

test('a child of an earlier attempt takes nothing; one that is another one is for the journal to refuse', async () => {
  const known = {
    't.same': before(20),
    't.less': before(19),
    't.other': before(20, { type: 'draw' }),
    't.foreign': before(20, { parent: 'x' }),
  }
  const { children, log } = create(2, known)
  for (const name of ['same', 'less', 'other', 'foreign', 'new']) {
    log.length = 0
    await children.submit(name, child(20))
    assert.equal(
      log.some((one) => /^(draw|submit)/.test(one)),
      name !== 'same',
      name,
    )
  }
  assert.deepEqual(children.letGo(), ['t.less', 't.other', 't.foreign', 't.new'])
})

test('an attempt lets go of those that it gave something to and that have not ended, once', async () => {
  const { children } = create(1)
  for (const name of ['a', 'over']) await children.submit(name, child(1))
  const other = new Slice({ amounts: { tokens: 9 } })
  await children.submit('b', { type: 'sum', budget: { of: other, amounts: { tokens: 1 } } })
  assert.deepEqual(children.letGo(), ['t.a'])
  assert.deepEqual(children.letGo(), [])
})

test('a draw waits where children that were let go may leave something, and for no others', async () => {
  const refusal = new ParleyError('COM003', 'nothing is left', { details: { reason: 'budget-exhausted' } })
  const returnsTo = { amounts: { tokens: 20, fanOut: 0 }, used: {}, returnsTo: 1 }
  const waits = async (attempt: number, known: Known, error: Error = refusal): Promise<number> => {
    let [waited, isRefused] = [0, true]
    const wait = async (): Promise<void> => {
      waited += 1
      isRefused = false
    }
    const draw = async (): Promise<void> => {
      if (isRefused) throw error
    }
    const drawing = drawOrWait(draw, create(attempt, known).children, wait)
    if (waited === 0) await drawing.catch((why: unknown) => assert.equal(why, error))
    return waited
  }
  const letGo = (status: TaskRecord['status']): Known => ({ 't.a': before(20, { status, budget: returnsTo }) })
  for (const status of ['submitted', 'queued', 'assigned', 'running'] as const)
    assert.equal(await waits(2, letGo(status)), 1, status)
  for (const status of ['input_required', 'paused', 'completed'] as const)
    assert.equal(await waits(2, letGo(status)), 0, status)
  assert.equal(await waits(1, letGo('queued')), 0, 'of a first attempt there are none')
  assert.equal(await waits(2, { 't.a': before(20) }), 0, 'it was not let go')
  assert.equal(await waits(2, { 't.a': before(20, { parent: 'x', budget: returnsTo }) }), 0)
  assert.equal(await waits(2, letGo('queued'), new ParleyError('STA002', 'it is over')), 0)
  assert.equal(
    await failureOf(
      drawOrWait(
        () => Promise.reject(refusal),
        create(2).children,
        async () => {},
      ),
    ),
    refusal,
  )
})
