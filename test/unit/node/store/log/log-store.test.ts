/** Raft's log on disk: what was said to be durable is there, whatever happens to the machine. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openFolder } from '../../../../../node/store/files/disk.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { LogChange, LogState } from '../../../../../protocols/consensus/group/group-storage.ts'
import type { Entry } from '../../../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const entry = (index: number, term = 1, size = 20): Entry => ({
  index,
  term,
  kind: 'command',
  data: new Uint8Array(size).fill(index % 251),
})
const entries = (from: number, to: number, term = 1): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term))
const configuration = { voters: ['a', 'b', 'c'], learners: [] }
const open = (disk: FaultyDisk, segmentBytes?: number) =>
  openLogStore(disk.mount(), { random, ...(segmentBytes === undefined ? {} : { segmentBytes }) })

/** Files of the log, in their order; the mark is beside them. */
const logs = async (disk: FaultyDisk): Promise<string[]> =>
  (await disk.list()).filter((name) => name.endsWith('.log')).sort()

const reasonOf = (error: unknown): unknown => (isParleyError(error) ? error.details.reason : `${error}`)
const plain = ({ hardState, snapshot, entries }: LogState) => ({
  hardState,
  snapshot,
  entries: entries.map(
    ({ index, term, kind, data }) => `${index} ${term} ${kind} ${Buffer.from(data).toString('hex')}`,
  ),
})

test('what was written is there when it is opened again', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  assert.deepEqual(plain(store.opened), {
    hardState: { term: 0, votedFor: undefined, commit: 0 },
    snapshot: undefined,
    entries: [],
  })
  await store.write({ hardState: { term: 3, votedFor: 'b', commit: 1 }, entries: entries(1, 5, 3) })
  await store.write({ entries: [{ index: 6, term: 3, kind: 'empty', data: new Uint8Array(0) }] })
  await store.close()
  const again = await open(disk)
  assert.equal(again.storageId, store.storageId)
  assert.deepEqual(again.opened.hardState, { term: 3, votedFor: 'b', commit: 1 })
  assert.deepEqual(
    again.opened.entries.map(({ index }) => index),
    [1, 2, 3, 4, 5, 6],
  )
  assert.equal(again.opened.entries[5]?.kind, 'empty')
})

test('entries take the place of what the log has at their index and after it', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.write({ entries: entries(1, 9) })
  await store.write({ entries: [entry(4, 2)] })
  await store.close()
  const again = await open(disk)
  assert.deepEqual(
    again.opened.entries.map(({ index, term }) => `${index}/${term}`),
    ['1/1', '2/1', '3/1', '4/2'],
  )
})

test('changes that wait for the disk go in one write', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await Promise.all(entries(1, 1_000).map((one) => store.write({ entries: [one] })))
  const { writes, syncs } = store.counts()
  assert.equal(writes, 1_000)
  assert.ok(syncs <= 3, `${syncs} syncs`)
})

test('a snapshot makes old segments go, and what is after it stays', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 4_096)
  for (let i = 1; i <= 400; i += 1) await store.write({ entries: [entry(i)] })
  const before = store.counts().segments
  await store.write({ base: { meta: { index: 390, term: 1, configuration }, keeps: true } })
  assert.ok(before > 4 && store.counts().segments <= 2, `${before} segments, then ${store.counts().segments}`)
  await store.close()
  const again = await open(disk, 4_096)
  assert.deepEqual(again.opened.snapshot, { index: 390, term: 1, configuration })
  assert.deepEqual(
    again.opened.entries.map(({ index }) => index),
    entries(391, 400).map(({ index }) => index),
  )
  // One of another node takes the place of everything.
  await again.write({ base: { meta: { index: 900, term: 5, configuration }, keeps: false }, entries: [entry(901, 5)] })
  await again.close()
  assert.deepEqual(
    (await open(disk)).opened.entries.map(({ index }) => index),
    [901],
  )
})

