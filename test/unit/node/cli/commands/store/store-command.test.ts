/** `parley store` on real folders: what it says, what it asks, and that it changes nothing that it should not. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { acceptLoss } from '../../../../../../node/cli/commands/store/store-accept-loss.ts'
import { acknowledgeMove } from '../../../../../../node/cli/commands/store/store-copies.ts'
import { adopt, forceRecover } from '../../../../../../node/cli/commands/store/store-recover.ts'
import { repairStoppedStore } from '../../../../../../node/cli/commands/store/store-repair.ts'
import { verifyStore } from '../../../../../../node/cli/commands/store/store-verify.ts'
import { createTerminalPrompt, type TerminalPrompt } from '../../../../../../node/cli/input/terminal-prompt.ts'
import { exitCodeOf } from '../../../../../../node/cli/output/exit-codes.ts'
import { lockDataDirectory } from '../../../../../../node/store/data-directory.ts'
import { COPY_DETECTION_FILE, recordFileIdentity } from '../../../../../../node/store/files/copy-detection.ts'
import { openFolder } from '../../../../../../node/store/files/disk.ts'
import { createFoundingFile } from '../../../../../../node/store/journal/founding-file.ts'
import { openMemberWithdrawal } from '../../../../../../node/store/journal/member-withdrawal.ts'
import { openKnownStores } from '../../../../../../node/store/known-stores.ts'
import { openLogStore } from '../../../../../../node/store/log/log-store.ts'
import { loadIdentity } from '../../../../../../node/trust/identity.ts'
import { type Entry, encodeConfiguration } from '../../../../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../../../../protocols/errors.ts'
import { run } from '../../../../../support/caught-output.ts'
import { testFolder } from '../../../../../support/folder.ts'
import { failureOf } from '../../../../../support/until.ts'

const MESH = '0123456789abcdef0123456789abcdef'
const NEXT = 'f'.repeat(32)
const OTHERS = ['other.01', 'third.02']
const LAST = 20
const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

interface Made {
  readonly dataDir: string
  readonly journal: string
  readonly log: string
  readonly member: string
}

/** The data directory of a voter that was stopped. */
const stopped = async (t: TestContext, voters: readonly string[] = OTHERS): Promise<Made> => {
  const dataDir = join(await testFolder(t), 'data')
  const peer = peerIdFromPrivateKey(await loadIdentity(dataDir)).toString()
  const journal = join(dataDir, 'journal')
  const disk = await openFolder(journal)
  const store = await openLogStore(disk, { random })
  const member = `${peer}.${store.storageId}`
  const data = encodeConfiguration({ voters: [member, ...voters], learners: [] })
  const first: Entry = { index: 1, term: 1, kind: 'configuration', data }
  await store.write({ hardState: { term: 3, votedFor: member, commit: 1 }, entries: [first] })
  for (let index = 2; index <= LAST; index += 1)
    await store.write({ entries: [{ index, term: 3, kind: 'command', data: new Uint8Array(64) }] })
  await store.close()
  const members = [member, ...OTHERS].sort()
  await createFoundingFile(disk).save({
    member,
    highest: { counter: 1, proposer: member },
    founded: { meshId: MESH, members },
  })
  const [log = ''] = (await readdir(journal)).filter((name) => name.endsWith('.log'))
  return { dataDir, journal, log: join(journal, log), member }
}

const flip = async (file: string, at: number): Promise<void> => {
  const bytes = await readFile(file)
  bytes[at] = (bytes[at] ?? 0) ^ 0x40
  await writeFile(file, bytes)
}

/** Everything in the folder: names, contents, times. */
const picture = async (folder: string): Promise<unknown> =>
  Promise.all(
    (await readdir(folder)).sort().map(async (name) => {
      const { mtimeMs, ino, mode } = await stat(join(folder, name))
      return { name, mtimeMs, ino, mode, bytes: (await readFile(join(folder, name))).toString('hex') }
    }),
  )

const silent = { info() {}, warn() {}, error() {} }
const nobody: TerminalPrompt = { isInteractive: false, ask: () => assert.fail('nobody is there to be asked') }
const typing = (typed: string | undefined): TerminalPrompt => ({ isInteractive: true, ask: async () => typed })

