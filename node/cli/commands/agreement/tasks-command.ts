/** `parley tasks`: work of the mesh, looked at, submitted and controlled by a running node. */

import { ParleyError } from '../../../../protocols/errors.ts'
import { happenedText } from '../../../../protocols/task/client/task-views.ts'
import type { TaskHappened } from '../../../../protocols/task/history-entry.ts'
import type { Priority } from '../../../../protocols/wire/envelope.ts'
import {
  TaskControlledSchema,
  type TaskDetails,
  TaskDetailsSchema,
  type TaskLine,
  TaskLineSchema,
  type TaskShown,
  TasksListedSchema,
} from '../../../control/task-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { amountsText, parseUnits, unitsText } from '../../input/option-values.ts'
import { createInterrupt } from '../../input/signals.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'

export interface TasksCommandOptions extends Omit<NodeSelector, 'url'> {
  /** Milliseconds. */
  timeout: number
  json?: boolean
}

/** Answers wait for the node's own limit. */
export const GRACE_MS = 2_000
const SECOND_MS = 1_000

export const controlOf = async (options: Omit<NodeSelector, 'url'>) =>
  (await findControlledNode(await nodeOfOneMesh(options))).control

export const agoOf = (at: number, nowMs: number): string => {
  const seconds = Math.max(0, Math.round((nowMs - at) / SECOND_MS))
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}

export const listTasks = async (options: TasksCommandOptions & { status?: string; wide?: boolean }): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, status, json, wide } = options
  const body = { timeoutMs, ...(status !== undefined && { status }) }
  const { tasks } = await control.ask('POST', '/api/tasks/list', TasksListedSchema, {
    body,
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(tasks))
  if (tasks.length === 0) return print('no open tasks')
  const nowMs = Date.now()
  const rows = tasks.map(({ id, type, status: is, attempts, worker = '', reason = '', changedAt }) => [
    ...[id, type, is, agoOf(changedAt, nowMs), String(attempts), worker === '' ? '' : shownId(worker, wide), reason],
  ])
  print(table(['task!', 'type', 'status', 'for', 'attempts', 'worker', 'reason'], rows, tableWidth(wide)))
}

/** Beside the facts, in the order in which it happened. */
const historyLines = ({ history }: TaskDetails, wide: boolean | undefined): [string, string, string, string][] =>
  (history?.entries ?? []).map((one) => {
    const who = one.worker ?? one.by ?? ''
    const attempt = one.attempt === undefined ? '' : String(one.attempt)
    const text = happenedText(one as TaskHappened)
    return [new Date(one.at).toISOString(), attempt, text, who === '' ? '' : shownId(who, wide)]
  })

const factsOf = ({ task, recorded, children = [] }: TaskDetails): [string, string][] => {
  const { type, typeVersion, priority, submitter, submittedAt, attempts, failures, losses, budget } = task
  const facts: [string, string | undefined][] = [
    ['status', task.status],
    ['reason', task.reason],
    ['type', typeVersion === undefined ? type : `${type} ${typeVersion}`],
    ['priority', priority],
    ['submitted', `${new Date(submittedAt).toISOString()} by ${submitter}`],
    ['worker', task.worker],
    ['attempts', `${attempts}, ${failures} failed, ${losses} lost`],
    ['deadline', task.deadline === undefined ? undefined : new Date(task.deadline).toISOString()],
    ['attempts take', task.attemptTimeoutMs === undefined ? undefined : `at most ${task.attemptTimeoutMs} ms`],
    ['requires', task.requires === undefined ? undefined : unitsText(task.requires)],
    ['allocation', task.allocation],
    ['budget', budget && `${amountsText(budget.used)} used of ${amountsText(budget.amounts)}`],
    ['left of it', budget && amountsText(budget.left)],
    ['child of', task.parent],
    ['waits for', task.waitsFor.length === 0 ? undefined : task.waitsFor.join(' ')],
    ['wants', task.wants === undefined ? undefined : JSON.stringify(task.wants)],
    ['metadata', task.metadata === undefined ? undefined : JSON.stringify(task.metadata)],
    ['input', recorded === undefined ? undefined : JSON.stringify(recorded.input)],
    ['checkpoint', recorded?.checkpoint === undefined ? undefined : JSON.stringify(recorded.checkpoint)],
    ...(recorded?.effects ?? []).map(({ name, key, value }): [string, string] => [
      `effect ${name}${key === '' ? '' : ` ${key}`}`,
      JSON.stringify(value),
    ]),
    ...children.map(({ id, status }): [string, string] => [`child ${id}`, status]),
    ['result', task.status === 'completed' ? JSON.stringify(task.result ?? null) : undefined],
    ['error', task.error === undefined ? undefined : JSON.stringify(task.error)],
  ]
  return facts.filter((fact): fact is [string, string] => fact[1] !== undefined)
}

