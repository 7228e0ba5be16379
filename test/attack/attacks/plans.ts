/** A member that decides about plans of others, directs agents, and makes as many plans as it may. C1, C6. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import type { Link } from '../raw/link.ts'
import { codeOf, type SeenRecord } from '../raw/tasks.ts'
import { count } from './scene.ts'
import { HONEST, inWorkshop, judge, type Workshop } from './tasks/workshop.ts'

const PREFIX = '$part/parley/plans/p/'
const COORDINATION = '/parley/coordination/1'
const MONITOR = '/parley/performance-monitor/1'
const PAUSE_MS = 50
const EVERY_MS = 20
const PATIENCE_MS = 15_000
const HIGHEST = Number.MAX_SAFE_INTEGER
const TIMESTAMP = '2026-01-01T00:00:00Z'
const DIRECTIVE = '550e8400-e29b-41d4-a716-446655440000'

const idOf = ({ key }: SeenRecord): string => key.slice(PREFIX.length)
const listOf = (value: unknown, name: string): unknown[] => {
  const list: unknown = Reflect.get(Object(value), name)
  return Array.isArray(list) ? list : []
}

/** Honest plans are made meanwhile, and judged. */
const meanwhile = async (workshop: Workshop, attack: () => Promise<void>): Promise<void> => {
  const { submitter, reached, tried } = workshop
  await submitter.ask('beginPlanning', { type: HONEST, tasks: 3, everyMs: EVERY_MS, timeoutMs: PATIENCE_MS })
  const [outcome] = await Promise.allSettled([attack()])
  const { completed, wrong } = await submitter.ask('endPlanning')
  if (outcome.status === 'rejected') throw outcome.reason
  count(tried, 'honest plans', completed)
  reached.push(...wrong)
  if (completed === 0) reached.push('no honest plan was carried out')
}

/** What only the coordinator of an epoch decides, as of the plan that was read. */
const moves = ({ value }: SeenRecord, id: string, self: string, epoch: number) => {
  const as = Number(Reflect.get(Object(Reflect.get(Object(value), 'fence')), 'index') ?? 0)
  const [task = 'none'] = listOf(value, 'tasks')
  return [
    { do: 'system_state_change' },
    { do: 'plan_ready', assignments: [{ task, agent: self, directive: DIRECTIVE }] },
    { do: 'coordination_failure', reason: 'a lie' },
    { do: 'execution_started' },
    { do: 'adjustment_needed', adjustment: 'imbalance' },
    { do: 'completion', outcome: 'completed' },
    { do: 'retry_coordination' },
    { do: 'recovery_complete', reason: 'a lie' },
  ].map((one) => ({ ...one, epoch, id, as }))
}

/** Directives and reports to a node, by raw links. */
const directing = async (
  { attacker, coordinator, epoch, hand, ...judged }: Workshop,
  agent: Link,
  monitor: Link,
): Promise<void> => {
  const target = coordinator.facts().id
  const ask = async (link: Link, method: string, input: unknown): Promise<string> => {
    const { payload, fault } = await link.ask(method, JSON.stringify(input), { limitMs: PATIENCE_MS })
    return payload === undefined ? codeOf(fault) : 'ok'
  }
  const directive = {
    ...{ directive_id: DIRECTIVE, timestamp: TIMESTAMP, target_agent: target, plan: 'mallory', action: 'assign_task' },
    parameters: { task_id: 'mallory', type: HONEST, priority: 'critical', resources: [] },
  }
  for (const term of [0, epoch, epoch + 1, HIGHEST]) {
    const sent = await ask(agent, 'coordination_directive', { ...directive, fence: { term, index: HIGHEST } })
    judge(judged, 'directing an agent', [sent], ['SEC002', 'STA003'])
  }
  const bad = [
    {},
    { ...directive, fence: { term: -1, index: 0 } },
    { ...directive, action: 'obey' },
    null,
    'x'.repeat(9),
  ]
  for (const one of bad)
    judge(judged, 'a directive that is none', [await ask(agent, 'coordination_directive', one)], ['MSG001'])
  const completion = { task_id: 't', timestamp: TIMESTAMP, source_agent: target, status: 'completed', metrics: {} }
  judge(judged, 'telling of work of others', [await ask(agent, 'task_completion', completion)], ['SEC002'])
  const update = { timestamp: TIMESTAMP, source_agent: target, metrics: { load: -1e308 } }
  judge(judged, 'measuring for others', [await ask(monitor, 'metrics_update', update)], ['SEC002'])
  const own = { timestamp: TIMESTAMP, source_agent: attacker.id }
  const tooMany = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`m${i}`, i]))
  judge(judged, 'measuring too much', [await ask(monitor, 'metrics_update', { ...own, metrics: tooMany })], ['MSG001'])
  const many = (round: number) => Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`round${round}-${i}`, 1]))
  const odd = [{ load: 1e308 }, { load: 1e308 }, { constructor: 1 }, { a: -0 }, many(1), many(2)]
  for (const metrics of odd)
    judge(judged, 'measuring oddly', [await ask(monitor, 'metrics_update', { ...own, metrics })], ['ok'])
  const asked = { request_id: DIRECTIVE, timestamp: TIMESTAMP, window_ms: 60_000 }
  judge(judged, 'spoiling what the monitor answers', [await ask(monitor, 'metrics_request', asked)], ['ok'])
  const report = { report_id: DIRECTIVE, timestamp: TIMESTAMP, goal_id: 'g', from: 0, to: 1, outcome: 'completed' }
  const reported = await ask(monitor, 'performance_report', { ...report, metrics: {}, agents: [] })
  judge(judged, 'reporting of plans', [reported], ['SEC002'])
  // Steering tasks of plans is the coordinator's.
  const tasks = (await hand.tasks()).slice(0, 8)
  for (const { id, record } of tasks) {
    const plan = String(Reflect.get(record, 'plan') ?? 'none')
    const steer = { do: 'steer', epoch, id, plan, assignee: attacker.id }
    judge(judged, 'steering tasks', await hand.directTasks(steer, { ...steer, free: true }), ['SEC002'])
    judge(judged, 'steering in another epoch', await hand.directTasks({ ...steer, epoch: epoch + 1 }), ['STA002'])
  }
}

