/** A journal that lost something: the node is a new member where others vote, and does not start where it votes alone. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Disk } from '../../../../../node/store/files/disk.ts'
import { openGroupStorage } from '../../../../../node/store/journal/disk-group-storage.ts'
import {
  isOnlyKnownVoter,
  LOSS_FILE,
  readLossNote,
  rejoinAfterLoss,
  removeLossNote,
  writeLossNote,
} from '../../../../../node/store/journal/journal-loss.ts'
import { logFiles, surveyJournal } from '../../../../../node/store/journal/journal-survey.ts'
import { LOG_MARKER_FILE } from '../../../../../node/store/log/log-marker.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'
import { contentsOf, entries, nameOf, OTHERS, PEER, random, storeOf } from './recovery-stores.ts'

const AT = 1_700_000_000_000
const reasonOf = (error: unknown): unknown => (isParleyError(error, 'STA003') ? error.details.reason : `${error}`)
const cut = async (disk: FaultyDisk, bytes: number): Promise<void> => {
  const name = (await logFiles(disk)).at(-1) ?? ''
  const file = await disk.open(name)
  await file.truncate(Math.max(0, disk.size(name) - bytes))
  await file.sync()
}
/** As a node does when it starts. @returns the storage id; undefined: it does not start */
const start = async (disk: Disk): Promise<{ storageId: string | undefined; last: number; error: unknown }> => {
  const open = async () => {
    const { storageId, storage, close } = await openGroupStorage(disk, random)
    const { entries: found, snapshot } = storage.opened
    await close()
    return { storageId, last: found.at(-1)?.index ?? snapshot?.index ?? 0, error: undefined }
  }
  try {
    return await open()
  } catch (error) {
    if (reasonOf(error) !== 'damaged') throw error
    try {
      await rejoinAfterLoss(disk, random, { peer: PEER }, AT)
      return await open()
    } catch (refusal) {
      return { storageId: undefined, last: 0, error: refusal }
    }
  }
}

test('one of several voters is a new member on what is good, with a note, and nothing is removed', async () => {
  const { disk, member } = await storeOf(60, { segmentBytes: 1 << 20 })
  const { [LOG_MARKER_FILE]: _mark, ...before } = await contentsOf(disk)
  await cut(disk, 300)
  const done = await rejoinAfterLoss(disk, random, { peer: PEER }, AT)
  assert.ok(done.kind === 'renewed' && done.was === member)
  assert.ok(done.kept > 50 && done.kept < 60)
  const after = await surveyJournal(disk)
  assert.deepEqual([after.problems, after.lastIndex, after.log.state.hardState.votedFor], [[], done.kept, undefined])
  assert.notEqual(`${PEER}.${after.storageId}`, member)
  assert.deepEqual(after.log.state.entries.slice(1), entries(2, done.kept))
  const { aside, kind, ...note } = done
  assert.deepEqual(await readLossNote(disk), note)
  assert.match(note.why, /was on the disk up to byte/)
  const now = await contentsOf(disk)
  for (const [name, bytes] of Object.entries(before)) {
    const left = now[name] ?? now[`${name}.damaged`] ?? ''
    assert.ok(bytes.startsWith(left) && left.length > bytes.length - 700, name)
  }
  assert.ok(aside.every((name) => name.endsWith('.damaged')))
  await removeLossNote(disk)
  assert.equal(await readLossNote(disk), undefined)
})

test('a node that votes alone is refused, says what to do, and is not touched', async () => {
  const { disk } = await storeOf(30, { voters: [] })
  await cut(disk, 300)
  const before = await contentsOf(disk)
  const error = await failureOf(rejoinAfterLoss(disk, random, { peer: PEER }, AT))
  assert.equal(reasonOf(error), 'damaged')
  assert.match((isParleyError(error) && error.hint) || '', /parley store accept-loss/)
  assert.deepEqual(await contentsOf(disk), before)
})

test('whether a node votes alone is told by its log, and by what it founded where the log says nothing', () => {
  const of = (...voters: string[]) => ({ voters, learners: [] })
  const record = { member: 'me.00', highest: { counter: 1, proposer: 'me.00' } }
  const founded = (...members: string[]) => ({ ...record, founded: { meshId: 'f'.repeat(32), members } })
  assert.equal(isOnlyKnownVoter({ peer: 'me' }, of('me.00'), undefined), true)
  assert.equal(isOnlyKnownVoter({ peer: 'me' }, of('me.00', 'it.01'), founded('me.00')), false)
  assert.equal(isOnlyKnownVoter({ peer: 'me' }, of(), founded('me.00')), true)
  assert.equal(isOnlyKnownVoter({ peer: 'me' }, of(), founded('me.00', 'it.01')), false)
  assert.equal(isOnlyKnownVoter({ peer: 'me' }, of(), { ...record, adopted: { meshId: 'f'.repeat(32) } }), false)
  // What it noted when that changed last: a log that was cut off may be older, and others are asked where there are any.
  assert.equal(isOnlyKnownVoter({ peer: 'me', noted: 'others' }, of('me.00'), founded('me.00')), false)
  assert.equal(isOnlyKnownVoter({ peer: 'me', noted: 'alone' }, of('me.00', 'it.01'), undefined), false)
  assert.equal(isOnlyKnownVoter({ peer: 'me', noted: 'alone' }, of(), undefined), true)
})

