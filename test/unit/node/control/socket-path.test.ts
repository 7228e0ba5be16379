import assert from 'node:assert/strict'
import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  fitsSocket,
  MAX_SOCKET_PATH_BYTES,
  SOCKET_NAME,
  socketInDataDir,
  socketInTemporaryDirectory,
} from '../../../../node/control/socket-path.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

test('the socket is in the data directory as long as its path is short enough, and not one byte longer', async (t) => {
  const folder = await testFolder(t)
  const fill = MAX_SOCKET_PATH_BYTES - Buffer.byteLength(join(folder, '', SOCKET_NAME)) - 1
  const fits = join(folder, 'x'.repeat(fill))
  await mkdir(fits)
  const place = await socketInDataDir(fits)
  assert.equal(Buffer.byteLength(place?.path ?? ''), MAX_SOCKET_PATH_BYTES)
  assert.equal(await socketInDataDir(`${fits}x`), undefined)
  // Bytes count, not characters.
  assert.equal(fitsSocket('ü'.repeat(Math.ceil((MAX_SOCKET_PATH_BYTES + 1) / 2))), false)
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(place?.path, resolve))
  await new Promise((resolve) => server.close(resolve))
})

test('a socket that a dead process left is taken away; anything else in its place is left there', async (t) => {
  const folder = await testFolder(t)
  const path = join(folder, SOCKET_NAME)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path, resolve))
  assert.equal((await socketInDataDir(folder))?.path, path)
  assert.equal(await exists(path), false)
  await new Promise((resolve) => server.close(resolve))
  await writeFile(path, 'a letter')
  await assert.rejects(socketInDataDir(folder), (error) => isParleyError(error, 'STA003'))
  assert.equal(await exists(path), true)
})

test('under the temporary directory each data directory has a folder of its own, for this user alone', async (t) => {
  const root = await testFolder(t)
  const one = await socketInTemporaryDirectory('/data/one', root)
  assert.equal((await stat(one.folder ?? '')).mode & 0o777, 0o700)
  assert.deepEqual(await socketInTemporaryDirectory('/data/one', root), one, 'the same at the next start')
  assert.notEqual((await socketInTemporaryDirectory('/data/two', root)).path, one.path)
})

test('a folder that others could use, or a link, is not taken', async (t) => {
  const root = await testFolder(t)
  const { folder = '' } = await socketInTemporaryDirectory('/data/one', root)
  await chmod(folder, 0o755)
  const other = await socketInTemporaryDirectory('/data/one', root)
  assert.notEqual(other.folder, folder)
  assert.equal((await stat(other.folder ?? '')).mode & 0o777, 0o700)

  const elsewhere = await testFolder(t)
  const two = await socketInTemporaryDirectory('/data/two', elsewhere)
  const linked = await testFolder(t)
  await symlink(two.folder ?? '', join(linked, (two.folder ?? '').slice(elsewhere.length + 1)))
  assert.ok(!(await socketInTemporaryDirectory('/data/two', linked)).folder?.endsWith((two.folder ?? '').slice(-16)))
})

test('where the temporary directory is too long as well, the error says what to set', async (t) => {
  const root = join(await testFolder(t), 'x'.repeat(MAX_SOCKET_PATH_BYTES))
  await mkdir(root)
  await assert.rejects(
    socketInTemporaryDirectory('/data/one', root),
    (error) => isParleyError(error, 'STA003') && /TMPDIR/.test(error.hint ?? ''),
  )
})
