/** What the driver of the attacks and the processes of the members say to each other. Plain data over IPC. */
import type { MeshOptionsInput } from '../../../node/index.ts'
import type { ScheduleOptions, ScheduleState } from '../../../protocols/task/schedule/schedule-api.ts'
import type { TaskLoadOrder, TasksServed, WorkOrder } from './task-load.ts'

export interface MemberFacts {
  readonly id: string
  readonly addresses: string[]
  readonly debugUrl: string
  /** From being asked until the member was in the mesh. */
  readonly joinedMs: number
}

export type Started = { readonly facts: MemberFacts } | { readonly refused: string }

/** What an honest member saw of its own calls. */
export interface Served {
  readonly calls: number
  readonly failed: number
  readonly p99Ms: number
  readonly slowestMs: number
  readonly published: number
}

/** What a listener heard of honest members, and of others. */
export interface Heard {
  readonly events: number
  readonly p99Ms: number
  readonly slowestMs: number
  /** Peer ids of all who were heard. */
  readonly sources: readonly string[]
}

export interface Status {
  readonly meshId: string | undefined
  readonly epoch: number
  readonly leader: string | undefined
  readonly acting: boolean
  readonly seat: string
  readonly voters: readonly string[]
  readonly version: number
  readonly quorum: boolean
}

/** What an honest member had of resources. */
export interface Had {
  readonly had: number
  /** Why it had not, or lost what it had: sentences, the first of them. */
  readonly wrong: readonly string[]
  readonly slowestMs: number
}

/** What came of an honest member's plans. */
export interface Planned {
  readonly completed: number
  /** What came of the others: sentences, the first of them. */
  readonly wrong: readonly string[]
  readonly slowestMs: number
}

export interface Allied {
  /** Coalitions that were formed, and were as they had been formed until they were dissolved. */
  readonly formed: number
  readonly wrong: readonly string[]
  readonly slowestMs: number
}

export interface MemberVerbs {
  /** Resolves once it is in the mesh; at once where it joins nobody. */
  start(order: { options: Omit<MeshOptionsInput, 'log'>; logFile: string; withinMs: number }): Promise<Started>
  /** Calls this peer and publishes, at an even pace, until `endLoad`. */
  beginLoad(order: { to: string; everyMs: number }): Promise<void>
  endLoad(): Promise<Served>
  /** Since it was asked last. */
  heard(): Promise<Heard>
  /** @returns why it failed; undefined where it was answered */
  call(order: { to: string; withinMs: number }): Promise<string | undefined>
  /** Calls a member whose handler calls the next one on its behalf. @returns code and reason of why it failed */
  pass(order: { to: string; next: string; withinMs: number }): Promise<string | undefined>
  /** The same of any agent that offers it. */
  callAny(withinMs: number): Promise<string | undefined>
  publish(text: string): Promise<void>
  /** Does tasks of a type from now on. */
  work(order: WorkOrder): Promise<void>
  /** Submits tasks at an even pace, until `endTasks`. */
  beginTasks(order: TaskLoadOrder): Promise<void>
  /** @param withinMs that the last of them may take */
  endTasks(withinMs: number): Promise<TasksServed>
  /** Others beside these. */
  beginMoreTasks(order: TaskLoadOrder): Promise<void>
  endMoreTasks(withinMs: number): Promise<TasksServed>
  schedule(options: ScheduleOptions): Promise<void>
  schedules(): Promise<readonly ScheduleState[]>
  /** @returns `ok`, or the code of what it was refused with; `COM001` where it took longer */
  result(order: { id: string; withinMs: number }): Promise<string>
  /** Gives this from now on. */
  offer(capacity: Readonly<Record<string, number>>): Promise<void>
  /** Has something of it for a moment, again and again, until `endHaving`. */
  beginHaving(order: { units: Readonly<Record<string, number>>; everyMs: number; timeoutMs: number }): Promise<void>
  endHaving(): Promise<Had>
  /** Draws from a budget of its own and spends, until `endSpending`. @param lentTo peer id of who has a loan of it */
  beginSpending(order: { everyMs: number; lentTo: string }): Promise<void>
  endSpending(): Promise<Had>
  /** Makes plans of so many tasks, one after another, until `endPlanning`. */
  beginPlanning(order: { type: string; tasks: number; everyMs: number; timeoutMs: number }): Promise<void>
  endPlanning(): Promise<Planned>
  /** Agrees to be in coalitions from now on. */
  takePart(): Promise<void>
  /** Forms coalitions of these, one after another, until `endAllying`. */
  beginAllying(order: { members: readonly string[]; everyMs: number; timeoutMs: number }): Promise<void>
  endAllying(): Promise<Allied>
  status(): Promise<Status>
  put(order: { key: string; value: string; withinMs: number }): Promise<string | undefined>
  get(order: { key: string; withinMs: number }): Promise<{ value: unknown } | { failed: string }>
  list(prefix: string): Promise<readonly { key: string; value: unknown }[]>
  /** Names that its directory lists. */
  agents(): Promise<readonly string[]>
  members(): Promise<readonly string[]>
  /** Names of notifications that it believed. */
  notified(): Promise<readonly string[]>
  /** @returns why it was refused */
  reload(changes: MeshOptionsInput): Promise<string | undefined>
}
