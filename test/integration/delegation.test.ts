/** Delegation chains and deadlocks between real processes, an agent in a worker thread among them. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type RunningAgent, startAgent } from '../../node/agent/start-agent.ts'
import { createMesh } from '../../node/mesh.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { relay } from '../support/relay.ts'
import { failureOf, timed, until } from '../support/until.ts'

const RELAYER = fileURLToPath(new URL('../support/agents/relayer.ts', import.meta.url))
type Mesh = OwnMesh['mesh']

const refusal = async (call: Promise<unknown>): Promise<ParleyError> => {
  const error = await failureOf(call)
  assert.ok(error instanceof ParleyError, String(error))
  return error
}

describe('agents that pass requests on, one slot each', { timeout: 100_000 }, () => {
  let root: Mesh
  let one: Peer
  let two: Peer
  let host: Mesh
  let agent: RunningAgent

  before(async () => {
    root = (await startMesh({ name: 'root' })).mesh
    const join = root.self.addresses
    const start = (name: string): Promise<Peer> => startPeer({ name, join, limits: { maxActive: 1 } })
    host = await createMesh({ name: 'host', join, limits: { maxActive: 1 } })
    ;[one, two] = await Promise.all([start('one'), start('two')])
    agent = startAgent(host, RELAYER, { maxRuns: 1 })
    for (const peer of [one, two]) {
      await peer.ask('joined', {})
      await peer.ask('openRelay', undefined)
    }
    await Promise.all([agent.ready, host.joined()])
    await until('all relays are known', () => root.directory.offers('relay', 1).length === 3)
    // Whoever is passed on to is connected, as in a mesh of this size everybody is.
    await until('the host knows them', () => host.directory.offers('relay', 1).length === 2)
  })
  after(async () => {
    await agent.stop()
    await host.stop()
    endProcesses()
    await stopMeshes()
  })

  const named = (chain: unknown): string[] => {
    const names = { root: root.self.id, one: one.id, two: two.id, host: host.self.id }
    return (chain as string[]).map((hop) =>
      Object.entries(names).reduce((text, [name, id]) => text.replace(id, name), hop),
    )
  }

  it('give each other the chain, through a worker thread too, and less time at each hop', async () => {
    const { chain, leftMs } = await root.to(one.id, relay).pass(
      {
        pauseMs: 50,
        route: [
          { to: host.self.id, method: 'pass', pauseMs: 50 },
          { to: two.id, method: 'back' },
        ],
      },
      { timeoutMs: 5_000 },
    )
    assert.deepEqual(named(chain), ['root', 'one/relay.pass', 'host/relay.pass', 'two/relay.back'])
    assert.ok(leftMs > 1_000 && leftMs <= 4_900, `${leftMs} ms are left`)
  })

  it('refuse a cycle, with its chain in the error, at the one that would have closed it', async () => {
    const route = [
      { to: host.self.id, method: 'pass' as const },
      { to: two.id, method: 'pass' as const },
      { to: one.id, method: 'pass' as const },
    ]
    const { value: error, ms } = await timed(() => refusal(root.to(one.id, relay).pass({ route })))
    assert.deepEqual([error.code, error.reason], ['STA003', 'delegation-cycle'])
    assert.deepEqual(named(error.details.chain), [
      'root',
      'one/relay.pass',
      'host/relay.pass',
      'two/relay.pass',
      'one/relay.pass',
    ])
    assert.ok(ms < 3_000, `${ms} ms`)
  })

  /** Each of the two asks the other one while its only slot is taken. */
  const mutual = (a: string, b: string): Promise<PromiseSettledResult<unknown>[]> =>
    Promise.allSettled([
      root.to(a, relay).pass({ pauseMs: 300, route: [{ to: b, method: 'back' }] }),
      root.to(b, relay).pass({ pauseMs: 300, route: [{ to: a, method: 'back' }] }),
    ])

  const oneGaveWay = ({ value, ms }: { value: PromiseSettledResult<unknown>[]; ms: number }, most: number): void => {
    const failed = value.filter((outcome) => outcome.status === 'rejected')
    assert.equal(failed.length, 1, JSON.stringify(value))
    const { reason: error } = failed[0] ?? assert.fail('nobody failed')
    assert.ok(error instanceof ParleyError, String(error))
    assert.deepEqual([error.code, error.reason], ['STA003', 'deadlock'])
    assert.equal(error.details.sent, true, 'what gave way never ran; the request whose handler had made it did')
    assert.ok(ms < most, `${ms} ms`)
  }

  it('that wait for each other are found within a second or two, and exactly one call gives way', async () => {
    oneGaveWay(await timed(() => mutual(one.id, two.id)), 4_000)
    oneGaveWay(await timed(() => mutual(one.id, host.self.id)), 4_000)
  })

  it('that wait for each other in a ring of three are found as well', async () => {
    const ring = [one.id, two.id, host.self.id]
    const calls = ring.map((id, i) =>
      root.to(id, relay).pass({ pauseMs: 300, route: [{ to: ring[(i + 1) % 3] ?? '', method: 'back' }] }),
    )
    oneGaveWay(await timed(() => Promise.allSettled(calls)), 4_000)
  })

  it('that call themselves while their only slot is taken are found on the node alone', async () => {
    const route = [{ to: two.id, method: 'back' as const }]
    const { value, ms } = await timed(() => refusal(root.to(two.id, relay).pass({ route })))
    assert.deepEqual([value.code, value.reason], ['STA003', 'deadlock'])
    assert.ok(ms < 3_000, `${ms} ms`)
  })

  it('drain, however many such calls there are: each is answered or gives way, and none waits for its deadline', async () => {
    // The agent in a thread refuses what is above its runs, which is no deadlock: the two processes alone.
    const ids = [one.id, two.id]
    const calls = Array.from({ length: 24 }, (_, i) =>
      root.to(ids[i % 2] ?? '', relay).pass({ pauseMs: 5, route: [{ to: ids[(i + 1) % 2] ?? '', method: 'back' }] }),
    )
    const { value, ms } = await timed(() => Promise.allSettled(calls))
    const reasons = value.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason.reason)] : []))
    assert.deepEqual(
      reasons.filter((reason) => reason !== 'deadlock'),
      [],
    )
    assert.ok(ms < 14_000, `${ms} ms`)
  })

  it('are left alone where one of those that have a slot only takes its time', async () => {
    // The second one waits for nobody: both calls are answered once it has ended.
    const slow = root.to(two.id, relay).pass({ pauseMs: 1_500, route: [] })
    const waiting = root.to(one.id, relay).pass({ pauseMs: 100, route: [{ to: two.id, method: 'back' }] })
    const queued = root.to(one.id, relay).back({ route: [] })
    const outcomes = await Promise.allSettled([slow, waiting, queued])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled'],
    )
  })
})
