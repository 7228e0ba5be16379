import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ParleyError } from '../../../protocols/errors.ts'
import type { OutCall } from '../../../protocols/wire/call.ts'
import { createWaitingLine } from '../../../protocols/wire/waiting-line.ts'
import { createVirtualTime } from '../../support/virtual-time.ts'

const CALL: OutCall = {
  label: 'demo.m',
  method: 'm',
  payload: new Uint8Array(0),
  content: 0,
  priority: 0,
  timeoutMs: 100,
}

const setup = (maxWaiting = 100) => {
  const time = createVirtualTime()
  const state = { place: true, full: false, gone: undefined as ParleyError | undefined, refused: 0 }
  const watches: (() => void)[] = []
  const line = createWaitingLine({
    clock: { now: () => time.now(), monotonic: () => time.now() },
    timers: time,
    maxWaiting,
    place: () => state.place,
    full: () => state.full,
    whenRoom: (fn) => watches.push(fn),
    gone: () => state.gone,
    onRefused() {
      state.refused += 1
    },
  })
  const heard: string[] = []
  const enter = (name: string, call = CALL) =>
    line.enter(
      call,
      time.now() + call.timeoutMs,
      () => heard.push(`${name} starts`),
      (error) => heard.push(`${name} ${error instanceof ParleyError ? error.code : error}`),
    )
  return { time, state, watches, line, heard, enter }
}

describe('waiting line', () => {
  it('lets a call start at once when there is a place, room, and nobody before it', () => {
    const { enter, heard, line } = setup()
    enter('a')
    assert.deepEqual([heard, line.size()], [['a starts'], 0])
  })

  it('lets nobody overtake', () => {
    const { enter, heard, state, line } = setup()
    state.place = false
    enter('a')
    state.place = true
    enter('b')
    line.admit()
    assert.deepEqual(heard, ['a starts', 'b starts'])
  })

  it('watches for room once, however many calls come and go', async () => {
    const { enter, state, watches, time, line, heard } = setup()
    state.full = true
    for (let round = 0; round < 100; round += 1) {
      enter('a')
      enter('b')
      await time.run(100)
    }
    assert.equal(watches.length, 1)
    assert.deepEqual([line.size(), heard.length], [0, 200])
    assert.ok(heard.every((each) => each.endsWith('COM001')))
    enter('c')
    state.full = false
    watches[0]?.()
    assert.equal(heard.at(-1), 'c starts')
    state.full = true
    enter('d')
    assert.equal(watches.length, 2, 'and again for the next time')
  })

  it('takes as many as it may and refuses one more', () => {
    const { enter, heard, state, line } = setup(2)
    state.place = false
    for (const name of ['a', 'b', 'c']) enter(name)
    assert.deepEqual([heard, line.size(), state.refused], [['c COM003'], 2, 1])
  })

  it('is left by what enter() returned, without a start and without an error', async () => {
    const { enter, heard, state, line, time } = setup()
    state.place = false
    const leave = enter('a')
    enter('b')
    leave()
    leave()
    assert.equal(line.size(), 1)
    await time.run(99)
    state.place = true
    line.admit()
    await time.run(1000)
    assert.deepEqual(heard, ['b starts'])
  })

  it('sends all away when the link is gone', () => {
    const { enter, heard, state, line } = setup()
    state.place = false
    enter('a')
    enter('b')
    state.gone = new ParleyError('COM002', 'gone')
    line.clear()
    assert.deepEqual([heard, line.size()], [['a COM002', 'b COM002'], 0])
  })

  it('is left by a call whose signal is aborted', () => {
    const { enter, heard, state, line } = setup()
    state.place = false
    const controller = new AbortController()
    enter('a', { ...CALL, signal: controller.signal })
    controller.abort('enough')
    assert.deepEqual([heard, line.size()], [['a enough'], 0])
  })
})
