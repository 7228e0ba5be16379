/** A holder of a budget is killed while it holds draws: what it drew is gone, and what it did not draw comes back with its lease. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createMesh, makeSecret } from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

/** 30 s and a margin of 1.5 s from its last renewal, and as much again where the coordinator changed. */
const LEASE_OVER_MS = 75_000

test('a killed holder gives back what it never drew, and keeps what it drew', { timeout: 140_000 }, async () => {
  const secret = makeSecret()
  const folder = await mkdtemp(join(tmpdir(), 'parley-budgets-killed-'))
  const peers: Peer[] = []
  const at = (i: number): Peer => {
    const peer = peers[i]
    assert.ok(peer)
    return peer
  }
  try {
    for (const name of ['one', 'two', 'three'])
      peers.push(
        await startPeer(
          {
            ...{ name, secret, dataDir: join(folder, name), coordination: { expect: 3 } },
            join: peers.flatMap(({ addresses }) => addresses),
          },
          { serve: false },
        ),
      )
    await using ann = await createMesh({
      ...{ name: 'ann', secret, join: peers.flatMap(({ addresses }) => addresses), log: 'silent' },
    })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    const { leader } = ann.coordinator.status()
    // Who coordinates is killed as well: the next one has to go on.
    const victim = peers.findIndex(({ id }) => id === leader)
    const other = at((victim + 1) % 3)
    for (const peer of peers) await peer.ask('takeLoans', undefined)
    const root = await ann.budgets.open({ id: 'work', amounts: { tokens: 1_000 } })
    const loan = await root.lend(at(victim).id, { tokens: 600 })
    await until('it is taken', async () => (await at(victim).ask('heldBudgets', undefined)).length === 1)
    await at(victim).ask('drawAndSpend', { id: loan.id, draw: { tokens: 250 }, spend: { tokens: 30 } })
    const part = await at(victim).ask('lendOn', { id: loan.id, to: other.id, amounts: { tokens: 100 } })
    await until('a part of it is taken', async () => (await other.ask('heldBudgets', undefined)).length === 1)
    await at(victim).kill()
    assert.deepEqual(await root.remaining({ timeoutMs: 30_000 }), { tokens: 400 }, 'nothing comes back at once')
    await until(
      'what was never drawn is back',
      async () => ((await root.remaining({ timeoutMs: 30_000 })).tokens ?? 0) > 400,
      LEASE_OVER_MS,
    )
    assert.deepEqual(await root.remaining(), { tokens: 650 }, '250 were drawn; 100 are lent on, to one that is there')
    await other.ask('drawAndSpend', { id: part, draw: { tokens: 60 }, spend: { tokens: 20 } })
    await other.ask('settleDraws', undefined)
    const { status, spent, drawn, reason, loans } = await ann.budgets.tree(loan.id)
    assert.deepEqual({ status, spent, drawn }, { status: 'closing', spent: { tokens: 250 }, drawn: {} })
    assert.match(reason ?? '', /^holder-lost/)
    assert.deepEqual(loans[0]?.spent, { tokens: 20 })
  } finally {
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  }
})

test('a killed holder that is started again and hears of loans gives back at once what it never drew', {
  timeout: 60_000,
}, async () => {
  const secret = makeSecret()
  const folder = await mkdtemp(join(tmpdir(), 'parley-budgets-again-'))
  try {
    await using ann = await createMesh({ name: 'ann', secret, dataDir: join(folder, 'ann'), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    const start = (): Promise<Peer> =>
      startPeer({ name: 'one', secret, dataDir: join(folder, 'one'), join: ann.self.addresses }, { serve: false })
    const first = await start()
    await first.ask('takeLoans', undefined)
    const root = await ann.budgets.open({ id: 'work', amounts: { tokens: 100 } })
    await root.lend(first.id, { tokens: 60 })
    await until('it is taken', async () => (await first.ask('heldBudgets', undefined)).length === 1)
    await first.kill()
    const second = await start()
    assert.equal(second.id, first.id)
    await second.ask('takeLoans', undefined)
    await until('it is back', async () => (await root.remaining({ timeoutMs: 10_000 })).tokens === 100, 15_000)
  } finally {
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  }
})
