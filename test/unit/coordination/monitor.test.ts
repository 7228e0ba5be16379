/** Services of seed 003: what agents measure, what nodes have free, and what neither a liar nor a flood can do about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { performanceMonitorProtocol, resourceManagerProtocol } from '../../../protocols/coordination/contract.ts'
import type { MetricValues, PerformanceReportData } from '../../../protocols/coordination/messages.ts'
import {
  MAX_ANSWERED,
  MAX_MONITORED,
  MAX_REPORTS,
  MAX_SAMPLES,
  MAX_VALUES,
  PerformanceMonitor,
} from '../../../protocols/coordination/services/performance-monitor.ts'
import { resourceManager } from '../../../protocols/coordination/services/resource-manager.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { ResourceStatus } from '../../../protocols/resource/api.ts'

const REQUEST = '550e8400-e29b-41d4-a716-446655440000'
const AT = '2026-01-01T00:00:00.000Z'

/** A monitor with a clock that is set by hand. */
const monitored = () => {
  const time = { now: 1_000_000 }
  const clock = { now: () => time.now, monotonic: () => time.now }
  const monitor = new PerformanceMonitor({
    port: { clock },
    coordinator: { status: () => ({ leader: 'lead' }) },
  })
  const { handlers } = monitor
  // The context has more, which the monitor does not use.
  const by = (peer: string) => ({ peer }) as Parameters<typeof handlers.metrics_update>[1]
  return {
    ...{ time, monitor },
    update: (peer: string, metrics: MetricValues, source_agent = peer) =>
      handlers.metrics_update({ timestamp: AT, source_agent, metrics }, by(peer)),
    report: (peer: string, report: PerformanceReportData) => handlers.performance_report(report, by(peer)),
    ask: (window_ms: number, names?: string[]) =>
      monitor.system({ request_id: REQUEST, timestamp: AT, window_ms, ...(names !== undefined && { names }) }),
  }
}
const metricsNamed = (prefix: string, count: number, value = 1): MetricValues =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, value]))
const refusedWith =
  (code: 'SEC002') =>
  (error: unknown): boolean =>
    isParleyError(error, code)

test('the monitor answers with the mean of each agent in the window, and the sums of these', () => {
  const { time, monitor, update, ask } = monitored()
  update('a', { load: 1, queue: 7 })
  time.now += 10_000
  update('a', { load: 3 })
  update('b', { load: 10 })
  const all = ask(60_000)
  assert.deepEqual(all.agents, [
    { agent_id: 'b', metrics: { load: 10 } },
    { agent_id: 'a', metrics: { load: 2, queue: 7 } },
  ])
  assert.deepEqual(all.totals, { load: 12, queue: 7 })
  assert.deepEqual(ask(5_000).totals, { load: 13 })
  assert.deepEqual(ask(60_000, ['queue']).agents, [{ agent_id: 'a', metrics: { queue: 7 } }])
  assert.deepEqual(monitor.summary('a').get('load'), { min: 1, max: 3, mean: 2, current: 3 })
  assert.equal(monitor.summary('nobody').size, 0)
  assert.deepEqual(monitor.table().rows[0], ['a', 'load', 1, 3, 2, 3])
})

test('nobody reports for another agent, and only who coordinates reports of plans', () => {
  const { monitor, update, report } = monitored()
  const plan: PerformanceReportData = {
    ...{ report_id: REQUEST, timestamp: AT, goal_id: 'p', from: AT, to: AT, outcome: 'completed' },
    ...{ metrics: { tasks: 3 }, agents: [] },
  }
  assert.throws(() => update('eve', { load: 0 }, 'a'), refusedWith('SEC002'))
  assert.throws(() => report('eve', plan), refusedWith('SEC002'))
  assert.deepEqual(monitor.counts(), { agents: 0, values: 0, reports: 0, dropped: 0 })
  update('lead', { plans_open: 2 })
  report('lead', plan)
  report('lead', plan)
  assert.deepEqual(monitor.reports(), [plan])
})