test('verify says what it found and changes nothing', async (t) => {
  const { dataDir, journal, member } = await stopped(t)
  const before = [await picture(journal), (await stat(journal)).mtimeMs, await readFile(join(dataDir, 'identity.key'))]
  const text = await run(t, () => verifyStore({ dataDir }))
  assert.equal(text.error, undefined)
  for (const part of [MESH, member, 'entries 1 to 20', 'term', 'all is well', ...OTHERS, '(this node)'])
    assert.ok(text.out.includes(part), `${part} in ${text.out}`)
  const json = await run(t, () => verifyStore({ dataDir, json: true }))
  const facts = JSON.parse(json.out)
  const { meshId, firstIndex, lastIndex, term, torn, segments, problems, voters } = facts
  assert.deepEqual([meshId, firstIndex, lastIndex, term, torn, segments, problems], [MESH, 1, LAST, 3, 0, 1, []])
  assert.deepEqual(voters, [...OTHERS, member].sort())
  assert.deepEqual(
    [await picture(journal), (await stat(journal)).mtimeMs, await readFile(join(dataDir, 'identity.key'))],
    before,
  )
  assert.deepEqual((await readdir(dataDir)).sort(), ['identity.key', 'journal'])
})

test('verify says what is damaged, names the command that helps, exits 1, and changes nothing', async (t) => {
  const { dataDir, journal, log } = await stopped(t)
  await flip(log, 900)
  const before = await picture(journal)
  const text = await run(t, () => verifyStore({ dataDir }))
  assert.ok(text.error !== undefined && exitCodeOf(text.error) === 1)
  assert.match(text.error.message, /the log is damaged: \d+\.log at byte \d+/)
  assert.match(text.error.hint ?? '', /parley store repair/)
  assert.ok(!text.out.includes('all is well'))
  const json = await run(t, () => verifyStore({ dataDir, json: true }))
  assert.equal(JSON.parse(json.out).problems[0].part, 'log')
  assert.ok(json.error !== undefined)
  assert.deepEqual(await picture(journal), before)
})

test('verify tells of an identity that is gone or damaged, and makes no other', async (t) => {
  const { dataDir } = await stopped(t)
  const key = join(dataDir, 'identity.key')
  await flip(key, 10)
  assert.match((await run(t, () => verifyStore({ dataDir }))).error?.message ?? '', /identity/)
  await rm(key)
  const { error, out } = await run(t, () => verifyStore({ dataDir }))
  assert.match(error?.message ?? '', /identity\.key is not there/)
  assert.match(out, /its storage id is/)
  assert.deepEqual(await readdir(dataDir), ['journal'])
  for (const command of [() => forceRecover({ dataDir }, nobody), () => adopt({ dataDir, meshId: NEXT }, nobody)])
    assert.match((await run(t, command)).error?.message ?? '', /identity\.key is not there/)
})

test('verify tells of fences that a node would not start with', async (t) => {
  const { dataDir } = await stopped(t)
  await mkdir(join(dataDir, 'fences'), { mode: 0o700 })
  await writeFile(join(dataDir, 'fences', 'fences.log'), 'no fences', { mode: 0o600 })
  assert.match(
    (await run(t, () => verifyStore({ dataDir }))).error?.message ?? '',
    /the fences are damaged: fences\.log has no header/,
  )
})

test('repair says what is cut off and what that means; then there is nothing to repair', async (t) => {
  const { dataDir, log, member } = await stopped(t)
  await flip(log, 900)
  const { out, error } = await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(error, undefined)
  const [, from = '', to = ''] = /cut off +entries (\d+) to (\d+)/.exec(out) ?? []
  assert.ok(Number(from) > 3 && Number(from) < LAST && Number(to) === LAST, out)
  for (const part of [member, '.log.damaged', 'a new member', '2 of the other 2']) assert.ok(out.includes(part), part)
  assert.equal((await run(t, () => verifyStore({ dataDir }))).error, undefined)
  const again = await run(t, () => repairStoppedStore({ dataDir }))
  assert.deepEqual([again.error, again.out], [undefined, 'there is nothing to repair: the journal is whole\n'])
  const json = await run(t, () => repairStoppedStore({ dataDir, json: true }))
  assert.equal(JSON.parse(json.out).repaired, false)
})

