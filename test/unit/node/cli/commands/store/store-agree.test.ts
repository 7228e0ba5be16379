/**
 * Each kind of damage to a data directory: what `parley store verify` says is what a start refuses for, the command that it
 * names is the one that helps, and after that verify and a start are content. A node that votes alone, with all its stores.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { acceptLoss } from '../../../../../../node/cli/commands/store/store-accept-loss.ts'
import { repairStoppedStore } from '../../../../../../node/cli/commands/store/store-repair.ts'
import { verifyStore } from '../../../../../../node/cli/commands/store/store-verify.ts'
import { recordFileIdentity } from '../../../../../../node/store/files/copy-detection.ts'
import { isParleyError, type ParleyError } from '../../../../../../protocols/errors.ts'
import { run } from '../../../../../support/caught-output.ts'
import { RECORDS, recordsOf, useAlone } from '../../../../../support/lone-node.ts'

const LOG = 'journal/0000000000000001.log'
let folder = ''
let dataDir = ''
const whole = new Map<string, Uint8Array>()

const refusalOf = async (t: TestContext, command: () => Promise<void>): Promise<ParleyError | undefined> =>
  (await run(t, command)).error

/** @returns how many records it has; what it is refused for */
const start = (): Promise<number | ParleyError> =>
  recordsOf(dataDir).catch((error: unknown) => {
    assert.ok(isParleyError(error), String(error))
    return error
  })

const filesIn = async (path: string): Promise<string[]> =>
  (await readdir(path, { withFileTypes: true, recursive: true }))
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(path.length + 1))

const restore = async (): Promise<void> => {
  await rm(dataDir, { recursive: true, force: true })
  for (const [name, bytes] of whole) {
    await mkdir(dirname(join(dataDir, name)), { recursive: true, mode: 0o700 })
    await writeFile(join(dataDir, name), bytes, { mode: 0o600 })
  }
  for (const one of ['journal', 'messages']) await recordFileIdentity(join(dataDir, one))
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-test-'))
  dataDir = join(folder, 'data')
  await useAlone(dataDir, 3)
  for (const name of await filesIn(dataDir)) whole.set(name, await readFile(join(dataDir, name)))
})
after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))

const gone = (path: string): Promise<void> => rm(path, { recursive: true })
const half = (path: string): Promise<void> =>
  truncate(path, (whole.get(path.slice(dataDir.length + 1))?.length ?? 0) >> 1)
const empty = (path: string): Promise<void> => truncate(path)
const flipped = async (path: string): Promise<void> => {
  const bytes = await readFile(path)
  const at = bytes.length >> 1
  bytes[at] = (bytes[at] ?? 0) ^ 0xff
  await writeFile(path, bytes)
}

/** In the first record; behind the last one there are zeros, which mean nothing. */
const damaged = async (path: string): Promise<void> => {
  const bytes = await readFile(path)
  bytes[90] = (bytes[90] ?? 0) ^ 0xff
  await writeFile(path, bytes)
}

type Damage = (path: string) => Promise<void>
/** `left`: records that it has at last, the number or fewer. */
const REFUSED: readonly [name: string, damage: Damage, helps: 'repair' | 'accept-loss', left: number][] = [
  ['journal', gone, 'accept-loss', 0],
  [LOG, gone, 'accept-loss', 0],
  [LOG, flipped, 'accept-loss', RECORDS - 1],
  ['journal/mark', gone, 'accept-loss', RECORDS],
  ['journal/founding.json', gone, 'repair', RECORDS],
  ['journal/founding.json', half, 'repair', RECORDS],
  ['messages/rows', gone, 'accept-loss', RECORDS],
  ['messages/rows/0000000000000001.log', gone, 'repair', RECORDS],
  ['messages/rows/0000000000000001.log', damaged, 'repair', RECORDS],
  ['messages/rows/mark', gone, 'repair', RECORDS],
  ['fences/0000000000000001.log', gone, 'accept-loss', RECORDS],
  ['fences/0000000000000001.log', half, 'accept-loss', RECORDS],
  ['fences/mark', gone, 'accept-loss', RECORDS],
]

for (const [name, damage, helps, left] of REFUSED)
  test(`${name} ${damage.name}: verify and a start refuse for the same; store ${helps} helps, and the other one says so`, async (t) => {
    await restore()
    await damage(join(dataDir, name))
    const verified = await refusalOf(t, () => verifyStore({ dataDir }))
    const refusal = await start()
    assert.ok(verified !== undefined && typeof refusal !== 'number', `${verified} ${refusal}`)
    assert.deepEqual([refusal.details.reason, refusal.message], [verified.details.reason, verified.message])
    assert.match(`${verified.hint}`, new RegExp(`parley store ${helps}`))
    assert.match(`${refusal.hint}`, new RegExp(`parley store ${helps}`))
    const yes = { dataDir, yes: true }
    const [useful, useless] = helps === 'repair' ? [repairStoppedStore, acceptLoss] : [acceptLoss, repairStoppedStore]
    const other = await refusalOf(t, () => useless(yes))
    assert.ok(other?.message.includes(verified.message) && other.hint === verified.hint, `${other} ${other?.hint}`)
    assert.equal(await refusalOf(t, () => useful(yes)), undefined)
    assert.equal(await refusalOf(t, () => verifyStore({ dataDir })), undefined)
    const records = await start()
    assert.ok(typeof records === 'number' && records <= left && records >= (left === RECORDS ? left : 0), `${records}`)
  })

const HARMLESS: readonly [name: string, damage: Damage][] = [
  ['journal/mark', flipped],
  ['journal/place.json', empty],
  ['messages/rows/mark', flipped],
  ['fences/mark', flipped],
  ['proof/proof.json', flipped],
  ['stores.json', flipped],
  ['incarnation', gone],
]
test('what is harmless is so for verify, repair, accept-loss and a start', async (t) => {
  await restore()
  for (const [name, damage] of HARMLESS) await damage(join(dataDir, name))
  assert.equal(await refusalOf(t, () => verifyStore({ dataDir })), undefined)
  assert.equal(await refusalOf(t, () => repairStoppedStore({ dataDir })), undefined)
  assert.equal((await refusalOf(t, () => acceptLoss({ dataDir, yes: true })))?.details.reason, 'not-needed')
  assert.equal(await start(), RECORDS)
})

test('what only a person can put right is told by all of them', async (t) => {
  for (const name of ['identity.key', 'incarnation']) {
    await restore()
    await flipped(join(dataDir, name))
    const refusal = await start()
    assert.ok(typeof refusal !== 'number' && /restore/.test(refusal.hint ?? ''))
    for (const command of [verifyStore, repairStoppedStore, acceptLoss]) {
      const error = await refusalOf(t, () => command({ dataDir, yes: true }))
      assert.ok(error?.message.includes(refusal.message) && error.hint === refusal.hint, `${name} ${error}`)
    }
  }
})
