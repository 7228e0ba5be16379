/** Peers that fail are left alone and found again, and errors are recovered from by their code, between processes. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { ParleyError } from '../../protocols/errors.ts'
import { testFolder } from '../support/folder.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { newShop } from '../support/shop.ts'
import { failureOf, timed, until } from '../support/until.ts'

const QUICK = { breaker: { failures: 5, windowMs: 10_000, halfOpenAfterMs: 1_500, minWaitMs: 20 } }
/** No probe comes between, however slow the machine is. */
const NO_PROBE = { breaker: { ...QUICK.breaker, halfOpenAfterMs: 60_000 } }

const failed = async (call: Promise<unknown>): Promise<ParleyError> => (await failureOf(call)) as ParleyError
const recoveries = async ({ mesh }: OwnMesh, code: string, outcome: string): Promise<number> => {
  const text = await (await fetch(`${mesh.debugUrl}/metrics`)).text()
  const row = text
    .split('\n')
    .find((line) => line.startsWith(`parley_recoveries_total{code="${code}"`) && line.includes(outcome))
  return Number(row?.split(' ').at(-1) ?? 0)
}
const breakersOf = async ({ mesh }: OwnMesh): Promise<{ id: string; state: string }[]> =>
  ((await (await fetch(`${mesh.debugUrl}/api/breakers`)).json()) as { breakers: { id: string; state: string }[] })
    .breakers

const join = async (ours: OwnMesh, options: Parameters<typeof startPeer>[0]): Promise<Peer> => {
  const peer = await startPeer({ join: ours.mesh.self.addresses, timings: BRISK, ...options })
  await peer.ask('joined', {})
  await untilKnown(ours.mesh, peer.id)
  return peer
}

