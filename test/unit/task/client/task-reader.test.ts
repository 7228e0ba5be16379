/** Tasks that are listed part by part: each part reads its own records alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyRange } from '../../../../protocols/journal/client/journal-client.ts'
import { MOST_LISTED, TaskReader } from '../../../../protocols/task/client/task-reader.ts'
import { taskKey } from '../../../../protocols/task/task-record.ts'

/** @param count of tasks below `t`, each third of which is paused */
const readerOf = (count: number) => {
  let read = 0
  const records = Array.from({ length: count }, (_, i) => ({
    key: taskKey(`t.${String(i).padStart(5, '0')}`),
    value: { status: i % 3 === 0 ? 'paused' : 'running' },
    version: 1,
  }))
  const list = async (prefix: string, { after = '', most = count }: KeyRange) => {
    const found = records.filter(({ key }) => key.startsWith(prefix) && key > after).slice(0, most)
    read += found.length
    return { version: 1, records: found }
  }
  const reader = new TaskReader({ list } as unknown as ConstructorParameters<typeof TaskReader>[0])
  return { reader, read: () => read }
}

test('all tasks below one are listed part by part, and each is read once', async () => {
  const { reader, read } = readerOf(9_500)
  const ids: string[] = []
  for (let isMore = true; isMore; ) {
    const part = await reader.list({ under: 't', after: ids.at(-1) ?? '', most: MOST_LISTED })
    ids.push(...part.map(({ id }) => id))
    isMore = part.length === MOST_LISTED
  }
  assert.equal(new Set(ids).size, 9_500)
  assert.deepEqual(ids, ids.toSorted())
  assert.equal(read(), 9_500)
})

test('of one status as many are listed as are asked for, wherever they are', async () => {
  const { reader } = readerOf(30)
  const listed = async (after: string) =>
    (await reader.list({ status: 'paused', after, most: 4 })).map(({ id }) => Number(id.slice(2)))
  assert.deepEqual(await listed(''), [0, 3, 6, 9])
  assert.deepEqual(await listed('t.00021'), [24, 27])
})

test('a list has 100 tasks unless told, and 1,000 at most', async () => {
  const { reader, read } = readerOf(1_001)
  assert.equal((await reader.list({})).length, 100)
  assert.equal((await reader.list({ most: 5_000 })).length, MOST_LISTED)
  assert.equal(read(), 1_100)
})
