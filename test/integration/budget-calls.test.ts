/** Parts of a budget that go with calls between processes over loopback TCP, from one to the next. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, isParleyError, type Mesh, makeSecret, ParleyError, Slice } from '../../node/index.ts'
import { pay } from '../support/pay.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

describe('a budget on its way through processes', { timeout: 60_000 }, () => {
  const secret = makeSecret()
  let root: Mesh
  let one: Peer
  let two: Peer

  before(async () => {
    root = await createMesh({ name: 'root', secret, log: 'silent' })
    const start = (name: string): Promise<Peer> =>
      startPeer({ name, secret, join: root.self.addresses }, { serve: false })
    ;[one, two] = await Promise.all([start('one'), start('two')])
    for (const peer of [one, two]) await peer.ask('servePay', undefined)
    await until('both are known', () => root.directory.offers('pay', 1).length === 2)
    await until('they know each other', async () => (await one.ask('facts', undefined)).agents.length === 3)
  })
  after(async () => {
    await root.stop()
    endProcesses()
  })

  it('shrinks with each hop, and what nobody spent is back with who began', async () => {
    const slice = new Slice({ amounts: { tokens: 100, fanOut: 4 }, limits: { depth: 3 } })
    const order = { spends: 10, route: [{ to: two.id, gives: 30, spends: 12 }] }
    const { left } = await root
      .to(one.id, pay)
      .pay(order, { budget: { of: slice, amounts: { tokens: 60, fanOut: 1 } } })
    assert.equal(left, 60 - 10 - 12)
    assert.deepEqual(slice.remaining(), { tokens: 78, fanOut: 2 })
    assert.deepEqual(slice.counts(), { spent: { tokens: 22, fanOut: 2 }, overspent: {} })
  })

  it('is not enough, too deep or for too few calls: the error says so, and only what was spent is gone', async () => {
    const reasonOf = async (order: Parameters<ReturnType<typeof client>['pay']>[0], slice: Slice, fanOut: number) => {
      const error = await failureOf(client().pay(order, { budget: { of: slice, amounts: { tokens: 50, fanOut } } }))
      assert.ok(isParleyError(error, 'COM003') && error.remote, String(error))
      return error.reason
    }
    const client = () => root.to(one.id, pay)
    const fresh = (depth: number): Slice => new Slice({ amounts: { tokens: 100, fanOut: 9 }, limits: { depth } })
    const next = { to: two.id, gives: 30, spends: 31 }
    const spent = fresh(3)
    assert.equal(await reasonOf({ spends: 10, route: [next] }, spent, 1), 'budget-exhausted')
    assert.equal(spent.remaining().tokens, 90)
    const deep = fresh(1)
    assert.equal(await reasonOf({ spends: 10, route: [next] }, deep, 1), 'budget-depth')
    assert.equal(deep.remaining().tokens, 90)
    const narrow = fresh(3)
    assert.equal(await reasonOf({ spends: 10, route: [next] }, narrow, 0), 'budget-exhausted')
    assert.equal(narrow.remaining().tokens, 90)
  })

  it('is there again as far as nothing of it was sent', async () => {
    const slice = new Slice({ amounts: { tokens: 100, fanOut: 5 } })
    const budget = { of: slice, amounts: { tokens: 60 } }
    await using busy = await createMesh({
      ...{ name: 'busy', secret, join: root.self.addresses, log: 'silent', limits: { maxInFlight: 1 } },
    })
    await until('it knows the first one', () => busy.directory.offers('pay', 1).length === 2)
    const client = busy.to(one.id, pay)
    const order = { spends: 1, route: [] }
    await client.pay(order)
    const held = client.pay({ ...order, takesMs: 2_000 })
    const errors = [
      await failureOf(client.pay(order, { budget, timeoutMs: 300 })),
      await failureOf(client.pay(order, { budget, ttlMs: 200 })),
      await failureOf(client.pay(order, { budget, timeoutMs: 0 })),
      await failureOf(client.pay(order, { budget, metadata: { fill: 'x'.repeat(9_000) } })),
      await failureOf(client.pay(order, { budget, signal: AbortSignal.abort(new ParleyError('COM001', 'no')) })),
      await failureOf(busy.commands.send(one.id, 'pay.once', 'x'.repeat(8 << 20), { budget })),
    ]
    const codes = errors.map((error) => (isParleyError(error) ? error.code : String(error)))
    assert.deepEqual(codes, ['COM001', 'MSG005', 'MSG001', 'MSG001', 'COM001', 'MSG001'])
    assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 5 })
    await held
  })

  it('is spent with a process that dies, as far as it went there', async () => {
    const slice = new Slice({ amounts: { tokens: 100 } })
    const order = { spends: 10, route: [{ to: two.id, gives: 30, spends: 5, takesMs: 5_000 }] }
    const call = failureOf(root.to(one.id, pay).pay(order, { budget: { of: slice, amounts: { tokens: 60 } } }))
    await until('it is there', () => slice.remaining().tokens === 40)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await two.kill()
    assert.ok(isParleyError(await call))
    // Of the 60, 10 were spent at the first one, and 30 went with the second.
    assert.equal(slice.remaining().tokens, 60)
  })

  it('goes with a command once, also where its receiver is killed and comes back', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'parley-budget-command-'))
    const start = async (): Promise<Peer> => {
      const peer = await startPeer({ name: 'three', secret, dataDir, join: root.self.addresses }, { serve: false })
      await peer.ask('servePay', undefined)
      return peer
    }
    try {
      const three = await start()
      const slice = new Slice({ amounts: { tokens: 100 } })
      // By the next attempt it serves the command again.
      const options = { budget: { of: slice, amounts: { tokens: 60 } }, retry: { initialDelayMs: 8_000 } }
      const sent = root.commands.send(three.id, 'pay.once', { spends: 40, takesMs: 2_000 }, options)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      await three.kill()
      await start()
      const { result, attempts } = await sent
      assert.ok(attempts > 1)
      assert.deepEqual(result, { had: 0 })
      assert.deepEqual(slice.counts(), { spent: { tokens: 60, fanOut: 1 }, overspent: {} })
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })
})