describe('a peer that fails', { timeout: 100_000 }, () => {
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('is left alone once it was killed, shown as such, and called again when it is back', async (t) => {
    const dataDir = await testFolder(t)
    const ours = await startMesh({
      name: 'ours',
      debug: 0,
      timings: BRISK,
      delivery: { breaker: { halfOpenAfterMs: 60_000 } },
    })
    const first = await join(ours, { name: 'killed', dataDir })
    const client = ours.mesh.to(first.id, probe)
    assert.deepEqual(await client.once({ text: 'here' }), { text: 'here' })
    assert.deepEqual(await breakersOf(ours), [])
    await first.kill()
    for (let i = 0; i < 5; i += 1) assert.equal((await failed(client.once({ text: 'x' }))).code, 'COM002')
    const { value: error, ms } = await timed(() => failed(client.once({ text: 'x' })))
    assert.equal(error.code, 'COM002')
    assert.equal(error.details.breaker, 'open')
    assert.ok(Number(error.details.retryAfterMs) > 50_000)
    assert.ok(ms < 100, `${ms} ms`)
    assert.deepEqual(
      (await breakersOf(ours)).map(({ id, state }) => [id, state]),
      [[first.id, 'open']],
    )
    assert.equal(ours.mesh.figures().breakers.opened, 1)
    const second = await join(ours, { name: 'killed', dataDir })
    assert.equal(second.id, first.id)
    // Its new connection makes it worth a probe, long before the time is over.
    assert.deepEqual(await client.once({ text: 'back' }), { text: 'back' })
    const { breakers } = ours.mesh.figures()
    assert.deepEqual([breakers.open, breakers.closed, breakers.probes], [0, 1, 1])
  })

  it('is left alone while it is frozen, and one probe after its time finds it again', async () => {
    const ours = await startMesh({ name: 'ours', debug: 0, delivery: QUICK })
    const peer = await join(ours, { name: 'frozen', timings: {} })
    const client = ours.mesh.to(peer.id, probe)
    await client.once({ text: 'here' })
    peer.freeze()
    for (let i = 0; i < 5; i += 1)
      assert.equal((await failed(client.once({ text: 'x' }, { timeoutMs: 50 }))).code, 'COM001')
    assert.equal((await failed(client.once({ text: 'x' }))).details.breaker, 'open')
    // Still frozen at its first probe: that opens it again.
    await until('a probe was made', async () => {
      await failed(client.once({ text: 'x' }, { timeoutMs: 50 }))
      return ours.mesh.figures().breakers.probes === 1
    })
    assert.equal((await breakersOf(ours))[0]?.state, 'open')
    assert.equal(ours.mesh.figures().breakers.opened, 2)
    peer.thaw()
    await until('it is found again', async () => {
      const answer = await client.once({ text: 'back' }, { timeoutMs: 1_000 }).catch(() => undefined)
      return answer?.text === 'back'
    })
    assert.equal(ours.mesh.figures().breakers.open, 0)
    await peer.kill()
  })

  it('is passed over by calls to anybody while others are there, and the own protocols go on', async () => {
    const ours = await startMesh({ name: 'caller', delivery: NO_PROBE })
    const [good, bad] = [
      await join(ours, { name: 'good', timings: {} }),
      await join(ours, { name: 'bad', timings: {} }),
    ]
    bad.freeze()
    const client = ours.mesh.to(bad.id, probe)
    for (let i = 0; i < 5; i += 1) await failed(client.once({ text: 'x' }, { timeoutMs: 50 }))
    assert.equal(ours.mesh.figures().breakers.open, 1)
    const failovers: string[] = []
    for (let i = 0; i < 20; i += 1) {
      const { id } = await ours.mesh
        .any(probe, { onFailover: (peer) => failovers.push(peer), exclude: [ours.mesh.self.id] })
        .who({})
      assert.equal(id, good.id)
    }
    assert.deepEqual(failovers, [])
    bad.thaw()
    await good.kill()
    await bad.kill()
  })

  it('is not left alone because callers have no patience, and asked all the same where nobody else offers it', async () => {
    const ours = await startMesh({ name: 'hasty', delivery: { breaker: { halfOpenAfterMs: 60_000, minWaitMs: 200 } } })
    const peer = await join(ours, { name: 'only', timings: {} })
    const exclude = [ours.mesh.self.id]
    const anybody = ours.mesh.any(probe, { exclude })
    await anybody.once({ text: 'here' })
    peer.freeze()
    for (const timeoutMs of [1, 2, 5, 10, 20, 20, 20])
      assert.equal((await failed(anybody.once({ text: 'x' }, { timeoutMs }))).code, 'COM001')
    assert.equal(ours.mesh.figures().breakers.opened, 0)
    const late = Array.from({ length: 5 }, () =>
      failed(ours.mesh.to(peer.id, probe).once({ text: 'x' }, { timeoutMs: 250 })),
    )
    assert.deepEqual(
      (await Promise.all(late)).map(({ code }) => code),
      Array.from({ length: 5 }, () => 'COM001'),
    )
    assert.equal(ours.mesh.figures().breakers.open, 1)
    assert.equal((await failed(ours.mesh.to(peer.id, probe).once({ text: 'x' }))).details.breaker, 'open')
    assert.equal((await failed(anybody.once({ text: 'x' }, { timeoutMs: 50 }))).code, 'COM001')
    peer.thaw()
    await untilKnown(ours.mesh, peer.id)
    assert.deepEqual(await anybody.once({ text: 'back' }), { text: 'back' })
    assert.equal(ours.mesh.figures().breakers.open, 0)
    await peer.kill()
  })

  it('does not keep a program from running that calls it in a loop without a pause', async () => {
    const ours = await startMesh({ name: 'loop', delivery: QUICK })
    const peer = await join(ours, { name: 'gone' })
    await peer.kill()
    const client = ours.mesh.to(peer.id, probe)
    let isOver = false
    setTimeout(() => {
      isOver = true
    }, 3_000)
    let calls = 0
    while (!isOver) {
      await client.once({ text: 'x' }).catch(() => {})
      calls += 1
    }
    assert.ok(calls > 20, `${calls}`)
    assert.ok(ours.mesh.figures().breakers.refused > 10)
  })
})

