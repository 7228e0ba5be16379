/** That a seat was given up, on a disk that loses power and runs full. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemberWithdrawal, WITHDRAWAL_FILE } from '../../../../../node/store/journal/member-withdrawal.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'

test('what was kept survives a power cut, both ways, and again', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const disk = createFaultyDisk()
    assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, false)
    for (const isGivenUp of [true, true, false, true, false, false]) {
      await (await openMemberWithdrawal(disk)).save(isGivenUp)
      disk.crash(createRandom(seed))
      assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, isGivenUp)
    }
  }
})

test('what is in the file says nothing: one that is empty counts', async () => {
  const disk = createFaultyDisk()
  await (await disk.create(WITHDRAWAL_FILE)).close()
  assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, true)
})

test('a disk without room, or one that fails, is told of, and nothing is given up', async () => {
  const disk = createFaultyDisk()
  disk.room = 0
  const full = await failureOf((await openMemberWithdrawal(disk)).save(true))
  assert.ok(isParleyError(full, 'STA003') && full.details.reason === 'disk-full', `${full}`)
  assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, false)
  disk.room = 10_000
  disk.failSync = true
  const failed = await failureOf((await openMemberWithdrawal(disk)).save(true))
  assert.ok(isParleyError(failed, 'STA003') && failed.details.reason === 'disk-failed', `${failed}`)
  assert.equal((await openMemberWithdrawal(disk)).isWithdrawn, false)
})
