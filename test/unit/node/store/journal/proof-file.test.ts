/** What was proven is on the disk, whole, or what was there before is; damage counts as nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProofFile, PROOF_FILE } from '../../../../../node/store/journal/proof-file.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { ProofChain } from '../../../../../protocols/consensus/proof/proof-chain.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'
import { founders, membersOf, proofOf } from '../../../consensus/proof/signed.ts'

const { meshId, chain } = founders('abc')
const link = proofOf(meshId, 'configuration', [2, 9], membersOf('abcd'), membersOf('abd'))
const epoch = proofOf(meshId, 'epoch', [3, 12], membersOf('abcd'), membersOf('abc'))
const chains: ProofChain[] = [chain, { ...chain, links: [link] }, { ...chain, pinned: link, epoch }]

const textOf = async (disk: FaultyDisk): Promise<string> => new TextDecoder().decode(await disk.read(PROOF_FILE))
const replace = async (disk: FaultyDisk, text: string): Promise<void> => {
  await disk.remove(PROOF_FILE)
  const file = await disk.create(PROOF_FILE)
  await file.write(new TextEncoder().encode(text), 0)
  await file.sync()
}

test('what was saved last is loaded, for its own mesh alone', async () => {
  const disk = createFaultyDisk()
  assert.equal(await createProofFile(disk).load(meshId), undefined)
  for (const one of chains) {
    await createProofFile(disk).save(one)
    assert.deepEqual(await createProofFile(disk).load(meshId), one)
  }
  assert.equal(await createProofFile(disk).load('another'), undefined)
})

test('what was changed, is no JSON, or of a newer version is not believed', async () => {
  const disk = createFaultyDisk()
  await createProofFile(disk).save({ ...chain, links: [link], epoch })
  const good = await textOf(disk)
  const reason = async (text: string): Promise<unknown> => {
    await replace(disk, text)
    const error = await failureOf(createProofFile(disk).load(meshId))
    return isParleyError(error, 'STA003') && error.details.reason
  }
  assert.equal(await reason(good.replace('"index":12', '"index":13')), 'damaged')
  assert.equal(await reason(good.slice(0, -20)), 'damaged')
  assert.equal(await reason('{}'), 'damaged')
  assert.equal(await reason(good.replace('"format":1', '"format":2')), 'newer')
})

test('a power cut leaves what was there before, or what was saved', async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const disk = createFaultyDisk()
    await createProofFile(disk).save(chain)
    const saving = createProofFile(disk)
      .save({ ...chain, links: [link] })
      .catch(() => {})
    for (let i = 0; i < seed % 10; i += 1) await Promise.resolve()
    disk.crash(createRandom(seed))
    await saving
    const found = await createProofFile(disk.mount()).load(meshId)
    assert.ok([0, 1].includes(found?.links.length ?? -1))
  }
})
