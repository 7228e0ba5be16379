/** When a peer that is reached through a relay is dialled directly. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDirectUpgrades } from '../../../../../node/network/nat/direct-upgrade.ts'
import { createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'

const PAUSE_MS = 1_000
const DIRECT = '/ip4/10.0.0.1/tcp/1'
const RELAYED = '/ip4/10.0.0.9/tcp/1/p2p/12D3KooWR/p2p-circuit/p2p/b'

const setUp = ({ addresses = [DIRECT, RELAYED], works = false } = {}) => {
  const time = createVirtualTime()
  const relayed = new Set(['b'])
  const dialled: { address: string; at: number }[] = []
  const upgrades = createDirectUpgrades({
    clock: { monotonic: time.now },
    timers: time,
    chance: () => 0.5,
    relayed: () => [...relayed],
    addressesOf: () => addresses,
    async dial(address) {
      dialled.push({ address, at: Math.round(time.now()) })
      if (!works) throw new Error('connection refused')
    },
    pauseMs: PAUSE_MS,
  })
  const stop = time.every(100, upgrades.dialDue)
  return { time, relayed, dialled, upgrades, stop }
}

test('it is dialled at its direct addresses, ever more seldom up to a bound', async () => {
  const { time, dialled } = setUp()
  await time.run(120_000)
  assert.deepEqual([...new Set(dialled.map(({ address }) => address))], [`${DIRECT}/p2p/b`])
  const pauses = dialled.map(({ at }, i) => at - (dialled[i - 1]?.at ?? 0))
  for (const [i, pause] of pauses.slice(1).entries()) {
    const wanted = Math.min(PAUSE_MS * 2 ** (i + 1), 16 * PAUSE_MS)
    assert.ok(pause >= wanted && pause <= wanted + 250, `pause ${i} was ${pause}, about ${wanted} expected`)
  }
  assert.ok(dialled.length > 8, `${dialled.length} dials`)
})

test('a changed record has it dialled at once', async () => {
  const { time, dialled, upgrades } = setUp()
  await time.run(20_000)
  const before = dialled.length
  upgrades.recordChanged('b')
  await time.run(250)
  assert.equal(dialled.length, before + 1)
})

test('a peer that is reached directly is left alone, and begins anew when it is relayed again', async () => {
  const { time, dialled, relayed, upgrades } = setUp({ works: true })
  await time.run(2_000)
  assert.equal(upgrades.count(), dialled.length)
  relayed.clear()
  const before = dialled.length
  await time.run(60_000)
  assert.equal(dialled.length, before)
  upgrades.recordChanged('b')
  await time.run(1_000)
  assert.equal(dialled.length, before)
  relayed.add('b')
  await time.run(1_500)
  assert.equal(dialled.length, before + 1)
})

test('one without a direct address is not dialled', async () => {
  const { time, dialled } = setUp({ addresses: [RELAYED] })
  await time.run(60_000)
  assert.deepEqual(dialled, [])
})
