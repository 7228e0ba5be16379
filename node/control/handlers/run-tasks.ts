/** What the control socket has a node do with tasks. */

import type * as z from 'zod'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import { unitsOf } from '../../../protocols/resource/requirements.ts'
import type { TaskState } from '../../../protocols/task/client/task-api.ts'
import { PRIORITIES } from '../../../protocols/wire/envelope.ts'
import type { Mesh } from '../../api.ts'
import { clock } from '../../platform/platform.ts'
import type * as schemas from '../task-schemas.ts'

type TaskMesh = Pick<Mesh, 'tasks'>
const MOST = 1_000

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> }
/** Without what was not given. */
const present = <T extends object>(given: T): Present<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<T>

const shown = ({ id, status, version, record, result, error, metadata, budget }: TaskState): schemas.TaskShown => {
  const { type, typeVersion, submitter, submittedAt, changedAt, attempts, failures, losses } = record
  const { priority, worker, deadline, parent, dependencies = [], reason, attemptTimeoutMs, requirements } = record
  return {
    ...{ id, status, version, type, submitter, submittedAt, changedAt, attempts, failures, losses },
    priority: PRIORITIES[priority] ?? 'normal',
    waitsFor: dependencies.map(({ task_id: on }) => on),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(worker !== undefined && { worker }),
    ...(deadline !== undefined && { deadline }),
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(requirements !== undefined && { requires: { ...unitsOf(requirements) } }),
    ...(record.allocation !== undefined && { allocation: record.allocation }),
    ...(budget !== undefined && { budget }),
    ...(parent !== undefined && { parent }),
    ...(reason !== undefined && { reason }),
    ...(record.wait !== undefined && { wants: record.wait }),
    ...(result !== undefined && { result }),
    ...(error !== undefined && { error }),
    ...(metadata !== undefined && { metadata }),
  }
}

export const listTasks = async (
  { tasks }: TaskMesh,
  { status, timeoutMs }: z.output<typeof schemas.TaskListSchema>,
): Promise<z.input<typeof schemas.TasksListedSchema>> => {
  const found = await tasks.list({ most: MOST, timeoutMs, ...(status !== undefined && { status }) })
  return { tasks: found.map(shown) }
}

export const showTask = async (
  { tasks }: TaskMesh,
  { id, timeoutMs }: z.output<typeof schemas.TaskShowSchema>,
): Promise<z.input<typeof schemas.TaskDetailsSchema>> => {
  const handle = tasks.get(id)
  const task = shown(await handle.state({ timeoutMs }))
  const [recorded, { dropped, entries }, around] = await Promise.all([
    handle.recorded(),
    handle.history({ timeoutMs }),
    tasks.list({ under: id, most: MOST, timeoutMs }),
  ])
  const children = around.filter(({ record }) => record.parent === id)
  return {
    task,
    history: { dropped, entries: [...entries] },
    ...(recorded !== undefined && { recorded: { ...recorded, effects: [...recorded.effects] } }),
    ...(children.length > 0 && { children: children.map(({ id: child, status }) => ({ id: child, status })) }),
  }
}

export const retryTask = async (
  { tasks }: TaskMesh,
  { id, as, timeoutMs }: z.output<typeof schemas.TaskRetrySchema>,
): Promise<z.input<typeof schemas.TaskControlledSchema>> => {
  const handle = await tasks.retry(id, { timeoutMs, ...(as !== undefined && { id: as }) })
  return { id: handle.id, status: (await handle.state()).status }
}

export const submitTask = async (
  { tasks }: TaskMesh,
  {
    input,
    withinMs,
    after,
    id,
    type,
    typeVersion,
    priority,
    attemptTimeoutMs,
    requires,
  }: z.output<typeof schemas.TaskSubmitSchema>,
): Promise<z.input<typeof schemas.TaskControlledSchema>> => {
  const handle = await tasks.submit({
    // It was JSON on its way here.
    input: (input ?? null) as Json,
    type,
    ...(id !== undefined && { id }),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(priority !== undefined && { priority }),
    ...(withinMs !== undefined && { deadline: clock.now() + withinMs }),
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(after !== undefined && { dependencies: after }),
    ...(requires !== undefined && { requirements: { resources: requires } }),
  })
  return { id: handle.id, status: (await handle.state()).status }
}

export const controlTask = async (
  { tasks }: TaskMesh,
  { id, action, reason, name = '', value }: z.output<typeof schemas.TaskControlSchema>,
): Promise<z.input<typeof schemas.TaskControlledSchema>> => {
  const handle = tasks.get(id)
  const done = {
    pause: () => handle.pause(reason),
    resume: () => handle.resume(),
    cancel: () => handle.cancel(reason),
    // It was JSON on its way here.
    signal: () => handle.signal(name, (value ?? null) as Json),
  }
  return { id, status: await done[action]() }
}

export const makeSchedule = async (
  { tasks }: TaskMesh,
  { task: given, timeoutMs, ...schedule }: z.output<typeof schemas.ScheduleMakeSchema>,
): Promise<z.input<typeof schemas.ScheduleDoneSchema>> => {
  const { input, requires, ...task } = given
  // It was JSON on its way here.
  await tasks.schedule(
    {
      ...present(schedule),
      task: {
        ...present(task),
        input: (input ?? null) as Json,
        ...(requires !== undefined && { requirements: { resources: requires } }),
      },
    },
    { timeoutMs },
  )
  return { id: schedule.id }
}

export const listSchedules = async (
  { tasks }: TaskMesh,
  { timeoutMs }: z.output<typeof schemas.SchedulesListSchema>,
): Promise<z.input<typeof schemas.SchedulesListedSchema>> => ({ schedules: await tasks.schedules({ timeoutMs }) })

export const controlSchedule = async (
  { tasks }: TaskMesh,
  { id, action }: z.output<typeof schemas.ScheduleControlSchema>,
): Promise<z.input<typeof schemas.ScheduleDoneSchema>> => {
  const done = { remove: tasks.unschedule, pause: tasks.pauseSchedule, resume: tasks.resumeSchedule }
  await done[action](id)
  return { id }
}

/** What there is, then each change, until the reader leaves, or the one that is watched has ended. */
export async function* watchTasks(
  { tasks }: TaskMesh,
  { id }: z.output<typeof schemas.TaskWatchSchema>,
  signal: AbortSignal,
): AsyncGenerator<schemas.TaskLine, void, undefined> {
  if (id !== undefined) {
    for await (const state of tasks.get(id).updates({ signal }))
      yield { id, version: state.version, task: shown(state) }
    return
  }
  for await (const change of tasks.changes({ signal })) {
    if (change.type === 'all')
      for (const state of change.tasks) yield { id: state.id, version: state.version, task: shown(state) }
    else
      yield {
        id: change.id,
        version: change.version,
        ...(change.task !== undefined && { task: shown(change.task) }),
      }
  }
}
