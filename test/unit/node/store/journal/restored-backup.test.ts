/** A store that was restored or copied: its node is another member with the same log, unless it votes alone. */
import assert from 'node:assert/strict'
import { cp, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { COPY_DETECTION_FILE, detectCopy, recordFileIdentity } from '../../../../../node/store/files/copy-detection.ts'
import { type Disk, openFolder } from '../../../../../node/store/files/disk.ts'
import { createFoundingFile } from '../../../../../node/store/journal/founding-file.ts'
import { surveyJournal } from '../../../../../node/store/journal/journal-survey.ts'
import { handleRestoredBackup, renewRestoredJournal } from '../../../../../node/store/journal/restored-backup.ts'
import { LOG_MARKER_FILE } from '../../../../../node/store/log/log-marker.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { resume } from '../../../../../protocols/consensus/bootstrap/founding-steps.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'
import { contentsOf, MESH, OTHERS, PEER, random, storeOf } from './recovery-stores.ts'

const reasonOf = (error: unknown): unknown => isParleyError(error, 'STA003') && error.details.reason

test('a store that came back is that of another member: same entries, snapshot and term, no vote', async () => {
  const { disk, member, configuration } = await storeOf(60, { snapshots: [40] })
  const before = await surveyJournal(disk)
  const { [LOG_MARKER_FILE]: _mark, ...bytes } = await contentsOf(disk)
  const done = await renewRestoredJournal(disk, random, PEER, false)
  const after = await surveyJournal(disk)
  assert.ok(done.kind === 'renewed')
  assert.deepEqual([done.was, done.member], [member, `${PEER}.${after.storageId}`])
  assert.notEqual(done.member, member)
  assert.deepEqual(after.problems, [])
  assert.deepEqual(after.log.state.entries, before.log.state.entries)
  assert.deepEqual(after.log.state.snapshot, before.log.state.snapshot)
  assert.deepEqual(after.configuration, configuration)
  assert.deepEqual(after.log.state.hardState, { ...before.log.state.hardState, votedFor: undefined })
  assert.equal(before.log.state.hardState.votedFor, member)
  // Nothing is gone.
  const left = new Set(Object.values(await contentsOf(disk)))
  for (const [name, one] of Object.entries(bytes)) assert.ok(left.has(one), name)
  assert.ok(done.aside.length > 0 && done.aside.every((name) => name.endsWith('.abandoned')))
  // As the founding goes on with it: it belongs to the mesh and is no founder any more.
  const saved = await createFoundingFile(disk).load()
  const { record } = resume({ member: done.member, expect: 3, meshIdOf: () => '' }, saved)
  assert.deepEqual([record.member, record.adopted, record.founded], [done.member, { meshId: MESH }, undefined])
})

test('the only voter stays who it is, and an empty folder has nobody to renew', async () => {
  const { disk, member } = await storeOf(20, { voters: [] })
  const before = await contentsOf(disk)
  assert.deepEqual(await renewRestoredJournal(disk, random, PEER, false), { kind: 'kept', member })
  assert.deepEqual(await contentsOf(disk), before)
  const { kind } = await renewRestoredJournal(disk, random, PEER, true)
  assert.equal(kind, 'renewed', 'others that it can join may have voted since')
  assert.deepEqual(await renewRestoredJournal(createFaultyDisk(), random, PEER, false), { kind: 'empty' })
})

test('a log without entries is renewed too: its member may have voted since', async () => {
  const disk = createFaultyDisk()
  await (await openLogStore(disk, { random })).close()
  const { storageId } = await surveyJournal(disk)
  const done = await renewRestoredJournal(disk, random, PEER, false)
  assert.ok(done.kind === 'renewed' && done.was === `${PEER}.${storageId}`)
  assert.notEqual((await surveyJournal(disk)).storageId, storageId)
})

test('a damaged log is not renewed but refused, with the command that repairs', async () => {
  const { disk } = await storeOf(60)
  disk.flip((await surveyJournal(disk)).files[1] ?? '', 700)
  const before = await contentsOf(disk)
  const error = await failureOf(renewRestoredJournal(disk, random, PEER, false))
  assert.equal(reasonOf(error), 'damaged')
  assert.match((isParleyError(error) && error.hint) || '', /parley store repair/)
  assert.deepEqual(await contentsOf(disk), before)
})

test('without room for another id the start fails, and nothing has changed; with room it goes on', async () => {
  const { disk, member } = await storeOf(60)
  const before = await contentsOf(disk)
  const room = disk.room
  disk.room = 0
  for (const one of Object.values(before)) disk.room += one.length / 2
  disk.room += 100
  const error = await failureOf(renewRestoredJournal(disk, random, PEER, false))
  assert.equal(reasonOf(error), 'disk-full')
  assert.deepEqual(await contentsOf(disk), before)
  disk.room = room
  const done = await renewRestoredJournal(disk, random, PEER, false)
  assert.ok(done.kind === 'renewed' && done.was === member)
})

test('a power cut at any moment of it leaves a store that is renewed at the next start', async () => {
  let cuts = 0
  for (let seed = 1; seed <= 30; seed += 1) {
    const draw = createRandom(seed)
    const { disk, member, configuration } = await storeOf(30, { snapshots: [10] })
    const before = await surveyJournal(disk)
    // The machine loses power after some calls of the disk.
    let calls = 1 + Math.floor(draw() * 14)
    const failing: Disk = new Proxy<Disk>(disk, {
      get(target, name: keyof Disk) {
        const call = target[name] as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          if (['create', 'rename', 'remove', 'syncNames'].includes(name)) calls -= 1
          if (calls < 0) throw Object.assign(new Error('EIO: no power'), { code: 'EIO' })
          return call.apply(target, args)
        }
      },
    })
    await renewRestoredJournal(failing, random, PEER, false).catch((error: unknown) => {
      cuts += 1
      assert.equal(reasonOf(error), 'disk-failed')
    })
    disk.crash(draw)
    const done = await renewRestoredJournal(disk, random, PEER, false)
    const after = await surveyJournal(disk)
    assert.ok(done.kind === 'renewed' && done.member !== member, `seed ${seed}`)
    assert.deepEqual(after.problems, [], `seed ${seed}`)
    assert.deepEqual(after.log.state.entries, before.log.state.entries)
    assert.deepEqual([after.configuration, after.lastIndex], [configuration, 30])
  }
  assert.ok(cuts >= 10, `${cuts} of 30 were cut off`)
})

