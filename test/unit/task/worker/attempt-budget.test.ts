/** What an attempt draws, spends and gives back, and when, as a journal decides about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { delay } from '../../../../protocols/async.ts'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import { GivenShare } from '../../../../protocols/budget/carried/budget-share.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import type { SubmitTask, TaskHandle } from '../../../../protocols/task/client/task-api.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import type { ParentTasks } from '../../../../protocols/task/worker/attempt-children.ts'
import { TaskAttempt } from '../../../../protocols/task/worker/task-attempt.ts'
import type { TaskContext } from '../../../../protocols/task/worker/task-context.ts'
import { NO_CHILDREN } from '../../../support/no-children.ts'
import { submitted, TaskJournal } from '../../../support/task-journal.ts'
import { failureOf } from '../../../support/until.ts'

const budgetOf = (change: TaskChange): string =>
  change.do === 'draw' ? ` ${change.number} ${JSON.stringify(change.children ?? [change.amounts, change.back])}` : ''
const refusal = (text: string): ParleyError => {
  const [code = '', reason] = text.split(' ')
  return new ParleyError(code as 'COM003', 'refused', { details: reason === undefined ? {} : { reason } })
}
const endless = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

/** @param lose what comes of a change instead of its answer; undefined: it is decided and answered */
const attemptAt = (
  amounts: Amounts | undefined,
  lose: (change: TaskChange) => Promise<never> | Error | undefined = () => undefined,
  tasks: ParentTasks = NO_CHILDREN,
  deadline?: number,
) => {
  const time = createVirtualTime()
  const journal = new TaskJournal()
  const task = submitted(
    't',
    amounts === undefined ? {} : { budget: { amounts }, ...(deadline !== undefined && { deadline }) },
  )
  journal.one('ann', { do: 'submit', tasks: [task] })
  const fence = journal.place('t', 'bob', journal.worker('bob'))
  const record = journal.task('t') ?? assert.fail('it is placed')
  const asked: string[] = []
  const attempt = new TaskAttempt(
    {
      sureClock: time,
      port: {
        self: { id: 'bob', name: 'bob', mesh: 'm', incarnation: 1 },
        clock: { now: time.now, monotonic: time.now },
        timers: time,
        log: { error() {}, warn() {}, info() {} },
      },
      async decide(change) {
        await new Promise<void>((resolve) => time.after(10, resolve))
        const lost = lose(change)
        if (lost instanceof Error) throw lost
        await lost
        asked.push(change.do + budgetOf(change))
        const result = journal.one('bob', change)
        if (typeof result === 'string') throw refusal(result)
        return { result: result as Json, version: 1, fence }
      },
      call: async () => null,
      tasks,
      values: { store: async (_what, value) => (value ?? null) as Json, load: async (row) => row },
      cursorOf: async () => ({ createdAt: 0, positions: [] }),
      progress() {},
      count() {},
    },
    { id: 't', record, fence, rows: new Map([['input', { input: 1, digest: '' }]]) },
  )
  const run = (fn: (ctx: TaskContext) => Promise<unknown>) =>
    time.settled(
      attempt.run(async (_task, ctx) => ((await fn(ctx)) ?? null) as Json),
      60_000,
    )
  return { attempt, time, journal, asked, run, used: () => journal.task('t')?.budget?.used }
}
const isExhausted = (error: unknown): boolean => isParleyError(error, 'COM003') && error.reason === 'budget-exhausted'

test('nothing can be spent before it was drawn; what is left goes back before the end', async () => {
  const { run, asked, used } = attemptAt({ tokens: 100 })
  await run(async (ctx) => {
    assert.deepEqual(ctx.budget?.remaining(), { tokens: 0 })
    assert.throws(() => ctx.budget?.spend({ tokens: 1 }), { code: 'COM003' })
    await ctx.draw({ tokens: 60 })
    ctx.budget?.spend({ tokens: 45 })
    assert.deepEqual(ctx.budget?.remaining(), { tokens: 15 })
  })
  assert.deepEqual(asked, ['draw 1 [{"tokens":60},null]', 'draw 2 [{},{"tokens":15}]', 'complete'])
  assert.deepEqual(used(), { tokens: 45 })
})

