/** Virtual time: calls run in the order of their time, those of one time in the order in which they were made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom, createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'

test('calls run in the order of their time, and those that were stopped do not run', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const time = createVirtualTime()
    const random = createRandom(seed)
    const ran: string[] = []
    const calls = Array.from({ length: 200 }, (_, i) => {
      // Few different times, so that many are due together.
      const atMs = Math.floor(random() * 20)
      return { atMs, name: `${i}`, stop: time.after(atMs, () => ran.push(`${i}`)) }
    })
    const stopped = calls.filter(() => random() < 0.3)
    for (const { stop } of stopped) stop()
    for (const { stop } of stopped) stop()
    await time.run(20)
    const due = calls.filter((call) => !stopped.includes(call)).toSorted((a, b) => a.atMs - b.atMs)
    assert.deepEqual(
      ran,
      due.map(({ name }) => name),
    )
    for (const { stop } of calls) stop()
    assert.equal(time.now(), 20)
  }
})

test('a call that has run is not taken for another one when it is stopped', async () => {
  const time = createVirtualTime()
  const ran: string[] = []
  const stop = time.after(1, () => ran.push('first'))
  await time.run(1)
  time.after(0, () => ran.push('second'))
  stop()
  await time.run(1)
  assert.deepEqual(ran, ['first', 'second'])
})

test('what a call begins at the same time runs after what was there', async () => {
  const time = createVirtualTime()
  const ran: string[] = []
  time.after(1, () => {
    ran.push('one')
    time.after(0, () => ran.push('three'))
  })
  time.after(1, () => ran.push('two'))
  await time.run(1)
  assert.deepEqual(ran, ['one', 'two', 'three'])
})
