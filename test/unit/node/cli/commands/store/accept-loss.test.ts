/**
 * A node that alone had what is gone: it does not start, `parley store verify` and `accept-loss` say what is lost, and with
 * that accepted it goes on. Nothing of it is silent.
 */
import assert from 'node:assert/strict'
import { readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acceptLoss } from '../../../../../../node/cli/commands/store/store-accept-loss.ts'
import { verifyStore } from '../../../../../../node/cli/commands/store/store-verify.ts'
import type { TerminalPrompt } from '../../../../../../node/cli/input/terminal-prompt.ts'
import { isParleyError, type ParleyError } from '../../../../../../protocols/errors.ts'
import { run } from '../../../../../support/caught-output.ts'
import { testFolder } from '../../../../../support/folder.ts'
import { openAlone, RECORDS, recordsOf, useAlone } from '../../../../../support/lone-node.ts'
import { failureOf, until } from '../../../../../support/until.ts'

const nobody: TerminalPrompt = { isInteractive: false, ask: () => assert.fail('nobody is there to be asked') }

const refusal = async (dataDir: string): Promise<ParleyError> => {
  const error = await failureOf(openAlone(dataDir))
  assert.ok(isParleyError(error, 'STA003'), String(error))
  assert.match(error.hint ?? '', /parley store accept-loss/)
  return error
}

/** A node that founded alone and decided something, stopped. */
const used = async (t: TestContext): Promise<string> => {
  const dataDir = join(await testFolder(t), 'data')
  await useAlone(dataDir, 1)
  return dataDir
}

for (const folder of ['journal', 'messages', 'fences'])
  test(`${folder}: deleted beside an identity that was used, it is missed until that is accepted`, async (t) => {
    const dataDir = await used(t)
    await rm(join(dataDir, folder), { recursive: true })
    assert.equal((await refusal(dataDir)).details.reason, 'missing')
    const verified = await run(t, () => verifyStore({ dataDir }))
    assert.ok(isParleyError(verified.error) && verified.error.message.includes(`${folder} is gone`), verified.out)
    assert.ok(isParleyError((await run(t, () => acceptLoss({ dataDir }, nobody))).error, 'MSG001'))
    assert.equal((await refusal(dataDir)).details.reason, 'missing')
    const accepted = await run(t, () => acceptLoss({ dataDir, yes: true }, nobody))
    assert.equal(accepted.error, undefined, String(accepted.error))
    assert.match(accepted.err, /is gone, and with it/)
    assert.equal(await recordsOf(dataDir), folder === 'journal' ? 0 : RECORDS)
  })

test('the log cut at its end: what is left goes on as another mesh, once that is accepted', async (t) => {
  const dataDir = await used(t)
  const journal = join(dataDir, 'journal')
  const log = join(journal, (await readdir(journal)).filter((name) => name.endsWith('.log')).at(-1) ?? '')
  await truncate(log, (await stat(log)).size - 300)
  assert.equal((await refusal(dataDir)).details.reason, 'damaged')
  const accepted = await run(t, () => acceptLoss({ dataDir, yes: true }, nobody))
  assert.equal(accepted.error, undefined, String(accepted.error))
  assert.match(accepted.out, /as the mesh [0-9a-f]{32}/)
  const left = await recordsOf(dataDir)
  assert.ok(left > 0 && left < RECORDS, `${left}`)
  const again = await run(t, () => acceptLoss({ dataDir, yes: true }, nobody))
  assert.ok(isParleyError(again.error) && again.error.details.reason === 'not-needed')
})

test('a data directory that is deleted as a whole is that of a new node', async (t) => {
  const dataDir = await used(t)
  await rm(dataDir, { recursive: true })
  const mesh = await openAlone(dataDir)
  await until('it founds', () => mesh.coordinator.status().meshId)
  await mesh.stop()
})

test('fences cut at their end, or without their mark: the node starts once that is accepted, with what is good', async (t) => {
  for (const [name, left] of [
    ['0000000000000001.log', { term: 1, index: 1 }],
    ['mark', { term: 1, index: 2 }],
  ] as const) {
    const dataDir = await used(t)
    const mesh = await openAlone(dataDir)
    await mesh.fences.accept('a', { term: 1, index: 2 })
    await mesh.stop()
    const file = join(dataDir, 'fences', name)
    // The seal, and with it a part of the last fence.
    if (name === 'mark') await rm(file)
    else await truncate(file, (await stat(file)).size - 30)
    assert.equal((await refusal(dataDir)).details.reason, 'damaged')
    const verified = await run(t, () => verifyStore({ dataDir }))
    assert.ok(
      isParleyError(verified.error) && /the fences are damaged/.test(verified.error.message),
      String(verified.error),
    )
    const accepted = await run(t, () => acceptLoss({ dataDir, yes: true }, nobody))
    assert.equal(accepted.error, undefined, String(accepted.error))
    assert.equal((await run(t, () => verifyStore({ dataDir }))).error, undefined)
    const again = await openAlone(dataDir)
    assert.deepEqual(again.fences.highest('a'), left)
    await again.stop()
  }
})
