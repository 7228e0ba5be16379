import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createOverlay, type Overlay } from '../../../discovery/overlay.ts'

const MOST_PICKS = 8
const hash = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
const overlayOf = (self: string, fullMesh: number): Overlay => createOverlay({ self, hash }, fullMesh)
const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `p${String(n).padStart(3, '0')}`)

const knowing = (self: string, fullMesh: number, others: Iterable<string>): Overlay => {
  const overlay = overlayOf(self, fullMesh)
  for (const peer of others) overlay.add(peer)
  return overlay
}

/** Who is picked by whom, where everyone knows everyone. */
const picksOfAll = (ids: readonly string[], fullMesh: number): Map<string, ReadonlySet<string>> =>
  new Map(ids.map((id) => [id, knowing(id, fullMesh, ids).picks()]))

const nextOnRing = (ids: readonly string[], self: string): string | undefined => {
  const sorted = ids.filter((id) => id !== self).sort()
  return sorted.find((id) => id > self) ?? sorted[0]
}

const reached = (picks: ReadonlyMap<string, ReadonlySet<string>>): number => {
  const both = new Map([...picks.keys()].map((id) => [id, new Set<string>()]))
  for (const [from, others] of picks) {
    for (const to of others) {
      both.get(from)?.add(to)
      both.get(to)?.add(from)
    }
  }
  const [first] = picks.keys()
  const seen = new Set(first === undefined ? [] : [first])
  for (const id of seen) for (const other of both.get(id) ?? []) seen.add(other)
  return seen.size
}

/** Ids as they come: of any length, with common beginnings, in any order. */
const crowds = (maxLength: number) =>
  fc.uniqueArray(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 20, maxLength })

test('picks everyone up to the limit, and a few one past it', () => {
  const overlay = knowing('me', 10, names(10))
  assert.equal(overlay.sparse(), false)
  assert.deepEqual([...overlay.picks()].sort(), names(10))
  overlay.add('one more')
  assert.equal(overlay.sparse(), true)
  assert.ok(overlay.picks().size <= 5)
})

test('says whether a peer is news, knows whom it was told of, and never picks itself', () => {
  const overlay = overlayOf('me', 4)
  assert.deepEqual([overlay.add('a'), overlay.add('a'), overlay.add('me')], [true, false, false])
  assert.deepEqual([overlay.has('a'), overlay.has('me'), overlay.has('b')], [true, false, false])
  overlay.delete('a')
  overlay.delete('b')
  assert.equal(overlay.has('a'), false)
  assert.equal(overlay.picks().size, 0)
  assert.equal(overlay.add('a'), true)
  assert.deepEqual([...overlay.picks()], ['a'])
})

test('stays as it is between three quarters of the limit and the limit', () => {
  const overlay = knowing('me', 8, names(8))
  assert.equal(overlay.sparse(), false)
  overlay.add('p008')
  assert.equal(overlay.sparse(), true, 'one past the limit')
  const seen: [number, boolean][] = []
  for (const [left, peer] of [...names(9).entries()].reverse()) {
    overlay.delete(peer)
    seen.push([left, overlay.sparse()])
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 9 }, (_, n) => [8 - n, 8 - n > 6]),
    'full again at 6 of 8',
  )
  for (const peer of names(8)) overlay.add(peer)
  assert.equal(overlay.sparse(), false, 'and full up to the limit')
})

test('the smallest limit works like the others', () => {
  const overlay = knowing('me', 2, names(3))
  assert.equal(overlay.sparse(), true)
  assert.ok(overlay.picks().size >= 2)
  overlay.delete('p000')
  assert.equal(overlay.sparse(), true, 'two are more than three quarters of two')
  assert.equal(overlay.picks().size, 2, 'there are no more')
  overlay.delete('p001')
  assert.equal(overlay.sparse(), false)
})

