/** Nodes of the simulated mesh that make plans, coordinate and do their tasks. State: that of each. */
import type { MakePlan } from '../../../protocols/coordination/api.ts'
import { coordinationProtocol } from '../../../protocols/coordination/contract.ts'
import { planJournal } from '../../../protocols/coordination/journal/plan-kinds.ts'
import { PLANS_PART } from '../../../protocols/coordination/plan-record.ts'
import { createPlans, type PlansFeature } from '../../../protocols/coordination/plans.ts'
import { createFenceGuard } from '../../../protocols/journal/fencing/fence-guard.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { TasksFeature } from '../../../protocols/task/tasks.ts'
import type { TaskContext } from '../../../protocols/task/worker/task-context.ts'
import type { JournalMesh, JournalNode } from '../../support/journal-mesh.ts'
import { startTasks, TASK_PARTS } from '../tasks/node-tasks.ts'

export const PLAN_PARTS: readonly JournalPart[] = [...TASK_PARTS, { ...planJournal, name: PLANS_PART }]

export interface PlanNode {
  readonly node: JournalNode
  readonly plans: PlansFeature
  readonly tasks: TasksFeature
}

export interface PlanNodeOptions {
  readonly expect?: number
  readonly random: () => number
  /** It is directed to do a task. @returns whether it refuses */
  judged(plan: string, task: string, agent: string): boolean
  /** It begins to work on a task. */
  worked(task: string, agent: string): void
  /** It spends what the task costs. */
  spend(task: string, context: TaskContext): Promise<void>
}

export interface Part {
  readonly type: string
  readonly input: { readonly ms: number; readonly fails: boolean }
}
const WHOLE_MS = 60_000

/** The plan of a task whose work is one. */
export const wholePlan = (task: string, parts: readonly Part[]): MakePlan => ({
  ...{ id: `${task}-plan`, parent: task, goal: 'the whole of it' },
  tasks: parts.map(({ type, input }) => ({ type, input, retry: { max: 2, delayMs: 100 } })),
})

/** It does whatever there is to do. */
export const FIRST = 'm0'

/** Parts that all voters are known to have. */
export const decidedParts = (mesh: JournalMesh): string[] => {
  const parts = mesh.leader()?.seat()?.machine.records.parts
  return PLAN_PARTS.map(({ name }) => name).filter((name) => parts?.agreed(name) !== undefined)
}

const sleep = (node: JournalNode, ms: number): Promise<void> =>
  new Promise((resolve) => node.port.timers.after(ms, resolve))

export const startPlans = async (mesh: JournalMesh, name: string, options: PlanNodeOptions): Promise<PlanNode> => {
  const { expect, random, judged, worked, spend } = options
  const node = await mesh.start(name, { parts: PLAN_PARTS, ...(expect !== undefined && { expect }) })
  const { tasks, resources } = await startTasks(node)
  const { port, journal, events, coordinator } = node
  const plans = createPlans({
    ...{ port, journal, events, coordinator, fences: await createFenceGuard(), member: node.seat },
    ...{ tasks: tasks.forPlans, resources: resources.forPlans },
    presenceOf: () => 'there',
    onPresence: () => () => {},
  })
  await port.serve(coordinationProtocol, plans.handlers)
  plans.onDirective(({ action, plan, parameters }) =>
    action === 'assign_task' && judged(plan, parameters.task_id, node.id)
      ? { error: random() < 0.5 ? 'directive_failed' : 'resource_conflict', reason: 'it does not want to' }
      : undefined,
  )
  // Where nobody coordinates it takes a while.
  // One of them takes all, so that each task has somebody who does it.
  const types = name === FIRST ? ['a', 'b', 'c'] : random() < 0.7 ? ['a', 'b'] : ['a']
  for (const type of types)
    tasks
      .work(
        type,
        async ({ id, input }, context) => {
          const { ms, fails } = input as { ms: number; fails: boolean }
          worked(id, node.id)
          await spend(id, context)
          await sleep(node, ms)
          if (fails) throw new Error('as it was told')
          return node.id
        },
        { slots: 1 + Math.floor(random() * 2) },
      )
      .catch(() => {})
  // The work of some tasks is a plan.
  tasks
    .work(
      'whole',
      async ({ id, input }, { signal }) => {
        const parts = input as unknown as readonly Part[]
        const plan = await plans.make({ ...wholePlan(id, parts), signal, timeoutMs: WHOLE_MS })
        const ends = await Promise.all(plan.tasks.map((task) => task.ended({ signal })))
        return ends.map(({ status }) => status)
      },
      { slots: 2 },
    )
    .catch(() => {})
  return { node, plans, tasks }
}
