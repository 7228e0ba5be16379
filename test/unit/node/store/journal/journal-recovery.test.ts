/** One store of a mesh that lost its voters, or one that changes over to another mesh. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { createFoundingFile, FOUNDING_FILE } from '../../../../../node/store/journal/founding-file.ts'
import {
  adoptMesh,
  type JournalRecovered,
  meshIdOfJournal,
  recoverJournal,
} from '../../../../../node/store/journal/journal-recovery.ts'
import { repairJournal } from '../../../../../node/store/journal/journal-repair.ts'
import { surveyJournal } from '../../../../../node/store/journal/journal-survey.ts'
import { LOG_MARKER_FILE } from '../../../../../node/store/log/log-marker.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { recoveredMeshId } from '../../../../../protocols/consensus/bootstrap/founding-record.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'
import { contentsOf, entries, MESH, nameOf, OTHERS, PEER, random, rows, rowsOf, storeOf } from './recovery-stores.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const NEXT = 'f'.repeat(32)
const reasonOf = (error: unknown): unknown => isParleyError(error, 'STA003') && error.details.reason

test('a recovered store has all that it had, votes alone, and is of another mesh', async () => {
  const { disk, member } = await storeOf(60, { snapshots: [40] })
  const { [LOG_MARKER_FILE]: _mark, ...before } = await contentsOf(disk)
  const done = await recoverJournal(disk, random, PEER)
  const { after } = done
  assert.deepEqual([after.problems, after.log.state.snapshot?.index, after.lastIndex], [[], 40, 61])
  assert.deepEqual(after.log.state.entries.slice(0, -1), entries(41, 60))
  assert.deepEqual(after.configuration, { voters: [done.member], learners: [] })
  assert.equal(`${PEER}.${after.storageId}`, done.member)
  assert.notEqual(done.member, member)
  // Fences are compared by term first: whatever the others decided meanwhile is older.
  const { term, votedFor } = after.log.state.hardState
  assert.ok(term > 100_000 && votedFor === undefined)
  assert.equal(after.log.state.entries.at(-1)?.term, term)
  assert.match(done.meshId, /^[0-9a-f]{32}$/)
  assert.notEqual(done.meshId, MESH)
  const { adopted } = after.founding.record ?? {}
  assert.equal(adopted?.meshId, done.meshId)
  assert.ok(adopted.recovered)
  assert.equal(recoveredMeshId(sha256, adopted.recovered), done.meshId, 'others can see that this one votes')
  assert.equal(adopted.recovered.member, done.member)
  assert.deepEqual(await rowsOf(disk, 40), rows)
  // Nothing is gone.
  const left = new Set(Object.values(await contentsOf(disk)))
  for (const [name, bytes] of Object.entries(before)) assert.ok(left.has(bytes), name)
})

test('two recoveries of the same store come to different meshes', async () => {
  const ids = new Set<string>()
  const { disk } = await storeOf(5)
  for (let i = 0; i < 3; i += 1) {
    const copy = createFaultyDisk()
    for (const name of await disk.list()) {
      const file = await copy.create(name)
      await file.write(await disk.read(name), 0)
    }
    ids.add((await recoverJournal(copy, random, PEER)).meshId)
  }
  assert.equal(ids.size, 3)
})

test('a store that was repaired can be recovered, though its member has no vote', async () => {
  const { disk } = await storeOf(60)
  disk.flip((await surveyJournal(disk)).files[1] ?? '', 700)
  const error = await failureOf(recoverJournal(disk, random, PEER))
  assert.equal(reasonOf(error), 'damaged')
  assert.match((isParleyError(error) && error.hint) || '', /parley store repair/)
  const { after } = await repairJournal(disk, { random, peer: PEER })
  const done = await recoverJournal(disk, random, PEER)
  assert.equal(done.after.lastIndex, after.lastIndex + 1)
})

test('a store that does not know its mesh any more can be recovered', async () => {
  for (const isGone of [true, false]) {
    const { disk } = await storeOf(10, { voters: [] })
    if (isGone) await disk.remove(FOUNDING_FILE)
    else disk.flip(FOUNDING_FILE, 30)
    const done = await recoverJournal(disk, random, PEER)
    assert.deepEqual([done.after.problems, meshIdOfJournal(done.after)], [[], done.meshId])
  }
})

test('what needs no recovery, or has nothing to recover, is refused and not touched', async () => {
  const sole = await storeOf(10, { voters: [] })
  const before = await contentsOf(sole.disk)
  assert.equal(reasonOf(await failureOf(recoverJournal(sole.disk, random, PEER))), 'not-needed')
  assert.deepEqual(await contentsOf(sole.disk), before)
  const empty = createFaultyDisk()
  await (await openLogStore(empty, { random })).close()
  await createFoundingFile(empty).save({ member: 'peer.00', highest: { counter: 0, proposer: '' } })
  assert.equal(reasonOf(await failureOf(recoverJournal(empty, random, PEER))), 'nothing')
  const done = await storeOf(10)
  await recoverJournal(done.disk, random, PEER)
  assert.equal(reasonOf(await failureOf(recoverJournal(done.disk, random, PEER))), 'not-needed')
})

test('a store that changes over has nothing of the old mesh, and nothing of it is gone', async () => {
  const { disk, member } = await storeOf(60, { snapshots: [40] })
  const { [LOG_MARKER_FILE]: _mark, ...before } = await contentsOf(disk)
  const done = await adoptMesh(disk, random, PEER, NEXT)
  const { after } = done
  assert.deepEqual([after.problems, after.lastIndex, after.hasContents, after.snapshots], [[], 0, false, []])
  assert.deepEqual(after.founding.record?.adopted, { meshId: NEXT })
  assert.ok(done.member !== member && done.member === after.founding.record?.member)
  const now = await contentsOf(disk)
  for (const [name, bytes] of Object.entries(before)) assert.equal(now[`${name}.abandoned`], bytes, name)
  assert.equal(reasonOf(await failureOf(adoptMesh(disk, random, PEER, NEXT))), 'same')
})

test('a store that is damaged in every part can change over', async () => {
  const { disk } = await storeOf(60, { snapshots: [40] })
  disk.flip((await surveyJournal(disk)).files[0] ?? '', 3)
  disk.flip(nameOf(40), 100)
  disk.flip(FOUNDING_FILE, 30)
  const { after } = await adoptMesh(disk, random, PEER, NEXT)
  assert.deepEqual([after.problems, meshIdOfJournal(after), after.hasContents], [[], NEXT, false])
})

/** Runs `change` until a moment, at which the power goes or the process dies, and looks at what is left. */
const interrupted = async (
  change: (store: Awaited<ReturnType<typeof storeOf>>) => Promise<JournalRecovered>,
  look: (store: Awaited<ReturnType<typeof storeOf>>, seed: number) => Promise<string>,
): Promise<string[]> => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 80; seed += 1) {
    const store = await storeOf(24, { snapshots: [12], segmentBytes: 600 })
    const changing = change({ ...store, disk: { ...store.disk, ...store.disk.mount() } }).catch(() => {})
    for (let turn = 0; turn < 40 + 8 * seed; turn += 1) await Promise.resolve()
    if (seed % 2 === 0) store.disk.crash(createRandom(seed))
    else store.disk.release()
    await changing
    seen.add(await look(store, seed))
  }
  return [...seen].sort()
}

