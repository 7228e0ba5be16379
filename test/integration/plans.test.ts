/** Plans between processes over loopback TCP: agents are chosen, directed, replaced, and another coordinator goes on. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, type Mesh, makeSecret, type PlanStatus } from '../../node/index.ts'
import {
  coordinationProtocol,
  performanceMonitorProtocol,
  resourceManagerProtocol,
} from '../../protocols/coordination/contract.ts'
import { decidePlans } from '../../protocols/coordination/journal/plan-kinds.ts'
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

  it('one agent that refuses does not hold up a large plan that others do', async () => {
    await one(2).ask('refuseDirectives', { refuses: true })
    const plan = await ann.plans.make({ goal: 'without it', tasks: tasksOf('quick', 'w', 24), maxFailures: 2 })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed', over.reason)
    assert.ok(over.assignments.every(({ agent }) => agent !== one(2).id))
    await one(2).ask('refuseDirectives', { refuses: false })
  })

  it('a task that failed at one agent is tried again at another one', async () => {
    await one(0).ask('failAt', { type: 'frail', slots: 4 })
    await one(1).ask('workFor', { type: 'frail', slots: 1, ms: 200 })
    const retry = { max: 2, delayMs: 200 }
    const tasks = tasksOf('frail', 'f', 6).map((task) => ({ ...task, retry }))
    const over = await (await ann.plans.make({ goal: 'in spite of it', tasks })).ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed', over.reason)
    assert.ok(over.moves.some(({ reason = '' }) => /failed at a task of frail/.test(reason)))
  })

  it('a plan that names a task that is not its own comes to an end', async () => {
    await ann.tasks.submit({ id: 'nobody-does-it', type: 'rare' })
    const [foreign, own] = ['foreign-task', 'own-task']
    await ann.tasks.submit({ id: foreign, type: 'quick', dependencies: ['nobody-does-it'] })
    await ann.tasks.submit({ id: own, type: 'quick', plan: 'half-own' })
    const goal = { goal: 'not all mine', tasks: [foreign, own], maxFailures: 0 }
    await ann.journal.submit(decidePlans, { changes: [{ do: 'propose', id: 'half-own', goal }] })
    const over = await (await ann.plans.get('half-own')).ended({ timeoutMs: END_MS })
    assert.deepEqual([over.outcome, over.reason], ['failed', '1 of 2 tasks were not completed'])
    assert.deepEqual(triggers(over), ['system_state_change', 'plan_ready', 'execution_started', 'completion'])
    assert.equal((await ann.tasks.get(own).ended({ timeoutMs: END_MS })).status, 'completed')
    assert.equal((await ann.tasks.get(foreign).state()).status, 'submitted')
    await ann.tasks.get('nobody-does-it').cancel()
  })

  it('a plan that is canceled ends its tasks, for its owner alone', async () => {
    const plan = await ann.plans.make({ id: 'no-need', goal: 'no need', tasks: tasksOf('slow', 'c', 3) })
    await until('it is under way', async () => (await plan.status()).state === 'monitoring')
    await plan.cancel('no need')
    assert.equal((await plan.ended({ timeoutMs: END_MS })).outcome, 'canceled')
    for (const task of plan.tasks) assert.equal((await task.ended({ timeoutMs: END_MS })).status, 'canceled')
    assert.match(String(await failureOf(plan.cancel())), /is over/)
  })

  it('a plan whose tasks cannot be submitted is not left behind', async () => {
    const bad = [
      { id: 'fine', type: 'quick' },
      { id: 'bad', type: 'not a type!' },
    ]
    const refused = await failureOf(ann.plans.make({ id: 'half', goal: 'half of it is bad', tasks: bad }))
    assert.equal(Reflect.get(Object(refused), 'code'), 'MSG001')
    await until('it is canceled', async () => {
      const [half] = (await ann.plans.list()).filter(({ id }) => id === 'half')
      return half?.outcome === 'canceled' && half.reason === 'its tasks were not submitted'
    })
    const twice = await failureOf(
      ann.plans.make({ goal: 'one twice', tasks: [...tasksOf('quick', 'x', 1), ...tasksOf('quick', 'x', 1)] }),
    )
    assert.equal(Reflect.get(Object(twice), 'code'), 'MSG001')
    assert.equal(Reflect.get(Object(await failureOf(ann.plans.make({ goal: '', tasks: [] }))), 'code'), 'MSG001')
  })

  it('a plan whose tasks could not be submitted is made by the same again, once they can be', async () => {
    const tasks = tasksOf('quick', 'later', 2).map((task) => ({ ...task, dependencies: ['before-it'] }))
    const what = { id: 'later', goal: 'after another thing', tasks }
    assert.match(String(await failureOf(ann.plans.make(what))), /depends on before-it/)
    await ann.tasks.submit({ id: 'before-it', type: 'quick' })
    const plan = await ann.plans.make(what)
    assert.equal((await plan.ended({ timeoutMs: END_MS })).outcome, 'completed')
    // Of more than go together some were submitted: the same again submits the others.
    const parts = tasksOf('quick', 'part', 80).map((task, i) => ({
      ...task,
      ...(i === 79 && { dependencies: ['after'] }),
    }))
    const inParts = { id: 'in-parts', goal: 'eighty things', tasks: parts }
    assert.match(String(await failureOf(ann.plans.make(inParts))), /depends on after/)
    await ann.tasks.submit({ id: 'after', type: 'quick' })
    assert.equal((await (await ann.plans.make(inParts)).ended({ timeoutMs: END_MS })).outcome, 'completed')
    // Those that depend on each other may be named in any order, and more than one decision has room for.
    const [first, ...others] = tasksOf('quick', 'many', 70).reverse()
    const waiting = others.map((task) => ({ ...task, dependencies: [first?.id ?? ''] }))
    const large = await ann.plans.make({ goal: 'seventy things', tasks: [...waiting, first ?? { type: 'quick' }] })
    assert.deepEqual(
      large.tasks.map(({ id }) => id),
      [...waiting, first].map((task) => task?.id),
    )
    assert.equal((await large.ended({ timeoutMs: END_MS })).outcome, 'completed')
  })

  it('where nobody takes its tasks it waits in error, and goes on once somebody does', async () => {
    const plan = await ann.plans.make({ id: 'late', goal: 'wait for it', tasks: tasksOf('rare', 'l', 1) })
    await until('it says why', async () => /no-agent/.test(String((await plan.status()).reason)))
    const partly = await ann.plans.make({
      ...{ id: 'partly', goal: 'as far as it goes' },
      tasks: [...tasksOf('rare', 'lp', 1), ...tasksOf('quick', 'lq', 1)],
    })
    await until('what can be done is done', async () => (await partly.tasks[1]?.state())?.status === 'completed')
    assert.match(String((await partly.status()).reason), /1 tasks wait: no-agent/)
    await one(1).ask('workFor', { type: 'rare', slots: 1, ms: 1 })
    assert.equal((await partly.ended({ timeoutMs: END_MS })).outcome, 'completed')
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed')
    assert.ok(triggers(over).includes('retry_coordination'))
  })

  it('only who coordinates directs, and each agent tells of itself alone', async () => {
    const target = one(0).id
    const request_id = crypto.randomUUID()
    const timestamp = new Date().toISOString()
    const directive = {
      ...{ directive_id: request_id, timestamp, target_agent: target, plan: 'forged', action: 'assign_task' as const },
      fence: { term: 1, index: 1 },
      parameters: { task_id: 'forged', type: 'quick', priority: 'high' as const, resources: [] },
    }
    const agent = ann.to(target, coordinationProtocol)
    const refused = async (call: Promise<unknown>): Promise<unknown> =>
      Reflect.get(Object(await failureOf(call)), 'code')
    assert.equal(await refused(agent.coordination_directive(directive)), 'SEC002')
    // Of an epoch that nobody reached, it might come from a coordinator that this agent has not heard of.
    const later = { ...directive, fence: { term: 1_000, index: 1 } }
    assert.equal(await refused(agent.coordination_directive(later)), 'STA003')
    assert.equal(await refused(agent.coordination_directive({ ...directive, target_agent: one(1).id })), 'MSG001')
    const status = await agent.agent_status({ request_id, timestamp, target_agent: target })
    assert.deepEqual([...status.capabilities].sort(), ['frail', 'quick', 'slow'])
    assert.equal(status.source_agent, target)
    const monitor = ann.to(target, performanceMonitorProtocol)
    const metrics = { load: 1 }
    assert.equal(await refused(monitor.metrics_update({ timestamp, source_agent: target, metrics })), 'SEC002')
    const report = { report_id: request_id, timestamp, goal_id: 'first', from: 0, to: 1, outcome: 'completed' as const }
    assert.equal(await refused(monitor.performance_report({ ...report, metrics, agents: [] })), 'SEC002')
    await monitor.metrics_update({ timestamp, source_agent: ann.self.id, metrics: { load: 0.5 } })
    const system = await monitor.metrics_request({ request_id, timestamp, window_ms: 60_000, names: ['load'] })
    assert.deepEqual(system.agents.find(({ agent_id }) => agent_id === ann.self.id)?.metrics, { load: 0.5 })
    const told = { task_id: 'first', timestamp, source_agent: target, status: 'completed' as const, metrics: {} }
    assert.equal(await refused(agent.task_completion(told)), 'SEC002')
  })

  it('the resource manager says what nodes have free, and plans keep to it', async () => {
    await one(1).ask('offerResources', { gpu: 1 })
    const manager = ann.to(one(0).id, resourceManagerProtocol)
    const ask = { request_id: crypto.randomUUID(), timestamp: new Date().toISOString() }
    await until(
      'it is known',
      async () => (await manager.resource_query({ ...ask, requirements: { gpu: 1 } })).available,
    )
    assert.equal((await manager.resource_query({ ...ask, requirements: { gpu: 1 }, count: 2 })).available, false)
    const requirements = { gpu_units: 1 }
    await one(2).ask('offerResources', { arm: 1 })
    const armed = { id: 'with-arm', type: 'quick', requirements: { resources: { arm: 1 } } }
    const tasks = [...tasksOf('quick', 'g', 3).map((task) => ({ ...task, requirements })), armed]
    const plan = await ann.plans.make({ id: 'gpu', goal: 'three with a gpu', tasks })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed')
    for (const { task, agent } of over.assignments) assert.equal(agent, one(task === 'with-arm' ? 2 : 1).id, task)
    const none = await ann.plans.make({
      ...{ id: 'two-gpus', goal: 'nobody has two', maxFailures: 0 },
      tasks: [{ id: 'two', type: 'quick', requirements: { gpu_units: 2 } }],
    })
    assert.match(String((await none.ended({ timeoutMs: END_MS })).reason), /no-such-capacity: .* gpu/)
  })

  it('a plan generator of a program chooses, and one that nobody has says so', async () => {
    const last = one(2).id
    for (const peer of peers) await peer.ask('chooseAlways', { agent: last })
    const plan = await ann.plans.make({ goal: 'all at one', tasks: tasksOf('quick', 'o', 4), generator: 'always' })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.deepEqual(
      [over.outcome, new Set(over.assignments.map(({ agent }) => agent))],
      ['completed', new Set([last])],
    )
    const none = await ann.plans.make({
      ...{ goal: 'nobody chooses', tasks: tasksOf('quick', 'n', 1), generator: 'unknown', maxFailures: 0 },
    })
    assert.match(String((await none.ended({ timeoutMs: END_MS })).reason), /no-generator: .* unknown/)
  })

  it('a plan generator has agents give more or less of their resources, as far as they do', async () => {
    for (const peer of peers) {
      await peer.ask('offerResources', { cpu: 4 })
      await peer.ask('adjustAlways', { resource: 'cpu', units: 3 })
    }
    const plan = await ann.plans.make({ goal: 'give less', tasks: tasksOf('quick', 'a', 2), generator: 'adjusting' })
    const over = await plan.ended({ timeoutMs: END_MS })
    assert.equal(over.outcome, 'completed')
    const offered = (await ann.resources.status()).filter(({ name }) => name === 'cpu')
    assert.deepEqual(
      offered.map(({ capacity }) => capacity),
      peers.map(() => 3),
    )
    for (const peer of peers) await peer.ask('refuseDirectives', { refuses: true })
    for (const peer of peers) await peer.ask('offerResources', { cpu: 4 })
    const refused = await ann.plans.make({
      ...{ goal: 'give nothing', tasks: tasksOf('quick', 'z', 1), generator: 'adjusting', maxFailures: 0 },
    })
    assert.match(String((await refused.ended({ timeoutMs: END_MS })).reason), /not now/)
    for (const peer of peers.slice(1)) await peer.ask('refuseDirectives', { refuses: false })
    const undone = await ann.plans.make({
      ...{ goal: 'all or nothing', tasks: tasksOf('quick', 'u', 1), generator: 'adjusting', maxFailures: 1 },
    })
    assert.match(String((await undone.ended({ timeoutMs: END_MS })).reason), /not now/)
    const left = (await ann.resources.status()).filter(({ name }) => name === 'cpu')
    assert.deepEqual(
      left.map(({ capacity }) => capacity),
      peers.map(() => 4),
      'what some have adjusted is taken back',
    )
    await one(0).ask('refuseDirectives', { refuses: false })
  })

  it('an agent that dies has its tasks done by others, and another coordinator goes on with the plan', async () => {
    const plan = await ann.plans.make({ id: 'killed', goal: 'outlive them', tasks: tasksOf('slow', 'k', 6) })
    await until('all are at work', async () => {
      const states = await Promise.all(plan.tasks.map((task) => task.state()))
      return states.every(({ status }) => status === 'running')
    })
    // A task whose work is a plan, at the one that dies.
    const part = { type: 'slow', parts: 2 }
    await (leader() ?? one(0)).ask('workWhole', part)
    const whole = await ann.tasks.submit({ id: 'whole', type: 'whole' })
    await until('its plan is there', async () => (await ann.plans.list()).some(({ id }) => id === 'whole-plan'))
    const before = await ann.plans.get('whole-plan')
    assert.equal((await before.status()).owner, leader()?.id)
    const [killed] = peers.splice(peers.indexOf(leader() ?? one(0)), 1)
    assert.ok(killed)
    await killed.kill()
    for (const peer of peers) await peer.ask('workWhole', part)
    const over = await plan.ended({ timeoutMs: 60_000 })
    assert.equal(over.outcome, 'completed')
    assert.ok(over.offline.includes(killed.id) || over.assignments.every(({ agent }) => agent !== killed.id))
    const epochs = new Set(over.moves.map(({ epoch }) => epoch))
    assert.ok(epochs.size > 1, 'another coordinator went on')
    for (const task of plan.tasks) assert.notEqual(await task.result({ timeoutMs: END_MS }), undefined)

    const done = await whole.result({ timeoutMs: END_MS })
    const own = await (await ann.plans.get('whole-plan')).ended({ timeoutMs: END_MS })
    assert.equal(own.outcome, 'completed')
    assert.deepEqual(
      own.tasks,
      before.tasks.map(({ id }) => id),
    )
    assert.deepEqual(done, await Promise.all(before.tasks.map((task) => task.result({ timeoutMs: END_MS }))))
    assert.equal(own.owner, (await whole.state()).record.worker, 'who works on the task has its plan')
  })
})
