/** Parts of budgets that go with tasks: what is split off, and what of it comes back when. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import { GivenShare } from '../../../../protocols/budget/carried/budget-share.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { type Code, ParleyError } from '../../../../protocols/errors.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import type { SubmitTask, TaskState } from '../../../../protocols/task/client/task-api.ts'
import { stateOf } from '../../../../protocols/task/client/task-reader.ts'
import { TaskSubmitter } from '../../../../protocols/task/client/task-submitter.ts'
import { WatchedShares } from '../../../../protocols/task/client/watched-shares.ts'
import type { SubmittedTask } from '../../../../protocols/task/journal/task-changes.ts'
import type { TaskRecord } from '../../../../protocols/task/task-record.ts'
import { failureOf } from '../../../support/until.ts'

const codeOf = (error: unknown): unknown => Reflect.get(Object(error), 'code')

/** @param answer what comes of a submission: whether it was known before, or its failure */
const create = (
  answer: (id: string) => boolean | ParleyError | Promise<never> = () => false,
  retainMs = 86_400_000,
) => {
  const time = createVirtualTime()
  const asked: SubmittedTask[] = []
  const watchers = new Map<string, (state: TaskState) => void>()
  let isDeaf = false
  let bytes: Error | undefined
  const submitter = new TaskSubmitter({
    port: {
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      random: (length) => randomBytes(length),
      hash: (data) => createHash('sha256').update(data).digest(),
    },
    batcher: {
      async decide(change, { signal } = {}) {
        if (change.do !== 'submit') throw new Error('nothing else is asked')
        const result: Json[] = []
        for (const task of change.tasks) {
          asked.push(task)
          const aborted = new Promise<never>((_, reject) =>
            signal?.addEventListener('abort', () => reject(signal.reason)),
          )
          const known = await Promise.race([answer(task.id), aborted])
          if (typeof known !== 'boolean') throw known
          result.push({ id: task.id, known, status: 'queued' })
        }
        return { result, version: 1, fence: { term: 1, index: 1 } }
      },
    },
    trackers: {
      track: () => ({ last: undefined, fns: new Set() }),
      confirm() {},
      untrack() {},
      async watch(id, fn) {
        if (isDeaf) throw new ParleyError('COM003', 'too many are waited for')
        watchers.set(id, fn)
        return { last: undefined, stop: () => void watchers.delete(id) }
      },
    },
    values: {
      async store(_what, value) {
        if (bytes !== undefined) throw bytes
        return (value ?? null) as Json
      },
    },
    retainMs,
    live: async () => {},
  })
  const tell = (id: string, status: TaskState['status'], amounts: Amounts, used: Amounts): void =>
    watchers.get(id)?.(stateOf(id, 2, { status, budget: { amounts, used } } as TaskRecord))
  return {
    ...{ submitter, asked, watchers, time, tell },
    submit: (...tasks: SubmitTask[]) => time.settled(submitter.submit(tasks, {}), 60_000),
    beDeaf: () => {
      isDeaf = true
    },
    noBytes: (error: Error) => {
      bytes = error
    },
  }
}
const rootOf = (amounts: Amounts = { tokens: 100, fanOut: 3 }, limits = {}) => new Slice({ amounts, limits })
const task = (of: Slice, id = 't', amounts: Amounts = { tokens: 40 }): SubmitTask => ({
  ...{ id, type: 'sum', budget: { of, amounts } },
})

test('a part is split off before it is submitted; what was not used comes back with the end', async () => {
  const { submit, asked, tell, watchers, submitter } = create()
  const root = rootOf()
  await submit(task(root))
  assert.deepEqual(asked[0]?.budget, { amounts: { tokens: 40, fanOut: 0 } })
  assert.deepEqual(root.remaining(), { tokens: 60, fanOut: 2 })
  tell('t', 'running', { tokens: 40, fanOut: 0 }, {})
  assert.deepEqual(submitter.budgets(), { watched: 1, writtenOff: 0 })
  tell('t', 'completed', { tokens: 40, fanOut: 0 }, { tokens: 15 })
  assert.deepEqual(root.remaining(), { tokens: 85, fanOut: 2 })
  assert.deepEqual([watchers.size, submitter.budgets()], [0, { watched: 0, writtenOff: 0 }])
})

test('nobody gives back more than there was', async () => {
  const { submit, tell } = create()
  const root = rootOf({ tokens: 100 })
  await submit(task(root))
  tell('t', 'failed', { tokens: 1_000_000 }, {})
  assert.deepEqual(root.remaining(), { tokens: 100 })
})

test('a task that is not submitted, or was before, gives its part back whole', async () => {
  const refusals: (ParleyError | true)[] = [
    true,
    new ParleyError('STA003', 'it exists', { details: { reason: 'exists' } }),
    ...(['MSG001', 'COM003', 'SEC002', 'STA001'] satisfies Code[]).map((code) => new ParleyError(code, 'refused')),
  ]
  for (const refusal of refusals) {
    const { submit, submitter } = create(() => refusal)
    const root = rootOf()
    const outcome = await failureOf(submit(task(root)).then(() => Promise.reject(new ParleyError('APP001', 'known'))))
    assert.equal(codeOf(outcome), refusal === true ? 'APP001' : refusal.code)
    assert.deepEqual(root.remaining(), { tokens: 100, fanOut: 3 }, String(codeOf(outcome)))
    assert.deepEqual(submitter.budgets(), { watched: 0, writtenOff: 0 })
  }
})

