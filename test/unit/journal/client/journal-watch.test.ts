/** Following the journal: nothing is missing and nothing comes twice, whichever members go, freeze or fall behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coordinatorProtocol } from '../../../../protocols/coordinator/contract.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { JournalChange, WatchOptions } from '../../../../protocols/journal/client/journal-watch.ts'
import { journalProtocol } from '../../../../protocols/journal/contract.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../../support/journal-mesh.ts'

const OWN = /^\$/

/** A program that follows, and what it has been told. */
const follow = (node: JournalNode, options: WatchOptions = {}) => {
  const stop = new AbortController()
  const told: JournalChange[] = []
  const table = new Map<string, Json>()
  const seen = { wholes: 0, ended: undefined as unknown }
  const run = async (): Promise<void> => {
    for await (const change of node.journal.watch({ signal: stop.signal, ...options })) {
      told.push(change)
      if (change.type === 'records') {
        seen.wholes += 1
        table.clear()
        for (const { key, value } of change.records) table.set(key, value)
      } else if (change.value === undefined) table.delete(change.key)
      else table.set(change.key, change.value)
    }
  }
  const ended = run().then(
    () => {
      seen.ended = 'well'
    },
    (error: unknown) => {
      seen.ended = error
    },
  )
  return {
    told,
    table,
    seen,
    stop: () => stop.abort(new Error('enough')),
    ended,
    /** Changes, without those of the mesh itself. */
    changes: () => told.flatMap((one) => (one.type === 'change' && !OWN.test(one.key) ? [[one.key, one.value]] : [])),
    /** No version is told twice or goes back, but for several of one entry. */
    isInOrder: () => told.every(({ version }, i) => i === 0 || version >= (told[i - 1]?.version ?? 0)),
  }
}

const founded = async (options: Parameters<typeof createJournalMesh>[0] = {}) => {
  const mesh = createJournalMesh(options)
  const voters = await mesh.found(3)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 2_000)
  return { mesh, voters, guest }
}
const put = (mesh: JournalMesh, { journal }: JournalNode, key: string, value: Json) =>
  mesh.time.settled(journal.put(key, value), 5_000)

test('it begins with all that there is, and goes on with what changes', async () => {
  const { mesh, guest, voters } = await founded()
  await put(mesh, guest, 'a', 1)
  await put(mesh, guest, 'b', 2)
  for (const node of [guest, ...voters]) {
    await mesh.time.run(200)
    const watching = follow(node)
    await mesh.time.until(() => watching.told.length > 0, 500)
    const [first] = watching.told
    assert.ok(first?.type === 'records')
    assert.ok(
      first.records.some(({ key, value, version, term }) => key === 'b' && value === 2 && version > 1 && term === 2),
    )
    await put(mesh, guest, 'a', `by ${node.name}`)
    await mesh.time.settled(guest.journal.delete('b'), 1_000)
    await mesh.time.until(() => watching.changes().length === 2, 500)
    assert.deepEqual(watching.changes(), [
      ['a', `by ${node.name}`],
      ['b', undefined],
    ])
    const [change] = watching.told.filter((one) => one.type === 'change')
    assert.ok(change?.type === 'change' && change.fence.term === 2 && change.fence.index === change.version)
    assert.ok(change.at > 1_700_000_000_000)
    watching.stop()
    await mesh.time.settled(watching.ended, 200)
    assert.equal(watching.seen.ended, 'well')
    await put(mesh, guest, 'b', 2)
    assert.equal(watching.changes().length, 2, 'it ended')
  }
})

test('it tells of what begins with its prefix, and nothing else', async () => {
  const { mesh, guest } = await founded()
  for (const key of ['p/1', 'q', 'p']) await put(mesh, guest, key, 1)
  const watching = follow(guest, { prefix: 'p/' })
  await mesh.time.until(() => watching.told.length > 0, 500)
  for (const key of ['q', 'p/2', 'p', 'p/1']) await put(mesh, guest, key, 2)
  await mesh.time.run(200)
  assert.deepEqual(watching.changes(), [
    ['p/2', 2],
    ['p/1', 2],
  ])
  assert.deepEqual([...watching.table.keys()].sort(), ['p/1', 'p/2'])
})

