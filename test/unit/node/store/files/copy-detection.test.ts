/** Whether a folder is where it was: the decision on all combinations, and real folders that are renamed, copied, torn. */
import assert from 'node:assert/strict'
import { cp, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  COPY_DETECTION_FILE,
  type CopyVerdict,
  detectCopy,
  type FileIdentity,
  judgeCopy,
  parseFileIdentity,
  recordFileIdentity,
} from '../../../../../node/store/files/copy-detection.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'

const at = (inode: bigint, bornNs: bigint): FileIdentity => ({ inode, bornNs })
const kept = (inode: bigint, bornNs: bigint): FileIdentity => ({ inode, bornNs, isBornKept: true })

test('a folder counts as copied only where the time differs, and the number unless times are known to be kept', () => {
  const cases: [string, FileIdentity | undefined, FileIdentity | undefined, CopyVerdict][] = [
    ['nothing is different', at(1n, 5n), at(1n, 5n), 'same'],
    ['another number, as after a mount', at(1n, 5n), at(2n, 5n), 'same'],
    ['another time', at(1n, 5n), at(1n, 6n), 'same'],
    ['both are different', at(1n, 5n), at(2n, 6n), 'copied'],
    ['a later time in a file with the number of one that was removed', kept(1n, 5n), at(1n, 6n), 'copied'],
    ['an earlier time', kept(1n, 5n), at(1n, 4n), 'same'],
    ['another number, and times that are kept', kept(1n, 5n), at(2n, 5n), 'same'],
    ['both are different, and times that are kept', kept(1n, 5n), at(2n, 4n), 'copied'],
    ['no time is told now, where times were kept', kept(1n, 5n), at(1n, 0n), 'unknown'],
    ['no file', undefined, undefined, 'unknown'],
    ['a file that cannot be read', undefined, at(1n, 5n), 'unknown'],
    ['no time was written', at(1n, 0n), at(2n, 6n), 'unknown'],
    ['no time is told now', at(1n, 5n), at(2n, 0n), 'unknown'],
    ['no time at all', at(1n, 0n), at(1n, 0n), 'unknown'],
  ]
  for (const [name, written, now, expected] of cases) assert.equal(judgeCopy(written, now), expected, name)
})

test('whatever stands in the file, it is read as it was written or as nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const found = parseFileIdentity(bytes)
      assert.ok(found === undefined || found.inode >= 0n)
    }),
    { numRuns: 300 },
  )
  const big = 2n ** 64n - 1n
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  assert.deepEqual(parseFileIdentity(text({ format: 1, inode: `${big}`, bornNs: '7' })), at(big, 7n))
  for (const other of [
    { format: 2, inode: '1', bornNs: '7' },
    { format: 1, inode: 1, bornNs: '7' },
    { format: 1, inode: '-1', bornNs: '7' },
    { format: 1, inode: '1' },
    [],
    null,
  ])
    assert.equal(parseFileIdentity(text(other)), undefined, JSON.stringify(other))
})

test('a folder that is renamed is the same, a copy of it is copied, and marking the copy makes it the same', async (t) => {
  const root = await testFolder(t)
  const folder = join(root, 'one')
  await mkdir(folder, { mode: 0o700 })
  assert.equal(await detectCopy(folder), 'unknown')
  await recordFileIdentity(folder)
  if ((await stat(join(folder, COPY_DETECTION_FILE), { bigint: true })).birthtimeNs === 0n) {
    t.skip('the file system tells no creation times')
    return
  }
  assert.equal(await detectCopy(folder), 'same')
  const moved = join(root, 'two')
  await rename(folder, moved)
  assert.equal(await detectCopy(moved), 'same')
  const copy = join(root, 'copy')
  await cp(moved, copy, { recursive: true, preserveTimestamps: true })
  assert.equal(await detectCopy(copy), 'copied')
  assert.equal(await detectCopy(copy), 'copied', 'looking changes nothing')
  await recordFileIdentity(copy)
  assert.equal(await detectCopy(copy), 'same')
  assert.equal(await detectCopy(moved), 'same')
  assert.deepEqual(await readdir(copy), [COPY_DETECTION_FILE])
  assert.equal((await stat(join(copy, COPY_DETECTION_FILE))).mode & 0o777, 0o600)
})

test('a copy in the place of the original is noticed, also where its file has the number that was free again', async (t) => {
  const root = await testFolder(t)
  const folder = join(root, 'one')
  const backup = join(root, 'backup')
  const file = join(folder, COPY_DETECTION_FILE)
  await mkdir(folder, { mode: 0o700 })
  await recordFileIdentity(folder)
  const original = await stat(file, { bigint: true })
  if (original.birthtimeNs === 0n) return t.skip('the file system tells no creation times')
  await cp(folder, backup, { recursive: true })
  await rm(folder, { recursive: true })
  // The number that was freed is given to one of the next files.
  for (let i = 0; i < 64; i += 1) {
    await cp(backup, folder, { recursive: true, preserveTimestamps: true })
    assert.equal(await detectCopy(folder), 'copied', `${(await stat(file, { bigint: true })).ino} and ${original.ino}`)
    await rename(folder, join(root, `copy-${i}`))
  }
})

test('a file that a crash left empty or torn tells nothing, and is written anew', async (t) => {
  const folder = await testFolder(t)
  const file = join(folder, COPY_DETECTION_FILE)
  await recordFileIdentity(folder)
  const { size } = await stat(file)
  const whole = await readFile(file)
  for (const length of [size - 3, 10, 0]) {
    await truncate(file, length)
    assert.equal(await detectCopy(folder), 'unknown', `${length} bytes`)
  }
  await writeFile(file, Buffer.concat([whole, Buffer.alloc(8_192, 32)]))
  assert.equal(await detectCopy(folder), 'unknown', 'too large')
  await recordFileIdentity(folder)
  assert.notEqual(await detectCopy(folder), 'copied')
  assert.ok(parseFileIdentity(await readFile(file)))
})

test('a folder that is not there cannot be marked, and tells nothing', async (t) => {
  const folder = join(await testFolder(t), 'none', 'here')
  await writeFile(join(folder, '..', '..', 'none'), '')
  assert.equal(await detectCopy(folder), 'unknown')
  assert.ok(isParleyError(await failureOf(recordFileIdentity(folder)), 'STA003'))
})