test('the only voter: repair and force-recover change nothing, and name the command that accepts the loss', async (t) => {
  const { dataDir, journal, log } = await stopped(t, [])
  await flip(log, 900)
  const before = await picture(journal)
  const verified = await run(t, () => verifyStore({ dataDir }))
  assert.match(verified.error?.message ?? '', /votes alone/)
  for (const command of [
    () => repairStoppedStore({ dataDir }),
    () => forceRecover({ dataDir, yes: true, meshId: MESH }, nobody),
  ]) {
    const { error } = await run(t, command)
    assert.deepEqual([error?.message, error?.hint], [verified.error?.message, verified.error?.hint])
    assert.match(error?.hint ?? '', /parley store accept-loss/)
  }
  assert.deepEqual(await picture(journal), before)
  const done = await run(t, () => acceptLoss({ dataDir, yes: true, json: true }, nobody))
  assert.equal(done.error, undefined)
  assert.equal(JSON.parse(done.out).store.voters.length, 1)
})

test('a founding file that is gone is written anew, where the note beside the identity names this very member', async (t) => {
  const { dataDir, journal, member } = await stopped(t)
  const founding = join(journal, 'founding.json')
  await rm(founding)
  const unknown = await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(unknown.error?.details.reason, 'no-mesh-id')
  const known = await openKnownStores({ dataDir, usesJournal: true, log: silent, now: Date.now })
  await known.note('journal', { member: `${member}0`, meshId: MESH, voters: 'others' })
  const other = await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(other.error?.details.reason, 'needs-mesh-id')
  await known.note('journal', { member, meshId: MESH, voters: 'others' })
  const done = await run(t, () => repairStoppedStore({ dataDir, json: true }))
  assert.deepEqual(
    [done.error, JSON.parse(done.out).founding, JSON.parse(done.out).store.meshId],
    [undefined, true, MESH],
  )
  assert.equal((await createFoundingFile(await openFolder(journal)).load())?.member, member)
  assert.equal((await run(t, () => verifyStore({ dataDir }))).error, undefined)
})

test('repair of a data directory without a journal and messages says so', async (t) => {
  const { dataDir, journal } = await stopped(t)
  await rm(journal, { recursive: true })
  const known = await openKnownStores({ dataDir, usesJournal: true, log: silent, now: Date.now })
  await known.note('fences', {})
  const lost = await run(t, () => repairStoppedStore({ dataDir }))
  assert.match(lost.out, /nothing in .* can be repaired/)
  assert.match(lost.error?.message ?? '', /fences is gone/)
  assert.equal((await run(t, () => acceptLoss({ dataDir, yes: true }, nobody))).error, undefined)
  const { out, error } = await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(error, undefined)
  assert.match(out, /^there is nothing to repair: .* has neither a journal nor messages\n$/)
})

test('repair of a founding file asks for the mesh id, and exits 1 until it has it', async (t) => {
  const { dataDir, journal } = await stopped(t)
  await flip(join(journal, 'founding.json'), 30)
  const { error } = await run(t, () => repairStoppedStore({ dataDir }))
  assert.ok(error !== undefined && exitCodeOf(error) === 1)
  assert.match(error.hint ?? '', new RegExp(`parley store repair --mesh-id ${MESH}`))
  const wrong = await run(t, () => repairStoppedStore({ dataDir, meshId: 'no id' }))
  assert.equal(wrong.error && exitCodeOf(wrong.error), 2)
  const done = await run(t, () => repairStoppedStore({ dataDir, meshId: MESH, json: true }))
  assert.deepEqual([done.error, JSON.parse(done.out).founding], [undefined, true])
  assert.equal((await run(t, () => verifyStore({ dataDir }))).error, undefined)
})

