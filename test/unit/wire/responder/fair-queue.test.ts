/** Whose turn it is: urgency first, nobody held up by another one's queue, nobody starved by another one's urgency. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createFairQueue } from '../../../../protocols/wire/responder/fair-queue.ts'

const always = (): boolean => true

/** Everything, in the order of its turns. */
const drain = (queue: ReturnType<typeof createFairQueue<string, string>>): string[] => {
  const order: string[] = []
  for (let item = queue.next(always); item !== undefined; item = queue.next(always)) order.push(item)
  return order
}

describe('the fair queue', () => {
  it('gives each key its turn, however much another one has put in', () => {
    const queue = createFairQueue<string, string>()
    for (let i = 0; i < 1000; i += 1) queue.add('flood', 0, 'flood')
    for (const key of ['a', 'b']) for (let i = 0; i < 3; i += 1) queue.add(key, 0, key)
    const order = drain(queue)
    assert.ok(order.lastIndexOf('a') < 12 && order.lastIndexOf('b') < 12, order.slice(0, 20).join(' '))
    assert.equal(order.length, 1006)
  })

  it('lets the more urgent go first, and each fourth turn whoever waits longest', () => {
    const queue = createFairQueue<string, string>()
    for (let i = 0; i < 8; i += 1) queue.add('urgent', 3, 'critical')
    for (let i = 0; i < 8; i += 1) queue.add('calm', 1, 'low')
    const order = drain(queue)
    assert.deepEqual(order.slice(0, 3), ['critical', 'critical', 'critical'])
    assert.equal(order.slice(0, 8).filter((each) => each === 'low').length, 2)
  })

  it('passes over keys that may not go on, and goes on with them later', () => {
    const queue = createFairQueue<string, string>()
    queue.add('a', 3, 'a')
    queue.add('b', 1, 'b')
    assert.equal(
      queue.next((key) => key !== 'a'),
      'b',
    )
    assert.equal(
      queue.next((key) => key !== 'a'),
      undefined,
    )
    assert.deepEqual([queue.size(), queue.next(always), queue.size()], [1, 'a', 0])
  })

  it('gives out each item once, those of one key and priority in their order', () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      priority: fc.nat(3),
      takes: fc.nat(2),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = createFairQueue<string, { key: string; priority: number; number: number }>()
        const out: { key: string; priority: number; number: number }[] = []
        for (const [number, { key, priority, takes }] of steps.entries()) {
          queue.add(key, priority, { key, priority, number })
          for (let i = 0; i < takes; i += 1) {
            const item = queue.next((each) => each !== 'c' || number % 2 === 0)
            if (item !== undefined) out.push(item)
          }
        }
        for (let item = queue.next(always); item !== undefined; item = queue.next(always)) out.push(item)
        assert.equal(out.length, steps.length)
        assert.equal(queue.size(), 0)
        const last = new Map<string, number>()
        for (const { key, priority, number } of out) {
          const line = `${key} ${priority}`
          assert.ok((last.get(line) ?? -1) < number)
          last.set(line, number)
        }
      }),
    )
  })
})
