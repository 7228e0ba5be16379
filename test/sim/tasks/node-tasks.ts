/** Tasks on a node of the simulated mesh without large values, as node/parts/built-in.ts starts them. Keeps no state. */
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import { TaskBytes } from '../../../protocols/task/bytes/task-bytes.ts'
import { taskProtocol } from '../../../protocols/task/contract.ts'
import { taskJournal } from '../../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import { createTasks, type TasksFeature } from '../../../protocols/task/tasks.ts'
import type { JournalNode } from '../../support/journal-mesh.ts'

/** What a node decides that has tasks. */
export const TASK_PARTS: readonly JournalPart[] = [{ ...taskJournal, name: TASKS_PART }]
const RETAIN_MS = 3_600_000
const AWAY_MS = 60_000

/** Every peer that is connected is there. */
export const startTasks = async (node: JournalNode): Promise<TasksFeature> => {
  const { port, journal, events, coordinator } = node
  const told = { presenceOf: () => 'there' as const, onPresence: () => () => {} }
  const tasks = createTasks({
    ...{ port, journal, events, coordinator, retainMs: RETAIN_MS, ...told },
    member: node.seat,
    call: async () => {
      throw new Error('tasks of this world call nobody')
    },
    bytes: new TaskBytes({
      ...{ port, journal, coordinator, openStore: undefined, awayMs: AWAY_MS, ...told },
      room: { fits: () => true, recordGrowth() {}, freeBytes: () => 0 },
    }),
  })
  await port.serve(taskProtocol, tasks.handlers)
  return tasks
}
