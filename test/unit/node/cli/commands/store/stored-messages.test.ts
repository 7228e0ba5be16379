/** `parley store` on stored messages: what it says of them, that it changes nothing by looking, and what repair does. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acknowledgeMove } from '../../../../../../node/cli/commands/store/store-copies.ts'
import { repairStoppedStore } from '../../../../../../node/cli/commands/store/store-repair.ts'
import { verifyStore } from '../../../../../../node/cli/commands/store/store-verify.ts'
import { exitCodeOf } from '../../../../../../node/cli/output/exit-codes.ts'
import { openFolder } from '../../../../../../node/store/files/disk.ts'
import { MESSAGES_FOLDER } from '../../../../../../node/store/known-stores.ts'
import { openLogStore } from '../../../../../../node/store/log/log-store.ts'
import { openRowStore } from '../../../../../../node/store/messages/row-store.ts'
import { loadIdentity } from '../../../../../../node/trust/identity.ts'
import { isParleyError, type ParleyError } from '../../../../../../protocols/errors.ts'
import { testFolder } from '../../../../../support/folder.ts'
import { deps, flip, put } from '../../../store/messages/row-stores.ts'

/** The data directory of a node that stored some messages and was stopped. */
const stopped = async (t: TestContext): Promise<{ dataDir: string; messages: string; id: string }> => {
  const dataDir = join(await testFolder(t), 'data')
  await loadIdentity(dataDir)
  const messages = join(dataDir, MESSAGES_FOLDER)
  const store = await openRowStore(messages, deps())
  for (let i = 0; i < 5; i += 1) await store.commit([put(`out/${i}`, String(i)), put(`in-seen/${i}`, String(i))])
  await store.close()
  return { dataDir, messages, id: store.id }
}

const run = async (t: TestContext, command: () => Promise<void>): Promise<{ out: string; error?: ParleyError }> => {
  let out = ''
  const write = t.mock.method(process.stdout, 'write', (text: string) => {
    out += text
    return true
  })
  try {
    await command()
    return { out }
  } catch (error) {
    if (!isParleyError(error)) throw error
    return { out, error }
  } finally {
    write.mock.restore()
  }
}

/** Of the group that put `out/3`, in the log. */
const spoil = async (messages: string): Promise<void> => {
  const rows = join(messages, 'rows')
  const log = join(rows, (await readdir(rows)).find((name) => name.endsWith('.log')) ?? '')
  const bytes = await readFile(log)
  await flip(log, bytes.indexOf('out/3'))
}

test('verify counts the messages by kind, says how far they go, and changes nothing', async (t) => {
  const { dataDir, messages, id } = await stopped(t)
  const db = join(messages, 'rows')
  const times = async () =>
    Promise.all((await readdir(db)).sort().map(async (name) => [name, (await stat(join(db, name))).mtimeMs]))
  const before = await times()
  const { out, error } = await run(t, () => verifyStore({ dataDir }))
  assert.equal(error, undefined)
  for (const part of ['no journal', id, '10: in-seen 5, out 5', 'up to 5', 'the same', 'all is well'])
    assert.ok(out.includes(part), `${part} in ${out}`)
  const facts = JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out)
  const { rows, kinds, lostBlocks, lostGroups, group, place } = facts.messages
  assert.deepEqual([facts.problems, rows, lostBlocks, lostGroups, group, place], [[], 10, 0, 0, 5, 'same'])
  assert.deepEqual(kinds, [
    { kind: 'in-seen', rows: 5 },
    { kind: 'out', rows: 5 },
  ])
  assert.deepEqual(await times(), before)
  assert.deepEqual((await readdir(messages)).sort(), ['place.json', 'rows'])
})

test('verify tells of damaged messages and exits 1; repair keeps the rest, says what is lost, and there is nothing more to do', async (t) => {
  const { dataDir, messages, id } = await stopped(t)
  await spoil(messages)
  const bad = await run(t, () => verifyStore({ dataDir }))
  assert.match(bad.out, /lost +1 group of changes/)
  assert.match(bad.error?.message ?? '', /the log is damaged: 0000000000000001\.log at byte \d+/)
  assert.match(bad.error?.hint ?? '', /parley store repair/)
  assert.equal(exitCodeOf(bad.error), 1)
  const facts = JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out)
  assert.deepEqual([facts.problems[0].part, facts.messages.lostGroups], ['messages', 1])
  const { out, error } = await run(t, () => repairStoppedStore({ dataDir }))
  assert.equal(error, undefined)
  for (const part of ['8: in-seen 4, out 4', '1 group of changes', `was          ${id}`, 'rows.damaged'])
    assert.ok(out.includes(part), `${part} in ${out}`)
  const again = JSON.parse((await run(t, () => repairStoppedStore({ dataDir, json: true }))).out)
  assert.deepEqual([again.repaired, again.messages.repaired, again.messages.now.rows], [false, false, 8])
  const now = await run(t, () => verifyStore({ dataDir }))
  assert.equal(now.error, undefined)
  assert.match(now.out, /put aside +rows\.damaged earlier/)
})

test('a node with a journal and messages has both looked at and repaired, and called moved', async (t) => {
  const { dataDir, messages, id } = await stopped(t)
  const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
  await (await openLogStore(await openFolder(join(dataDir, 'journal')), { random })).close()
  const both = JSON.parse((await run(t, () => verifyStore({ dataDir, json: true }))).out)
  assert.deepEqual([both.lastIndex, both.messages.id], [0, id])
  if ((await stat(join(messages, 'place.json'), { bigint: true })).birthtimeNs === 0n) return
  const copy = `${dataDir}-copy`
  await cp(dataDir, copy, { recursive: true })
  assert.match((await run(t, () => verifyStore({ dataDir: copy }))).out, /copied: .*its peers take it for a new sender/)
  t.mock.method(process.stderr, 'write', () => true)
  await run(t, () => acknowledgeMove({ dataDir: copy, yes: true }))
  const store = await openRowStore(join(copy, MESSAGES_FOLDER), deps())
  assert.equal(store.id, id)
  await store.close()
  await rm(join(copy, MESSAGES_FOLDER, 'rows', 'mark'))
  const { out } = await run(t, () => repairStoppedStore({ dataDir: copy }))
  assert.match(out, /there is nothing to repair: the journal is whole\nrepaired the messages in/)
})

test('a data directory without a journal and messages is refused', async (t) => {
  const { dataDir, messages } = await stopped(t)
  await rm(messages, { recursive: true })
  const { error } = await run(t, () => verifyStore({ dataDir }))
  assert.match(error?.hint ?? '', /a folder journal or messages/)
})
