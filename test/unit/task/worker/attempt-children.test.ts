/** What children of an attempt take of its task's budget, and what an attempt lets go of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import type { SubmitTask, TaskHandle, TaskState } from '../../../../protocols/task/client/task-api.ts'
import type { TaskRecord } from '../../../../protocols/task/task-record.ts'
import { AttemptChildren } from '../../../../protocols/task/worker/attempt-children.ts'
import { drawOrWait } from '../../../../protocols/task/worker/child-prospect.ts'
import { failureOf } from '../../../support/until.ts'

type Known = Readonly<Record<string, Partial<TaskRecord>>>

/** @param known children that are there already @param left of the task's budget, as its record has it */
const create = (attempts: number, known: Known = {}, left: Amounts = {}) => {
  const slice = new Slice({ amounts: { tokens: 0, fanOut: 0 } })
  const log: string[] = []
  const stateOf = (id: string): TaskState => {
    const record = known[id]
    if (id === 't') return { budget: { left } } as unknown as TaskState
    if (record === undefined) throw new ParleyError('STA001', `there is no ${id}`)
    return { id, status: record.status ?? 'queued', version: 1, record: record as TaskRecord }
  }
  const handleOf = (id: string) => ({ id, state: async () => stateOf(id) }) as TaskHandle
  const tasks = {
    async submitChild({ id = '', budget }: SubmitTask) {
      log.push(`submit ${id} ${JSON.stringify(budget?.amounts)}`)
      const of = budget?.of ?? slice
      of.reserve({ fanOut: 1 })
      of.split(budget?.amounts ?? {})
      return { handle: handleOf(id), known: known[id] !== undefined }
    },
    get(id: string) {
      log.push(`get ${id}`)
      return handleOf(id)
    },
    async list({ after, most }: { after: string; most: number }) {
      const behind = Object.keys(known).filter((id) => id > after)
      return behind.slice(0, most).map(stateOf)
    },
    letGo: (id: string) => id !== 't.over',
  }
  const draw = async (amounts: Amounts): Promise<void> => {
    log.push(`draw ${JSON.stringify(amounts)}`)
    await new Promise((resolve) => setImmediate(resolve))
    slice.add(amounts)
  }
  const { signal } = new AbortController()
  const record = { attempts, submitter: 'ann', submittedAt: 100 }
  const children = new AttemptChildren(tasks, {
    id: 't',
    record,
    self: 'bob',
    slice,
    signal,
    draw,
    isEnding: () => false,
  })
  return { children, slice, log }
}
const child = (tokens: number) => ({ type: 'sum', budget: { amounts: { tokens } } })
const before = (tokens: number, more: object = {}): Partial<TaskRecord> => ({
  ...{ parent: 't', type: 'sum', submitter: 'cyd', submittedAt: 101 },
  budget: { amounts: { tokens, fanOut: 0 }, used: {} },
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

test('children that are submitted at once have each what they ask for', async () => {
  const { children, slice, log } = create(1)
  slice.add({ tokens: 15, fanOut: 3 })
  await Promise.all([children.submit('a', child(10)), children.submit('b', child(10)), children.submit('c', child(5))])
  assert.deepEqual(slice.remaining(), { tokens: 0, fanOut: 0 })
  assert.deepEqual(
    log.filter((one) => one.startsWith('draw')),
    ['draw {"tokens":5,"fanOut":0}', 'draw {"tokens":5,"fanOut":0}'],
  )
  // Somebody takes all that is drawn: there is an end to it.
  const robbed = create(1)
  const add = robbed.slice.add.bind(robbed.slice)
  robbed.slice.add = (amounts) => {
    add(amounts)
    robbed.slice.spend(amounts)
  }
  assert.equal(
    Reflect.get(Object(await failureOf(robbed.children.submit('a', child(1)))), 'reason'),
    'budget-exhausted',
  )
})

test('a child that was there before its task is of nobody who may have submitted it', async () => {
  const old = { submittedAt: 100 }
  const known = {
    't.ours': before(20, { ...old, submitter: 'bob' }),
    't.owner': before(20, { ...old, submitter: 'ann' }),
    't.earlier': before(20),
    't.planted': before(20, old),
    't.over': before(20, { ...old, status: 'completed' }),
    't.free': { ...before(20, old), budget: undefined },
  } as Known
  const isTaken = async (attempt: number, name: string, task: object = child(20)): Promise<boolean> => {
    const { children } = create(attempt, known)
    const outcome = await children.submit(name, { type: 'sum', ...task }).catch((error: unknown) => error)
    if (!(outcome instanceof ParleyError)) return true
    assert.deepEqual([outcome.code, outcome.reason, outcome.details.retry], ['STA003', 'exists', false])
    return false
  }
  for (const attempt of [1, 2]) {
    for (const name of ['ours', 'owner', 'earlier']) assert.equal(await isTaken(attempt, name), true, name)
    for (const name of ['planted', 'over']) assert.equal(await isTaken(attempt, name), false, name)
    assert.equal(await isTaken(attempt, 'free', { budget: undefined }), false)
  }
})

const refusalOf = (asked: number, left: number, amount = 'tokens'): ParleyError =>
  new ParleyError('COM003', 'too little is left', { details: { reason: 'budget-exhausted', amount, asked, left } })

/** @returns how often it waited, and how often it drew, until it was let through or gave up */
const drawn = async (known: Known, error: Error, { attempt = 2, left = {} } = {}): Promise<string> => {
  let [waited, draws] = [0, 0]
  const draw = async (): Promise<void> => {
    draws += 1
    if (waited === 0) throw error
  }
  const wait = async (): Promise<void> => {
    waited += 1
  }
  const failure = await drawOrWait(draw, create(attempt, known, left).children, wait).catch((why: unknown) => why)
  if (failure !== undefined) assert.equal(failure, error)
  return `${waited} waits, ${draws} draws`
}
const WAITS = '1 waits, 2 draws'
const FAILS = '0 waits, 1 draws'
const letGo = (tokens: number, more: object = {}): TaskRecord['budget'] => ({
  ...{ amounts: { tokens, fanOut: 0 }, used: {}, returnsTo: 1 },
  ...more,
})

test('a draw waits where children that were let go may leave something, and for no others', async () => {
  const lack = refusalOf(20, 0)
  const withStatus = (status: TaskRecord['status']): Known => ({ 't.a': before(20, { status, budget: letGo(20) }) })
  for (const status of ['submitted', 'queued', 'assigned', 'running'] as const)
    assert.equal(await drawn(withStatus(status), lack), WAITS, status)
  for (const status of ['input_required', 'paused', 'completed'] as const)
    assert.equal(await drawn(withStatus(status), lack), FAILS, status)
  assert.equal(
    await drawn(withStatus('queued'), lack, { attempt: 1 }),
    WAITS,
    'a first attempt may have let go of some',
  )
  assert.equal(await drawn({ 't.a': before(20) }, lack), FAILS, 'it was not let go')
  assert.equal(await drawn({ 't.a': before(20, { parent: 'x', budget: letGo(20) }) }, lack), FAILS)
  assert.equal(await drawn(withStatus('queued'), new ParleyError('STA002', 'it is over')), FAILS)
  const other = new ParleyError('COM003', 'too deep', { details: { reason: 'budget-depth' } })
  assert.equal(await drawn(withStatus('queued'), other), FAILS)
  assert.equal(await drawn({}, lack), FAILS)
})

test('a draw waits for no more than children may leave', async () => {
  const two = (one: TaskRecord['budget'], other = letGo(5)): Known => ({
    't.a': before(0, { budget: one }),
    't.b': before(0, { budget: other }),
  })
  const left = { tokens: 10, fanOut: 0 }
  assert.equal(await drawn(two(letGo(20)), refusalOf(35, 10), { left }), WAITS)
  assert.equal(await drawn(two(letGo(20)), refusalOf(36, 10), { left }), FAILS)
  assert.equal(await drawn(two(letGo(20)), refusalOf(1, 0, 'fanOut'), { left }), FAILS, 'of that they leave nothing')
  const used = { used: { tokens: 20 } }
  assert.equal(await drawn(two(letGo(20, used)), refusalOf(16, 10), { left }), FAILS, 'all of it is used')
  const open = { ...used, open: { tokens: 12 } }
  assert.equal(await drawn(two(letGo(20, open)), refusalOf(27, 10), { left }), WAITS, 'what is drawn may come back')
  assert.equal(await drawn(two(letGo(20, open)), refusalOf(28, 10), { left }), FAILS)
  const below: Known = { 't.a.x': before(0, { parent: 't.a', budget: letGo(9) }), ...two(letGo(20, used)) }
  assert.equal(await drawn(below, refusalOf(24, 10), { left }), WAITS, 'a child leaves what its own children leave')
  assert.equal(await drawn(below, refusalOf(25, 10), { left }), FAILS)
  const vast: Known = { ...below, 't.a.x': before(0, { parent: 't.a', budget: letGo(1_000) }) }
  assert.equal(await drawn(vast, refusalOf(36, 10), { left }), FAILS, 'no child leaves more than it has')
})

test('a draw waits for no child that waits for the task itself, directly or through others', async () => {
  const on = (...ids: string[]) => ({
    ...{ status: 'submitted', budget: letGo(20) },
    dependencies: ids.map((task_id) => ({ task_id, condition: 'finished' })),
  })
  const lack = refusalOf(20, 0)
  const outcome = (known: Record<string, object>): Promise<string> =>
    drawn(Object.fromEntries(Object.entries(known).map(([id, more]) => [id, before(20, more)])), lack)
  const running = { status: 'running' }
  assert.equal(await outcome({ 't.a': on('t') }), FAILS)
  assert.equal(await outcome({ 't.a': on('t.b'), 't.b': on('x', 't') }), FAILS, 'through another child')
  assert.equal(await outcome({ 't.a': on('t.b', 't.a'), 't.b': running }), WAITS, 'of another child that runs')
  assert.equal(await outcome({ 't.a': on('x') }), WAITS, 'of a task elsewhere')
  assert.equal(await outcome({ 't.a': { ...on('t'), status: 'queued' } }), WAITS, 'it waits no more')
  const spent = { ...running, budget: letGo(20, { used: { tokens: 20 } }) }
  const below = (more: object) => ({ 't.a': spent, 't.a.x': { parent: 't.a', ...more } })
  assert.equal(await outcome(below(running)), FAILS, 'it was not let go')
  assert.equal(await outcome(below(on('x'))), WAITS)
  assert.equal(await outcome(below(on('t'))), FAILS)
  assert.equal(await outcome(below(on('t.a'))), FAILS, 'it leaves nothing to its own parent in time')
})

test('all tasks below are looked through, up to 9,999: where there are more, a draw waits', async () => {
  const many = (count: number, last: TaskRecord['status']): Known =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => {
        const status = i === count - 1 ? last : 'paused'
        return [`t.${String(i).padStart(5, '0')}`, before(20, { status, budget: letGo(20) })]
      }),
    )
  const lack = refusalOf(20, 0)
  for (const count of [1_000, 1_001, 2_000, 9_999]) {
    assert.equal(await drawn(many(count, 'running'), lack), WAITS, `${count}`)
    assert.equal(await drawn(many(count, 'paused'), lack), FAILS, `${count}`)
  }
  assert.equal(await drawn(many(10_000, 'paused'), lack), WAITS)
})

test('a draw is made once more where a child has ended since it was refused', async () => {
  const ended = { 't.a': before(20, { status: 'completed', budget: letGo(20) }) } as Known
  let draws = 0
  const draw = async (): Promise<void> => {
    draws += 1
    if (draws === 1) throw refusalOf(20, 0)
  }
  await drawOrWait(draw, create(2, ended, { tokens: 20 }).children, () => assert.fail('it waited'))
  assert.equal(draws, 2)
  assert.equal(await drawn(ended, refusalOf(20, 0), { left: { tokens: 20 } }), '0 waits, 2 draws')
  assert.equal(await drawn(ended, refusalOf(20, 0), { left: { tokens: 19 } }), FAILS)
})
