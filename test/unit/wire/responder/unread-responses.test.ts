/** Bytes of answers that wait to be read, by peer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createUnreadResponses, PAUSE_BYTES } from '../../../../protocols/wire/responder/unread-responses.ts'

const throws = (act: () => void): boolean => {
  try {
    act()
    return false
  } catch (error) {
    assert.ok(isParleyError(error, 'COM002') && error.details.sent === true)
    return true
  }
}

test('a peer may have so much at the limit, and not one byte more, over all its links', () => {
  const unread = createUnreadResponses(1_000, 100)
  const [a, b] = [unread.open('peer'), unread.open('peer')]
  a.add(60)
  b.add(30)
  assert.ok(!throws(() => b.checkShare(10)))
  assert.ok(throws(() => a.checkShare(11)))
  assert.equal(unread.refused(), 1)
  assert.ok(!throws(() => unread.open('other').checkShare(100)), 'others have theirs')
  a.close()
  assert.equal(unread.total(), 30)
  assert.ok(!throws(() => b.checkShare(70)))
  unread.resize(1_000, 50)
  assert.ok(throws(() => b.checkShare(30)))
})

test('who waits for room is told once there is, and at the end of its own link in any case', () => {
  const unread = createUnreadResponses(4 * PAUSE_BYTES, 4 * PAUSE_BYTES)
  const [a, b, c] = [unread.open('peer'), unread.open('peer'), unread.open('peer')]
  const told: string[] = []
  a.add(PAUSE_BYTES)
  assert.ok(!b.isFull())
  a.add(1)
  assert.ok(b.isFull() && !unread.open('other').isFull())
  b.whenRoom(() => told.push('b'))
  c.whenRoom(() => told.push('c'))
  c.close()
  assert.deepEqual(told, ['c'])
  a.add(-1)
  assert.deepEqual(told, ['c', 'b'])
  a.add(-PAUSE_BYTES)
  assert.equal(unread.total(), 0)
})

test('whatever is added, taken away and closed, the total is the sum of what links hold', () => {
  const step = fc.record({ link: fc.nat(5), bytes: fc.integer({ min: -1_000, max: 1_000 }), closes: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const unread = createUnreadResponses(5_000, 2_000)
      const links = Array.from({ length: 6 }, (_, at) => ({ link: unread.open(`${at % 2}`), held: 0, open: true }))
      for (const { link: at, bytes, closes } of steps) {
        const one = links[at]
        if (one === undefined || !one.open) continue
        const change = Math.max(-one.held, bytes)
        one.link.add(change)
        one.held += change
        if (!closes) continue
        one.link.close()
        one.open = false
        one.held = 0
      }
      assert.equal(
        unread.total(),
        links.reduce((sum, { held }) => sum + held, 0),
      )
    }),
  )
})
