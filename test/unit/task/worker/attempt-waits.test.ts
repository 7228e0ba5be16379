/** What an attempt asks for when it waits for an event, and what it makes of the answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { waitForEvent } from '../../../../protocols/task/worker/attempt-waits.ts'
import { failureOf } from '../../../support/until.ts'

const create = (rows: Record<string, Json>, answer: Json = { isOver: false }) => {
  const asked: TaskChange[] = []
  const cursors: string[] = []
  const positions = Array.from({ length: 200 }, (_, i) => ({
    publisher: `p${i}`,
    word: 'orders',
    epoch: 1,
    next: i + 1,
  }))
  let now = 1_000
  const attempt = {
    ...{ id: 't', fence: { term: 1, index: 9 }, rows: new Map(Object.entries(rows)), use() {}, now: () => now },
    async decide(change: () => TaskChange) {
      // What is given back before takes its time.
      now += 1_000
      asked.push(change())
      return answer
    },
    suspend(why: string): never {
      throw new Error(why)
    },
  }
  const wait = (options: Parameters<typeof waitForEvent>[3]) =>
    waitForEvent(
      attempt,
      async (topic) => {
        cursors.push(topic)
        return { createdAt: 900, positions }
      },
      'paid',
      options,
    )
  return { wait, asked, cursors }
}

test('where it begins is asked for once, and journalled within a bound', async () => {
  const first = create({})
  await assert.rejects(first.wait({ topic: 'orders.paid', timeoutMs: 50 }), /it waits for the event paid/)
  const [change] = first.asked
  assert.ok(change?.do === 'listen' && first.cursors.length === 1)
  assert.deepEqual([change.topic, change.until, change.cursor.createdAt], ['orders.paid', 2_050, 900])
  assert.equal(change.cursor.positions.length, 128)
  // Who has published nothing yet needs no place.
  assert.deepEqual(change.cursor.positions[0], { publisher: 'p1', epoch: 1, next: 2 })
  const again = create({ 'listen/paid': {} })
  await assert.rejects(again.wait({ topic: 'orders.paid' }), /it waits/)
  assert.deepEqual(again.cursors, [])
})

test('what came before is there at once; a hole and the end of its time are told', async () => {
  const event = { id: 'e', topic: 'orders.paid', source: 'p', timestamp: 1, data: 1 }
  const known = create({ 'event/paid': { event } })
  assert.deepEqual(await known.wait({ topic: 'orders.paid' }), event)
  assert.deepEqual([known.asked, known.cursors], [[], []])
  assert.deepEqual(await create({}, { heard: { event }, isOver: false }).wait({ topic: 'orders.paid' }), event)
  const missed = { publisher: 'p', epoch: 1, from: 3, to: 4 }
  const failure = await failureOf(create({ 'event/paid': { missed } }).wait({ topic: 'orders.paid' }))
  assert.ok(isParleyError(failure, 'STA003') && failure.reason === 'missed')
  // It is the same in each attempt.
  assert.deepEqual(failure.details, { reason: 'missed', task: 't', name: 'paid', ...missed, retry: false })
  const late = await failureOf(create({}, { isOver: true }).wait({ topic: 'orders.paid' }))
  assert.ok(isParleyError(late, 'COM001'))
})

test('what cannot be waited for is refused before anything is asked', async () => {
  const { wait, asked, cursors } = create({})
  for (const options of [{ topic: '' }, { topic: '*.x' }, { topic: 'x', filter: { data: { a: [1] } } }])
    assert.ok(isParleyError(await failureOf(wait(options as { topic: string })), 'MSG001'))
  assert.deepEqual([asked, cursors], [[], []])
})