describe('a power cut', () => {
  const change = (random: () => number, state: { last: number; term: number; base: number }): LogChange => {
    const kind = random()
    if (kind < 0.15) {
      state.term += 1
      return { hardState: { term: state.term, votedFor: random() < 0.5 ? 'a' : undefined, commit: state.base } }
    }
    if (kind < 0.22 && state.last > state.base) {
      state.base += 1 + Math.floor(random() * (state.last - state.base))
      return { base: { meta: { index: state.base, term: 1, configuration }, keeps: true } }
    }
    const from = Math.max(state.base + 1, state.last + 1 - (random() < 0.2 ? Math.floor(random() * 4) : 0))
    const count = 1 + Math.floor(random() * 5)
    state.last = from + count - 1
    const size = Math.floor(random() * 900)
    return { entries: Array.from({ length: count }, (_, i) => entry(from + i, state.term, size)) }
  }

  test('leaves all that was said to be durable, and nothing that was not written: 300 lives of 60 logs', async () => {
    let torn = 0
    for (let seed = 1; seed <= 60; seed += 1) {
      const chance = createRandom(seed)
      const disk = createFaultyDisk()
      const state = { last: 0, term: 1, base: 0 }
      let known: ReturnType<typeof plain>[] = []
      for (let life = 0; life < 5; life += 1) {
        const store = await open(disk, 6_000)
        torn += store.counts().cutOff
        const opened = plain(store.opened)
        if (life > 0) {
          const at = known.findIndex((one) => JSON.stringify(one) === JSON.stringify(opened))
          assert.ok(at >= 0, `seed ${seed}, life ${life}: a state that was never asked for, or an older one`)
        }
        state.last = store.opened.entries.at(-1)?.index ?? store.opened.snapshot?.index ?? 0
        state.base = store.opened.snapshot?.index ?? 0
        // After each change, what a reader may find: from the last that was acknowledged on.
        const model: LogState = { ...store.opened, entries: [...store.opened.entries] }
        known = [opened]
        const count = Math.floor(chance() * 30)
        for (let i = 0; i < count; i += 1) {
          const next = change(chance, state)
          applyTo(model, next)
          known.push(plain(model))
          const written = store.write(next)
          // The last one is on its way when the power goes.
          if (i === count - 1) {
            await Promise.race([written, turns(Math.floor(chance() * 12))])
            written.catch(() => {})
          } else {
            await written
            known = [plain(model)]
          }
        }
        disk.crash(chance)
      }
    }
    assert.ok(torn > 0, 'some tails were torn')
  })
})

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i += 1) await Promise.resolve()
}

/** The dumb version of what the store does. */
const applyTo = (model: LogState, { hardState, base, entries: added = [] }: LogChange): void => {
  if (hardState !== undefined) model.hardState = hardState
  if (base !== undefined) {
    model.snapshot = base.meta
    model.entries = base.keeps ? model.entries.filter(({ index }) => index > base.meta.index) : []
  }
  for (const one of added) model.entries = [...model.entries.filter(({ index }) => index < one.index), one]
}

test('a byte that is flipped before the last write is found, and nothing is changed then', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 2_000)
  for (let i = 1; i <= 60; i += 1) await store.write({ entries: [entry(i)] })
  await store.close()
  const names = await logs(disk)
  assert.ok(names.length >= 2)
  const last = names.at(-1) ?? ''
  const frame = 64
  for (const name of names) {
    const end = name === last ? disk.size(name) - frame - 16 : disk.size(name)
    for (let at = 0; at < end; at += 7) {
      disk.flip(name, at)
      const before = disk.size(name)
      assert.equal(reasonOf(await failureOf(open(disk, 2_000))), 'damaged', `${name} at ${at}`)
      assert.equal(disk.size(name), before)
      disk.flip(name, at)
    }
  }
  assert.equal((await open(disk, 2_000)).opened.entries.length, 60)
})

