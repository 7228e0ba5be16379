/** Values go to holders: one that takes too long keeps nobody waiting, and what nobody has keeps nothing of others back. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { hasher } from '../../../../node/platform/platform.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import type { Port } from '../../../../protocols/port.ts'
import type { BytesKeeper } from '../../../../protocols/task/bytes/bytes-keeper.ts'
import { OfferedValues } from '../../../../protocols/task/bytes/bytes-sources.ts'
import { BytesTransfers } from '../../../../protocols/task/bytes/bytes-transfers.ts'
import { HolderRequests } from '../../../../protocols/task/bytes/holder-requests.ts'
import { readStored, storedRow } from '../../../../protocols/task/bytes/stored-bytes.ts'

const AWAY_MS = 60_000
const VALUE = 'x'.repeat(50_000)
const BYTES = Buffer.from(JSON.stringify(VALUE))
const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const HASH = Buffer.from(hash(BYTES)).toString('hex')
const never = () => new Promise<never>(() => {})

/** `slow` answers nothing, `gone` cannot be reached, all others do what they are asked. */
const create = (voters: readonly string[]) => {
  const time = createVirtualTime()
  const asked: string[] = []
  const port = {
    ...{ self: { id: 'self' }, hash, hasher, timers: time, members: () => [] },
    clock: { monotonic: () => time.now(), now: () => time.now() },
    log: { error() {}, warn() {}, info() {} },
    to: (peer: string) => ({
      hold: () => (asked.push(peer) > 0 && peer === 'slow' ? never() : Promise.resolve({})),
      async *fetch() {
        if (peer === 'slow') await never()
        if (peer === 'gone') throw new ParleyError('COM002', 'it is away')
        yield { bytes: BYTES }
      },
    }),
  } as unknown as Port
  const keeper = { keepOwn: async () => false, readOwn: async () => undefined } as unknown as BytesKeeper
  const presenceOf = () => 'there' as const
  const holders = new HolderRequests({ port, offers: new OfferedValues(), presenceOf, voters: () => voters })
  const transfers = new BytesTransfers({ port, keeper, holders, presenceOf, awayMs: AWAY_MS })
  return { time, asked, transfers }
}
const PLACE = { task: 't', row: 'input' }

test('a node that never answers is left out, and not asked again for a while', async () => {
  const { time, asked, transfers } = create(['slow', 'a', 'b'])
  const store = () => time.settled(transfers.store('the input', VALUE, PLACE), 6_000)
  assert.deepEqual([...(readStored(await store())?.holders ?? [])].sort(), ['a', 'b'])
  assert.equal(asked.filter((peer) => peer === 'slow').length, 1)
  const begunAt = time.now()
  assert.equal(readStored(await store())?.holders.length, 2)
  assert.equal(time.now(), begunAt)
  assert.equal(asked.filter((peer) => peer === 'slow').length, 1)
})

for (const holder of ['slow', 'gone'])
  test(`values whose only holder is ${holder} keep no other from being loaded`, async () => {
    const { time, transfers } = create([])
    const rowOf = (holders: readonly string[]) =>
      storedRow({ hash: HASH, size: BYTES.length, form: 'json', holders: [...holders] })
    const lost = Array.from({ length: 20 }, () =>
      transfers.load(rowOf([holder, holder]), PLACE).catch((error: unknown) => error),
    )
    await time.run(100)
    assert.equal(await time.settled(transfers.load(rowOf(['a']), PLACE), 100), VALUE)
    assert.ok(isParleyError(await time.settled(Promise.race(lost), 2 * AWAY_MS), 'STA001', 'COM001'))
  })