test('where nobody knows whether it was accepted, and where its end cannot be heard, its part is spent and counted', async () => {
  const unsure = create(() => new ParleyError('COM001', 'not answered', { details: { reason: 'unknown' } }))
  const root = rootOf()
  assert.equal(codeOf(await failureOf(unsure.submit(task(root)))), 'COM001')
  assert.deepEqual(root.remaining(), { tokens: 60, fanOut: 2 })
  assert.deepEqual(unsure.submitter.budgets(), { watched: 0, writtenOff: 1 })
  const deaf = create()
  deaf.beDeaf()
  await deaf.submit(task(root))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(root.remaining(), { tokens: 20, fanOut: 1 })
  assert.deepEqual(deaf.submitter.budgets(), { watched: 0, writtenOff: 1 })
})

test('where nobody knew whether it was accepted, the same again has the part that was split off, and no other', async () => {
  for (const known of [true, false]) {
    const answers: (boolean | ParleyError)[] = [
      new ParleyError('COM001', 'not answered', { details: { reason: 'unknown' } }),
      new ParleyError('COM003', 'refused'),
      known,
    ]
    const { submit, tell, submitter } = create(() => answers.shift() ?? false)
    const root = rootOf()
    for (const code of ['COM001', 'COM003']) {
      assert.equal(codeOf(await failureOf(submit(task(root)))), code)
      assert.deepEqual(root.remaining(), { tokens: 60, fanOut: 2 })
    }
    await submit(task(root))
    assert.deepEqual(root.remaining(), { tokens: 60, fanOut: 2 })
    assert.equal(submitter.budgets().watched, 1)
    tell('t', 'completed', { tokens: 40, fanOut: 0 }, { tokens: 15 })
    assert.deepEqual(root.remaining(), { tokens: 85, fanOut: 2 })
    // It is known from here on, and takes nothing.
    answers.push(true)
    await submit(task(root))
    assert.deepEqual(root.remaining(), { tokens: 85, fanOut: 2 })
  }
  const twice = create((id) => (id === 't' ? new ParleyError('COM001', 'not answered') : false))
  const split = rootOf()
  await failureOf(twice.submit(task(split)))
  await failureOf(twice.submit(task(split), task(split)))
  assert.equal(split.remaining().tokens, 20, 'of two that may have been accepted')
  const other = create((id) => (id === 't' ? new ParleyError('COM001', 'not answered') : false))
  const root = rootOf()
  await failureOf(other.submit(task(root)))
  await failureOf(other.submit(task(root, 't', { tokens: 30 })))
  assert.deepEqual(root.remaining(), { tokens: 30, fanOut: 1 }, 'another part is another one')
})

test('where nobody knew of a second submission of a task that is known, its part comes back, and the first one counts', async () => {
  const answers: (boolean | ParleyError)[] = [false, new ParleyError('COM001', 'not answered'), true]
  const { submit, tell, submitter } = create(() => answers.shift() ?? false)
  const [first, second] = [rootOf(), rootOf()]
  await submit(task(first))
  await failureOf(submit(task(second)))
  assert.deepEqual(second.remaining(), { tokens: 60, fanOut: 2 })
  await submit(task(second))
  assert.deepEqual(second.remaining(), { tokens: 100, fanOut: 3 })
  assert.deepEqual(submitter.budgets(), { watched: 1, writtenOff: 1 })
  tell('t', 'completed', { tokens: 40, fanOut: 0 }, { tokens: 15 })
  assert.deepEqual([first.remaining(), second.remaining().tokens], [{ tokens: 85, fanOut: 2 }, 100])
})

test('a part of which nobody knew is not given again once its task may have been forgotten', async () => {
  for (const { waitMs, retainMs, isGiven } of [
    { waitMs: 560_000, retainMs: 86_400_000, isGiven: true },
    { waitMs: 580_000, retainMs: 86_400_000, isGiven: false },
    { waitMs: 20_000, retainMs: 60_000, isGiven: true },
    { waitMs: 40_000, retainMs: 60_000, isGiven: false },
  ]) {
    const unknown = new ParleyError('COM001', 'not answered')
    const answers: (boolean | ParleyError)[] = [unknown, unknown, false]
    const { submit, time } = create(() => answers.shift() ?? false, retainMs)
    const root = rootOf()
    await failureOf(submit(task(root)))
    await time.run(waitMs / 2)
    // What may have been accepted first counts, however often it is submitted.
    await failureOf(submit(task(root)))
    await time.run(waitMs / 2)
    await submit(task(root))
    assert.equal(root.remaining().tokens, isGiven ? 60 : 20, `${waitMs} ms of ${retainMs}`)
  }
})

