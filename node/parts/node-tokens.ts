/** What parts of the mesh itself may need beside what all parts may (protocols/tokens.ts). Types alone. */
import type { Directory } from '../../discovery/directory/directory.ts'
import type { CoalitionDirectives, PlanResources } from '../../protocols/coordination/plan-needs.ts'
import type { Events } from '../../protocols/events/api.ts'
import type { JournalMember } from '../../protocols/journal/journal-server.ts'
import type { JournalPart } from '../../protocols/journal/part-kinds.ts'
import type { Quota } from '../../protocols/limits/quota.ts'
import { tokenOf } from '../../protocols/part.ts'
import type { TaskResources } from '../../protocols/task/task-resources.ts'
import type { PlanTasks } from '../../protocols/task/tasks-for-plans.ts'
import type { Clients } from '../calls/clients.ts'
import type { Startup } from '../lifecycle/startup.ts'
import type { Network } from '../network/network.ts'
import type { Advertiser } from './advertise.ts'
import type { FailureDetection } from './failure-detection.ts'

export const nodeTokens = {
  startup: tokenOf<Startup>('startup'),
  network: tokenOf<Network>('network'),
  directory: tokenOf<Directory>('directory'),
  /** Calls as programs make them, through their interceptors. */
  calls: tokenOf<Pick<Clients, 'to' | 'any'>>('calls'),
  presence: tokenOf<Pick<FailureDetection, 'statusOf' | 'onChange'>>('presence'),
  /** Events of the mesh itself: they pass no interceptors. */
  ownEvents: tokenOf<Events>('own-events'),
  /** Tells others, in this node's record, of a protocol that it answers. */
  advertise: tokenOf<Advertiser['advertise']>('advertise'),
  /** What this node may keep on disk. */
  quota: tokenOf<Quota>('quota'),
  /** What the parts of this node decide in the journal. */
  decisions: tokenOf<readonly JournalPart[]>('decisions'),
} as const

/** This node's copy of the journal, while it has one: the part `coordination` has it. */
export const journalMember = tokenOf<() => JournalMember | undefined>('journal-member')

/** What gives tasks what they require: the part `resources` has it. */
export const taskResources = tokenOf<TaskResources>('task-resources')

/** What plans use of tasks, and of resources: the parts of these names have it. */
export const tasksForPlans = tokenOf<PlanTasks>('tasks-for-plans')
export const resourcesForPlans = tokenOf<PlanResources>('resources-for-plans')
/** What coalitions use of plans: the part `plans` has it. */
export const directivesForCoalitions = tokenOf<CoalitionDirectives>('directives-for-coalitions')
