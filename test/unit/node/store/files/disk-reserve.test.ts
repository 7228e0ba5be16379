/** The room that a data directory keeps: given up once for a start on a full disk, and made again by one that finds room. */
import assert from 'node:assert/strict'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDiskReserve, isDiskFull, RESERVE_FILE } from '../../../../../node/store/files/disk-reserve.ts'
import { nextIncarnation } from '../../../../../node/trust/identity.ts'
import { isParleyError, ParleyError } from '../../../../../protocols/errors.ts'
import { createSmallDisk, noSmallDisk } from '../../../../crash/small-disk.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'

const skip = noSmallDisk() ?? false
const log = { error() {} }

test('what runs within it is run once, and what fails for another reason fails', async (t) => {
  const dataDir = await testFolder(t)
  const reserve = createDiskReserve(dataDir, log)
  await reserve.keep()
  const { ino, size } = await stat(join(dataDir, RESERVE_FILE))
  assert.equal(size, 256 * 1024)
  assert.equal(await reserve.within(async () => 7), 7)
  await assert.rejects(
    reserve.within(() => Promise.reject(new Error('another reason'))),
    /another reason/,
  )
  await reserve.keep()
  assert.equal((await stat(join(dataDir, RESERVE_FILE))).ino, ino)
  assert.deepEqual(await readdir(dataDir), [RESERVE_FILE])
})

test('that a disk is full is told by the error, or by what caused it', () => {
  const full = Object.assign(new Error('no room'), { code: 'ENOSPC' })
  assert.equal(isDiskFull(full), true)
  assert.equal(isDiskFull(new ParleyError('STA003', 'writing failed', { hint: 'make room', cause: full })), true)
  assert.equal(isDiskFull(new ParleyError('STA003', 'writing failed', { hint: 'look' })), false)
  assert.equal(isDiskFull('ENOSPC'), false)
})

test('on a full disk it is given up, once, with a word, and not made again by the same start', { skip }, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  await createDiskReserve(disk.path, log).keep()
  const write = (name: string) => () => writeFile(join(disk.path, name), new Uint8Array(200 * 1024))
  await disk.fill()
  const said: string[] = []
  const reserve = createDiskReserve(disk.path, { error: (message) => void said.push(message) })
  await reserve.within(write('a'))
  assert.match(said[0] ?? '', /the disk is full/)
  await assert.rejects(reserve.within(write('b')), { code: 'ENOSPC' })
  await disk.makeRoom()
  await reserve.keep()
  assert.ok(!(await readdir(disk.path)).includes(RESERVE_FILE))
  await disk.fill()
  await createDiskReserve(disk.path, log).keep()
  assert.ok(!(await readdir(disk.path)).some((name) => name.startsWith(RESERVE_FILE)), 'there is no room for it')
  await disk.makeRoom()
  await createDiskReserve(disk.path, log).keep()
  assert.ok((await readdir(disk.path)).includes(RESERVE_FILE))
})

test('an incarnation is overwritten in its place where there is no room, and only by one as long', {
  skip,
}, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  const now = 1_700_000_000_000
  assert.equal(await nextIncarnation(disk.path, now), now)
  await disk.fill()
  const refused = await failureOf(nextIncarnation(disk.path, now + 1))
  assert.ok(isParleyError(refused, 'STA003') && isDiskFull(refused))
  assert.equal(await nextIncarnation(disk.path, now + 1, undefined, true), now + 1)
  assert.equal(await nextIncarnation(disk.path, now, undefined, true), now + 2)
  assert.ok(isDiskFull(await failureOf(nextIncarnation(disk.path, 10 * now, undefined, true))))
})