test('force-recover asks for the mesh id and takes nothing else; scripts have to give it', async (t) => {
  const { dataDir, journal, member } = await stopped(t)
  const before = await picture(journal)
  const refused: [Parameters<typeof forceRecover>[0], TerminalPrompt, RegExp][] = [
    [{ dataDir }, nobody, /somebody has to confirm/],
    [{ dataDir, meshId: MESH }, nobody, /somebody has to confirm/],
    [{ dataDir }, typing('yes'), /"yes" is not/],
    [{ dataDir }, typing(''), /nothing was typed/],
    [{ dataDir }, typing(undefined), /nothing was typed/],
    [{ dataDir, yes: true }, nobody, /--yes needs the mesh id/],
    [{ dataDir, yes: true, meshId: NEXT }, nobody, /of the mesh 0123/],
  ]
  for (const [options, terminal, message] of refused) {
    const { error, out } = await run(t, () => forceRecover(options, terminal))
    assert.ok(error !== undefined && exitCodeOf(error) === 2, `${error}`)
    assert.match(error.message, message)
    assert.equal(out, '')
  }
  assert.deepEqual(await picture(journal), before)
  const { err, out, error } = await run(t, () => forceRecover({ dataDir }, typing(MESH)))
  assert.equal(error, undefined)
  // Before it is asked: what may be lost, and who is abandoned.
  for (const part of ['entries 1 to 20', 'after entry 20', 'never be started again', ...OTHERS])
    assert.ok(err.includes(part), part)
  assert.ok(!err.includes(`abandoned    ${member}`))
  assert.match(out, /parley store adopt --mesh-id [0-9a-f]{32}/)
  const facts = JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out)
  assert.equal(facts.voters.length, 1)
  assert.equal(facts.voters[0], facts.member)
  assert.notEqual(facts.meshId, MESH)
})

test('adopt asks, and leaves a new member without anything', async (t) => {
  const { dataDir, journal, member } = await stopped(t)
  const before = await picture(journal)
  for (const terminal of [nobody, typing('no')]) {
    const { error } = await run(t, () => adopt({ dataDir, meshId: NEXT }, terminal))
    assert.equal(error && exitCodeOf(error), 2)
  }
  assert.equal((await run(t, () => adopt({ dataDir, meshId: 'x', yes: true }, nobody))).error?.code, 'MSG001')
  assert.deepEqual(await picture(journal), before)
  const { err, error } = await run(t, () => adopt({ dataDir, meshId: NEXT }, typing('adopt')))
  assert.equal(error, undefined)
  assert.match(err, /2 of the other 2 have to run/)
  const facts = JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out)
  assert.deepEqual([facts.meshId, facts.lastIndex, facts.voters, facts.belonging], [NEXT, 0, [], 'adopted'])
  assert.notEqual(facts.member, member)
})

/** As a backup that was restored. */
const copied = async (t: TestContext, voters?: readonly string[]): Promise<string | undefined> => {
  const { dataDir, journal } = await stopped(t, voters)
  await recordFileIdentity(journal)
  if ((await stat(join(journal, COPY_DETECTION_FILE), { bigint: true })).birthtimeNs === 0n) {
    t.skip('the file system tells no creation times')
    return undefined
  }
  assert.match((await run(t, () => verifyStore({ dataDir }))).out, /place +the same/)
  const copy = `${dataDir}-copy`
  await cp(dataDir, copy, { recursive: true })
  return copy
}
const placeIn = async (t: TestContext, dataDir: string): Promise<string> =>
  JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out).place

test('verify says whether the folder is where it was, which is no damage', async (t) => {
  const { dataDir } = await stopped(t)
  assert.equal(await placeIn(t, dataDir), 'unknown')
  const copy = await copied(t)
  if (copy === undefined) return
  const { out, error } = await run(t, () => verifyStore({ dataDir: copy }))
  assert.equal(error, undefined)
  assert.match(out, /place +copied: .*a new member that learns/)
  assert.equal(await placeIn(t, copy), 'copied')
})

