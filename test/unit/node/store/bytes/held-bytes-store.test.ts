/** Large values of tasks on a disk that loses power, runs full and flips bytes: each is read as it was, or not at all. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { isWhole, repairHeldBytes, surveyHeldBytes } from '../../../../../node/store/bytes/held-bytes-file.ts'
import { HeldBytesStore } from '../../../../../node/store/bytes/held-bytes-store.ts'
import type { Disk } from '../../../../../node/store/files/disk.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import type { HeldBytes } from '../../../../../protocols/task/bytes/byte-store.ts'
import { createRandom } from '../../../../soak/random.ts'
import { failureOf } from '../../../../support/until.ts'

const heldValue = (n: number, size = 3_000): { held: HeldBytes; bytes: Uint8Array } => {
  const bytes = new Uint8Array(size).fill(n)
  const hash = createHash('sha256').update(bytes).digest('hex')
  return { held: { task: `t${n}`, row: 'input', hash, size, by: n % 2 === 0 ? 'ann' : 'bob', at: n }, bytes }
}
const readAll = async (store: HeldBytesStore, held: HeldBytes): Promise<Buffer> => {
  const parts: Uint8Array[] = []
  for await (const part of store.read(held, 1_000)) parts.push(part)
  return Buffer.concat(parts)
}
const reasonOf = async (promise: Promise<unknown>): Promise<unknown> => {
  const error = await failureOf(promise)
  return isParleyError(error) ? (error.details.reason ?? error.code) : error
}

test('what was kept is there after the process died, by its place and by its task and hash', async () => {
  const disk = createFaultyDisk()
  const store = await HeldBytesStore.open(disk.mount())
  const [one, other] = [heldValue(1), heldValue(2, 0)]
  for (const { held, bytes } of [one, other]) await store.keep(held, bytes)
  disk.release()
  const again = await HeldBytesStore.open(disk.mount())
  assert.deepEqual([again.count(), again.bytes()], [2, 3_000])
  assert.deepEqual(
    [again.of('ann'), again.of('bob')],
    [
      { values: 1, bytes: 0 },
      { values: 1, bytes: 3_000 },
    ],
  )
  assert.deepEqual(again.find(one.held), one.held)
  assert.deepEqual(again.findOf('t1', one.held.hash), one.held)
  assert.equal(again.findOf('t2', one.held.hash), undefined)
  assert.deepEqual(await readAll(again, one.held), Buffer.from(one.bytes))
  assert.deepEqual(await readAll(again, other.held), Buffer.from(other.bytes))
  await again.remove(one.held)
  assert.deepEqual([again.count(), again.bytes(), again.of('bob')], [1, 0, { values: 0, bytes: 0 }])
  assert.equal(await reasonOf(readAll(again, one.held)), 'STA001')
})

test('what is being removed is not here any more; what is kept anew meanwhile, or was since it was found, stays', async () => {
  const store = await HeldBytesStore.open(createFaultyDisk().mount())
  const { held, bytes } = heldValue(1)
  await store.keep(held, bytes)
  const removing = store.remove(held)
  assert.equal(store.findOf('t1', held.hash), undefined)
  await removing
  await store.keep(held, bytes)
  const anew = store.keep({ ...held, at: 7 }, bytes)
  await Promise.all([anew, store.remove(held)])
  assert.equal(store.find(held)?.at, 7)
  assert.deepEqual(await readAll(store, held), Buffer.from(bytes))
  await store.remove(held)
  assert.deepEqual([store.count(), (await readAll(store, held)).length], [1, 3_000])
})

/** A disk whose power is cut when it is asked for the n-th time. */
const cutAt = (disk: Disk, cut: () => void, at: number): { disk: Disk; asked(): number } => {
  let asked = 0
  const guard = <T extends object>(of: T): T =>
    new Proxy(of, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => {
          asked += 1
          if (asked === at) cut()
          const made: unknown = Reflect.apply(value, target, given)
          const isFile = name === 'create' || name === 'open'
          return isFile ? (made as Promise<object>).then(guard) : made
        }
      },
    })
  return { disk: guard(disk), asked: () => asked }
}

