/** The judge of a node's own agent over real slots, in virtual time. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Timings } from '../../../../node/options/limits.ts'
import { BEAT_MS, createStuckDetection, type WatchedThread } from '../../../../node/parts/stuck-detection.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { Fields } from '../../../../protocols/port.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'

const STUCK_MS = 10_000

const start = () => {
  const time = createVirtualTime()
  const slots = createConcurrencyLimiter(4, 4)
  const told: string[] = []
  const lines: { level: string; message: string; fields: Fields | undefined }[] = []
  const at = (level: string) => (message: string, fields?: Fields) => void lines.push({ level, message, fields })
  const gauges = new Map<string, () => number>()
  const activity = createStuckDetection(
    {
      port: { clock: { now: time.now, monotonic: time.now }, timers: time },
      log: { error: at('error'), warn: at('warn'), info: at('info') },
      metrics: {
        counter: () => () => {},
        gauge: (name, _, read) => void gauges.set(name, read),
        histogram: () => () => {},
      },
      slots,
      announce: (isStuck) => void told.push(isStuck ? 'stuck' : 'goes on'),
    },
    { stuckAfterMs: STUCK_MS },
  )
  const peer = slots.open('alice')
  const enter = (): void => peer.acquire(0, { start() {} })
  return { time, slots, peer, told, lines, activity, enter, gauge: () => gauges.get('agent_stuck')?.() }
}

describe('the agent of a node', () => {
  it('is told and logged as stuck once, and once that it goes on', async () => {
    const { time, slots, peer, told, lines, activity, enter, gauge } = start()
    assert.deepEqual(activity.current(), { state: 'alive', sinceMs: 0 })
    enter()
    await time.run(STUCK_MS / 2)
    slots.reportProgress(0.5)
    assert.deepEqual([activity.current().state, activity.current().progress], ['working', 0.5])
    await time.run(STUCK_MS - 2_000)
    assert.deepEqual([told, gauge()], [[], 0])
    await time.run(4_000)
    assert.deepEqual([told, gauge(), activity.current().state], [['stuck'], 1, 'stuck'])
    await time.run(60_000)
    peer.release()
    slots.reportProgress(undefined)
    assert.deepEqual(activity.current(), { state: 'alive', sinceMs: 0 })
    assert.deepEqual(told, ['stuck', 'goes on'])
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['warn', 'info'],
    )
    assert.match(lines[0]?.message ?? '', /none of them ended or reported progress/)
    assert.equal(lines[0]?.fields?.requests, 1)
  })

  it('is not stuck for readers that are slow', async () => {
    const { time, peer, told, enter } = start()
    enter()
    peer.park()
    await time.run(10 * STUCK_MS)
    assert.deepEqual(told, [])
    peer.resume(0, { start() {} })
    await time.run(2 * STUCK_MS)
    assert.deepEqual(told, ['stuck'])
  })

  it('is stuck for a thread that does not turn, named in the log, and not for one that is gone', async () => {
    const { time, slots, told, lines, activity, enter } = start()
    const thread: WatchedThread = { name: 'agent.ts', inWork: () => 1, beats: () => 7 }
    const unwatch = activity.watch(thread)
    enter()
    for (let i = 0; i < 24; i += 1) {
      await time.run(500)
      slots.markActivity()
    }
    assert.deepEqual(told, ['stuck'])
    assert.match(lines[0]?.message ?? '', /does not turn/)
    assert.deepEqual(lines[0]?.fields?.agents, ['agent.ts'])
    unwatch()
    assert.equal(activity.current().state, 'working')
    assert.deepEqual(told, ['stuck', 'goes on'])
  })

  it('is not looked at after stop', async () => {
    const { time, told, activity, enter } = start()
    enter()
    activity.stop()
    await time.run(10 * STUCK_MS)
    assert.deepEqual(told, [])
  })

  it('has threads that show themselves several times within the shortest limit', () => {
    assert.equal(Timings.safeParse({ stuckAfterMs: 999 }).success, false)
    assert.equal(Timings.parse({ stuckAfterMs: 1_000 }).stuckAfterMs, 1_000)
    assert.equal(Timings.parse({}).stuckAfterMs, 30_000)
    assert.ok(BEAT_MS * 4 <= 1_000)
  })
})
