/** What the coordinator tells each node of its tasks: without a gap, the newest state of each, to those that it concerns. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { FeedItem } from '../../../../protocols/journal/feed/open-feed.ts'
import type { FeedRequest } from '../../../../protocols/journal/feed/record-feeds.ts'
import type { JournalMember } from '../../../../protocols/journal/journal-server.ts'
import type { FeedTask } from '../../../../protocols/task/contract.ts'
import { createTaskFeeds } from '../../../../protocols/task/feed/task-feed.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const create = () => {
  const time = createVirtualTime()
  const journal = new TaskJournal()
  let member: JournalMember | undefined = { meshId: 'm', machine: journal.machine } as unknown as JournalMember
  const feeds = createTaskFeeds({ timers: time }, () => member)
  const submit = (by: string, ...ids: string[]): void => {
    for (const id of ids) journal.decide(by, { do: 'submit', tasks: [submitted(id)] })
  }
  /** Follows until it is stopped; what it was told, in short. */
  const follow = (peer: string, request: FeedRequest = {}) => {
    const end = new AbortController()
    const told: string[] = []
    const items: FeedItem<FeedTask>[] = []
    let failure: unknown
    const done = (async () => {
      try {
        for await (const item of feeds.follow(peer, request, end.signal)) {
          items.push(item)
          for (const { id, record } of item.told) told.push(`${id} ${record?.status ?? 'gone'}`)
        }
      } catch (error) {
        failure = error
      }
    })()
    return {
      items,
      failure: () => failure,
      /** Since it was asked last. */
      told: async () => {
        await time.run(5)
        return told.splice(0)
      },
      version: () => items.at(-1)?.version,
      stop: async () => {
        end.abort()
        await time.run(5)
        await done
      },
    }
  }
  return { time, journal, feeds, submit, follow, lead: (is: boolean) => (member = is ? member : undefined) }
}

test('who submitted a task and who works on it are told, others are not', async () => {
  const { journal, submit, follow } = create()
  const [ann, bob, eve] = [follow('ann'), follow('bob'), follow('eve')]
  submit('ann', 't')
  assert.deepEqual(await ann.told(), ['t queued'])
  assert.deepEqual(await bob.told(), [])
  const registration = journal.worker('bob')
  const fence = journal.place('t', 'bob', registration)
  assert.deepEqual([await ann.told(), await bob.told()], [['t assigned'], ['t assigned']])
  const work = bob.items.at(-1)?.told[0]?.work
  assert.deepEqual(work, { rows: [{ key: 'input', value: { input: 1, digest: 't' } }], more: false })
  assert.equal(ann.items.at(-1)?.told[0]?.work, undefined)
  // It is taken away: its worker is told once more.
  journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: '' })
  assert.deepEqual(await bob.told(), ['t queued'])
  const again = journal.place('t', 'carl', journal.worker('carl'))
  assert.deepEqual(await bob.told(), [])
  journal.one('carl', { do: 'complete', id: 't', fence: again, result: { sum: 3 } })
  assert.deepEqual((await ann.told()).at(-1), 't completed')
  assert.deepEqual(ann.items.at(-1)?.told[0]?.done?.result, { sum: 3 })
  assert.deepEqual(await eve.told(), [])
  await Promise.all([ann, bob, eve].map((one) => one.stop()))
})

test('an attempt is told what was recorded before it', async () => {
  const { journal, submit, follow } = create()
  submit('ann', 't')
  const fence = journal.place('t', 'bob', journal.worker('bob'))
  journal.one('bob', { do: 'effect', id: 't', fence, name: 'e', key: 'k', value: 5 })
  journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: '' })
  journal.place('t', 'carl', journal.worker('carl'))
  const carl = follow('carl')
  await carl.told()
  const rows = carl.items
    .flatMap(({ told }) => told)
    .at(-1)
    ?.work?.rows.map(({ key }) => key)
  assert.deepEqual(rows, ['effect/e/k', 'input'])
  await carl.stop()
})

test('a feed that begins tells all there is; one that goes on tells what it missed, and nothing else', async () => {
  const { journal, submit, follow } = create()
  submit('ann', 'a', 'b')
  submit('eve', 'x')
  const first = follow('ann')
  assert.deepEqual(await first.told(), ['a queued', 'b queued'])
  assert.equal(first.items[0]?.reset, true)
  const version = first.version()
  await first.stop()
  submit('ann', 'c')
  submit('eve', 'y')
  journal.one('ann', { do: 'cancel', id: 'a' })
  const second = follow('ann', { from: version })
  assert.deepEqual(await second.told(), ['c queued', 'a canceled'])
  assert.ok(second.items.every(({ reset }) => reset !== true))
  assert.equal(second.version(), journal.index)
  await second.stop()
})

test('a slow follower is told the newest state of each, once, and never a version whose changes it was not told', async () => {
  const { time, journal, submit, feeds } = create()
  submit('ann', ...Array.from({ length: 600 }, (_, i) => `t${i}`))
  const from = journal.index
  const end = new AbortController()
  const feed = feeds.follow('ann', { from }, end.signal)
  await feed.next()
  for (let i = 0; i < 600; i += 1) journal.one('ann', { do: 'cancel', id: `t${i}` })
  journal.decide('ann', { do: 'submit', tasks: [submitted('u'), submitted('v')] })
  const told = new Map<string, number>()
  while (told.size < 602) {
    const item = (await time.settled(feed.next(), 5_000)).value
    assert.ok(item !== undefined)
    for (const { id, version } of item.told) {
      assert.ok(!told.has(id), `${id} twice`)
      told.set(id, version)
    }
    const missed = Array.from({ length: 600 }, (_, i) => i).filter((i) => !told.has(`t${i}`))
    assert.ok(
      missed.every((i) => from + 1 + i > item.version),
      `${item.version} is told before all of it`,
    )
  }
  end.abort()
  await time.settled(feed.return(undefined), 1_000)
})

test('tasks of others are watched by their ids, and these alone', async () => {
  const { journal, submit, follow } = create()
  submit('eve', 'x', 'y')
  submit('ann', 'a')
  const ann = follow('ann', { watch: ['x', 'unknown'], watchedOnly: true })
  assert.deepEqual(await ann.told(), ['x queued'])
  journal.one('eve', { do: 'cancel', id: 'y' })
  journal.one('ann', { do: 'cancel', id: 'a' })
  journal.one('eve', { do: 'cancel', id: 'x' })
  assert.deepEqual(await ann.told(), ['x canceled'])
  await ann.stop()
})

test('a node that coordinates no more ends its feeds; a peer has as many as it may', async () => {
  const { time, follow, lead } = create()
  const feeds = Array.from({ length: 16 }, () => follow('ann'))
  await time.run(5)
  const more = follow('ann')
  await time.run(5)
  assert.equal(Reflect.get(Object(more.failure()), 'code'), 'COM003')
  const other = follow('bob')
  await time.run(5)
  assert.equal(other.failure(), undefined)
  lead(false)
  await time.run(2_000)
  for (const feed of [...feeds, other])
    assert.equal(Reflect.get(Object(Reflect.get(Object(feed.failure()), 'details')), 'reason'), 'not-leader')
  const late = follow('ann')
  await time.run(5)
  assert.equal(Reflect.get(Object(late.failure()), 'code'), 'STA003')
})