test('it begins after the version that is wanted', async () => {
  const { mesh, guest, voters } = await founded()
  const { version } = await put(mesh, guest, 'a', 1)
  await put(mesh, guest, 'b', 2)
  for (const node of [guest, ...voters]) {
    const watching = follow(node, { from: version })
    await mesh.time.until(() => watching.told.length === 1, 500)
    assert.deepEqual(watching.changes(), [['b', 2]])
    watching.stop()
  }
})

test('a listing and a watch from its version make a whole', async () => {
  const { mesh, guest } = await founded()
  for (const key of ['a', 'b', 'c']) await put(mesh, guest, key, 1)
  const { records, version } = await mesh.time.settled(guest.journal.list(''), 500)
  const watching = follow(guest, { from: version })
  await put(mesh, guest, 'b', 2)
  await mesh.time.until(() => watching.changes().length > 0, 500)
  assert.deepEqual(watching.changes(), [['b', 2]])
  assert.ok(records.length >= 3)
})

test('it goes on where members die, are cut off and come back: no gap, nothing twice', async () => {
  for (const seed of [1, 2, 3]) {
    const { mesh, guest } = await founded({ seed, snapshotEvery: 500 })
    const watching = [follow(guest), follow(guest, { prefix: 'k' }), follow(guest, { from: 0 })]
    await mesh.time.until(() => watching.every(({ told }) => told.length > 0), 500)
    const expected: [string, Json][] = []
    let next = 0
    const write = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        const value = next++
        expected.push([`k${value % 7}`, value])
        await put(mesh, guest, `k${value % 7}`, value)
      }
    }
    for (const how of ['kill', 'cut', 'follower', 'freeze'] as const) {
      await write(5)
      const leader = await mesh.untilLeader(5_000)
      const one = how === 'follower' ? mesh.up().find((node) => node !== leader && node.disk !== undefined) : leader
      assert.ok(one)
      if (how === 'cut') mesh.cut([one], mesh.up())
      else if (how === 'freeze') one.life.freeze()
      else mesh.kill(one)
      await write(10)
      if (how === 'cut') mesh.heal()
      else if (how === 'freeze') one.life.thaw()
      else await mesh.start(one.name)
      await write(5)
    }
    await mesh.time.until(() => watching.every(({ changes }) => changes().length >= expected.length), 10_000)
    for (const one of watching) {
      assert.deepEqual(one.changes(), expected, `seed ${seed}`)
      assert.ok(one.isInOrder())
      assert.ok(one.seen.wholes <= 1)
    }
  }
})

test('a node with a seat hears of all that its own member learns from a snapshot', async () => {
  const { mesh, voters, guest } = await founded({ snapshotEvery: 20 })
  const away = voters.find((node) => node !== mesh.leader())
  assert.ok(away)
  const watching = follow(away)
  await put(mesh, guest, 'a', 0)
  await mesh.time.until(() => watching.changes().length === 1, 500)
  mesh.cut([away], mesh.up())
  for (let i = 1; i <= 60; i += 1) await put(mesh, guest, `k${i % 5}`, i)
  mesh.heal()
  await mesh.time.until(() => watching.table.get('k0') === 60, 5_000)
  assert.ok(away.seat()?.group.counts().restored === 1)
  assert.equal(watching.seen.wholes, 2, 'at the beginning, and after the snapshot')
  assert.deepEqual([...watching.table].filter(([key]) => !OWN.test(key)).sort(), [
    ['a', 0],
    ['k0', 60],
    ['k1', 56],
    ['k2', 57],
    ['k3', 58],
    ['k4', 59],
  ])
})

test('who comes late with a version that is forgotten is given the whole again', async () => {
  const { mesh, guest } = await founded({ snapshotEvery: 20 })
  const { version } = await put(mesh, guest, 'a', 0)
  for (let i = 1; i <= 50; i += 1) await put(mesh, guest, 'b', i)
  // Members that restart have the changes since their snapshot, and no more.
  for (const node of mesh.up()) {
    if (node.disk === undefined) continue
    mesh.kill(node)
    await mesh.start(node.name)
    await mesh.untilLeader()
    await mesh.time.run(500)
  }
  const watching = follow(guest, { from: version })
  await mesh.time.until(() => watching.told.length > 0, 1_000)
  assert.deepEqual([watching.seen.wholes, watching.table.get('a'), watching.table.get('b')], [1, 0, 50])
})