test('a file in the middle that is gone is found', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 1_000)
  for (let i = 1; i <= 60; i += 1) await store.write({ entries: [entry(i)] })
  await store.close()
  const [first = '', second = ''] = await logs(disk)
  const bytes = await disk.read(second)
  await disk.remove(second)
  assert.equal(reasonOf(await failureOf(open(disk))), 'damaged')
  const put = await disk.create(second)
  await put.write(bytes, 0)
  assert.equal((await open(disk)).opened.entries.length, 60)
  // The first one holds what no snapshot has.
  await disk.remove(first)
  assert.equal(reasonOf(await failureOf(open(disk))), 'damaged')
})

test('a full disk refuses the write and keeps the log; it goes on once there is room', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.write({ entries: entries(1, 10) })
  const [name = ''] = await logs(disk)
  disk.room = disk.used() + 30
  const before = disk.size(name)
  assert.equal(reasonOf(await failureOf(store.write({ entries: [entry(11, 1, 500)] }))), 'disk-full')
  assert.equal(disk.size(name), before, 'what was written of it is cut off again')
  disk.room = Number.POSITIVE_INFINITY
  await store.write({ entries: [entry(11, 2)] })
  await store.close()
  const { opened } = await open(disk)
  assert.deepEqual([opened.entries.length, opened.entries.at(-1)?.term], [11, 2])
})

test('a full disk at a change of segments leaves the old one in use', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 1_000)
  let index = 0
  while (disk.size((await logs(disk))[0] ?? '') < 1_000) {
    index += 1
    await store.write({ entries: [entry(index)] })
  }
  disk.room = disk.used() + 70
  assert.equal(reasonOf(await failureOf(store.write({ entries: [entry(index + 1)] }))), 'disk-full')
  assert.equal((await logs(disk)).length, 1)
  disk.room = Number.POSITIVE_INFINITY
  await store.write({ entries: [entry(index + 1)] })
  await store.close()
  assert.equal((await open(disk, 1_000)).opened.entries.length, index + 1)
})

test('after a sync that failed nothing is taken until the log is opened again', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.write({ entries: entries(1, 3) })
  disk.failSync = true
  assert.equal(reasonOf(await failureOf(store.write({ entries: [entry(4)] }))), 'broken')
  assert.equal(reasonOf(await failureOf(store.write({ entries: [entry(4)] }))), 'broken')
  await store.close()
  assert.equal(reasonOf(await failureOf(store.write({ entries: [entry(4)] }))), 'closed')
  const again = await open(disk)
  await again.write({ entries: [entry((again.opened.entries.at(-1)?.index ?? 0) + 1)] })
})

test('segments that cannot be removed are kept, and removed with the next snapshot', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 1_000)
  for (let i = 1; i <= 60; i += 1) await store.write({ entries: [entry(i)] })
  disk.failRemove = true
  await store.write({ base: { meta: { index: 50, term: 1, configuration }, keeps: true } })
  assert.equal(store.counts().kept, 1)
  assert.equal((await open(disk, 1_000)).opened.entries.length, 10)
  disk.failRemove = false
  await store.write({ base: { meta: { index: 55, term: 1, configuration }, keeps: true } })
  assert.ok(store.counts().segments <= 2)
})