describe('recoveries', { timeout: 60_000 }, () => {
  after(async () => {
    endProcesses()
    await stopMeshes()
  })
  const shops = async () => {
    const ours = await startMesh({ name: 'ours', debug: 0, timings: BRISK })
    const theirs = await join(ours, { name: 'theirs' })
    await theirs.ask('openShop', undefined)
    await until('the shop is known', () => ours.mesh.directory.offers('shop', 1).length === 1)
    return { ours, theirs, shop: ours.mesh.to(theirs.id, newShop) }
  }

  it('MSG001: what an older, strict peer does not know is left out, and sent once more', async () => {
    const { ours, theirs, shop } = await shops()
    assert.deepEqual(await shop.buy({ item: 'tea', note: 'soon' }), { bought: 'tea' })
    assert.equal((await theirs.ask('runs', undefined)).buy, 1)
    assert.equal(await recoveries(ours, 'MSG001', 'recovered'), 1)
    assert.deepEqual(
      ours.log.lines.filter(({ level }) => level === 'error'),
      [],
    )
    await theirs.kill()
  })

  it('MSG002: what JSON cannot hold is written as CBOR, there and back; what that cannot hold fails as critical', async () => {
    const { ours, theirs, shop } = await shops()
    const payment = { cents: 2n ** 60n, receipt: new Uint8Array([1, 2, 3]) }
    assert.deepEqual(await shop.pay(payment), payment)
    assert.equal(await recoveries(ours, 'MSG002', 'recovered'), 1)
    const error = await failed(shop.pay({ cents: 2n ** 70n }))
    assert.equal(error.code, 'MSG002')
    assert.equal(await recoveries(ours, 'MSG002', 'failed'), 1)
    const [line] = ours.log.lines.filter(({ level }) => level === 'error')
    assert.equal(line?.message, 'a recovery failed')
    assert.equal(line?.fields?.severity, 'critical')
    assert.match(String(line?.fields?.original_error), /MSG002.*json/)
    assert.match(String(line?.fields?.error), /cbor/)
    await theirs.kill()
  })

  it('COM001: an attempt at an idempotent method that hangs is made again while time is left', async () => {
    const { ours, theirs, shop } = await shops()
    assert.equal(await shop.lookUp({}), 42)
    assert.equal((await theirs.ask('runs', undefined)).lookUp, 2)
    assert.equal(await recoveries(ours, 'COM001', 'recovered'), 1)
    await theirs.kill()
  })

  it('COM002: another peer takes an idempotent call over, and where there is none both causes are logged', async () => {
    const ours = await startMesh({ name: 'ours', debug: 0, timings: BRISK })
    const [one, two] = [await join(ours, { name: 'one' }), await join(ours, { name: 'two' })]
    const holding = ours.mesh.any(probe, { exclude: [ours.mesh.self.id] }).holdAgain({ tag: 'a' })
    const held = async (peer: Peer): Promise<boolean> => (await peer.ask('journal', undefined)).held.length > 0
    await until('one of them has it', async () => (await held(one)) || (await held(two)))
    const [first, second] = (await held(one)) ? [one, two] : [two, one]
    await first.kill()
    await until('the other one has it', () => held(second))
    await second.ask('release', {})
    assert.deepEqual(await holding, { tag: 'a' })
    assert.equal(await recoveries(ours, 'COM002', 'recovered'), 1)
    await second.kill()
    const error = await failed(ours.mesh.to(second.id, probe).who({}))
    assert.equal(error.code, 'COM002')
    assert.equal(await recoveries(ours, 'COM002', 'failed'), 1)
    assert.ok(
      ours.log.lines.some(({ message, fields }) => message === 'a recovery failed' && fields?.code === 'COM002'),
    )
  })
})