test('a draw that is refused leaves what there was, and its number is free', async () => {
  const { run, asked, used } = attemptAt({ tokens: 10 })
  await run(async (ctx) => {
    await ctx.draw({ tokens: 4 })
    assert.ok(isExhausted(await failureOf(ctx.draw({ tokens: 7 }))))
    assert.equal(Reflect.get(Object(await failureOf(ctx.draw({ tokens: -1 }))), 'code'), 'MSG001')
    await Promise.all([ctx.draw({ tokens: 1 }), ctx.draw({ tokens: 2 }), ctx.draw({})])
    ctx.budget?.spend({ tokens: 7 })
  })
  const draws = ['1 [{"tokens":4},null]', '2 [{"tokens":7},null]', '2 [{"tokens":1},null]', '3 [{"tokens":2},null]']
  assert.deepEqual(asked, [...draws.map((one) => `draw ${one}`), 'complete'])
  assert.deepEqual(used(), { tokens: 7 })
})

test('the deadline of the task is the deadline of what its attempt has, by the clock of the journal', async () => {
  const later = createVirtualTime().now() + 30_000
  const { run, time } = attemptAt({ tokens: 10 }, () => undefined, NO_CHILDREN, later)
  await run(async (ctx) => {
    const share = GivenShare.of({ of: ctx.budget, amounts: {} }, { now: () => time.now() + 60_000 })
    assert.equal(share.leftMs(), later - time.now())
  })
})

test('a draw that was not answered is asked for again under its number', async () => {
  let lost = 2
  const { run, asked } = attemptAt({ tokens: 10 }, ({ do: what }) => {
    if (what !== 'draw' || lost === 0) return undefined
    lost -= 1
    return new ParleyError('COM001', 'not answered', { details: { reason: 'unknown' } })
  })
  await run(async (ctx) => {
    await ctx.draw({ tokens: 3 })
    ctx.budget?.spend({ tokens: 3 })
  })
  assert.deepEqual(asked, ['draw 1 [{"tokens":3},null]', 'complete'])
})

test('where a task has no budget nothing is drawn, and nothing is limited', async () => {
  const { run, asked } = attemptAt(undefined)
  await run(async (ctx) => {
    assert.equal(ctx.budget, undefined)
    await ctx.draw({ tokens: 1_000_000 })
  })
  assert.deepEqual(asked, ['complete'])
})

test('an attempt that is given back gives back what it has left first; one that is lost to it gives back nothing', async () => {
  for (const isReleased of [true, false]) {
    const { attempt, time, asked, run } = attemptAt({ tokens: 10 })
    const over = run(async (ctx) => {
      await ctx.draw({ tokens: 8 })
      const late = await failureOf(endless(ctx.signal))
      assert.equal(await failureOf(ctx.draw({ tokens: 1 })), late, 'nothing is drawn any more')
      throw late
    })
    time.after(100, () => (isReleased ? void attempt.release('it stops') : attempt.abandon('it was given to another')))
    await over
    await time.run(100)
    const ends = isReleased ? ['draw 2 [{},{"tokens":8}]', 'release'] : []
    assert.deepEqual(asked, ['draw 1 [{"tokens":8},null]', ...ends])
  }
})

test('where nobody decides about what is left, the attempt is given back after a second', async () => {
  const { attempt, time, asked, run, used } = attemptAt({ tokens: 10 }, (change) =>
    change.do === 'draw' && change.number === 2 ? new Promise<never>(() => {}) : undefined,
  )
  const over = run(async (ctx) => {
    await ctx.draw({ tokens: 8 })
    await endless(ctx.signal)
  })
  let releasedAt: number | undefined
  time.after(100, async () => {
    await attempt.release('it stops')
    releasedAt = time.now()
  })
  await over
  await time.run(3_000)
  assert.equal(releasedAt, 100 + 1_000 + 10)
  assert.deepEqual(asked, ['draw 1 [{"tokens":8},null]', 'release'])
  assert.deepEqual(used(), { tokens: 8 }, 'it stays spent')
})

test('an attempt that fails lets go of its children; voters of an older version keep it from nothing', async () => {
  for (const isOlder of [false, true]) {
    const tasks = {
      ...NO_CHILDREN,
      submitChild: async () => ({ handle: { id: 't.c' } as TaskHandle, known: false }),
      letGo: () => true,
    }
    const level = new ParleyError('STA003', 'needs newer voters', { details: { reason: 'level' } })
    const older = (change: TaskChange) =>
      isOlder && change.do === 'draw' && change.children !== undefined ? level : undefined
    const { run, asked, time } = attemptAt({ tokens: 10 }, older, tasks)
    await run(async (ctx) => {
      await ctx.submit('c', { type: 'sum', budget: { amounts: { tokens: 5 } } })
      throw new Error('it fails')
    })
    const letGo = isOlder ? [] : ['draw 3 ["t.c"]']
    assert.deepEqual(asked, ['draw 1 [{"tokens":5},null]', 'draw 2 [{},{"tokens":5}]', ...letGo, 'fail'])
    assert.ok(time.now() < 1_000)
  }
})

