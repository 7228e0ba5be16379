/** The coordinator follows what tasks wait for: from where each wait begins, once, and until it is decided. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import type { Events, SubscribeOptions } from '../../../../protocols/events/api.ts'
import type { MeshEvent } from '../../../../protocols/events/event.ts'
import type { JournalMember } from '../../../../protocols/journal/journal-server.ts'
import { listenRow } from '../../../../protocols/task/events/event-wait.ts'
import { EventWatcher } from '../../../../protocols/task/events/event-watcher.ts'
import type { ChangeOf, TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { signalsOf } from '../../../../protocols/task/task-record.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const cursor = { createdAt: 500, positions: [{ publisher: 'p', epoch: 7, next: 3 }] }
const eventOf = (more: Partial<MeshEvent> = {}): MeshEvent => ({
  ...{ id: 'e', topic: 'orders.paid', data: { order: 1 }, source: 'p', timestamp: 600, epoch: 7, sequence: 3 },
  ...{ type: undefined, version: undefined, conversationId: undefined, correlationId: undefined },
  ...{ headers: {}, priority: 'normal', expiresAt: undefined },
  ...more,
})

interface Followed {
  readonly topic: string
  readonly options: SubscribeOptions
  hear(event: MeshEvent): unknown
  isStopped: boolean
  /** How far it is. */
  next: number
}

const create = () => {
  const time = createVirtualTime()
  const journal = new TaskJournal()
  const registration = journal.worker('bob')
  const followed: Followed[] = []
  const warned: string[] = []
  let refuse: (() => Error | undefined) | undefined
  const end = new AbortController()
  const events = {
    async subscribe(topic: string, hear: (event: MeshEvent) => unknown, options: SubscribeOptions) {
      await new Promise<void>((resolve) => time.after(20, resolve))
      if (topic === 'broken.topic') throw new ParleyError('COM003', 'too many words')
      const one: Followed = { topic, options, hear, isStopped: false, next: 3 }
      options.signal?.addEventListener('abort', () => {
        one.isStopped = true
      })
      followed.push(one)
      return {
        cursor: () => ({ createdAt: 500, positions: [{ publisher: 'p', word: 'orders', epoch: 7, next: one.next }] }),
        async stop() {
          one.isStopped = true
        },
      }
    },
  } as unknown as Pick<Events, 'subscribe'>
  const watcher = new EventWatcher(
    {
      port: { timers: time, log: { error() {}, warn: (text) => void warned.push(text), info() {} } },
      batcher: {
        async decide(change: TaskChange) {
          const why = refuse?.()
          if (why !== undefined) throw why
          const answer = journal.one(LEADER, change)
          if (answer !== null) throw new ParleyError('STA003', String(answer))
          return { result: null, version: journal.index, fence: { term: 1, index: journal.index } }
        },
      },
      events,
      member: () => ({ machine: journal.machine }) as Pick<JournalMember, 'machine'>,
    },
    1,
    end.signal,
  )
  const running = watcher.run()
  const listen = (id: string, more: Partial<ChangeOf<'listen'>> = {}): void => {
    if (journal.task(id) === undefined) journal.one('ann', { do: 'submit', tasks: [submitted(id)] })
    const fence = journal.place(id, 'bob', registration)
    journal.one('bob', { do: 'listen', id, fence, name: 'paid', topic: 'orders.paid', cursor, ...more })
  }
  return {
    ...{ time, journal, followed, warned, listen },
    refuseWith(fn: typeof refuse) {
      refuse = fn
    },
    async stop() {
      end.abort()
      await time.settled(running, 1_000)
    },
  }
}
const MISSED = { publisher: 'p', word: 'orders', epoch: 7, from: 3, to: 5, reason: 'gap' } as const

