/** What a node had: a folder that is gone is missed. */
import assert from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFolder } from '../../../../node/store/files/disk.ts'
import { createFoundingFile } from '../../../../node/store/journal/founding-file.ts'
import { readLossNote } from '../../../../node/store/journal/journal-loss.ts'
import {
  forgetStores,
  KNOWN_FILE,
  type KnownJournal,
  missingStores,
  openKnownStores,
  readKnown,
  warnOfOtherIdentity,
} from '../../../../node/store/known-stores.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'
import { failureOf } from '../../../support/until.ts'

const MESH = 'a'.repeat(32)
const MEMBER = 'peer.0011'
interface All {
  readonly journal: KnownJournal
  readonly messages: { readonly id: string }
  readonly fences: Record<string, never>
}
const ALL: All = {
  journal: { member: MEMBER, meshId: MESH, voters: 'alone' },
  messages: { id: 'b'.repeat(32) },
  fences: {},
}
const FILES = {
  journal: 'journal/0000000000000001.log',
  messages: 'messages/rows/mark',
  fences: 'fences/0000000000000001.log',
} as const

const log = { debug() {}, info() {}, warn() {}, error() {} }
const open = (dataDir: string, usesJournal = true) =>
  openKnownStores({ dataDir, usesJournal, log: log as never, now: () => 7 })
const reasonOf = (error: unknown): unknown => (isParleyError(error, 'STA003') ? error.details.reason : `${error}`)

const used = async (dataDir: string, known: Partial<All> = {}): Promise<void> => {
  const stores = await open(dataDir)
  const { journal, messages, fences } = { ...ALL, ...known }
  await stores.note('journal', journal)
  await stores.note('messages', messages)
  await stores.note('fences', fences)
  for (const file of Object.values(FILES)) {
    await mkdir(join(dataDir, file, '..'), { recursive: true })
    await writeFile(join(dataDir, file), 'x')
  }
}

test('what was noted is read, nothing is missing while the folders are there, and a new directory has nothing', async (t) => {
  const dataDir = await testFolder(t)
  assert.deepEqual(await readKnown(dataDir), {})
  await used(dataDir)
  assert.deepEqual(await readKnown(dataDir), ALL)
  assert.deepEqual(await missingStores(dataDir, ALL), [])
  assert.deepEqual((await open(dataDir)).recorded(), ALL)
})

for (const part of ['journal', 'messages', 'fences'] as const)
  test(`${part}: a folder that is gone is refused with what is lost, until that is accepted`, async (t) => {
    const dataDir = await testFolder(t)
    await used(dataDir)
    await rm(join(dataDir, FILES[part], '..'), { recursive: true })
    const error = await failureOf(open(dataDir))
    assert.equal(reasonOf(error), 'missing')
    assert.match((isParleyError(error) && error.hint) || '', /parley store accept-loss/)
    // One that is empty is as good as none.
    await mkdir(join(dataDir, FILES[part], '..'))
    assert.equal(reasonOf(await failureOf(open(dataDir))), 'missing')
    await forgetStores(dataDir, [part])
    const { [part]: _gone, ...rest } = ALL
    assert.deepEqual((await open(dataDir)).recorded(), rest)
  })

test('a voter among others without its journal belongs to the mesh that it was of, and says that it lost it', async (t) => {
  const dataDir = await testFolder(t)
  await used(dataDir, { journal: { ...ALL.journal, voters: 'others' } })
  await rm(join(dataDir, 'journal'), { recursive: true })
  await open(dataDir)
  const disk = await openFolder(join(dataDir, 'journal'))
  const record = await createFoundingFile(disk).load()
  assert.deepEqual([record?.member, record?.adopted], [MEMBER, { meshId: MESH }])
  const lost = await readLossNote(disk)
  assert.deepEqual([lost?.was, lost?.at], [MEMBER, 7])
  assert.match(lost?.why ?? '', /journal is gone/)
})

test('a node that does not vote misses no journal', async (t) => {
  const dataDir = await testFolder(t)
  await used(dataDir)
  await rm(join(dataDir, 'journal'), { recursive: true })
  await open(dataDir, false)
})

test('a file that is damaged says nothing, and is written anew', async (t) => {
  const dataDir = await testFolder(t)
  await used(dataDir)
  const path = join(dataDir, KNOWN_FILE)
  const whole = await readFile(path)
  for (let at = 0; at < whole.length - 1; at += 1) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ 0x01
    await writeFile(path, bytes)
    assert.deepEqual(await readKnown(dataDir), {}, `byte ${at}`)
  }
  await (await open(dataDir)).note('messages', ALL.messages)
  assert.deepEqual(await readKnown(dataDir), { messages: ALL.messages })
})

test('a node that is another peer than the one that voted is told so, and what is lost with it', async (t) => {
  const dataDir = await testFolder(t)
  await used(dataDir)
  const told: string[] = []
  const errors = { ...log, error: (message: string) => void told.push(message) }
  warnOfOtherIdentity('peer', await open(dataDir), errors)
  warnOfOtherIdentity('peer', undefined, errors)
  assert.deepEqual(told, [])
  warnOfOtherIdentity('another', await open(dataDir), errors)
  assert.match(told[0] ?? '', /was another peer before.*voted alone/)
})