test('picks three to eight in a large mesh, three eighths of the limit between', () => {
  const least = (fullMesh: number): number => Math.max(3, Math.min(MOST_PICKS, Math.ceil((fullMesh * 3) / 8)))
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 80 }), fc.integer({ min: 1, max: 60 }), (fullMesh, more) => {
      const ids = names(fullMesh + more)
      const { size } = knowing('me', fullMesh, ids).picks()
      // The next one of the ring may be among those that the hash puts first.
      const wanted = least(fullMesh)
      assert.ok(size === Math.min(wanted, ids.length) || size === wanted - 1, `${size} with a limit of ${fullMesh}`)
    }),
  )
})

test('the next one on the ring is always picked, and the ring is closed', () => {
  fc.assert(
    fc.property(crowds(60), fc.integer({ min: 2, max: 15 }), (ids, fullMesh) => {
      for (const [self, picks] of picksOfAll(ids, fullMesh)) {
        const next = nextOnRing(ids, self)
        assert.ok(next !== undefined && picks.has(next))
      }
    }),
    { numRuns: 30 },
  )
})

test('the same peers give the same picks, in whatever order they came and went', () => {
  fc.assert(
    fc.property(
      crowds(40),
      fc.uniqueArray(fc.string({ minLength: 21, maxLength: 24 }), { maxLength: 10 }),
      (ids, passing) => {
        const straight = knowing('me', 8, ids).picks()
        const overlay = knowing('me', 8, [...passing, ...[...ids].reverse()])
        overlay.picks()
        for (const peer of passing) overlay.delete(peer)
        assert.deepEqual([...overlay.picks()].sort(), [...straight].sort())
      },
    ),
    { numRuns: 50 },
  )
})

test('a large mesh is connected, whatever the ids are, and nobody is picked by absurdly many', () => {
  fc.assert(
    fc.property(crowds(300), fc.integer({ min: 2, max: 15 }), (ids, fullMesh) => {
      const picks = picksOfAll(ids, fullMesh)
      assert.equal(reached(picks), ids.length, 'one graph')
      const pickedBy = new Map<string, number>()
      let all = 0
      for (const others of picks.values()) {
        for (const peer of others) {
          pickedBy.set(peer, (pickedBy.get(peer) ?? 0) + 1)
          all += 1
        }
      }
      const most = Math.max(...pickedBy.values())
      assert.ok(most <= 5 * (all / ids.length), `${most} of ${ids.length} picked one, ${all / ids.length} on average`)
    }),
    { numRuns: 15 },
  )
})

test('a large mesh without its ring would be connected as well', () => {
  // So a ring that is wrong for a while, since views differ, parts nobody.
  const ids = names(100)
  const picks = picksOfAll(ids, 16)
  for (const [self, others] of picks) {
    const next = nextOnRing(ids, self)
    picks.set(self, new Set([...others].filter((id) => id !== next)))
  }
  assert.equal(reached(picks), 100)
})

test('a newcomer changes few picks of others, and its leaving puts them back', () => {
  fc.assert(
    fc.property(
      crowds(120),
      fc.string({ minLength: 21, maxLength: 24 }),
      fc.integer({ min: 2, max: 15 }),
      (ids, newcomer, fullMesh) => {
        let gone = 0
        for (const self of ids) {
          const overlay = knowing(self, fullMesh, ids)
          const before = overlay.picks()
          overlay.add(newcomer)
          const after = overlay.picks()
          const lost = [...before].filter((peer) => !after.has(peer))
          // It takes the place of one on the ring and of one in the order of the hash.
          assert.ok(lost.length <= 2, `${lost.length} of ${before.size}`)
          if (!after.has(newcomer)) assert.deepEqual([...after], [...before])
          gone += lost.length
          overlay.delete(newcomer)
          assert.deepEqual([...overlay.picks()].sort(), [...before].sort())
        }
        assert.ok(gone <= 5 * MOST_PICKS, `${gone} picks of ${ids.length} nodes changed`)
      },
    ),
    { numRuns: 30 },
  )
})

test('picks do not change behind the back of who holds them', () => {
  const overlay = knowing('me', 4, names(4))
  const held = overlay.picks()
  assert.equal(overlay.picks(), held, 'nothing changed, nothing is computed')
  overlay.add('p004')
  assert.deepEqual([...held].sort(), names(4))
  assert.notEqual(overlay.picks(), held)
})
