import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspectEvents, repairEvents } from '../../../../../node/cli/commands/store/stored-events.ts'
import { random, timers } from '../../../../../node/platform/platform.ts'
import { createEventStore } from '../../../../../node/store/events/event-files.ts'
import { testFolder } from '../../../../support/folder.ts'
import { keptLog } from '../../../../support/meshes.ts'
import { flip } from '../messages/row-stores.ts'

const BOUNDS = { maxBytes: 1024, maxEvents: 100, maxAgeMs: 1000 }
const clock = { now: () => 5_000, monotonic: () => 5_000 }

const POSITIONS = { createdAt: 7, positions: [{ publisher: 'p', word: 'tasks', epoch: 1000, next: 41 }] }
const setUp = async (context: TestContext) => {
  const folder = await testFolder(context)
  const log = keptLog()
  const open = () => createEventStore(folder, { clock, log, random, timers })
  return { folder, log, open, cursors: join(folder, 'events', 'cursors') }
}

test('a position is read as it was written, by another run too', async (context) => {
  const { folder, open } = await setUp(context)
  const store = open()
  assert.deepEqual(await readdir(folder), [], 'nothing is made before it is asked for')
  assert.equal(await store.loadCursor('worker.1'), undefined)
  await store.saveCursor('worker.1', { ...POSITIONS, positions: [] })
  await store.saveCursor('worker.1', POSITIONS)
  await store.close()
  const again = open()
  assert.deepEqual(await again.loadCursor('worker.1'), POSITIONS)
  assert.equal(await again.loadCursor('worker.2'), undefined)
  await again.close()
})

test('a position that an earlier version wrote is taken over, once', async (context) => {
  const { open, cursors } = await setUp(context)
  await mkdir(cursors, { recursive: true, mode: 0o700 })
  const file = join(cursors, 'worker.json')
  const content = JSON.stringify({ version: 1, createdAt: 7, positions: [['p', 'tasks', 1000, 41]] })
  await writeFile(file, content, { mode: 0o600 })
  const store = open()
  assert.deepEqual(await store.loadCursor('worker'), POSITIONS)
  assert.ok(!(await readdir(cursors)).includes('worker.json'))
  // A crash came before it was removed: what was saved since counts.
  const next = { ...POSITIONS, createdAt: 8 }
  await store.saveCursor('worker', next)
  await writeFile(file, content, { mode: 0o600 })
  assert.deepEqual(await store.loadCursor('worker'), next)
  await store.close()
})

test('a position of an earlier version that cannot be read is told, and the subscription starts anew', async (context) => {
  const { open, cursors, log } = await setUp(context)
  await mkdir(cursors, { recursive: true, mode: 0o700 })
  const store = open()
  for (const content of ['', '{', '{"version":2}', '{"version":1,"createdAt":1,"positions":[["p"]]}']) {
    log.lines.length = 0
    await writeFile(join(cursors, 'worker.json'), content, { mode: 0o600 })
    assert.equal(await store.loadCursor('worker'), undefined, content)
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['error'],
    )
  }
  await store.close()
})

test('damaged positions are refused with what to do, and what is good of them is kept', async (context) => {
  const { folder, open, cursors } = await setUp(context)
  const store = open()
  for (const name of ['one', 'two', 'three']) await store.saveCursor(name, POSITIONS)
  await store.close()
  const rows = join(cursors, 'rows')
  const log = join(rows, (await readdir(rows)).find((name) => name.endsWith('.log')) ?? '')
  const bytes = await readFile(log)
  await flip(log, bytes.indexOf('two'))
  const refused = open()
  await assert.rejects(refused.loadCursor('one'), { code: 'STA003', message: /damaged/ })
  const events = join(folder, 'events')
  const { problems, words } = await inspectEvents(events)
  assert.equal(problems.length, 1)
  assert.match(words, /positions +of 2 named subscriptions/)
  const { facts } = await repairEvents(events, random)
  assert.deepEqual([facts.repaired, facts.putAside], [true, ['cursors/rows.damaged']])
  assert.deepEqual(await refused.loadCursor('one'), POSITIONS, 'it is opened again by itself')
  assert.equal(await refused.loadCursor('two'), undefined)
  assert.deepEqual(await refused.loadCursor('three'), POSITIONS)
  await refused.close()
  const again = await repairEvents(events, random)
  assert.deepEqual([again.words, again.facts.putAside], [undefined, []])
})

test('a damaged history is told by verify and taken out by repair, with the rest as it was', async (context) => {
  const { folder, open } = await setUp(context)
  const store = open()
  const series = { publisher: 'p', word: 'tasks', epoch: 1 }
  const history = await store.open('tasks', { ...BOUNDS, maxBytes: 1024 * 1024 })
  for (let from = 1; from <= 5; from += 1) history.keep(series, { from, to: from }, new Uint8Array(50).fill(from), 0)
  await history.close()
  const events = join(folder, 'events')
  assert.deepEqual((await inspectEvents(events)).problems, [])
  const words = join(events, 'words', 'tasks')
  const file = join(words, '0000000000000001.log')
  await flip(file, (await readFile(file)).indexOf(new Uint8Array(50).fill(3)))
  const found = await inspectEvents(events)
  assert.deepEqual([found.facts.batches, found.facts.events, found.problems.length], [4, 4, 1])
  assert.match(String(found.problems[0]?.message), /tasks\/0000000000000001\.log/)
  const { facts } = await repairEvents(events, random)
  assert.deepEqual(facts.putAside, ['tasks/0000000000000001.log.damaged'])
  const { problems, facts: after } = await inspectEvents(events)
  assert.deepEqual([problems, after.batches], [[], 4])
  const again = await store.open('tasks', { ...BOUNDS, maxBytes: 1024 * 1024 })
  const { batches } = await again.find(series, { from: 1, to: 5 })
  assert.deepEqual(
    batches.map(({ bytes }) => bytes[0]),
    [1, 2, 4, 5],
  )
  await again.close()
})

test('words that differ in capitals alone have folders of their own', async (context) => {
  const folder = await testFolder(context)
  const store = createEventStore(folder, { clock, log: keptLog(), random, timers })
  for (const word of ['Tasks', 'tasks']) {
    const history = await store.open(word, BOUNDS)
    history.keep({ publisher: 'p', word, epoch: 1 }, { from: 1, to: 1 }, new Uint8Array(10), 0)
    await history.close()
  }
  assert.deepEqual((await readdir(join(folder, 'events', 'words'))).sort(), ['+tasks', 'tasks'])
})