/** A task whose children are submitted in this time, and given what they ask for. @param submitMs milliseconds */
const parentAt = (amounts: Amounts, submitMs = 20) => {
  const watched = new Set<string>()
  const tasks: ParentTasks = {
    ...NO_CHILDREN,
    async submitChild({ id = '', budget }: SubmitTask, { signal }) {
      const part = { tokens: budget?.amounts?.tokens ?? 0 }
      budget?.of?.split(part)
      await delay(made.time, submitMs, signal)
      made.journal.one('bob', { do: 'submit', tasks: [submitted(id, { parent: 't', budget: { amounts: part } })] })
      watched.add(id)
      return { handle: { id } as TaskHandle, known: false }
    },
    letGo: (id) => watched.delete(id),
  }
  const made = attemptAt(amounts, () => undefined, tasks)
  const submit = (ctx: TaskContext) => ctx.submit('c', { type: 'sum', budget: { amounts: { tokens: 400 } } })
  return { ...made, submit }
}

test('however an attempt ends while a child is submitted, what the child leaves comes back to the task', async () => {
  const ends: Record<string, (ctx: TaskContext) => Promise<unknown>> = {
    fails: async () => assert.fail('the other half of the work failed'),
    sleeps: (ctx) => ctx.sleep('nap', 20_000),
    waits: (ctx) => ctx.waitFor('answer'),
  }
  for (const [how, end] of Object.entries(ends))
    for (let ms = 1; ms < 60; ms += 4) {
      const { run, time, journal, submit } = parentAt({ tokens: 500 })
      await run((ctx) => Promise.all([submit(ctx), delay(time, ms).then(() => end(ctx))]))
      const [task, child] = [journal.task('t'), journal.task('t.c')]
      const where = `${how} after ${ms} ms`
      assert.equal(task?.worker, undefined, where)
      assert.deepEqual(task?.budget?.used, { tokens: child === undefined ? 0 : 400 }, where)
      assert.equal(child?.budget?.returnsTo, child && task?.submittedAt, where)
    }
})

test('an attempt that ends waits for its submissions 10 s at most', async () => {
  const { run, time, asked, submit } = parentAt({ tokens: 500 }, 100_000)
  const from = time.now()
  await run((ctx) => Promise.all([submit(ctx), delay(time, 50).then(() => assert.fail('the other half failed'))]))
  assert.equal(time.now() - from, 50 + 10_000 + 10)
  assert.deepEqual(asked, ['draw 1 [{"tokens":400},null]', 'fail'])
})

test('a draw beside an attempt that ends is refused once that has ended, and takes nothing', async () => {
  for (const isFailing of [true, false]) {
    const { run, time, asked, used } = attemptAt({ tokens: 10 })
    let late: Promise<unknown> | undefined
    await run(async (ctx) => {
      await ctx.draw({ tokens: 4 })
      late = failureOf(delay(time, 5).then(() => ctx.draw({ tokens: 3 })))
      if (isFailing) throw new Error('the other half of the work failed')
    })
    assert.ok(isParleyError(await late, 'STA002'))
    const ends = ['draw 2 [{},{"tokens":4}]', isFailing ? 'fail' : 'complete']
    assert.deepEqual(asked, ['draw 1 [{"tokens":4},null]', ...ends])
    assert.equal(isFailing ? used()?.tokens : 0, 0)
  }
})

test('a draw beside a wait is made once it is known that the attempt goes on', async () => {
  const { run, journal, asked } = attemptAt({ tokens: 10 })
  journal.one('ann', { do: 'signal', id: 't', name: 'answer', value: 42 })
  await run(async (ctx) => {
    await ctx.draw({ tokens: 4 })
    assert.deepEqual((await Promise.all([ctx.waitFor('answer'), ctx.draw({ tokens: 3 })]))[0], 42)
    ctx.budget?.spend({ tokens: 3 })
  })
  const draws = ['draw 1 [{"tokens":4},null]', 'draw 2 [{},{"tokens":4}]', 'wait', 'draw 3 [{"tokens":3},null]']
  assert.deepEqual(asked, [...draws, 'complete'])
})
