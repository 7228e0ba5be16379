import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  ensurePrivateDirectory,
  readPrivateFile,
  readSmallFile,
  writePrivateFile,
} from '../../../../node/platform/private-file.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

test('a written file has mode 0600 whatever the umask, in a folder of mode 0700', async (t) => {
  const folder = join(await testFolder(t), 'a', 'b')
  const umask = process.umask(0)
  try {
    await ensurePrivateDirectory(folder)
    await writePrivateFile(join(folder, 'key'), 'one')
    process.umask(0o277)
    await writePrivateFile(join(folder, 'key'), 'two')
  } finally {
    process.umask(umask)
  }
  assert.equal(await modeOf(folder), 0o700)
  assert.equal(await modeOf(join(folder, 'key')), 0o600)
  assert.equal(await readFile(join(folder, 'key'), 'utf8'), 'two')
  assert.deepEqual(await readdir(folder), ['key'])
})

test('a write that fails leaves the old content and no temporary file', async (t) => {
  const folder = await testFolder(t)
  await mkdir(join(folder, 'key', 'inner'), { recursive: true })
  await assert.rejects(writePrivateFile(join(folder, 'key'), 'new'), (error) => isParleyError(error, 'STA003'))
  assert.deepEqual(await readdir(folder), ['key'])
  assert.deepEqual(await readdir(join(folder, 'key')), ['inner'])
})

test('a file of exactly the largest size is read, one byte more is refused', async (t) => {
  const path = join(await testFolder(t), 'file')
  await writeFile(path, 'x'.repeat(10))
  assert.equal((await readSmallFile(path, 10))?.length, 10)
  await writeFile(path, 'x'.repeat(11))
  await assert.rejects(readSmallFile(path, 10), /more than 10 bytes/)
})

test('a missing file is undefined, a folder in its place is an error with the path', async (t) => {
  const folder = await testFolder(t)
  assert.equal(await readPrivateFile(join(folder, 'none'), 10), undefined)
  await assert.rejects(readPrivateFile(folder, 10), (error) => {
    assert.ok(isParleyError(error, 'STA003'))
    assert.equal(error.details.path, folder)
    assert.deepEqual([error.details.reason, error.details.errno], ['missing', 'EISDIR'])
    return true
  })
})

test('a private file that others could read is tightened with a warning', async (t) => {
  const path = join(await testFolder(t), 'key')
  await writeFile(path, 'x')
  await chmod(path, 0o640)
  const warned: unknown[] = []
  const log = { info: () => {}, error: () => {}, warn: (_: string, fields?: object) => void warned.push(fields) }
  await readPrivateFile(path, 10, log)
  assert.equal(await modeOf(path), 0o600)
  await readPrivateFile(path, 10, log)
  assert.deepEqual(warned, [{ path, was: '0640', now: '0600' }])
})