test('a snapshot that is not whole, a log that is gone, and a damaged mark are the same', async () => {
  for (const damage of [
    async (disk: FaultyDisk) => disk.flip(nameOf(40), 100),
    async (disk: FaultyDisk) => disk.remove(nameOf(40)),
    async (disk: FaultyDisk) => {
      for (const name of await logFiles(disk)) await disk.remove(name)
    },
    async (disk: FaultyDisk) => disk.remove(LOG_MARKER_FILE),
    async (disk: FaultyDisk) => disk.flip(LOG_MARKER_FILE, 3),
  ]) {
    const { disk, member } = await storeOf(60, { snapshots: [40] })
    await damage(disk)
    const { storageId } = await start(disk)
    assert.ok(storageId !== undefined && `${PEER}.${storageId}` !== member)
    const { kept } = (await readLossNote(disk)) ?? assert.fail('there is a note')
    assert.ok([0, 40, 60].includes(kept), `${kept}`)
  }
})

test('a damaged founding file has to be looked at first', async () => {
  const { disk } = await storeOf(60)
  await cut(disk, 300)
  await disk.remove('founding.json')
  assert.match(
    String(await failureOf(rejoinAfterLoss(disk, random, { peer: PEER }, AT))),
    /founding\.json is not there/,
  )
})

test('a note that cannot be read still says that something was lost', async () => {
  const disk = createFaultyDisk()
  assert.equal(await readLossNote(disk), undefined)
  await writeLossNote(disk, { why: 'x', kept: 3, at: AT })
  disk.flip(LOSS_FILE, 0)
  assert.match((await readLossNote(disk))?.why ?? '', /cannot be read/)
})

describe('the last 4 KiB of a log, each byte flipped, zeroed to the end, and the file cut there', () => {
  const STEP = 5
  for (const [what, voters] of [
    ['one of three voters never goes on as who it was without all of it', OTHERS],
    ['a node that votes alone does not start without all of it', []],
  ] as const)
    test(what, async () => {
      const whole = await storeOf(60, { voters, segmentBytes: 1 << 20 })
      const [name = ''] = await logFiles(whole.disk)
      const files = new Map<string, Uint8Array>()
      for (const one of await whole.disk.list()) files.set(one, await whole.disk.read(one))
      const bytes = files.get(name) ?? new Uint8Array()
      let [refused, renewed] = [0, 0]
      for (let at = bytes.length - 4_096; at < bytes.length; at += 1) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ 0xff
        const zeroed = bytes.slice().fill(0, at)
        const damaged = [flipped, zeroed, bytes.slice(0, at)][at % 3] ?? flipped
        if (at % STEP !== 0) continue
        const disk = createFaultyDisk()
        for (const [one, content] of files) await (await disk.create(one)).write(one === name ? damaged : content, 0)
        const { storageId, last, error } = await start(disk)
        if (storageId === undefined) {
          assert.equal(reasonOf(error), 'damaged')
          refused += 1
        } else if (`${PEER}.${storageId}` === whole.member) assert.equal(last, 60, `byte ${at}: a loss without a word`)
        else renewed += 1
      }
      assert.ok((voters.length === 0 ? refused : renewed) > 780, `${refused} refused, ${renewed} renewed`)
      assert.equal(voters.length === 0 ? renewed : refused, 0)
    })
})

test('a start that is interrupted at any moment never leaves the damaged log to the member that it was', async () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 120; seed += 1) {
    const { disk, member } = await storeOf(24, { snapshots: [12], segmentBytes: 600 })
    await cut(disk, 200)
    const starting = rejoinAfterLoss(disk.mount(), random, { peer: PEER }, AT).catch(() => {})
    for (let turn = 0; turn < 6 * seed; turn += 1) await Promise.resolve()
    if (seed % 2 === 0) disk.crash(createRandom(seed))
    else disk.release()
    await starting
    const again = await start(disk)
    assert.equal(again.error, undefined)
    assert.notEqual(`${PEER}.${again.storageId}`, member, `seed ${seed}`)
    assert.ok((await readLossNote(disk)) !== undefined, `seed ${seed}: there is a note`)
    seen.add(String(again.last))
  }
  assert.ok(seen.size >= 1)
})
