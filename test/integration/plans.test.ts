/** Plans between processes over loopback TCP: agents are chosen, directed, replaced, and another coordinator goes on. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, type Mesh, makeSecret, type PlanStatus } from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

const END_MS = 30_000

describe('plans, between processes', { timeout: 240_000 }, () => {
  const secret = makeSecret()
  const peers: Peer[] = []
  let folder = ''
  let ann: Mesh

  const start = (name: string): Promise<Peer> =>
    startPeer(
      {
        ...{ name, secret, dataDir: join(folder, name), coordination: { expect: 3 } },
        join: peers.flatMap(({ addresses }) => addresses),
      },
      { serve: false },
    )
  const one = (i: number): Peer => {
    const peer = peers[i]
    assert.ok(peer)
    return peer
  }
  const tasksOf = (type: string, prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({ id: `${prefix}-${i}`, type }))
  const leader = (): Peer | undefined => peers.find(({ id }) => id === ann.coordinator.status().leader)
  const triggers = ({ moves }: PlanStatus): string[] => moves.map(({ trigger }) => trigger)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-plans-'))
    for (const name of ['one', 'two', 'three']) peers.push(await start(name))
    ann = await createMesh({ name: 'ann', secret, join: peers.flatMap(({ addresses }) => addresses), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    for (const peer of peers) await peer.ask('workFor', { type: 'quick', slots: 2, ms: 20 })
    for (const peer of peers) await peer.ask('workFor', { type: 'slow', slots: 2, ms: 3_000 })
  })
  after(async () => {
    await ann.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('its tasks go to the agents that it says, by directives that they acknowledged', async () => {
    const plan = await ann.plans.make({ id: 'first', goal: 'six quick things', tasks: tasksOf('quick', 'q', 6) })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed')
    assert.deepEqual(triggers(over), ['system_state_change', 'plan_ready', 'execution_started', 'completion'])
    assert.deepEqual(new Set(over.assignments.map(({ agent }) => agent)), new Set(peers.map(({ id }) => id)))
    for (const { task, agent } of over.assignments)
      assert.equal(await ann.tasks.get(task).result({ timeoutMs: END_MS }), agent, 'who was directed did it')
    // The same once more is the same plan.
    const again = await ann.plans.make({ id: 'first', goal: 'six quick things', tasks: tasksOf('quick', 'q', 6) })
    assert.equal((await again.status()).revision, 1)
    assert.equal((await ann.plans.get('first')).tasks.length, 6)
    assert.match(String(await failureOf(ann.plans.get('nobody'))), /no plan nobody/)
  })

  it('an agent that refuses is not insisted on for ever: the plan is made anew, then given up, and says why', async () => {
    for (const peer of peers) await peer.ask('refuseDirectives', { refuses: true })
    const plan = await ann.plans.make({
      ...{ id: 'refused', goal: 'nobody wants it', tasks: tasksOf('quick', 'r', 2), maxFailures: 2 },
    })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'failed')
    assert.match(String(over.reason), /given up after 3 failures.*not now/)
    assert.ok(triggers(over).includes('adjustment_needed'), String(triggers(over)))
    assert.equal((await ann.tasks.get('r-0').ended({ timeoutMs: END_MS })).status, 'canceled')
    for (const peer of peers) await peer.ask('refuseDirectives', { refuses: false })
  })

  it('a plan that is canceled ends its tasks, for its owner alone', async () => {
    const plan = await ann.plans.make({ id: 'no-need', goal: 'no need', tasks: tasksOf('slow', 'c', 3) })
    await until('it is under way', async () => (await plan.status()).state === 'monitoring')
    await plan.cancel('no need')
    assert.equal((await plan.ended({ timeoutMs: END_MS })).outcome, 'canceled')
    for (const task of plan.tasks) assert.equal((await task.ended({ timeoutMs: END_MS })).status, 'canceled')
    assert.match(String(await failureOf(plan.cancel())), /is over/)
  })

  it('where nobody takes its tasks it waits in error, and goes on once somebody does', async () => {
    const plan = await ann.plans.make({ id: 'late', goal: 'wait for it', tasks: tasksOf('rare', 'l', 1) })
    await until('it says why', async () => /no-agent/.test(String((await plan.status()).reason)))
    await one(1).ask('workFor', { type: 'rare', slots: 1, ms: 1 })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed')
    assert.ok(triggers(over).includes('retry_coordination'))
  })

  it('an agent that dies has its tasks done by others, and another coordinator goes on with the plan', async () => {
    const plan = await ann.plans.make({ id: 'killed', goal: 'outlive them', tasks: tasksOf('slow', 'k', 6) })
    await until('all are at work', async () => {
      const states = await Promise.all(plan.tasks.map((task) => task.state()))
      return states.every(({ status }) => status === 'running')
    })
    const [killed] = peers.splice(peers.indexOf(leader() ?? one(0)), 1)
    assert.ok(killed)
    await killed.kill()
    const over = await plan.ended({ timeoutMs: 60_000 })
    assert.equal(over.outcome, 'completed')
    assert.ok(over.offline.includes(killed.id) || over.assignments.every(({ agent }) => agent !== killed.id))
    const epochs = new Set(over.moves.map(({ epoch }) => epoch))
    assert.ok(epochs.size > 1, 'another coordinator went on')
    for (const task of plan.tasks) assert.notEqual(await task.result({ timeoutMs: END_MS }), undefined)
  })
})
