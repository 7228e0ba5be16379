/**
 * Nodes of the simulated mesh with tasks and a disk for large values, as node/parts/ puts them together; time is virtual, the
 * journal is the real one. State: the nodes and their disks.
 */
import { HeldBytesStore } from '../../node/store/bytes/held-bytes-store.ts'
import { createFaultyDisk, type FaultyDisk } from '../../node/testing/virtual/faulty-disk.ts'
import type { JournalPart } from '../../protocols/journal/part-kinds.ts'
import { taskBytesProtocol } from '../../protocols/task/bytes/bytes-contract.ts'
import { TaskBytes } from '../../protocols/task/bytes/task-bytes.ts'
import { taskProtocol } from '../../protocols/task/contract.ts'
import { taskJournal } from '../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../protocols/task/task-record.ts'
import { createTasks, type TasksFeature } from '../../protocols/task/tasks.ts'
import { createJournalMesh, type JournalNode } from './journal-mesh.ts'

const PARTS: readonly JournalPart[] = [{ ...taskJournal, name: TASKS_PART }]
/** Milliseconds that a holder may be away. */
export const AWAY_MS = 10_000
/** How often a node looks at what it holds and reads it again, and how long what no task refers to is kept. Milliseconds. */
export const CARE = { lookMs: 15_000, orphanMs: 30_000, rereadMs: 60_000 } as const
/** Of all that a node holds. */
const ROOM_BYTES = 1024 * 1024

export interface TaskNode {
  readonly name: string
  readonly node: JournalNode
  readonly tasks: TasksFeature
  readonly bytes: TaskBytes
  /** Of large values; undefined: it has none. */
  readonly disk: FaultyDisk | undefined
}

/** @param retainMs milliseconds that what final tasks left is kept */
export const createTaskMesh = (seed: number, retainMs = 3_600_000) => {
  const mesh = createJournalMesh({ seed, autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 } })
  const disks = new Map<string, FaultyDisk>()
  const nodes = new Map<string, TaskNode>()
  const presence = new Set<(peer: string, presence: 'there' | 'gone') => void>()

  /** A node that was killed is gone at once, as if the failure detector had found it. */
  const presenceOf = (peer: string): 'there' | 'gone' =>
    [...nodes.values()].some(({ node }) => node.id === peer && node.isUp()) ? 'there' : 'gone'

  const start = async (
    name: string,
    { expect, hasDisk = true }: { expect?: number; hasDisk?: boolean } = {},
  ): Promise<TaskNode> => {
    const node = await mesh.start(name, { parts: PARTS, ...(expect !== undefined && { expect }) })
    const disk = hasDisk ? (disks.get(name) ?? createFaultyDisk()) : undefined
    if (disk !== undefined) disks.set(name, disk)
    const mounted = disk?.mount()
    const { port, journal, coordinator, events } = node
    const told = {
      presenceOf,
      onPresence(fn: (peer: string, presence: 'there' | 'gone') => void) {
        presence.add(fn)
        return () => void presence.delete(fn)
      },
    }
    const bytes = new TaskBytes({
      ...{ port, journal, coordinator, ...told, awayMs: AWAY_MS, care: CARE },
      openStore: mounted === undefined ? undefined : () => HeldBytesStore.open(mounted),
      room: {
        fits: (size) => bytes.bytes() + size <= ROOM_BYTES,
        recordGrowth() {},
        freeBytes: () => ROOM_BYTES - bytes.bytes(),
      },
    })
    const tasks = createTasks({
      ...{ port, journal, coordinator, events, ...told, bytes, retainMs },
      member: node.seat,
      call: async () => {
        throw new Error('tasks of this mesh call nobody')
      },
    })
    await port.serve(taskProtocol, tasks.handlers)
    await port.serve(taskBytesProtocol, bytes.handlers)
    if (disk !== undefined) await bytes.begin()
    const one = { name, node, tasks, bytes, disk }
    nodes.set(name, one)
    return one
  }

  return {
    ...{ mesh, start, nodes },
    time: mesh.network.time,
    kill({ name, node, disk }: TaskNode): void {
      mesh.kill(node)
      disk?.release()
      nodes.delete(name)
      for (const fn of [...presence]) fn(node.id, 'gone')
    },
    of(name: string): TaskNode {
      const one = nodes.get(name)
      if (one === undefined) throw new Error(`${name} is not there`)
      return one
    },
  }
}
