/** What receivers of effects let through, in memory and across restarts and power cuts. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createFenceStore } from '../../../../node/store/fences/fence-store.ts'
import { segmentName } from '../../../../node/store/log/log-segments.ts'
import { createFaultyDisk } from '../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../node/testing/virtual/virtual-time.ts'
import { compareFences, type Fence } from '../../../../protocols/journal/fencing/fence.ts'
import { createFenceGuard, MAX_SCOPE_LENGTH } from '../../../../protocols/journal/fencing/fence-guard.ts'

const at = (term: number, index: number): Fence => ({ term, index })
const random = (bytes: number): Uint8Array => randomBytes(bytes)
const refused = { code: 'STA002' }

test('a fence is newer by its term, then by its index', () => {
  const fences = [at(2, 9), at(1, 12), at(2, 3)]
  assert.deepEqual(fences.toSorted(compareFences), [at(1, 12), at(2, 3), at(2, 9)])
})

test('lower fences are refused in their scope, the same one and higher ones are not', async () => {
  const fences = await createFenceGuard()
  await fences.accept('task-1', at(2, 10))
  await fences.accept('task-1', at(2, 10))
  await assert.rejects(fences.accept('task-1', at(2, 9)), refused)
  await assert.rejects(fences.accept('task-1', at(1, 99)), refused)
  await fences.accept('task-2', at(1, 5))
  await fences.accept('task-1', at(3, 1))
  assert.deepEqual(fences.highest('task-1'), at(3, 1))
  assert.deepEqual(fences.counts(), { accepted: 4, refused: 2, scopes: 2, forgotten: 0 })
})

test('a scope that was forgotten lets through nothing older than what was forgotten', async () => {
  const fences = await createFenceGuard(undefined, { maxScopes: 2 })
  await fences.accept('a', at(1, 10))
  await fences.accept('b', at(1, 11))
  await fences.accept('c', at(1, 12))
  assert.equal(fences.counts().forgotten, 1)
  await assert.rejects(fences.accept('a', at(1, 9)), refused)
  await assert.rejects(fences.accept('d', at(1, 10)), refused, 'nobody can say what it was about')
  await fences.accept('a', at(1, 13))
})

test('a scope has a name of at most so many characters', async () => {
  const fences = await createFenceGuard()
  await fences.accept('x'.repeat(MAX_SCOPE_LENGTH), at(1, 1))
  await assert.rejects(fences.accept('x'.repeat(MAX_SCOPE_LENGTH + 1), at(1, 1)), { code: 'MSG001' })
  await assert.rejects(fences.accept('', at(1, 1)), { code: 'MSG001' })
})

test('what was let through is remembered after power cuts, each time', async () => {
  const disk = createFaultyDisk()
  const chance = createRandom(7)
  const highest = new Map<string, Fence>()
  for (let life = 0; life < 30; life += 1) {
    const fences = await createFenceGuard(createFenceStore(disk.mount(), random))
    for (const [scope, fence] of highest) {
      const kept = fences.highest(scope)
      assert.ok(kept !== undefined && compareFences(kept, fence) >= 0, `${scope} in life ${life}`)
    }
    const some = Array.from({ length: 20 }, async (_, i) => {
      const scope = `s${Math.floor(chance() * 5)}`
      const fence = at(life + 1, i)
      try {
        await fences.accept(scope, fence)
        const before = highest.get(scope)
        if (before === undefined || compareFences(fence, before) > 0) highest.set(scope, fence)
      } catch (error) {
        assert.equal(Reflect.get(Object(error), 'code'), 'STA002')
      }
    })
    if (chance() < 0.5) await Promise.all(some)
    else await Promise.race(some)
    disk.crash(chance)
    for (const one of some) one.catch(() => {})
  }
  assert.ok(highest.size > 0)
})

test('a file that was changed since is refused', async () => {
  const disk = createFaultyDisk()
  const store = createFenceStore(disk.mount(), random)
  const fences = await createFenceGuard(store)
  for (let i = 1; i <= 5; i += 1) await fences.accept('a', at(1, i))
  await store.close()
  disk.flip(segmentName(1), 90)
  await assert.rejects(createFenceGuard(createFenceStore(disk.mount(), random)), { code: 'STA003' })
})

test('the file is written anew when most of it is out of date', async () => {
  const disk = createFaultyDisk()
  const store = createFenceStore(disk.mount(), random)
  const fences = await createFenceGuard(store)
  for (let i = 1; i <= 9_000; i += 1) await fences.accept('a', at(1, i))
  await store.close()
  const sizes = (await disk.list()).filter((name) => name.endsWith('.log')).map((name) => disk.size(name))
  const size = sizes.reduce((sum, one) => sum + one, 0)
  assert.ok(size < 9_000 * 32, `${size} bytes`)
  assert.deepEqual((await createFenceGuard(createFenceStore(disk.mount(), random))).highest('a'), at(1, 9_000))
})
