/** Tables: as wide as there is room, wrapped, never cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { columnsOf, fitted, shownId, table, wrapped } from '../../../../../node/cli/output/table.ts'

const PEER = '12D3KooWAbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefgh'

test('a table fits its room, and nothing of it is lost', () => {
  const reason = 'the peer gave no sign of the message within 5000 ms and this goes on for a while'
  const text = table(
    ['id!', 'type', 'why'],
    [
      ['m-0001', 'order.placed', reason],
      ['m-0002', 'note', PEER],
    ],
    40,
  )
  const lines = text.split('\n')
  assert.ok(
    lines.every((line) => line.length <= 40),
    text,
  )
  const joined = text.replace(/\s+/g, ' ')
  for (const word of ['m-0001', 'm-0002', 'ID', 'WHY', ...reason.split(' ')]) assert.ok(joined.includes(word), word)
  assert.equal(text.replace(/\s/g, '').includes(PEER), true, 'a word that is too long is wrapped')
})

test('a column of ids is never wrapped, though the table gets too wide', () => {
  assert.ok(table(['id!', 'why'], [[PEER, 'because']], 20).includes(PEER))
  assert.deepEqual(fitted([52, 30], [true, false], 20), [52, 8])
  assert.deepEqual(fitted([5, 5], [false, false], 80), [5, 5])
  assert.deepEqual(fitted([50, 20], [false, false], 42), [20, 20])
})

test('a peer cannot drive the terminal by what it says of itself', () => {
  assert.ok(!table(['name'], [['a\u001b[2Jb']], 80).includes('\u001b'))
})

test('wrapping keeps all characters, in their order', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 30 }), (text, width) => {
      const lines = wrapped(text, width)
      assert.ok(lines.every((line) => line.length <= width))
      assert.equal(lines.join('').replaceAll(' ', ''), text.replaceAll(' ', ''))
    }),
  )
})

test('the terminal says how wide it is; 80 columns where there is none', () => {
  assert.equal(columnsOf({ isTTY: true, columns: 132 }), 132)
  assert.equal(columnsOf({ isTTY: true, columns: 0 }), 80)
  assert.equal(columnsOf({ isTTY: false, columns: 132 }), 80)
  assert.equal(columnsOf({}), 80)
})

test('an id is told by its end, and whole where that is asked for', () => {
  assert.equal(shownId(PEER, false), '…abcdefgh')
  assert.equal(shownId(PEER, true), PEER)
  assert.equal(shownId('short', false), 'short')
})
