/** What a plan's coordinator reads of tasks, workers and nodes on its own copy of the journal. Keeps no state. */
import type { JournalMember } from '../../journal/journal-server.ts'
import { unitsOf } from '../../resource/requirements.ts'
import { type NodeRecord, nodeKey } from '../../resource/resource-record.ts'
import { fits, NONE, plus, type Units } from '../../resource/units.ts'
import {
  readTask,
  readWorker,
  TASK_PREFIX,
  type TaskRecord,
  taskKey,
  type WorkerRecord,
  workerKey,
} from '../../task/task-record.ts'
import { isFinal } from '../../task/task-status.ts'
import { type PlanRecord, planKey, readPlan } from '../plan-record.ts'
import type { AgentCapability, PlannableTask } from '../planner/generator.ts'

type Member = Pick<JournalMember, 'machine'>

export const planOf = ({ machine }: Member, id: string): PlanRecord | undefined =>
  readPlan(machine.records.get(planKey(id))?.value)

/** Undefined: it is not known, or ended a while ago. */
export const taskOf = ({ machine }: Member, id: string): TaskRecord | undefined =>
  readTask(machine.records.get(taskKey(id))?.value)

/** Of a plan, and not ended. A plan may name any task: one that is not its own is not its to give. */
export const openTaskOf = (member: Member, plan: string, id: string): TaskRecord | undefined => {
  const record = taskOf(member, id)
  return record === undefined || record.plan !== plan || isFinal(record.status) ? undefined : record
}

/** Ids of tasks that name a plan: it looks at each record. */
export const tasksOfPlans = function* ({ machine }: Member): Generator<string> {
  for (const { key, value } of machine.records.all())
    if (key.startsWith(TASK_PREFIX) && readTask(value)?.plan !== undefined) yield key.slice(TASK_PREFIX.length)
}

export const workerOf = ({ machine }: Member, peer: string): WorkerRecord | undefined =>
  readWorker(machine.records.get(workerKey(peer))?.value)

export interface NodeUnits {
  readonly capacity: Units
  readonly free: Units
}

/** What a node has to give, and what of it is used; nothing where it offers nothing, or is over. */
const nodeOf = ({ machine }: Member, peer: string): Pick<NodeRecord, 'capacity' | 'used'> => {
  // The part of resources wrote it.
  const node = machine.records.get(nodeKey(peer))?.value as unknown as NodeRecord | undefined
  return node === undefined || node.isOver === true || node.draining === true ? { capacity: NONE, used: NONE } : node
}

export const capacityOfNode = (member: Member, peer: string): Units => nodeOf(member, peer).capacity
/** Whether so much is free there now: without a list of all that is, which costs much more. */
export const hasFree = (member: Member, peer: string, needs: Units): boolean => {
  const { capacity, used } = nodeOf(member, peer)
  return fits(capacity, used, needs)
}
export const unitsOfNode = (member: Member, peer: string): NodeUnits => {
  const { capacity, used } = nodeOf(member, peer)
  return { capacity, free: plus(capacity, used, -1) }
}

export const isHeld = ({ status }: Pick<TaskRecord, 'status'>): boolean => status === 'queued' || status === 'submitted'

/** What it requires of its agent. */
export const needsOf = ({ requirements }: TaskRecord): Units =>
  requirements === undefined ? NONE : unitsOf(requirements)

export const capabilitiesOf = ({ offers }: WorkerRecord, runningOf: (type: string) => number): AgentCapability[] =>
  offers.map(({ type, versions, slots }) => ({ type, versions, slots, running: runningOf(type) }))

export const plannableTask = (id: string, record: TaskRecord, refusedBy: readonly string[]): PlannableTask => {
  const { type, typeVersion: version, priority, assignee } = record
  return { id, type, version, priority, needs: needsOf(record), assignee, refusedBy }
}
