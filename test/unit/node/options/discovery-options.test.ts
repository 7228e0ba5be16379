import assert from 'node:assert/strict'
import { test } from 'node:test'
import { looksForOthers } from '../../../../node/options/discovery-options.ts'
import { parseOptions } from '../../../../node/options/schema.ts'

test('a node with an address to join, or that listens for others nearby, looks for others', () => {
  assert.ok(!looksForOthers(parseOptions()))
  assert.ok(looksForOthers(parseOptions({ join: ['/ip4/127.0.0.1/tcp/1'] })))
  assert.ok(looksForOthers(parseOptions({ discovery: { mdns: true } })))
})

test('an option of the group that is unknown is refused with the one that was meant', () => {
  assert.throws(() => parseOptions({ discovery: { mdsn: true } }), { code: 'MSG001', hint: /did you mean mdns/ })
  assert.throws(() => parseOptions({ mdns: true }), { code: 'MSG001', hint: /discovery\.mdns/ })
})