test('moved says what may be lost, asks, and has the copy count as the same', async (t) => {
  const dataDir = await copied(t)
  if (dataDir === undefined) return
  const journal = join(dataDir, 'journal')
  const before = await picture(journal)
  for (const terminal of [nobody, typing('yes'), typing(undefined)]) {
    const { error, out } = await run(t, () => acknowledgeMove({ dataDir }, terminal))
    assert.equal(error && exitCodeOf(error), 2)
    assert.equal(out, '')
  }
  assert.deepEqual(await picture(journal), before)
  const { err, out, error } = await run(t, () => acknowledgeMove({ dataDir }, typing('moved')))
  assert.equal(error, undefined)
  for (const part of ['What may be lost', 'older copy', 'two copies', 'entries to 20', MESH])
    assert.ok(err.includes(part), part)
  assert.match(out, /counts as moved/)
  assert.equal(await placeIn(t, dataDir), 'same')
  const again = await run(t, () => acknowledgeMove({ dataDir, yes: true, json: true }, nobody))
  const { place, before: was, member } = JSON.parse(again.out)
  assert.deepEqual([place, was, typeof member], ['same', 'same', 'string'])
  assert.match(again.err, /no need to say it/)
})

test('a copy that becomes another member by a command is not renewed a second time', async (t) => {
  for (const command of [
    (dataDir: string) => forceRecover({ dataDir, yes: true, meshId: MESH }, nobody),
    (dataDir: string) => adopt({ dataDir, meshId: NEXT, yes: true }, nobody),
  ]) {
    const dataDir = await copied(t)
    if (dataDir === undefined) return
    const disk = await openFolder(join(dataDir, 'journal'))
    await (await openMemberWithdrawal(disk)).save(true)
    assert.equal((await run(t, () => command(dataDir))).error, undefined)
    assert.equal(await placeIn(t, dataDir), 'same')
    assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, false, 'it is to vote there')
  }
  // A repair that keeps the log as it is leaves it to the next start.
  const dataDir = await copied(t)
  if (dataDir === undefined) return
  await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(await placeIn(t, dataDir), 'copied')
})

test('none of them touches the store of a node that runs', async (t) => {
  const { dataDir, journal } = await stopped(t)
  const held = await lockDataDirectory(dataDir)
  t.after(() => held.release())
  const before = await picture(journal)
  for (const command of [
    () => verifyStore({ dataDir }),
    () => repairStoppedStore({ dataDir }),
    () => forceRecover({ dataDir, yes: true, meshId: MESH }, nobody),
    () => adopt({ dataDir, meshId: NEXT, yes: true }, nobody),
    () => acknowledgeMove({ dataDir, yes: true }, nobody),
  ]) {
    const { error } = await run(t, command)
    assert.ok(error !== undefined && exitCodeOf(error) === 1)
    assert.match(error.message, /is in use by/)
    assert.match(error.hint ?? '', /stop the node first/)
  }
  assert.deepEqual(await picture(journal), before)
})

test('a folder that is no data directory is refused, and none is made', async (t) => {
  const folder = await testFolder(t)
  for (const [options, message] of [
    [{ dataDir: join(folder, 'none') }, /none is not there/],
    [{ dataDir: folder }, /holds no store/],
    [{}, /not named/],
    [{ node: '../up' }, /no name of a node/],
    [{ node: 'zed' }, /is not there/],
  ] as const) {
    const error = await failureOf(verifyStore(options))
    assert.ok(isParleyError(error, 'MSG001'), `${error}`)
    assert.match(error.message, message)
  }
  assert.deepEqual(await readdir(folder), [])
})

test('a terminal gives what was typed, and nothing where it is left', async () => {
  const streams = () => ({ input: new PassThrough(), output: new PassThrough() })
  const answered = streams()
  const asked = createTerminalPrompt(answered).ask('which? ')
  answered.input.write('  that one \n')
  assert.equal(await asked, 'that one')
  assert.match(String(answered.output.read()), /which\? /)
  const left = streams()
  const leaving = createTerminalPrompt(left).ask('which? ')
  left.input.end()
  assert.equal(await leaving, undefined)
  assert.equal(createTerminalPrompt(streams()).isInteractive, false)
  const [input, output] = [streams().input, streams().output].map((one) => Object.assign(one, { isTTY: true }))
  if (input !== undefined && output !== undefined)
    assert.equal(createTerminalPrompt({ input, output }).isInteractive, true)
})
