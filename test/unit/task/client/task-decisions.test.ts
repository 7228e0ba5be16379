/** Changes of one node, gathered into decisions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError, stateError } from '../../../../protocols/errors.ts'
import type { Journal } from '../../../../protocols/journal/client/journal-client.ts'
import { createTaskBatcher } from '../../../../protocols/task/client/task-decisions.ts'
import { levelOfChange, SecondChangeSchema, type TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { submitted } from '../../../support/task-journal.ts'

const cancel = (id: string, reason = ''): TaskChange => ({ do: 'cancel', id, reason })
const idOf = (change: TaskChange): string => ('id' in change ? change.id : '')

const create = (decide: (ids: string[]) => unknown) => {
  const time = createVirtualTime()
  const decisions: string[][] = []
  const journal = {
    async submit(_kind: unknown, { changes }: { changes: TaskChange[] }) {
      const ids = changes.map(idOf)
      decisions.push(ids)
      await new Promise<void>((resolve) => time.after(10, resolve))
      const result = (decide(ids) as unknown[] | undefined) ?? ids.map((id) => ({ ok: id }))
      return { result, version: decisions.length, fence: { term: 1, index: decisions.length } }
    },
  } as unknown as Pick<Journal, 'submit'>
  const port = { timers: time, clock: { now: time.now, monotonic: time.now } }
  return { time, decisions, batcher: createTaskBatcher(journal, port) }
}

test('what comes in one turn is one decision; what comes meanwhile gathers for the next', async () => {
  const { time, decisions, batcher } = create(() => undefined)
  const first = [batcher.decide(cancel('a')), batcher.decide(cancel('b'))]
  await time.run(1)
  const second = [batcher.decide(cancel('c'))]
  await time.run(1)
  const third = [batcher.decide(cancel('d')), batcher.decide(cancel('e'))]
  const all = await time.settled(Promise.all([...first, ...second, ...third]), 1_000)
  assert.deepEqual(decisions, [['a', 'b'], ['c'], ['d', 'e']])
  assert.deepEqual(
    all.map(({ result }) => result),
    ['a', 'b', 'c', 'd', 'e'],
  )
  assert.deepEqual(batcher.counts(), { changes: 5, decisions: 3, refused: 0, waiting: 0 })
})

test('a change that is refused is refused alone', async () => {
  const { time, batcher } = create((ids) =>
    ids.map((id) => (id === 'b' ? { fault: { code: 'STA002', message: 'no', details: { task: 'b' } } } : { ok: id })),
  )
  const all = await time.settled(
    Promise.allSettled([batcher.decide(cancel('a')), batcher.decide(cancel('b')), batcher.decide(cancel('c'))]),
    1_000,
  )
  assert.deepEqual(
    all.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  const [, refused] = all
  assert.ok(refused?.status === 'rejected' && refused.reason instanceof ParleyError)
  assert.deepEqual([refused.reason.code, refused.reason.details], ['STA002', { task: 'b' }])
})

test('where a decision fails as a whole, its changes are asked for again, fewer at a time', async () => {
  const { time, decisions, batcher } = create((ids) => {
    if (ids.includes('large')) throw new ParleyError('COM003', 'no room')
    return undefined
  })
  const ids = ['a', 'b', 'large', 'c', 'd']
  const all = await time.settled(Promise.allSettled(ids.map((id) => batcher.decide(cancel(id)))), 1_000)
  assert.deepEqual(
    all.map(({ status }) => status === 'fulfilled'),
    [true, true, false, true, true],
  )
  assert.deepEqual(decisions, [ids, ['a', 'b'], ['large', 'c', 'd'], ['large'], ['c', 'd']])
})

test('a mesh that has just begun is waited for', async () => {
  let tries = 0
  const { time, batcher } = create(() => {
    tries += 1
    if (tries < 4) throw stateError('level', 'not every voter has it', 'wait')
    return undefined
  })
  assert.equal((await time.settled(batcher.decide(cancel('a')), 10_000)).result, 'a')
  const never = create(() => {
    throw stateError('level', 'not every voter has it', 'wait')
  })
  const refused = await never.time.settled(
    never.batcher.decide(cancel('a')).catch((error: unknown) => error),
    60_000,
  )
  assert.ok(refused instanceof ParleyError && refused.details.reason === 'level')
})

test('a decision has as many changes and bytes as it may', async () => {
  const { time, decisions, batcher } = create(() => undefined)
  const many = Array.from({ length: 600 }, (_, i) => batcher.decide(cancel(`t${i}`)))
  await time.settled(Promise.all(many), 1_000)
  assert.deepEqual(
    decisions.map(({ length }) => length),
    [256, 256, 88],
  )
  const large = Array.from({ length: 6 }, (_, i) =>
    batcher.decide({ do: 'resume', id: `l${i}`, checkpoint: 'x'.repeat(12_000) }),
  )
  await time.settled(Promise.all(large), 1_000)
  assert.deepEqual(
    decisions.slice(3).map(({ length }) => length),
    [2, 2, 2],
  )
})

test('who gives up before it was sent is not decided; one that waits in vain for room is told', async () => {
  const { time, decisions, batcher } = create(() => undefined)
  const gone = new AbortController()
  const first = [batcher.decide(cancel('a')), batcher.decide(cancel('b'))]
  await time.run(1)
  const second = batcher.decide(cancel('c'))
  await time.run(1)
  const third = batcher.decide(cancel('d'), { signal: gone.signal })
  gone.abort(new Error('enough'))
  // At once, not when its turn comes.
  await assert.rejects(third, /enough/)
  await time.settled(Promise.all([...first, second]), 1_000)
  assert.deepEqual(decisions, [['a', 'b'], ['c']])
  await assert.rejects(batcher.decide(cancel('e'), { signal: gone.signal }), /enough/)
  const waiting = Array.from({ length: 40_001 }, (_, i) => batcher.decide(cancel(`t${i}`)))
  await assert.rejects(waiting.at(-1) ?? Promise.resolve(), { code: 'COM003' })
  await time.settled(Promise.all(waiting.slice(0, -1)), 60_000)
})

test('what needs a newer level than others goes in a decision of its own', async () => {
  const time = createVirtualTime()
  const commands: string[] = []
  const journal = {
    async submit({ name }: { name: string }, { changes }: { changes: TaskChange[] }) {
      commands.push(`${name} ${changes.map(({ do: what }) => what).join(' ')}`)
      return { result: changes.map(() => ({ ok: null })), version: 1, fence: { term: 1, index: 1 } }
    },
  } as unknown as Pick<Journal, 'submit'>
  const batcher = createTaskBatcher(journal, { timers: time, clock: { now: time.now, monotonic: time.now } })
  const timeOut: TaskChange = { do: 'time-out', epoch: 1, id: 't', fence: { term: 1, index: 1 } }
  const all = [cancel('a'), cancel('b'), timeOut, timeOut, cancel('c')].map((change) => batcher.decide(change))
  await time.settled(Promise.all(all), 1_000)
  assert.deepEqual(commands, ['tasks.decide cancel cancel', 'tasks.decide time-out time-out', 'tasks.decide cancel'])
})

test('while a voter does not know histories, changes are decided as it knows them; later it is asked again', async () => {
  const time = createVirtualTime()
  const asked: string[] = []
  let isOlder = true
  const journal = {
    async submit({ name, level }: { name: string; level: number }, { changes }: { changes: TaskChange[] }) {
      asked.push(name)
      if (isOlder && level > 1) {
        // A coordinator of the older version knows no such command; others know it, and not for all.
        if (asked.length > 2) throw stateError('level', 'the voters have tasks@1', 'wait', { agreed: 1 })
        throw new ParleyError('MSG004', 'the journal knows no command', { details: { reason: 'unknown-command' } })
      }
      return { result: changes.map((change) => ({ ok: idOf(change) })), version: 1, fence: { term: 1, index: 1 } }
    },
  } as unknown as Pick<Journal, 'submit'>
  const batcher = createTaskBatcher(journal, { timers: time, clock: { now: time.now, monotonic: time.now } })
  const decide = async (id: string) => (await time.settled(batcher.decide(cancel(id)), 1_000)).result
  assert.equal(await decide('a'), 'a')
  assert.equal(await decide('b'), 'b')
  assert.deepEqual(asked, ['tasks.decide', 'tasks.change', 'tasks.change'])
  await time.run(10_000)
  assert.equal(await decide('c'), 'c')
  assert.deepEqual(asked.splice(0).slice(3), ['tasks.decide', 'tasks.change'])
  // What they would pass over is refused at once, and keeps nothing else from being decided.
  const sleeps: TaskChange = {
    ...{ do: 'sleep', id: 't', fence: { term: 1, index: 1 }, name: 'night', until: 1, stays: false },
  }
  const at = time.now()
  await assert.rejects(time.settled(batcher.decide(sleeps), 1_000), {
    code: 'STA003',
    details: { reason: 'level' },
    hint: 'upgrade all voters',
  })
  assert.equal(time.now(), at)
  asked.splice(0)
  isOlder = false
  await time.run(10_000)
  assert.equal(await decide('d'), 'd')
  assert.deepEqual(asked.splice(0), ['tasks.decide'])
})

test('of two decisions on their way to older voters each is decided as they know it', async () => {
  const time = createVirtualTime()
  const asked: string[] = []
  const journal = {
    async submit({ name, level }: { name: string; level: number }, { changes }: { changes: TaskChange[] }) {
      asked.push(name)
      await new Promise<void>((resolve) => time.after(10, resolve))
      if (level > 1) throw new ParleyError('MSG004', 'no such command', { details: { reason: 'unknown-command' } })
      return { result: changes.map((change) => ({ ok: idOf(change) })), version: 1, fence: { term: 1, index: 1 } }
    },
  } as unknown as Pick<Journal, 'submit'>
  const batcher = createTaskBatcher(journal, { timers: time, clock: { now: time.now, monotonic: time.now } })
  const first = batcher.decide(cancel('a'))
  await time.run(1)
  const both = await time.settled(Promise.all([first, batcher.decide(cancel('b'))]), 1_000)
  assert.deepEqual(
    both.map(({ result }) => result),
    ['a', 'b'],
  )
  assert.deepEqual(asked, ['tasks.decide', 'tasks.decide', 'tasks.change', 'tasks.change'])
})

const LEVEL_OF: readonly (readonly [level: number, change: TaskChange])[] = [
  [1, { do: 'place', epoch: 1, id: 't', worker: 'w', registration: 1 }],
  [3, { do: 'place', epoch: 1, id: 't', worker: 'w', registration: 1, allocation: 'x' }],
  [1, { do: 'submit', tasks: [submitted('t', { requirements: { cpu_cores: 1 } })] }],
  [3, { do: 'submit', tasks: [submitted('t', { requirements: { resources: { arm: 1 } } })] }],
  [4, { do: 'submit', tasks: [submitted('t', { plan: 'p' })] }],
  [4, { do: 'steer', epoch: 1, id: 't', plan: 'p', assignee: 'w' }],
]

test('what older voters would pass over needs the level that brought it', () => {
  for (const [level, change] of LEVEL_OF) {
    assert.equal(levelOfChange(change), level, JSON.stringify(change))
    const fits = (schema: typeof SecondChangeSchema): boolean =>
      isDeepStrictEqual(schema.safeParse(change).data, change)
    // The command of level 2 takes it, without what it does not know.
    assert.equal(fits(SecondChangeSchema), level < 3, JSON.stringify(change))
  }
})

test('what needs a newer level is refused while voters are older, and keeps nothing else back', async () => {
  const kinds: string[] = []
  const time = createVirtualTime()
  const journal = {
    async submit(kind: { name: string; level: number }, { changes }: { changes: TaskChange[] }) {
      kinds.push(kind.name)
      if (kind.level > 2) throw stateError('level', 'not yet', 'wait', { agreed: 2 })
      return { result: changes.map(() => ({ ok: null })), version: 1, fence: { term: 1, index: 1 } }
    },
  } as unknown as Pick<Journal, 'submit'>
  const batcher = createTaskBatcher(journal, { timers: time, clock: { now: time.now, monotonic: time.now } })
  const [, [, place] = []] = LEVEL_OF
  assert.ok(place)
  const placed = batcher.decide(place)
  const canceled = batcher.decide(cancel('a'))
  await assert.rejects(time.settled(placed, 1_000), /tasks@3/)
  await time.settled(canceled, 1_000)
  assert.deepEqual(kinds.sort(), ['tasks.decide', 'tasks.resolve'])
})
