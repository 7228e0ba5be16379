import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime, type VirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createDeadlines, Deadline, type Deadlines } from '../../../../protocols/wire/link/deadlines.ts'

class Probe extends Deadline {
  readonly name: number
  readonly told: number[]
  constructor(name: number, told: number[]) {
    super()
    this.name = name
    this.told = told
  }
  overdue(): void {
    this.told.push(this.name)
  }
}

interface Bench {
  time: VirtualTime
  deadlines: Deadlines
  /** Timers that run now. */
  timers(): number
  now(): number
}

const setup = (startMs = 1000.25): Bench => {
  const time = createVirtualTime()
  let running = 0
  const now = (): number => startMs + time.now()
  const timers = {
    ...time,
    after(delayMs: number, fn: () => void) {
      running += 1
      let over = false
      const end = (): void => {
        if (!over) running -= 1
        over = true
      }
      const stop = time.after(delayMs, () => {
        end()
        fn()
      })
      return () => {
        end()
        stop()
      }
    },
  }
  return { time, deadlines: createDeadlines({ now, monotonic: now }, timers), timers: () => running, now }
}

describe('deadlines', () => {
  it('fire on time: none early, a near one within 1 ms, a far one within 8', () => {
    return fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0.1, max: 5_000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        async (delays, startMs) => {
          const { time, deadlines, now } = setup(startMs)
          for (const delay of delays) {
            let firedAt = -1
            class Timed extends Deadline {
              overdue(): void {
                firedAt = now()
              }
            }
            const atMs = now() + delay
            deadlines.set(new Timed(), atMs, now())
            await time.until(() => firedAt >= 0, 6_000)
            const late = firedAt - atMs
            // The virtual clock moves by whole milliseconds of its own, hence one more.
            assert.ok(late >= 0 && late <= (delay >= 1000 ? 9 : 2), `${late} ms late`)
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  it('share a timer where they end at about the same time, and leave one behind at most', async () => {
    const { time, deadlines, timers, now } = setup(1000)
    const told: number[] = []
    const probes = Array.from({ length: 1000 }, (_, i) => new Probe(i, told))
    for (const probe of probes) deadlines.set(probe, now() + 30_000 + probe.name / 1000, now())
    assert.ok(timers() <= 2, `${timers()} timers`)
    for (const probe of probes) deadlines.clear(probe)
    assert.ok(timers() <= 1, `${timers()} timers`)
    for (let round = 0; round < 100; round += 1) {
      const probe = probes[round] ?? assert.fail()
      deadlines.set(probe, now() + 100, now())
      await time.run(10)
      deadlines.clear(probe)
      assert.ok(timers() <= 1, `${timers()} timers`)
    }
    await time.run(40_000)
    assert.deepEqual([told, timers()], [[], 0])
  })

  it('tell each entry that is set, and no other, whatever was set, moved and cleared before', () => {
    const step = fc.record({ entry: fc.nat(9), delay: fc.integer({ min: 1, max: 3_000 }), clear: fc.boolean() })
    return fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { time, deadlines, timers, now } = setup(1000)
        const told: number[] = []
        const probes = Array.from({ length: 10 }, (_, i) => new Probe(i, told))
        const set = new Set<number>()
        for (const { entry, delay, clear } of steps) {
          const probe = probes[entry] ?? assert.fail()
          if (clear) {
            deadlines.clear(probe)
            set.delete(entry)
          } else {
            deadlines.set(probe, now() + delay, now())
            set.add(entry)
          }
        }
        await time.run(4_000)
        assert.deepEqual(
          [...told].sort((a, b) => a - b),
          [...set].sort((a, b) => a - b),
        )
        assert.equal(timers(), 0)
      }),
      { numRuns: 100 },
    )
  })

  it('may be cleared and set again by one that fires with them', async () => {
    const { time, deadlines, now, timers } = setup(1000)
    const told: string[] = []
    const victim = new Probe(1, [])
    const again = new Probe(2, [])
    class First extends Deadline {
      overdue(): void {
        told.push('first')
        deadlines.clear(victim)
        deadlines.set(again, now() + 10, now())
      }
    }
    // The one set last is told first.
    deadlines.set(victim, now() + 100, now())
    deadlines.set(again, now() + 100, now())
    deadlines.set(new First(), now() + 100, now())
    await time.run(105)
    assert.deepEqual([told, victim.told, again.told], [['first'], [], []])
    await time.run(10)
    assert.deepEqual([victim.told, again.told, timers()], [[], [2], 0])
  })
})
