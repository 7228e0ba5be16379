import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRecordIntake, PUSHED_RECORDS_RATE } from '../../../../../discovery/directory/exchange/record-intake.ts'
import { recordOf, sign, start } from '../../../../support/directory-tables.ts'

test('a neighbour pushes so many records of others at once, and its own and what was asked for besides', async () => {
  const state = start('me', { maxAgents: 4_096, maxEnded: 8 })
  const refused: string[] = []
  const { receiveAll } = createRecordIntake({
    port: {
      self: { id: 'me', name: 'me', mesh: 'test', incarnation: 1 },
      clock: { now: () => 0, monotonic: () => 0 },
      verify: async () => true,
    },
    state,
    counts: { refused: { add: (reason: string) => void refused.push(reason) }, accepted: { add: () => {} } } as never,
    emit: () => {},
    onClaim: () => {},
  })
  const some = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => ({ ...sign(recordOf(`a${from + n}`, 1)), ageMs: 0 }))
  assert.equal(await receiveAll(some(0, PUSHED_RECORDS_RATE.burst), 'push', 'mallory'), PUSHED_RECORDS_RATE.burst)
  assert.equal(await receiveAll(some(PUSHED_RECORDS_RATE.burst, 1), 'push', 'mallory'), 0)
  assert.deepEqual(refused, ['too_many'])
  assert.equal(await receiveAll([{ ...sign(recordOf('mallory', 1)), ageMs: 0 }], 'push', 'mallory'), 1)
  assert.equal(await receiveAll(some(PUSHED_RECORDS_RATE.burst, 10), 'sync', 'mallory'), 10)
  assert.equal(await receiveAll(some(PUSHED_RECORDS_RATE.burst + 10, 10), 'push', 'honest'), 10)
})