/** A store in a real folder, marked; and what is logged. */
const folderOf = async (t: TestContext, voters: readonly string[]) => {
  const root = await testFolder(t)
  const folder = join(root, 'journal')
  await mkdir(folder, { mode: 0o700 })
  const { disk, member } = await storeOf(20, { voters })
  const real = await openFolder(folder)
  for (const name of await disk.list()) {
    const file = await real.create(name)
    await file.write(await disk.read(name), 0)
    await file.close()
  }
  const warnings: string[] = []
  const warn = (text: string): void => void warnings.push(text)
  const log = { debug: () => {}, info: () => {}, warn, error: warn }
  const settle = async (at: string) =>
    handleRestoredBackup({ disk: await openFolder(at), folder: at, random, peer: PEER, joins: false, log })
  assert.equal(await settle(folder), 'unknown')
  const tells = (await stat(join(folder, COPY_DETECTION_FILE), { bigint: true })).birthtimeNs !== 0n
  if (!tells) t.skip('the file system tells no creation times')
  return { root, folder, member, warnings, settle, tells }
}
const memberIn = async (folder: string): Promise<string> =>
  `${PEER}.${(await surveyJournal(await openFolder(folder))).storageId}`

test('a node that starts on a copy of its folder is another member, once; one that starts again where it was is not', async (t) => {
  const { root, folder, member, warnings, settle, tells } = await folderOf(t, OTHERS)
  if (!tells) return
  assert.equal(await settle(folder), 'same')
  assert.deepEqual([await memberIn(folder), warnings], [member, []])
  const copy = join(root, 'copy')
  await cp(folder, copy, { recursive: true })
  assert.equal(await settle(copy), 'copied')
  const renewed = await memberIn(copy)
  assert.notEqual(renewed, member)
  assert.match(warnings.join(), /restored from a backup or copied.*comes back as a new member/)
  assert.equal(await settle(copy), 'same')
  assert.equal(await memberIn(copy), renewed)
  assert.equal(warnings.length, 1)
  assert.equal(await memberIn(folder), member)
})

test('the only voter goes on with a copy as who it was, and says so; what is called moved goes on without a word', async (t) => {
  const { root, folder, member, warnings, settle, tells } = await folderOf(t, [])
  if (!tells) return
  const [copy, moved] = [join(root, 'copy'), join(root, 'moved')]
  for (const to of [copy, moved]) await cp(folder, to, { recursive: true })
  assert.equal(await settle(copy), 'copied')
  assert.deepEqual([await memberIn(copy), await detectCopy(copy)], [member, 'same'])
  assert.match(warnings.join(), /goes on as it was/)
  await recordFileIdentity(moved)
  assert.equal(await settle(moved), 'same')
  assert.equal(warnings.length, 1)
})
