/** Lines on standard error: at once where there is room, in order where there is none, within a bound. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStderrWriter, MAX_WAITING_BYTES } from '../../../../../node/observe/log/log-stderr.ts'
import { until } from '../../../../support/until.ts'

/** A reader that has room for so many bytes until it is given more. */
const reader = (room: number) => {
  const state = { room, text: '', broken: false }
  const write = (bytes: Uint8Array): number => {
    if (state.broken) throw Object.assign(new Error('broken pipe'), { code: 'EPIPE' })
    if (state.room === 0) throw Object.assign(new Error('no room'), { code: 'EAGAIN' })
    const taken = Math.min(state.room, bytes.length)
    state.room -= taken
    state.text += Buffer.from(bytes.subarray(0, taken)).toString()
    return taken
  }
  return { state, write }
}

test('a line is there when the call returns', () => {
  const { state, write } = reader(100)
  createStderrWriter(write)('one\n')
  assert.equal(state.text, 'one\n')
})

test('what there is no room for comes later, in order, and nothing is left behind', async () => {
  const { state, write } = reader(6)
  const listeners = process.listenerCount('exit')
  const say = createStderrWriter(write)
  for (const line of ['one\n', 'two\n', 'three\n']) say(line)
  assert.equal(state.text, 'one\ntw')
  assert.equal(process.listenerCount('exit'), listeners + 1)
  state.room = 1_000
  await until('all came', () => state.text === 'one\ntwo\nthree\n')
  assert.equal(process.listenerCount('exit'), listeners)
  say('four\n')
  assert.match(state.text, /four\n$/)
})

test('as much as the bound waits, and one byte more is refused', async () => {
  const { state, write } = reader(0)
  const say = createStderrWriter(write)
  say('x'.repeat(MAX_WAITING_BYTES - 1))
  say('y')
  assert.throws(() => say('z'), /1048576 bytes wait/)
  state.room = 10 * MAX_WAITING_BYTES
  await until('all came', () => state.text.length === MAX_WAITING_BYTES)
})

test('where nobody reads any more a line is refused, and what waited is given up', async () => {
  const { state, write } = reader(0)
  const listeners = process.listenerCount('exit')
  const say = createStderrWriter(write)
  say('one\n')
  state.broken = true
  await until('it was given up', () => process.listenerCount('exit') === listeners)
  assert.throws(() => say('two\n'), /broken pipe/)
})