test('a large journal comes in parts, and large changes one after the other', async () => {
  const { mesh, guest } = await founded()
  const text = 'x'.repeat(100_000)
  for (let i = 0; i < 6; i += 1) await put(mesh, guest, `k${i}`, text)
  const watching = follow(guest)
  // The member that is followed may hear of the last one a moment later.
  await mesh.time.until(() => [...watching.table.keys()].filter((key) => !OWN.test(key)).length === 6, 1_000)
  assert.equal(watching.seen.wholes, 1)
  const from = follow(guest, { from: 0 })
  await mesh.time.until(() => from.changes().length === 6, 1_000)
  assert.equal(from.seen.wholes, 0)
  const records = mesh.leader()?.machine().records
  assert.ok((records?.since(0, 500, 131_072) ?? []).length < 4, 'a message holds a few of them')
})

/** A member whose Raft is of no interest: it answers follows as the test says. */
const createFollowed = async () => {
  const mesh = createJournalMesh()
  const guest = await mesh.start('guest', { mayVote: false })
  const servers = []
  for (const name of ['one', 'two']) {
    const node = mesh.network.start(name)
    mesh.network.connect(node, guest.network)
    const asked: { from: number | undefined; signal: AbortSignal }[] = []
    const answers: ((from: number | undefined, signal: AbortSignal) => AsyncIterable<unknown>)[] = []
    await node.port.serve(journalProtocol, {
      submit: () => Promise.reject(new Error('not asked')),
      read: () => Promise.reject(new Error('not asked')),
      rows: () => Promise.reject(new Error('not asked')),
      async *follow({ from }, { signal }) {
        asked.push({ from, signal })
        const answer = answers.shift()
        // The schema of the stream checks it.
        if (answer !== undefined) for await (const item of answer(from, signal)) yield item as never
      },
    })
    await node.port.serve(coordinatorProtocol, {
      where: () => ({ meshId: 'm', epoch: 1, version: 0, seats: [] }),
      volunteer: () => ({ enough: true }),
      transfer: () => Promise.reject(new Error('not asked')),
      giveUp: () => Promise.reject(new Error('not asked')),
      takeSeat: () => Promise.reject(new Error('not asked')),
    })
    servers.push({ id: node.id, asked, answers })
  }
  const [one, two] = servers
  if (one === undefined || two === undefined) throw new Error('two are needed')
  mesh.adopt(guest, 'm')
  guest.whereabouts.setFromOwnGroup({ epoch: 1, leader: one.id, seats: [one.id], version: 5 })
  return { mesh, guest, one, two }
}
const waits = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
const silent = (signal: AbortSignal): AsyncIterable<unknown> => ({
  [Symbol.asyncIterator]: () => ({
    async next() {
      await waits(signal)
      return { done: true, value: undefined }
    },
  }),
})
const record = (key: string, version: number) => ({ key, version, term: 1, value: version })
const change = (key: string, index: number) => ({ key, fence: { term: 1, index }, at: 1, value: index })

test('a whole that broke off in the middle is not told, and asked for again', async () => {
  const { mesh, guest, one } = await createFollowed()
  one.answers.push(async function* () {
    yield { type: 'records', version: 5, records: [record('a', 1)], first: true, last: false }
    throw new Error('gone')
  })
  one.answers.push(async function* () {
    yield { type: 'records', version: 7, records: [record('b', 2)], first: true, last: false }
    yield { type: 'records', version: 7, records: [record('c', 3)], first: false, last: true }
  })
  one.answers.push((_, signal) => silent(signal))
  const watching = follow(guest)
  await mesh.time.until(() => one.asked.length === 3, 2_000)
  assert.deepEqual(
    one.asked.map(({ from }) => from),
    [undefined, undefined, 7],
    'what came as a whole is not asked for again',
  )
  assert.deepEqual([...watching.table.keys()], ['b', 'c'])
  assert.equal(watching.told[0]?.version, 7)
})