test('a part that was let go is spent here, whatever its task leaves', async () => {
  const { submit, submitter, tell, watchers } = create()
  const root = rootOf()
  await submit(task(root), task(root, 'u', { tokens: 10 }))
  assert.deepEqual([submitter.letGo('t'), submitter.letGo('t'), submitter.letGo('none')], [true, false, false])
  assert.deepEqual([...watchers.keys()], ['u'])
  tell('t', 'completed', { tokens: 40, fanOut: 0 }, { tokens: 15 })
  assert.deepEqual(root.remaining(), { tokens: 50, fanOut: 1 })
  tell('u', 'completed', { tokens: 10, fanOut: 0 }, { tokens: 1 })
  assert.deepEqual(root.remaining(), { tokens: 59, fanOut: 1 })
  assert.equal(submitter.letGo('u'), false)
  assert.deepEqual(submitter.budgets(), { watched: 0, writtenOff: 0 })
})

test('a wait that is ended while it is decided puts nothing back, whatever it is ended with', async () => {
  const { submitter, time } = create(() => new Promise<never>(() => {}))
  const root = rootOf()
  const attempt = new AbortController()
  const submission = failureOf(submitter.submit([task(root)], { signal: attempt.signal }))
  time.after(100, () => attempt.abort(new ParleyError('STA002', 'the attempt is over')))
  assert.equal(codeOf(await time.settled(submission, 1_000)), 'STA002')
  assert.deepEqual(root.remaining(), { tokens: 60, fanOut: 2 })
  assert.deepEqual(submitter.budgets(), { watched: 0, writtenOff: 1 })
})

test('no more than so many ends are waited for: what is one too many is spent', () => {
  const shares = new WatchedShares({ watch: () => new Promise<never>(() => {}) }, 1_000)
  const root = rootOf({ tokens: 100_000 })
  const watch = (id: string): void => {
    const share = GivenShare.of({ of: root, amounts: { tokens: 1 } }, { now: () => 0 })
    share.begin()
    shares.watch(id, { last: undefined, fns: new Set() }, share)
  }
  for (let i = 0; i < 10_000; i += 1) watch(`t${i}`)
  assert.deepEqual(shares.counts(), { watched: 10_000, writtenOff: 0 })
  watch('more')
  assert.deepEqual(shares.counts(), { watched: 10_000, writtenOff: 1 })
  assert.deepEqual(root.remaining(), { tokens: 89_999 })
})

test('of several none is asked for where one of them cannot have its part, or its input cannot be held', async () => {
  const { submit, asked, noBytes } = create()
  const root = rootOf()
  const both = await failureOf(submit(task(root, 'a'), task(root, 'b', { tokens: 61 })))
  assert.equal(codeOf(both), 'COM003')
  assert.deepEqual([asked, root.remaining()], [[], { tokens: 100, fanOut: 3 }])
  noBytes(new ParleyError('STA003', 'nobody holds it', { details: { reason: 'no-holder' } }))
  assert.equal(codeOf(await failureOf(submit(task(root, 'a')))), 'STA003')
  assert.deepEqual(root.remaining(), { tokens: 100, fanOut: 3 })
})

test('its deadline is the earlier one, it may be passed on once less, and both are part of its digest', async () => {
  const { submit, asked } = create()
  const root = rootOf({}, { depth: 2, deadlineAt: 5_000 })
  await submit({ ...task(root), deadline: 9_000 })
  await submit({ ...task(root), deadline: 4_000 })
  await submit({ id: 't', type: 'sum', deadline: 5_000 })
  await submit({ id: 't', type: 'sum', budget: { of: root } })
  const seen = asked.map(({ deadline, budget }) => [deadline, budget?.depth])
  const fine: typeof seen = [
    [5_000, 1],
    [4_000, 1],
    [5_000, undefined],
    [5_000, 1],
  ]
  assert.deepEqual(seen, fine)
  assert.equal(new Set(asked.map(({ digest }) => digest)).size, 4)
  const last = rootOf({}, { depth: 0 })
  assert.equal(codeOf(await failureOf(submit({ id: 'u', type: 'sum', budget: { of: last } }))), 'COM003')
})

test('a budget that is part of nothing, or none, is refused', async () => {
  const { submit, asked } = create()
  for (const budget of [{}, { amounts: { tokens: 1 } }, { of: {} }, 7, { of: rootOf(), more: 1 }])
    assert.equal(codeOf(await failureOf(submit({ type: 'sum', budget } as SubmitTask))), 'MSG001')
  assert.deepEqual(asked, [])
})

test('the state of a task says what it may use, what it used, and what is left', () => {
  const record = { status: 'running', budget: { amounts: { tokens: 40, cost: 9 }, used: { tokens: 15, fanOut: 2 } } }
  assert.deepEqual(stateOf('t', 1, record as TaskRecord).budget, {
    amounts: { tokens: 40, cost: 9 },
    used: { tokens: 15, cost: 0, fanOut: 2 },
    left: { tokens: 25, cost: 9 },
  })
  assert.equal('budget' in stateOf('t', 1, { status: 'running' } as TaskRecord), false)
})