const impostor: Attack = {
  name: 'plan-impostor',
  line: 'C1',
  by: 'member',
  about: 'moves, cancels and makes anew plans of others, directs agents, steers tasks, tells of work of others',
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, attacker, epoch, connection } = workshop
      const agent = await attacker.link(connection, COORDINATION)
      const monitor = await attacker.link(connection, MONITOR)
      await meanwhile(workshop, async () => {
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          const plans = (await hand.records(PREFIX)).slice(-4)
          count(workshop.tried, 'plans of others that were there', plans.length)
          for (const plan of plans) {
            const id = idOf(plan)
            judge(workshop, 'canceling', await hand.changePlans({ do: 'cancel', id }), ['SEC002', 'STA003', 'STA001'])
            const goal = { goal: 'taken', tasks: listOf(plan.value, 'tasks'), maxFailures: 1 }
            judge(workshop, 'making it anew', await hand.changePlans({ do: 'propose', id, goal }), ['STA003'])
            for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
              const decided = await hand.changePlans(...moves(plan, id, attacker.id, at))
              judge(workshop, 'moving', decided, at === epoch ? ['SEC002'] : ['STA002'])
              const forgotten = await hand.changePlans({ do: 'forget', epoch: at, ids: [id] })
              judge(workshop, 'forgetting', forgotten, at === epoch ? ['SEC002'] : ['STA002'])
            }
          }
          await directing(workshop, agent, monitor)
          await delay(PAUSE_MS)
        }
      })
    }),
}

const AT_ONCE = 32
const TASKS = 128

const flood: Attack = {
  name: 'plan-flood',
  line: 'C2',
  by: 'member',
  about: `makes plans of ${TASKS} tasks that nobody submits, as many as it may, ends them again, and sends nonsense`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand } = workshop
      await meanwhile(workshop, async () => {
        const tasks = Array.from({ length: TASKS }, (_, i) => `mallory-${i}`)
        const goal = { goal: 'x'.repeat(1_024), tasks, maxFailures: 1_000, generator: 'nobody-has-it' }
        const endsAt = performance.now() + seconds * 1_000
        for (let n = 0; performance.now() < endsAt; n += AT_ONCE) {
          const ids = Array.from({ length: AT_ONCE }, (_, i) => `mallory-${n + i}`)
          // One command takes no more of this size.
          for (const id of ids.slice(0, 4))
            judge(workshop, 'making plans', await hand.changePlans({ do: 'propose', id, goal }), ['ok', 'COM003'])
          const small = { goal: 'x', tasks: ['t'], maxFailures: 0 }
          const made = await hand.changePlans(...ids.slice(4).map((id) => ({ do: 'propose', id, goal: small })))
          judge(workshop, 'making small plans', made, ['ok', 'COM003'])
          const ended = await hand.changePlans(...ids.slice(8).map((id) => ({ do: 'cancel', id })))
          judge(workshop, 'ending them', ended, ['ok', 'STA001', 'STA003'])
          for (const bad of [
            { do: 'propose', id: '__proto__', goal: { ...goal, tasks: ['a', 'a'] } },
            { do: 'propose', id: 'bad', goal: { ...goal, tasks: [...tasks, 'more'] } },
            { do: 'propose', id: 'bad', goal: { ...goal, weights: { load: Number.NaN } } },
            { do: 'propose', id: 'bad id', goal },
            { do: 'plan' },
          ])
            judge(workshop, 'nonsense', await hand.changePlans(bad), ['MSG001', 'COM003'])
          await delay(PAUSE_MS)
        }
      })
    }),
}

export const planAttacks: readonly Attack[] = [impostor, flood]
