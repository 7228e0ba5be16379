import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTopicTable, MAX_TOPICS } from '../../../../protocols/events/receive/topic-table.ts'

test('a name takes its own bytes, and not the 64 KiB of the pool that they were made in', () => {
  const table = createTopicTable<string>(() => undefined)
  for (let n = 0; n < MAX_TOPICS; n += 1) {
    const name = `tasks.status.${n}.ä`
    const { utf8 } = table.get(name)
    assert.equal(Buffer.from(utf8).toString(), name)
    assert.ok(utf8.buffer.byteLength <= 2 * utf8.length, `${utf8.buffer.byteLength} bytes for ${utf8.length}`)
  }
})