/** @throws STA001 where there is none */
export const showTask = async (id: string, options: TasksCommandOptions & { wide?: boolean }): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs } = options
  const details = await control.ask('POST', '/api/tasks/show', TaskDetailsSchema, {
    body: { id, timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (options.json === true) return print(JSON.stringify(details))
  print(table(['task', ''], [['id', id], ...factsOf(details)], tableWidth(options.wide)))
  const lines = historyLines(details, options.wide)
  if (lines.length > 0) print(`\n${table(['when!', 'attempt', 'what', 'who'], lines, tableWidth(options.wide))}`)
  const { dropped = 0 } = details.history ?? {}
  if (dropped > 0) print(`${dropped} entries between these are not kept any more`)
}

/** @throws STA003 `not-failed`, `input-gone` */
export const retryTask = async (id: string, options: TasksCommandOptions & { id?: string }): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, id: as, json } = options
  const again = await control.ask('POST', '/api/tasks/retry', TaskControlledSchema, {
    body: { id, timeoutMs, ...(as !== undefined && { as }) },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  print(json === true ? JSON.stringify(again) : `${again.id} is ${again.status}`)
}

export interface SubmitTaskOptions extends TasksCommandOptions {
  id?: string
  typeVersion?: string
  priority?: Priority
  within?: number
  attemptTimeout?: number
  require?: string[]
  after?: string[]
  wait?: boolean
}

const lineOf = ({ id, task }: TaskLine): string =>
  task === undefined
    ? `${id} was put away`
    : `${id} ${task.status}${task.reason === undefined ? '' : ` (${task.reason})`}`

/** @returns the last of them */
const follow = async (
  options: TasksCommandOptions,
  id: string | undefined,
  tell: (line: TaskLine) => void,
): Promise<TaskShown | undefined> => {
  const { node, control } = await findControlledNode(await nodeOfOneMesh(options))
  const { signal, release } = createInterrupt('it follows no more')
  let last: TaskShown | undefined
  try {
    const body = id === undefined ? {} : { id }
    for await (const line of control.stream('/api/tasks/watch', TaskLineSchema, { body, signal })) {
      tell(line)
      last = line.task
    }
    if (id !== undefined) return last
    throw new ParleyError('COM002', `the node ${node.name} has stopped`, { hint: 'start it again with parley up' })
  } catch (error) {
    // It was to end like that.
    if (!signal.aborted) throw error
    return last
  } finally {
    release()
  }
}

/** With `wait` it prints the result. @throws what the task failed with, APP001 where that cannot be told */
export const submitTask = async (type: string, text: string | undefined, options: SubmitTaskOptions): Promise<void> => {
  const { id, typeVersion, priority, within, attemptTimeout, after, wait, json, timeout, require } = options
  const input = text === undefined ? null : await readJsonInput(text)
  const control = await controlOf(options)
  const body = {
    ...{ type, input },
    ...(id !== undefined && { id }),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(priority !== undefined && { priority }),
    ...(within !== undefined && { withinMs: within }),
    ...(attemptTimeout !== undefined && { attemptTimeoutMs: attemptTimeout }),
    ...(after !== undefined && { after }),
    ...(require !== undefined && { requires: parseUnits(require) }),
  }
  const accepted = await control.ask('POST', '/api/tasks/submit', TaskControlledSchema, {
    body,
    timeoutMs: timeout + GRACE_MS,
  })
  if (wait !== true) return print(json === true ? JSON.stringify(accepted) : `${accepted.id} is ${accepted.status}`)
  const end = await follow(options, accepted.id, () => {})
  if (json === true) print(JSON.stringify(end))
  else if (end?.status === 'completed') print(JSON.stringify(end.result ?? null))
  if (end?.status !== 'completed')
    throw new ParleyError('APP001', `the task ${accepted.id} is ${end?.status ?? 'not known any more'}`, {
      hint: `see \`parley tasks show ${accepted.id}\``,
      remote: true,
    })
}

export const controlTask = async (
  action: 'pause' | 'resume' | 'cancel',
  id: string,
  options: TasksCommandOptions & { reason?: string },
): Promise<void> => {
  const control = await controlOf(options)
  const { timeout, reason, json } = options
  const body = { id, action, ...(reason !== undefined && { reason }) }
  const done = await control.ask('POST', '/api/tasks/control', TaskControlledSchema, {
    body,
    timeoutMs: timeout + GRACE_MS,
  })
  print(json === true ? JSON.stringify(done) : `${done.id} is ${done.status}`)
}

/** What a task waits for. */
export const provide = async (id: string, name: string, text: string, options: TasksCommandOptions): Promise<void> => {
  const value = await readJsonInput(text)
  const control = await controlOf(options)
  const done = await control.ask('POST', '/api/tasks/control', TaskControlledSchema, {
    body: { id, action: 'signal', name, value },
    timeoutMs: options.timeout + GRACE_MS,
  })
  print(options.json === true ? JSON.stringify(done) : `${done.id} is ${done.status}`)
}

/** Until Ctrl-C, or until the one that is named has ended. */
export const watchTasks = async (id: string | undefined, options: TasksCommandOptions): Promise<void> => {
  await follow(options, id, (line) => print(options.json === true ? JSON.stringify(line) : escapeText(lineOf(line))))
}