test('a power cut at any moment: what was answered is there as it was, nothing else is wrong', async () => {
  let cuts = 0
  for (let at = 1; ; at += 1) {
    const random = createRandom(at)
    const disk = createFaultyDisk()
    const cutting = cutAt(disk.mount(), () => disk.crash(() => random.between(0, 1)), at)
    const kept: ReturnType<typeof heldValue>[] = []
    const removed = new Set<string>()
    const play = async (): Promise<void> => {
      const store = await HeldBytesStore.open(cutting.disk)
      for (let n = 0; n < 5; n += 1) {
        const value = heldValue(n)
        await store.keep(value.held, value.bytes)
        kept.push(value)
        if (n === 3) {
          removed.add('t1')
          await store.remove(heldValue(1).held)
        }
      }
      await store.keep(heldValue(2).held, heldValue(2).bytes)
    }
    const failure = await play().then(
      () => undefined,
      (error: unknown) => error,
    )
    if (failure !== undefined) cuts += 1
    const after = await HeldBytesStore.open(disk.mount())
    for (const { held, bytes } of kept)
      if (!removed.has(held.task))
        assert.deepEqual(await readAll(after, held), Buffer.from(bytes), `${held.task}, cut ${at}`)
    for (const held of after.all())
      assert.equal(
        createHash('sha256')
          .update(await readAll(after, held))
          .digest('hex'),
        held.hash,
      )
    assert.equal(
      (await disk.mount().list()).some((name) => name.endsWith('.part')),
      false,
    )
    if (cutting.asked() < at) break
  }
  assert.ok(cuts > 30, `${cuts} cuts`)
})

test('on a full disk nothing of a value is left, and another one finds room', async () => {
  const disk = createFaultyDisk()
  const store = await HeldBytesStore.open(disk.mount())
  await store.keep(heldValue(1).held, heldValue(1).bytes)
  disk.room = disk.used() + 2_000
  const { held, bytes } = heldValue(2)
  assert.equal(await reasonOf(store.keep(held, bytes)), 'disk-full')
  assert.deepEqual([store.count(), store.find(held)], [1, undefined])
  disk.room = Number.POSITIVE_INFINITY
  await store.keep(held, bytes)
  disk.failSync = true
  assert.equal(await reasonOf(store.keep(heldValue(3).held, heldValue(3).bytes)), 'disk-failed')
  assert.equal(store.count(), 2)
})

test('a byte that is flipped anywhere is found by verify, and put aside by repair', async () => {
  const { held, bytes } = heldValue(1, 200)
  const name = await (async () => {
    const disk = createFaultyDisk()
    await (await HeldBytesStore.open(disk.mount())).keep(held, bytes)
    const [only = ''] = await disk.list()
    return only
  })()
  const size = 400
  for (let at = 0; at < size; at += 1) {
    const disk = createFaultyDisk()
    await (await HeldBytesStore.open(disk.mount())).keep(held, bytes)
    if (at >= disk.size(name)) break
    disk.flip(name, at)
    assert.equal(await isWhole(disk.mount(), name), false, `byte ${at}`)
    const before = await surveyHeldBytes(disk.mount())
    assert.deepEqual([before.values, before.damaged], [1, [name]])
    assert.equal(before.problems[0]?.details.reason, 'damaged')
    assert.deepEqual((await repairHeldBytes(disk.mount())).aside, [`${name}.damaged`])
    assert.deepEqual((await surveyHeldBytes(disk.mount())).problems, [])
    assert.equal((await HeldBytesStore.open(disk.mount())).count(), 0)
  }
})

test('a file that is cut off, or called otherwise, does not count', async () => {
  const disk = createFaultyDisk()
  const store = await HeldBytesStore.open(disk.mount())
  for (const n of [1, 2]) await store.keep(heldValue(n).held, heldValue(n).bytes)
  const [one = '', other = ''] = await disk.list()
  const file = await disk.open(one)
  await file.truncate(1_000)
  await disk.rename(other, `${'0'.repeat(40)}.bytes`)
  const again = await HeldBytesStore.open(disk.mount())
  assert.deepEqual([again.count(), again.damaged], [0, 2])
})