test('samples, agents, values and reports are bounded, and what goes for newer ones is counted', () => {
  const { monitor, update, report, ask } = monitored()
  for (let i = 0; i < MAX_SAMPLES; i += 1) update('a', { load: i })
  assert.equal(monitor.counts().dropped, 0)
  update('a', { load: MAX_SAMPLES })
  assert.equal(monitor.counts().dropped, 1)
  assert.equal(monitor.summary('a').get('load')?.min, 1)
  for (let i = 1; i < MAX_MONITORED; i += 1) update(`p${i}`, { load: 1 })
  assert.deepEqual(monitor.counts(), {
    agents: MAX_MONITORED,
    values: MAX_SAMPLES + MAX_MONITORED - 1,
    reports: 0,
    dropped: 1,
  })
  update('more', { load: 1 })
  assert.equal(monitor.counts().agents, MAX_MONITORED)
  assert.equal(monitor.summary('a').size, 0, 'who was heard of longest ago goes')
  assert.equal(ask(1_000).agents.length, MAX_MONITORED)
  const { reports } = monitor.counts()
  assert.equal(reports, 0)
  for (let i = 0; i <= MAX_REPORTS; i += 1) {
    const report_id = `550e8400-e29b-41d4-a716-${String(i).padStart(12, '0')}`
    const made = { report_id, timestamp: AT, goal_id: `p${i}`, from: AT, to: AT, outcome: 'failed' as const }
    report('lead', { ...made, metrics: {}, agents: [] })
  }
  assert.equal(monitor.counts().reports, MAX_REPORTS)
  assert.equal(monitor.reports()[0]?.goal_id, 'p1')
})

test('many agents with all that they may send stay within the values, keep their newest sample, and are answered', () => {
  const { monitor, update, ask } = monitored()
  const full = metricsNamed('m', 64)
  for (let round = 0; round < 8; round += 1) for (let i = 0; i < MAX_MONITORED; i += 1) update(`p${i}`, full)
  const { values, dropped } = monitor.counts()
  assert.ok(values <= MAX_VALUES, `${values}`)
  assert.ok(dropped > 0)
  assert.equal(monitor.summary('p0').size, 64)
  const answer = ask(60_000)
  assert.equal(answer.agents.length, MAX_ANSWERED / 64)
  assert.equal(answer.agents[0]?.agent_id, `p${MAX_MONITORED - 1}`, 'who was heard of last')
})

test('no sample makes an answer that its schema refuses', () => {
  const { update, ask } = monitored()
  const schema = performanceMonitorProtocol.methods.metrics_request.response
  for (let i = 0; i < 3; i += 1) {
    update('eve', { load: Number.MAX_VALUE })
    update('mallory', { load: i % 2 === 0 ? Number.MAX_VALUE : -Number.MAX_VALUE })
    update('many', metricsNamed(`round${i}-`, 64))
    update('odd', JSON.parse('{"__proto__":1,"constructor":2}'))
  }
  update('more', metricsNamed('other', 64))
  const answer = schema.parse(ask(60_000))
  assert.equal(answer.totals.load, Number.MAX_VALUE)
  assert.equal(Object.keys(answer.totals).length, 64)
  assert.equal(Object.keys(answer.agents.find(({ agent_id }) => agent_id === 'many')?.metrics ?? {}).length, 64)
})

const status = (owner: string, name: string, capacity: number, used: number, more: Partial<ResourceStatus> = {}) => ({
  ...{ resource_id: `${name}@${owner}`, name, owner, status: 'available' as const, capacity, used, timestamp: AT },
  ...more,
})

test('the resource manager says whether so many nodes have it free at once, by calls over the mesh', async () => {
  const network = createPortNetwork({ seed: 1 })
  const [one, other] = [network.start('one'), network.start('other')]
  network.connect(one, other)
  const all: ResourceStatus[] = [
    status('a', 'cpu', 4, 1),
    status('a', 'gpu', 1, 1),
    status('b', 'cpu', 4, 4),
    status('b', 'gpu', 2, 0),
    status('d', 'cpu', 9, 0, { status: 'draining' }),
    status('e', 'cpu', 9, 0, { status: 'lost' }),
  ]
  await one.port.serve(resourceManagerProtocol, resourceManager({ port: one.port, status: async () => all }))
  const ask = async (requirements: Record<string, number>, count?: number) => {
    const asked = { request_id: REQUEST, timestamp: AT, requirements, ...(count !== undefined && { count }) }
    const answer = other.port.to(one.id, resourceManagerProtocol).resource_query(asked)
    let isOver = false
    answer.finally(() => (isOver = true)).catch(() => {})
    await network.time.until(() => isOver, 5_000)
    return answer
  }
  const three = await ask({ cpu: 3 })
  assert.equal(three.available, true)
  assert.deepEqual(
    three.resources.map(({ resource_id }) => resource_id),
    ['cpu@a', 'cpu@b', 'cpu@d', 'cpu@e'],
  )
  assert.equal(three.request_id, REQUEST)
  assert.equal((await ask({ cpu: 4 })).available, false, 'what drains or is lost gives nothing')
  assert.equal((await ask({ cpu: 3, gpu: 1 })).available, false, 'one node has both, or it does not fit')
  assert.equal((await ask({ cpu: 1 }, 2)).available, false)
  assert.equal((await ask({ gpu: 2 })).available, true)
  assert.equal((await ask({ constructor: 1 })).available, false)
  assert.equal((await ask({}, 2)).available, true)
  assert.equal((await ask({}, 3)).available, false)
  assert.equal((await ask({})).resources.length, all.length)
})
