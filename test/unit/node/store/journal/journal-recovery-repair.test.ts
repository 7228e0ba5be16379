/** A damaged store: what is found, what is kept, and that a second look finds nothing to do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FOUNDING_FILE } from '../../../../../node/store/journal/founding-file.ts'
import { keepablePart, repairJournal, repairLog } from '../../../../../node/store/journal/journal-repair.ts'
import { surveyJournal } from '../../../../../node/store/journal/journal-survey.ts'
import { isWholePayload } from '../../../../../node/store/log/log-items.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import type { FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { LogState } from '../../../../../protocols/consensus/group/group-storage.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'
import { contentsOf, entries, entry, MESH, nameOf, PEER, random, rows, rowsOf, storeOf } from './recovery-stores.ts'

const options = { random, peer: PEER }
const partsOf = async (disk: FaultyDisk) => (await surveyJournal(disk)).problems.map(({ part }) => part)
const logs = async (disk: FaultyDisk) => (await disk.list()).filter((name) => name.endsWith('.log')).sort()
const reasonOf = (error: unknown): unknown => isParleyError(error, 'STA003') && error.details.reason

test('a whole store has no problems, says what it holds, and is not touched', async () => {
  const { disk, member, configuration } = await storeOf(60, { snapshots: [40] })
  const before = await contentsOf(disk)
  const found = await surveyJournal(disk)
  assert.deepEqual(found.problems, [])
  assert.deepEqual([found.lastIndex, found.seenIndex, found.log.state.snapshot?.index], [60, 60, 40])
  assert.deepEqual(found.configuration, configuration)
  assert.equal(`${PEER}.${found.storageId}`, member)
  const done = await repairJournal(disk, options)
  assert.deepEqual([done.aside, done.founding, done.left], [[], false, undefined])
  assert.deepEqual(await contentsOf(disk), before)
})

test('a torn tail is no damage, and an empty folder neither', async () => {
  const { disk } = await storeOf(10)
  const [last = ''] = (await logs(disk)).slice(-1)
  const file = await disk.open(last)
  await file.write(new Uint8Array(24).fill(9), disk.size(last))
  const found = await surveyJournal(disk)
  assert.deepEqual([found.problems, found.log.torn], [[], 24])
})

test('how far a damaged log had got is seen behind the damage, in its file and in later ones', async () => {
  for (const segmentBytes of [2_000, 1_000_000]) {
    const { disk } = await storeOf(60, { segmentBytes })
    const names = await logs(disk)
    disk.flip(names[Math.floor(names.length / 2)] ?? '', 700)
    const { lastIndex, seenIndex, problems } = await surveyJournal(disk)
    assert.deepEqual([problems.map(({ part }) => part), seenIndex], [['log'], 60])
    assert.ok(lastIndex >= 3 && lastIndex < 58, `${lastIndex}`)
  }
})

test('what is kept begins a log of another storage id; a second repair changes nothing', async () => {
  const { disk, member } = await storeOf(60)
  disk.flip((await logs(disk))[1] ?? '', 700)
  const done = await repairJournal(disk, options)
  const { before, after } = done
  assert.equal(after.lastIndex, before.lastIndex)
  assert.deepEqual(after.log.state.entries, before.log.state.entries)
  assert.notEqual(`${PEER}.${after.storageId}`, member)
  assert.deepEqual([after.problems, after.log.state.hardState.term], [[], 2])
  assert.deepEqual(
    done.aside,
    before.files.map((name) => `${name}.damaged`),
  )
  const contents = await contentsOf(disk)
  const again = await repairJournal(disk, options)
  assert.deepEqual([again.aside, again.left], [[], undefined])
  assert.deepEqual(await contentsOf(disk), contents)
  // It is a log like any other.
  const store = await openLogStore(disk, { random })
  await store.write({ entries: [entry(after.lastIndex + 1)] })
  await store.close()
  assert.deepEqual(
    [(await surveyJournal(disk)).problems, (await surveyJournal(disk)).lastIndex],
    [[], after.lastIndex + 1],
  )
})

test('damage in what a repair has written is found too', async () => {
  const { disk } = await storeOf(60)
  disk.flip((await logs(disk))[1] ?? '', 700)
  const { after } = await repairJournal(disk, options)
  const [name = ''] = after.files
  for (let at = 400; at < disk.size(name) - 100; at += 61) {
    disk.flip(name, at)
    assert.deepEqual(await partsOf(disk), ['log'], `byte ${at}`)
    disk.flip(name, at)
  }
})

test('what was put aside earlier is not replaced by what is put aside now', async () => {
  const { disk } = await storeOf(30, { segmentBytes: 1_000_000 })
  const aside = new Map<string, string>()
  for (let round = 1; round <= 3; round += 1) {
    const [name = ''] = await logs(disk)
    disk.flip(name, 300)
    const { after } = await repairJournal(disk, options)
    const store = await openLogStore(disk, { random })
    for (let i = 1; i <= 5; i += 1) await store.write({ entries: [entry(after.lastIndex + i)] })
    await store.close()
    const now = await contentsOf(disk)
    for (const [old, bytes] of aside) assert.equal(now[old], bytes, old)
    const fresh = Object.keys(now).filter((one) => one.includes('.damaged') && !aside.has(one))
    assert.equal(fresh.length, 1, `round ${round}`)
    for (const one of fresh) aside.set(one, now[one] ?? '')
  }
})

test('a damaged snapshot takes the entries after it along, unless another one stands in', async () => {
  const alone = await storeOf(60, { snapshots: [40] })
  alone.disk.flip(nameOf(40), 200)
  assert.deepEqual(await partsOf(alone.disk), ['snapshot'])
  const empty = await repairJournal(alone.disk, options)
  assert.deepEqual([empty.after.lastIndex, empty.after.problems, empty.after.log.state.snapshot], [0, [], undefined])
  assert.ok(empty.aside.includes(`${nameOf(40)}.damaged`))

  // The newer one was saved, and the log had not come to name it.
  const { disk } = await storeOf(60, { snapshots: [40, 55], named: 40 })
  disk.flip(nameOf(40), 200)
  const { after } = await repairJournal(disk, options)
  assert.deepEqual([after.log.state.snapshot?.index, after.lastIndex, after.problems], [55, 60, []])
  assert.deepEqual(after.log.state.entries, entries(56, 60))
  assert.deepEqual(await rowsOf(disk, 55), rows)
})

test('a snapshot that is missing is found, and one that is left over and damaged is no problem', async () => {
  const missing = await storeOf(60, { snapshots: [40] })
  await missing.disk.remove(nameOf(40))
  assert.match(
    (await surveyJournal(missing.disk)).problems[0]?.error.message ?? '',
    /entry 40.*not there|40.*cannot be read/,
  )
  assert.equal((await repairJournal(missing.disk, options)).after.lastIndex, 0)

  const over = await storeOf(60, { snapshots: [30, 40] })
  over.disk.flip(nameOf(30), 200)
  assert.deepEqual(await partsOf(over.disk), [])
  const { snapshots } = await surveyJournal(over.disk)
  assert.deepEqual(
    snapshots.map(({ index, meta }) => [index, meta !== undefined]),
    [
      [40, true],
      [30, false],
    ],
  )
})

test('a log that is cut before it names its snapshot goes on from the snapshot', async () => {
  const { disk } = await storeOf(60, { snapshots: [40], segmentBytes: 1_000_000 })
  const [name = ''] = await logs(disk)
  disk.flip(name, 400)
  const before = await surveyJournal(disk)
  assert.ok(before.lastIndex < 10 && before.log.state.snapshot === undefined)
  const { after } = await repairJournal(disk, options)
  assert.deepEqual([after.log.state.snapshot?.index, after.lastIndex, after.problems], [40, 40, []])
  assert.equal(after.log.state.hardState.commit, 40)
  assert.equal(after.configuration.voters.length, 3)
})

test('whatever is kept stands: it begins with nothing, or with a snapshot that is whole', () => {
  const meta = fc.record({ index: fc.integer({ min: 1, max: 30 }), term: fc.integer({ min: 1, max: 3 }) })
  const configuration = { voters: ['a.01'], learners: [] }
  fc.assert(
    fc.property(
      fc.option(meta, { nil: undefined }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 20 }),
      fc.array(meta, { maxLength: 3 }),
      (base, from, length, found) => {
        const whole = found.map((one) => ({ ...one, configuration }))
        const state: LogState = {
          hardState: { term: 2, votedFor: undefined, commit: 0 },
          snapshot: base && { ...base, configuration },
          entries: entries(from, from + length - 1),
        }
        const kept = keepablePart(state, whole)
        assert.ok(isWholePayload(kept))
        const { snapshot } = kept
        if (snapshot !== undefined) assert.ok(whole.some((one) => one.index === snapshot.index))
        const last = kept.entries.at(-1)?.index ?? snapshot?.index ?? 0
        assert.ok(last >= Math.max(0, ...whole.map(({ index }) => index)), 'never less than the newest snapshot')
        for (const one of kept.entries) assert.ok(state.entries.includes(one))
        assert.ok(kept.hardState.commit <= last)
      },
    ),
  )
})

test('a damaged founding file stays until a person gives the mesh id that is left in it', async () => {
  const { disk, member } = await storeOf(60)
  // In the checksum, so that the mesh id can still be read.
  disk.flip(FOUNDING_FILE, 30)
  const before = await contentsOf(disk)
  assert.deepEqual(await partsOf(disk), ['founding'])
  for (const [meshId, reason] of [
    [undefined, 'needs-mesh-id'],
    ['f'.repeat(32), 'other-mesh'],
  ] as const) {
    const done = await repairJournal(disk, { ...options, meshId })
    assert.deepEqual([reasonOf(done.left), done.aside], [reason, []])
    assert.ok(done.left?.hint?.includes('parley store'))
    assert.deepEqual(await contentsOf(disk), before)
  }
  const done = await repairJournal(disk, { ...options, meshId: MESH })
  assert.deepEqual([done.left, done.founding, done.after.problems], [undefined, true, []])
  assert.deepEqual(done.after.founding.record, {
    member,
    highest: { counter: 0, proposer: '' },
    adopted: { meshId: MESH },
  })
  // It goes on as who it was: its log is whole.
  assert.equal(done.after.storageId, done.before.storageId)
  assert.equal((await contentsOf(disk))[`${FOUNDING_FILE}.damaged`], before[FOUNDING_FILE])
  assert.deepEqual((await repairJournal(disk, { ...options, meshId: MESH })).aside, [])
})

test('a founding file that is gone, or has no mesh id left, is not guessed', async () => {
  const { disk } = await storeOf(60)
  await disk.remove(FOUNDING_FILE)
  assert.deepEqual(await partsOf(disk), ['founding'])
  const done = await repairJournal(disk, { ...options, meshId: MESH })
  assert.deepEqual([reasonOf(done.left), done.founding], ['no-mesh-id', false])
  assert.match(done.left?.hint ?? '', /parley store adopt.*parley store force-recover/)
})

test('a whole store of another mesh than the one that is named is refused', async () => {
  const { disk } = await storeOf(10)
  assert.equal(reasonOf(await failureOf(repairJournal(disk, { ...options, meshId: 'f'.repeat(32) }))), 'other-mesh')
})

test('log and founding file damaged: the log is repaired, and the file waits for the mesh id', async () => {
  const { disk } = await storeOf(60)
  disk.flip((await logs(disk))[1] ?? '', 700)
  disk.flip(FOUNDING_FILE, 30)
  const first = await repairJournal(disk, options)
  assert.equal(reasonOf(first.left), 'needs-mesh-id')
  assert.deepEqual(
    first.after.problems.map(({ part }) => part),
    ['founding'],
  )
  const second = await repairJournal(disk, { ...options, meshId: MESH })
  assert.deepEqual([second.after.problems, second.before.storageId], [[], first.after.storageId])
  assert.equal(second.after.founding.record?.member, `${PEER}.${first.after.storageId}`)
})

test('what a later version wrote is left alone', async () => {
  const { disk } = await storeOf(60)
  await disk.remove(FOUNDING_FILE)
  const file = await disk.create(FOUNDING_FILE)
  await file.write(new TextEncoder().encode('{"format":9}'), 0)
  disk.flip((await logs(disk))[1] ?? '', 700)
  const before = await contentsOf(disk)
  assert.equal(reasonOf(await failureOf(repairJournal(disk, options))), 'newer')
  assert.equal(reasonOf(await failureOf(repairLog(disk, random))), 'newer')
  assert.deepEqual(await contentsOf(disk), before)
})

test('a repair that is interrupted at any moment leaves a log that no node takes, or is done, and can be run again', async () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 60; seed += 1) {
    const { disk } = await storeOf(24, { snapshots: [12], segmentBytes: 600 })
    await disk.syncNames()
    const names = await logs(disk)
    disk.flip(names.at(-2) ?? '', 400)
    const good = await surveyJournal(disk)
    const kept = keepablePart(
      good.log.state,
      good.snapshots.flatMap(({ meta }) => meta ?? []),
    )
    const before = await contentsOf(disk)
    const repairing = repairJournal(disk.mount(), options).catch(() => {})
    for (let turn = 0; turn < 40 + 10 * seed; turn += 1) await Promise.resolve()
    const isPowerCut = seed % 2 === 0
    if (isPowerCut) disk.crash(createRandom(seed))
    else disk.release()
    await repairing
    const after = await surveyJournal(disk)
    const isDone = after.problems.length === 0
    if (isDone) assert.deepEqual(after.log.state, kept, `seed ${seed}`)
    else assert.ok(isParleyError(await failureOf(openLogStore(disk, { random })), 'STA003'))
    seen.add(after.unfinished === undefined ? (isDone ? 'done' : 'as it was') : 'unfinished')
    const again = await repairJournal(disk, options)
    assert.deepEqual(again.after.problems, [], `seed ${seed}`)
    assert.deepEqual(again.after.log.state, kept, `seed ${seed}`)
    assert.notEqual(again.after.storageId, good.storageId)
    // Each file that there was is there, under some name. (The power cuts of this disk may forget both names of a file.)
    const left = new Set(Object.values(await contentsOf(disk)))
    for (const name of isPowerCut ? [] : names) assert.ok(left.has(before[name] ?? ''), `seed ${seed}: ${name}`)
  }
  assert.deepEqual([...seen].sort(), ['as it was', 'done', 'unfinished'])
})

test('a disk without room leaves the store as it was', async () => {
  const { disk } = await storeOf(60)
  disk.flip((await logs(disk))[1] ?? '', 700)
  const before = await contentsOf(disk)
  disk.room = 0
  await failureOf(repairJournal(disk, options))
  assert.deepEqual(await contentsOf(disk), before)
})