test('a recovery that is interrupted never leaves a lonely voter under the old mesh id, and can be run again', async () => {
  const seen = await interrupted(
    ({ disk }) => recoverJournal(disk, random, PEER),
    async ({ disk, configuration }, seed) => {
      const found = await surveyJournal(disk)
      const isAlone = found.configuration.voters.length === 1
      const isNew = meshIdOfJournal(found) !== MESH
      assert.ok(found.unfinished === undefined || isNew, `seed ${seed}: the founding file is first`)
      if (found.problems.length === 0) assert.ok(isNew || !isAlone, `seed ${seed}`)
      else assert.ok(isParleyError(await failureOf(openLogStore(disk, { random })), 'STA003'), `seed ${seed}`)
      const was = found.unfinished !== undefined ? 'unfinished' : isAlone ? 'done' : isNew ? 'old log' : 'as it was'
      if (!isAlone && found.unfinished === undefined) assert.deepEqual(found.configuration, configuration)
      await repairJournal(disk, { random, peer: PEER })
      await recoverJournal(disk, random, PEER).catch((error: unknown) => assert.equal(reasonOf(error), 'not-needed'))
      const end = await surveyJournal(disk)
      assert.deepEqual([end.problems, end.configuration.voters.length], [[], 1], `seed ${seed}`)
      assert.deepEqual(
        end.log.state.entries.filter(({ kind }) => kind === 'command'),
        entries(13, 24),
        `seed ${seed}`,
      )
      assert.notEqual(meshIdOfJournal(end), MESH)
      return was
    },
  )
  assert.deepEqual(seen, ['as it was', 'done', 'old log', 'unfinished'])
})

test('a change that is interrupted never leaves the old log under the new mesh id, and can be run again', async () => {
  const seen = await interrupted(
    ({ disk }) => adoptMesh(disk, random, PEER, NEXT),
    async ({ disk }, seed) => {
      const found = await surveyJournal(disk)
      const isNew = meshIdOfJournal(found) === NEXT
      assert.ok(!(isNew && found.hasContents), `seed ${seed}`)
      const was = isNew ? 'done' : found.hasContents ? 'as it was' : 'empty'
      await repairJournal(disk, { random, peer: PEER })
      await adoptMesh(disk, random, PEER, NEXT).catch((error: unknown) => assert.equal(reasonOf(error), 'same'))
      const end = await surveyJournal(disk)
      assert.deepEqual([end.problems, end.hasContents, meshIdOfJournal(end)], [[], false, NEXT], `seed ${seed}`)
      return was
    },
  )
  assert.deepEqual(seen, ['as it was', 'done', 'empty'])
})

test('a disk without room leaves a store that can still be recovered', async () => {
  const { disk } = await storeOf(60)
  const used = Object.values(await contentsOf(disk)).reduce((sum, bytes) => sum + bytes.length / 2, 0)
  for (const room of [0, 400, 1_200, 5_000]) {
    disk.room = used + room
    await failureOf(recoverJournal(disk, random, PEER))
    assert.ok((await surveyJournal(disk)).configuration.voters.length === OTHERS.length + 1)
  }
  disk.room = Number.POSITIVE_INFINITY
  assert.equal((await recoverJournal(disk, random, PEER)).after.lastIndex, 61)
})
