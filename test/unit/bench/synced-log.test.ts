import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createEffects } from '../../bench/effects.ts'
import { openSyncedLog } from '../../bench/synced-log.ts'

const withPath = async (run: (path: string) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'parley-synced-'))
  await run(join(directory, 'log')).finally(() => rm(directory, { recursive: true }))
}

test('every line is in the file when it is answered, in the order in which they were given', async () => {
  await withPath(async (path) => {
    const log = await openSyncedLog(path)
    await Promise.all(['a', 'b', 'c'].map((line) => log.add(line)))
    await log.add('d')
    assert.equal(await readFile(path, 'utf8'), 'a\nb\nc\nd\n')
    await log.close()
  })
})

test('a line for a closed file is refused, and so is the next', async () => {
  await withPath(async (path) => {
    const log = await openSyncedLog(path)
    await log.close()
    await assert.rejects(log.add('a'))
    await assert.rejects(log.add('b'))
  })
})

test('of all copies of a message one takes effect, and none is answered before it is in the file', async () => {
  await withPath(async (path) => {
    const log = await openSyncedLog(path)
    const effects = createEffects(log)
    const copies = [7, 7, 8].map(async (id) => {
      const took = await effects.once(id)
      assert.ok((await readFile(path, 'utf8')).includes(`${id}\n`))
      return took
    })
    assert.deepEqual(await Promise.all(copies), [true, false, true])
    assert.equal(await effects.once(7), false)
    assert.equal(await readFile(path, 'utf8'), '7\n8\n')
    await log.close()
  })
})