test('it follows each wait from where that begins, and gives the task the first event that fits', async () => {
  const w = create()
  w.listen('t', { filter: { data: { order: 1 } } })
  await w.time.run(400)
  const [one] = w.followed
  assert.ok(one !== undefined && w.followed.length === 1)
  assert.equal(one.topic, 'orders.paid')
  assert.deepEqual(one.options.from, {
    cursor: { createdAt: 500, positions: [{ publisher: 'p', word: 'orders', epoch: 7, next: 3 }] },
  })
  await one.hear(eventOf({ data: { order: 2 } }))
  // Of who is not named what is older than the wait does not count.
  await one.hear(eventOf({ source: 'q', timestamp: 499 }))
  assert.equal(w.journal.task('t')?.status, 'input_required')
  await one.hear(eventOf({ timestamp: 1 }))
  await one.hear(eventOf({ id: 'second' }))
  assert.equal(w.journal.task('t')?.status, 'queued')
  await w.time.run(400)
  assert.ok(one.isStopped)
  assert.equal(w.followed.length, 1)
  await w.stop()
})

test('a hole in the history ends the wait, unless it is one of a publisher that is not waited for', async () => {
  const w = create()
  w.listen('t', { filter: { source: 'p' } })
  await w.time.run(400)
  w.followed[0]?.options.onMissed?.({ ...MISSED, publisher: 'liar' })
  await w.time.run(100)
  assert.equal(w.journal.task('t')?.status, 'input_required')
  w.followed[0]?.options.onMissed?.(MISSED)
  await w.time.run(100)
  assert.equal(w.journal.task('t')?.status, 'queued')
  await w.stop()
})

test('what is canceled, or waits anew, is followed no more as it was', async () => {
  const w = create()
  w.listen('t')
  w.listen('u')
  await w.time.run(400)
  w.journal.one('ann', { do: 'cancel', id: 't' })
  w.journal.one('ann', { do: 'resume', id: 'u' })
  w.listen('u')
  await w.time.run(600)
  assert.deepEqual(
    w.followed.map(({ isStopped }) => isStopped),
    [true, true, false],
  )
  await w.stop()
  assert.ok(w.followed.every(({ isStopped }) => isStopped))
})

test('as many as may wait that cannot be followed keep no other from it', async () => {
  const w = create()
  for (let i = 0; i < 190; i += 1) w.listen(`a${i}`, { topic: 'broken.topic' })
  w.listen('z')
  await w.time.run(15_000)
  assert.ok(w.followed.some(({ topic }) => topic === 'orders.paid'))
  await w.stop()
})

test('what cannot be followed keeps no other from it; what is not decided is asked for again', async () => {
  const w = create()
  for (let i = 0; i < 20; i += 1) w.listen(`a${i}`, { topic: 'broken.topic' })
  w.listen('z')
  await w.time.run(3_000)
  assert.ok(w.followed.some(({ topic }) => topic === 'orders.paid'))
  assert.ok(w.warned.length >= 20)
  let tries = 0
  w.refuseWith(() => {
    tries += 1
    return tries < 3 ? new ParleyError('COM001', 'nobody coordinates') : undefined
  })
  void w.followed.find(({ topic }) => topic === 'orders.paid')?.hear(eventOf())
  await w.time.run(10_000)
  assert.deepEqual([tries, w.journal.task('z')?.status], [3, 'queued'])
  await w.stop()
})

test('the place of a long wait moves on in the journal, so that the next coordinator begins there', async () => {
  const w = create()
  w.listen('t')
  await w.time.run(400)
  const begun = w.journal.index
  await w.time.run(80_000)
  assert.equal(w.journal.index, begun, 'it did not move')
  const [one] = w.followed
  if (one !== undefined) one.next = 900
  await w.time.run(80_000)
  assert.equal(w.journal.index, begun + 1)
  const row = await w.journal.machine.records.collections.read(signalsOf('t'), listenRow('paid'))
  assert.deepEqual(Reflect.get(Object(row), 'cursor'), {
    createdAt: 500,
    positions: [{ publisher: 'p', epoch: 7, next: 900 }],
  })
  await w.time.run(80_000)
  assert.equal(w.journal.index, begun + 1, 'once for each place')
  assert.equal(w.followed.length, 1, 'it is followed as before')
  await w.stop()
})
