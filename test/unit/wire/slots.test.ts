import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ParleyError } from '../../../protocols/errors.ts'
import { createSlots, type Slots } from '../../../protocols/wire/slots.ts'

/** Enters a piece of work and returns how to end it once it runs. */
const enter = (slots: Slots, order: string[], name: string, priority = 0): (() => void) => {
  let runs = false
  slots.enter(priority, {
    start() {
      runs = true
      order.push(name)
    },
  })
  return () => {
    assert.ok(runs, `${name} does not run yet`)
    slots.leave()
  }
}

describe('slots', () => {
  it('run as many as there are slots, and one more only when one is free', () => {
    const slots = createSlots(2, 10)
    const order: string[] = []
    const endA = enter(slots, order, 'a')
    enter(slots, order, 'b')
    enter(slots, order, 'c')
    assert.deepEqual(order, ['a', 'b'])
    assert.deepEqual([slots.active(), slots.queued()], [2, 1])
    endA()
    assert.deepEqual(order, ['a', 'b', 'c'])
    assert.deepEqual([slots.active(), slots.queued()], [2, 0])
  })

  it('let as many wait as they may and refuse one more with the time to come back', () => {
    const slots = createSlots(1, 2)
    const order: string[] = []
    enter(slots, order, 'a')
    enter(slots, order, 'b')
    enter(slots, order, 'c', 3)
    assert.equal(slots.queued(), 2)
    assert.throws(
      () => enter(slots, order, 'd', 3),
      (error) => error instanceof ParleyError && error.code === 'COM003' && Number(error.details.retryAfterMs) > 0,
    )
    assert.deepEqual([slots.active(), slots.queued()], [1, 2])
  })

  it('take the most urgent of those that wait, and the oldest of the same priority', () => {
    const slots = createSlots(1, 10)
    const order: string[] = []
    const ends = [enter(slots, order, 'first')]
    for (const [name, priority] of [
      ['low', 1],
      ['normal', 0],
      ['high', 2],
      ['critical', 3],
      ['normal too', 0],
    ] as const) {
      ends.push(enter(slots, order, name, priority))
    }
    const [first, low, normal, high, critical, too] = ends
    for (const end of [first, critical, high, normal, too, low]) end?.()
    assert.deepEqual(order, ['first', 'critical', 'high', 'normal', 'normal too', 'low'])
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })

  it('work off ten thousand that end at once without growing the stack', () => {
    const slots = createSlots(1, 10_000)
    const order: string[] = []
    const end = enter(slots, order, 'first')
    let ran = 0
    for (let i = 0; i < 10_000; i += 1) {
      slots.enter(0, {
        start() {
          ran += 1
          slots.leave()
        },
      })
    }
    end()
    assert.equal(ran, 10_000)
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })

  it('take other bounds while they are in use: what waits starts at once, and what runs goes on', () => {
    const slots = createSlots(1, 2)
    const order: string[] = []
    const ends = ['a', 'b', 'c'].map((name) => enter(slots, order, name))
    slots.resize(2, 2)
    assert.deepEqual(order, ['a', 'b'])
    slots.resize(1, 0)
    assert.deepEqual([slots.active(), slots.queued()], [2, 1])
    assert.throws(() => enter(slots, order, 'd'), ParleyError)
    ends[0]?.()
    assert.deepEqual(order, ['a', 'b'])
    ends[1]?.()
    assert.deepEqual(order, ['a', 'b', 'c'])
    ends[2]?.()
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })
})