test('where a stream broke after some changes it goes on after these, with marks counted', async () => {
  const { mesh, guest, one } = await createFollowed()
  one.answers.push(async function* () {
    yield { type: 'changes', version: 6, changes: [change('a', 6), change('b', 6)] }
    yield { type: 'changes', version: 900, changes: [] }
  })
  one.answers.push(async function* (_, signal) {
    yield { type: 'changes', version: 901, changes: [change('c', 901)] }
    await waits(signal)
  })
  const watching = follow(guest, { from: 3 })
  await mesh.time.until(() => watching.told.length === 3, 2_000)
  assert.deepEqual(
    one.asked.map(({ from }) => from),
    [3, 900],
  )
})

test('a member that falls behind what the coordinator tells is left for another one', async () => {
  const { mesh, guest, one, two } = await createFollowed()
  for (const { answers } of [one, two])
    answers.push(async function* (_, signal) {
      yield { type: 'changes', version: 6, changes: [change('a', 6)] }
      await waits(signal)
    })
  guest.whereabouts.setFromOwnGroup({ epoch: 1, leader: one.id, seats: [one.id, two.id], version: 5 })
  const watching = follow(guest, { from: 5 })
  await mesh.time.run(10_000)
  assert.equal(one.asked.length + two.asked.length, 1, 'one that has no more to tell is not left')
  guest.whereabouts.setFromOwnGroup({ epoch: 1, leader: one.id, version: 9 })
  const [first, second] = one.asked.length === 1 ? [one, two] : [two, one]
  second.answers.length = 0
  second.answers.push(async function* (_, signal) {
    yield { type: 'changes', version: 9, changes: [change('b', 9)] }
    await waits(signal)
  })
  await mesh.time.until(() => watching.told.length === 2, 5_000)
  assert.ok(first.asked[0]?.signal.aborted)
  assert.equal(second.asked[0]?.from, 6)
})

test('a program that takes its time over a change is not taken for a member that is behind', async () => {
  const { mesh, guest, one } = await createFollowed()
  one.answers.push(async function* (_, signal) {
    yield { type: 'changes', version: 6, changes: [change('a', 6)] }
    yield { type: 'changes', version: 7, changes: [change('b', 7)] }
    await waits(signal)
  })
  const watch = guest.journal.watch({ from: 5 })
  await mesh.time.settled(watch.next(), 1_000)
  guest.whereabouts.setFromOwnGroup({ epoch: 1, leader: one.id, version: 9 })
  await mesh.time.run(10_000)
  assert.equal(one.asked[0]?.signal.aborted, false)
  const second = await mesh.time.settled(watch.next(), 1_000)
  assert.ok(second.value?.type === 'change' && second.value.key === 'b')
})

test('who stops reading ends the stream at the member', async () => {
  const { mesh, guest, one } = await createFollowed()
  one.answers.push(async function* (_, signal) {
    yield { type: 'changes', version: 6, changes: [change('a', 6)] }
    await waits(signal)
  })
  const watch = guest.journal.watch({ from: 5 })
  await mesh.time.settled(watch.next(), 1_000)
  await mesh.time.settled(watch.return(), 1_000)
  await mesh.time.run(20)
  assert.equal(one.asked[0]?.signal.aborted, true)
})

test('who watches before the mesh is founded sees it begin', async () => {
  const mesh = createJournalMesh()
  const watching = follow(await mesh.start('first', { expect: 2 }))
  await mesh.time.run(2_000)
  assert.deepEqual(watching.told, [])
  await mesh.start('second', { expect: 2 })
  await mesh.time.until(() => watching.told.length > 0, 10_000)
})

test('what cannot be followed is said: a bad prefix', async () => {
  const { mesh: other, guest } = await founded()
  const bad = follow(guest, { prefix: 'x'.repeat(257) })
  await other.time.settled(bad.ended, 500)
  assert.ok(isParleyError(bad.seen.ended, 'MSG001'))
})

test('a watch of a node that stops ends', async () => {
  const { mesh, guest } = await founded()
  const watching = follow(guest)
  await mesh.time.until(() => watching.told.length > 0, 500)
  for (const node of mesh.up()) if (node !== guest) mesh.kill(node)
  await mesh.time.run(500)
  guest.whereabouts.stop()
  await mesh.time.settled(watching.ended, 5_000)
  assert.ok(isParleyError(watching.seen.ended, 'COM002'))
})
