import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createEventRing, RING_EVENTS } from '../../../../../node/observe/debug/event-ring.ts'
import { received } from './debug-client.ts'

const filled = (count: number) => {
  const log = createEventRing('run1')
  for (let i = 1; i <= count; i++) log.push(received(i))
  return log
}

describe('the event log', () => {
  it('gives a new reader what comes from now on', () => {
    const log = filled(3)
    const reader = log.readAfter(undefined)
    assert.ok(reader)
    assert.equal(reader.position(), 'run1-3')
    assert.deepEqual(reader.read(10), { lost: 0, events: [] })
    log.push(received(4))
    assert.deepEqual(
      reader.read(10).events.map(({ number }) => number),
      [4],
    )
    assert.deepEqual(reader.read(10), { lost: 0, events: [] })
  })

  it('goes on after the id that it is given', () => {
    const reader = filled(5).readAfter('run1-3')
    assert.deepEqual(
      reader?.read(10).events.map(({ number, event }) => [number, event.at - 1_700_000_000_000]),
      [
        [4, 4],
        [5, 5],
      ],
    )
  })

  it('keeps 500 events and tells how many were lost before them', () => {
    const numbers = (count: number) => {
      const { lost, events } = filled(count).readAfter('run1-0')?.read(10_000) ?? {}
      return [lost, events?.length, events?.[0]?.number]
    }
    assert.deepEqual(numbers(RING_EVENTS), [0, RING_EVENTS, 1])
    assert.deepEqual(numbers(RING_EVENTS + 1), [1, RING_EVENTS, 2])
  })

  it('knows an id of another run, of the future or of nowhere as none of its own', () => {
    const log = filled(3)
    for (const id of ['run2-1', 'run1-4', 'run1-', 'run1-1x', 'run1--1', '1', '', `run1-${'9'.repeat(16)}`]) {
      assert.equal(log.readAfter(id), undefined, id)
    }
    assert.ok(log.readAfter('run1-0'))
    assert.ok(log.readAfter('run1-3'))
  })

  it('gives every reader each event once, in order, or counts it as lost', () => {
    const steps = fc.array(fc.oneof(fc.record({ push: fc.nat(700) }), fc.record({ read: fc.nat(64) })), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(steps, (all) => {
        const log = createEventRing('r')
        const reader = log.readAfter(undefined)
        assert.ok(reader)
        let pushed = 0
        let seen = 0
        const read = (max: number): void => {
          const { lost, events } = reader.read(max)
          assert.ok(events.length <= max)
          seen += lost
          for (const { number } of events) {
            seen += 1
            assert.equal(number, seen)
          }
        }
        for (const step of all) {
          if ('read' in step) read(step.read)
          else for (let i = 0; i < step.push; i++) log.push(received(++pushed))
        }
        read(RING_EVENTS)
        assert.equal(seen, pushed)
      }),
    )
  })
})
