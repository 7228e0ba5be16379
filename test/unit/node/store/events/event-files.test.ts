import assert from 'node:assert/strict'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { random } from '../../../../../node/platform/platform.ts'
import { createEventStore } from '../../../../../node/store/events/event-files.ts'
import { testFolder } from '../../../../support/folder.ts'
import { keptLog } from '../../../../support/meshes.ts'

const BOUNDS = { maxBytes: 1024, maxEvents: 100, maxAgeMs: 1000 }
const clock = { now: () => 5_000, monotonic: () => 5_000 }

test('a position is read as it was written, by another run too, and others cannot read it', async (context) => {
  const folder = await testFolder(context)
  const log = keptLog()
  const cursor = { createdAt: 7, positions: [{ publisher: 'p', word: 'tasks', epoch: 1000, next: 41 }] }
  const store = createEventStore(folder, { clock, log, random })
  assert.equal(await store.loadCursor('worker.1'), undefined)
  await store.saveCursor('worker.1', { ...cursor, positions: [] })
  await store.saveCursor('worker.1', cursor)
  assert.deepEqual(await createEventStore(folder, { clock, log, random }).loadCursor('worker.1'), cursor)
  const file = join(folder, 'events', 'cursors', 'worker.1.json')
  assert.equal((await stat(file)).mode & 0o777, 0o600)
})

test('a position that cannot be read is told, and the subscription starts anew', async (context) => {
  const folder = await testFolder(context)
  const log = keptLog()
  const store = createEventStore(folder, { clock, log, random })
  await store.saveCursor('worker', { createdAt: 7, positions: [] })
  for (const content of ['', '{', '{"version":2}', '{"version":1,"createdAt":1,"positions":[["p"]]}']) {
    log.lines.length = 0
    await writeFile(join(folder, 'events', 'cursors', 'worker.json'), content)
    assert.equal(await store.loadCursor('worker'), undefined, content)
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['error'],
    )
  }
})

test('words that differ in capitals alone have folders of their own', async (context) => {
  const folder = await testFolder(context)
  const store = createEventStore(folder, { clock, log: keptLog(), random })
  for (const word of ['Tasks', 'tasks']) {
    const history = await store.open(word, BOUNDS)
    history.keep({ publisher: 'p', word, epoch: 1 }, { from: 1, to: 1 }, new Uint8Array(10), 0)
    await history.close()
  }
  assert.deepEqual((await readdir(join(folder, 'events', 'words'))).sort(), ['+tasks', 'tasks'])
})