test('a file that was begun before the power went is begun again, so that term and vote outlive the files before it', async () => {
  const disk = createFaultyDisk()
  const hardState = { term: 9, votedFor: 'c', commit: 3 }
  const first = await open(disk, 200)
  await first.write({ hardState, entries: entries(1, 8, 9) })
  // The next file has room for its header, and the disk fails at its first frame.
  const next = '0000000000000002.log'
  const { create } = disk
  disk.create = async (name) => {
    const file = await create(name)
    const writeNow = (bytes: Uint8Array, at: number): void => {
      if (at > 0) throw new Error('power')
      file.writeNow(bytes, at)
    }
    return { ...file, writeNow }
  }
  disk.remove = () => Promise.reject(new Error('power'))
  const dying = await open(disk, 200)
  await failureOf(dying.write({ entries: [entry(9, 9)] }))
  assert.equal(disk.size(next), 64)
  Object.assign(disk, { create, remove: createFaultyDisk().remove })
  const healthy = createFaultyDisk()
  for (const name of await disk.list()) {
    const file = await healthy.create(name)
    await file.write(await disk.read(name), 0)
    await file.sync()
  }
  await healthy.syncNames()
  const store = await open(healthy, 200)
  assert.deepEqual(plain(store.opened).hardState, hardState)
  await store.write({ base: { meta: { index: 8, term: 9, configuration }, keeps: true } })
  await store.write({ entries: [entry(9, 9)] })
  await store.close()
  const again = await open(healthy, 200)
  assert.deepEqual([again.opened.hardState, again.opened.snapshot?.index], [hardState, 8])
  assert.ok(!(await healthy.list()).includes('0000000000000001.log'), 'the file before it is gone')
})

test('files that are removed go one after the other, whenever the power goes', async () => {
  let lost = 0
  for (let turns = 0; turns < 80; turns += 1) {
    const disk = createFaultyDisk()
    const store = await open(disk, 200)
    for (let i = 1; i <= 24; i += 4) await store.write({ entries: entries(i, i + 3) })
    const before = (await logs(disk)).length
    const writing = store.write({ base: { meta: { index: 24, term: 1, configuration }, keeps: true } }).catch(() => {})
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    disk.crash(createRandom(turns))
    await writing
    const { segments } = (await open(disk, 200)).counts()
    if (segments > 1 && segments < before) lost += 1
  }
  assert.ok(lost > 0, 'the power went in between')
})

test('a later file that is alone and has lost what it began with is refused', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk, 200)
  await store.write({ hardState: { term: 9, votedFor: 'c', commit: 3 }, entries: entries(1, 8, 9) })
  await store.write({ base: { meta: { index: 8, term: 9, configuration }, keeps: true } })
  await store.close()
  const [name, ...others] = await logs(disk)
  assert.deepEqual([name, others.length], ['0000000000000002.log', 0])
  const file = await disk.open(name ?? '')
  await file.truncate(80)
  await file.sync()
  assert.equal(reasonOf(await failureOf(open(disk))), 'damaged')
})

test('what waits is bounded', async () => {
  const store = await open(createFaultyDisk())
  const all = await Promise.allSettled(
    Array.from({ length: 5_000 }, (_, i) => store.write({ entries: [entry(i + 1)] })),
  )
  const refused = all.filter((one) => one.status === 'rejected')
  assert.equal(refused.length, 5_000 - 4_096)
  assert.ok(refused.every(({ reason }) => isParleyError(reason, 'COM003')))
})

test('a format of a later version is refused', async () => {
  const { encodeHeader } = await import('../../../../../node/store/log/log-frames.ts')
  const disk = createFaultyDisk()
  const file = await disk.create('0000000000000001.log')
  await file.write(encodeHeader({ format: 2, sequence: 1, salt: random(8), storageId: random(16), previous: 0 }), 0)
  assert.equal(reasonOf(await failureOf(open(disk))), 'newer')
})

test('on a real disk it is the same', async (t) => {
  const at = join(await testFolder(t), 'log')
  const store = await openLogStore(await openFolder(at), { random, segmentBytes: 5_000 })
  for (let i = 1; i <= 200; i += 1)
    await store.write({ hardState: { term: 1, votedFor: 'a', commit: i }, entries: [entry(i)] })
  await store.write({ base: { meta: { index: 150, term: 1, configuration }, keeps: true } })
  await store.close()
  const again = await openLogStore(await openFolder(at), { random, segmentBytes: 5_000 })
  const { entries: kept, hardState } = again.opened
  assert.deepEqual([kept.length, hardState.commit, again.storageId], [50, 200, store.storageId])
  await again.close()
})
