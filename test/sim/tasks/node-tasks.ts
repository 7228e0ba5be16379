/** Tasks on a node of the simulated mesh, with a disk for large values or without one, as node/parts/built-in.ts starts them. */
import { HeldBytesStore } from '../../../node/store/bytes/held-bytes-store.ts'
import type { Disk } from '../../../node/store/files/disk.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { createResources, type ResourcesFeature } from '../../../protocols/resource/resources.ts'
import { taskBytesProtocol } from '../../../protocols/task/bytes/bytes-contract.ts'
import { TaskBytes } from '../../../protocols/task/bytes/task-bytes.ts'
import { taskProtocol } from '../../../protocols/task/contract.ts'
import { taskJournal } from '../../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import { createTasks, type TasksFeature } from '../../../protocols/task/tasks.ts'
import type { JournalNode } from '../../support/journal-mesh.ts'
import type { HeldCopies } from './bytes/held-copies.ts'
import { detectPresence } from './bytes/presence.ts'

/** What a node decides that has tasks, and resources for them. */
export const TASK_PARTS: readonly JournalPart[] = [
  { ...resourceJournal, name: RESOURCES_PART },
  { ...taskJournal, name: TASKS_PART },
]
/** What each node has for tasks. */
export const CAPACITY = { cpu: 4 } as const
const RETAIN_MS = 3_600_000
/** Milliseconds that a holder may be away. */
export const AWAY_MS = 2_000
/**
 * How often a node looks at what it holds, and how long what no task refers to is kept: an hour of these short lives, and longer
 * than a submission may be on its way that waits behind others for somebody who decides.
 */
export const CARE = { lookMs: 1_000, orphanMs: 95_000, rereadMs: 60_000 } as const

/** One transfer after the other: the others wait for their turn. */
const AT_ONCE = { most: 1, each: 64, eachAtWork: 1, waiting: 64 } as const

/** Where a node holds large values, and what the world knows of that. */
export interface HoldsOn {
  readonly disk: Disk
  readonly copies: HeldCopies
}

const startBytes = async (node: JournalNode, on: HoldsOn | undefined): Promise<TaskBytes> => {
  const { port, journal, coordinator, name, id } = node
  const holder = { name, peer: id }
  const bytes = new TaskBytes({
    ...{ port, journal, coordinator, awayMs: AWAY_MS, care: CARE, atOnce: AT_ONCE, ...detectPresence(port) },
    openStore: on && (async () => on.copies.opened(holder, await HeldBytesStore.open(on.disk))),
    room: { fits: () => true, recordGrowth() {}, freeBytes: () => Number.POSITIVE_INFINITY },
  })
  const { hold } = bytes.handlers
  await port.serve(taskBytesProtocol, {
    ...bytes.handlers,
    async hold(asked, context) {
      const answer = await hold(asked, context)
      on?.copies.said(holder, asked)
      return answer
    },
  })
  await bytes.begin()
  return bytes
}

const startResources = async ({ port, journal, coordinator, events, seat }: JournalNode): Promise<ResourcesFeature> => {
  const resources = createResources({ port, journal, coordinator, events, member: seat })
  await port.serve(resourceProtocol, resources.handlers)
  // Where nobody coordinates it is tried again.
  resources.offer(CAPACITY).catch(() => {})
  return resources
}

export interface WorkingNode {
  readonly tasks: TasksFeature
  readonly resources: ResourcesFeature
}

/** Every peer that is connected is there. */
export const startTasks = async (node: JournalNode, on?: HoldsOn): Promise<WorkingNode> => {
  const { port, journal, events, coordinator } = node
  const resources = await startResources(node)
  const tasks = createTasks({
    ...{ port, journal, events, coordinator, retainMs: RETAIN_MS },
    presenceOf: () => 'there',
    onPresence: () => () => {},
    member: node.seat,
    call: async () => {
      throw new Error('tasks of this world call nobody')
    },
    bytes: await startBytes(node, on),
    resources: resources.forTasks,
  })
  await port.serve(taskProtocol, tasks.handlers)
  return { tasks, resources }
}
