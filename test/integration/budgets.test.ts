/** Budgets between processes over loopback TCP: lent, drawn, spent, and given back. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

describe('budgets, between processes', { timeout: 120_000 }, () => {
  const secret = makeSecret()
  const peers: Peer[] = []
  let folder = ''
  let ann: Mesh

  const one = (i: number): Peer => {
    const peer = peers[i]
    assert.ok(peer)
    return peer
  }
  const hasTaken = (peer: Peer, id: string): Promise<true> =>
    until(`${id} is taken`, async () => (await peer.ask('heldBudgets', undefined)).some((held) => held.id === id))

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-budgets-'))
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
    ann = await createMesh({ name: 'ann', secret, join: peers.flatMap(({ addresses }) => addresses), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    for (const peer of peers) await peer.ask('takeLoans', undefined)
  })
  after(async () => {
    await ann.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('what is lent on and on is spent by those who have it, and all that is left comes back', async () => {
    const root = await ann.budgets.open({ id: 'work', amounts: { tokens: 1_000, cost: 50 }, limits: { depth: 2 } })
    const loan = await root.lend(one(0).id, { tokens: 600, cost: 20 })
    await hasTaken(one(0), loan.id)
    const part = await one(0).ask('lendOn', { id: loan.id, to: one(1).id, amounts: { tokens: 200 } })
    await hasTaken(one(1), part)
    const left = await one(1).ask('drawAndSpend', { id: part, draw: { tokens: 150 }, spend: { tokens: 90 } })
    assert.deepEqual(left, { tokens: 60, cost: 0 })
    const tooMuch = await one(1)
      .ask('drawAndSpend', { id: part, draw: { tokens: 51 }, spend: {} })
      .catch((error: unknown) => error)
    assert.match(String(tooMuch), /50 tokens left, and 51 were asked for/)
    await one(1).ask('settleDraws', undefined)
    const tooDeep = await one(1)
      .ask('lendOn', { id: part, to: one(2).id, amounts: {} })
      .catch((error: unknown) => error)
    assert.match(String(tooDeep), /may not be passed on any further/)
    const { loans, free } = await ann.budgets.tree('work')
    assert.deepEqual(free, { tokens: 400, cost: 30 })
    assert.deepEqual(
      loans.map((below) => [below.id, below.spent, below.loans.map(({ id, spent }) => [id, spent])]),
      [[loan.id, {}, [[part, { tokens: 90 }]]]],
    )
    assert.equal((await loan.close()).status, 'closing', 'what was lent of it is still there')
    assert.deepEqual(await root.remaining(), { tokens: 800, cost: 50 })
    await until('who had it hears of that', async () =>
      (await one(0).ask('heldBudgets', undefined)).every(({ id, isOver }) => id !== loan.id || isOver),
    )
    assert.equal((await root.close()).status, 'closing')
    await ann.budgets.tree(part)
  })

  it('chunks are drawn as they are needed, to the last of the budget', async () => {
    await using root = await ann.budgets.open({ amounts: { tokens: 100 } })
    const chunks = root.chunks({ tokens: 30 })
    const before = ann.budgets.counts().draws
    for (let spent = 0; spent < 100; spent += 4) await chunks.spend({ tokens: 4 })
    const refused = await failureOf(chunks.spend({ tokens: 1 }))
    assert.ok(isParleyError(refused, 'COM003') && refused.reason === 'budget-exhausted')
    await chunks.settle()
    assert.equal(ann.budgets.counts().draws, before)
    const { spent, drawn } = await ann.budgets.tree(root.id)
    assert.deepEqual({ spent, drawn }, { spent: { tokens: 100 }, drawn: {} })
  })

  it('what a program may not do is refused, and says why', async () => {
    const root = await ann.budgets.open({ id: 'mine', amounts: { tokens: 10 } })
    assert.equal((await ann.budgets.open({ id: 'mine', amounts: { tokens: 10 } })).id, 'mine')
    const reasons = async (...failing: Promise<unknown>[]): Promise<string[]> =>
      (await Promise.all(failing.map((one) => failureOf(one)))).map((error) =>
        isParleyError(error) ? (error.reason ?? error.code) : String(error),
      )
    assert.deepEqual(
      await reasons(
        ...[root.draw({ tokens: 11 }), root.lend(one(0).id, { tokens: 11 }), ann.budgets.get('none')],
        ...[ann.budgets.open({ id: 'mine', amounts: {} }), ann.budgets.open({ amounts: { tokens: -1 } })],
        ...[ann.budgets.open({ amounts: { tokns: 1 } as never }), ann.budgets.open({ amonts: {} } as never)],
      ),
      ['budget-exhausted', 'budget-exhausted', 'STA001', 'exists', 'MSG001', 'MSG001', 'MSG001'],
    )
    await root.close()
    assert.deepEqual(await reasons(root.draw({ tokens: 1 }), ann.budgets.get('mine')), ['ended', 'ended'])
  })
})
