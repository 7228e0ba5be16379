import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextKind, SHARES } from '../../soak/mix.ts'
import { createRandom } from '../../soak/random.ts'

test('the shares are thousandths of all calls', () => {
  assert.equal(
    Object.values(SHARES).reduce((sum, share) => sum + share, 0),
    1000,
  )
})

test('every kind comes in its share, and one seed gives one order', () => {
  const [one, other] = [createRandom(5), createRandom(5)]
  const counts = new Map<string, number>()
  for (let i = 0; i < 100_000; i += 1) {
    const kind = nextKind(one)
    assert.equal(nextKind(other), kind)
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  for (const [kind, share] of Object.entries(SHARES)) {
    const found = (counts.get(kind) ?? 0) / 100
    assert.ok(Math.abs(found - share) < 1 + share * 0.2, `${kind}: ${found} for ${share}`)
  }
})

test('numbers are from 0 to below 1, and picks are of the list', () => {
  const random = createRandom(9)
  for (let i = 0; i < 1_000; i += 1) {
    const value = random.next()
    assert.ok(value >= 0 && value < 1)
    assert.ok(random.below(3) <= 2)
    assert.ok(['a', 'b'].includes(random.pick(['a', 'b']) ?? ''))
  }
  assert.equal(random.pick([]), undefined)
})
