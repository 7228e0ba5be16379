import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCallQueue } from '../../../../protocols/wire/caller/call-queue.ts'

const setup = (maxWaiting = 100) => {
  const state = { places: 0, full: false }
  const watches: (() => void)[] = []
  const started: string[] = []
  const line = createCallQueue<string>({
    maxWaiting,
    hasCapacity: () => state.places > 0,
    isFull: () => state.full,
    whenRoom: (fn) => watches.push(fn),
    start(call) {
      state.places -= 1
      started.push(call)
    },
  })
  return { state, watches, line, started }
}

describe('waiting line', () => {
  it('is open when there is a place, room, and nobody before', () => {
    const { state, line } = setup()
    assert.equal(line.canStartNow(), false, 'no place')
    state.places = 1
    assert.equal(line.canStartNow(), true)
    state.full = true
    assert.equal(line.canStartNow(), false, 'no room')
    line.add('a')
    state.full = false
    assert.equal(line.canStartNow(), false, 'somebody waits')
  })

  it('starts them in their order, as many as there are places', () => {
    const { state, line, started } = setup()
    for (const call of ['a', 'b', 'c']) line.add(call)
    assert.deepEqual(started, [])
    state.places = 2
    line.startWaiting()
    assert.deepEqual([started, line.size()], [['a', 'b'], 1])
    line.startWaiting()
    assert.deepEqual(started, ['a', 'b'])
  })

  it('watches for room once, however many calls come and go', () => {
    const { state, watches, line, started } = setup()
    state.full = true
    state.places = 10
    for (let round = 0; round < 100; round += 1) {
      line.add(`a${round}`)
      line.add(`b${round}`)
      line.remove(`a${round}`)
      line.remove(`b${round}`)
    }
    assert.equal(watches.length, 1)
    line.add('c')
    state.full = false
    watches[0]?.()
    assert.deepEqual(started, ['c'])
    state.full = true
    line.add('d')
    assert.equal(watches.length, 2, 'and again for the next time')
  })

  it('takes as many as it may and refuses one more', () => {
    const { line } = setup(2)
    assert.deepEqual(
      ['a', 'b', 'c'].map((call) => line.add(call)),
      [true, true, false],
    )
    assert.equal(line.size(), 2)
    line.remove('a')
    assert.equal(line.add('d'), true)
  })

  it('is left without a start, and harmlessly twice', () => {
    const { state, line, started } = setup()
    line.add('a')
    line.add('b')
    line.remove('a')
    line.remove('a')
    assert.equal(line.size(), 1)
    state.places = 2
    line.startWaiting()
    assert.deepEqual(started, ['b'])
  })

  it('gives all that wait when it is cleared, in their order, and starts none of them', () => {
    const { state, line, started } = setup()
    line.add('a')
    line.add('b')
    assert.deepEqual([line.clear(), line.size()], [['a', 'b'], 0])
    state.places = 2
    line.startWaiting()
    assert.deepEqual(started, [])
  })
})
