/** `parley tasks schedule`, `schedules`, `unschedule` and what holds them: what begins tasks by time, by a running node. */

import { ParleyError } from '../../../../protocols/errors.ts'
import type { Priority } from '../../../../protocols/wire/envelope.ts'
import { ScheduleDoneSchema, type ScheduleShown, SchedulesListedSchema } from '../../../control/task-schemas.ts'
import { parseUnits } from '../../input/option-values.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { print } from '../../output/print.ts'
import { table, tableWidth } from '../../output/table.ts'
import { controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

export interface MakeScheduleOptions extends TasksCommandOptions {
  cron?: string
  zone?: string
  every?: number
  at?: string
  until?: string
  misfire?: string
  overlap?: 'allow' | 'skip'
  typeVersion?: string
  priority?: Priority
  within?: number
  attemptTimeout?: number
  require?: string[]
}

/** @throws MSG001 */
const timeOf = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const at = Date.parse(text)
  if (Number.isFinite(at)) return at
  throw new ParleyError('MSG001', `--${name} ${text} is no time`, { hint: 'write it as 2026-11-25T03:00:00Z' })
}

/** @throws MSG001 */
const misfireOf = (text: string | undefined): 'one' | 'skip' | { all: number } | undefined => {
  if (text === undefined || text === 'one' || text === 'skip') return text
  const [, count] = /^all:([1-9]\d{0,3})$/.exec(text) ?? []
  if (count !== undefined) return { all: Number(count) }
  throw new ParleyError('MSG001', `--misfire ${text} is no rule`, { hint: 'use one, skip, or all:N' })
}

const given = (fields: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

export const makeSchedule = async (
  id: string,
  type: string,
  text: string | undefined,
  options: MakeScheduleOptions,
): Promise<void> => {
  const { cron, zone, every, at, until, misfire, overlap, timeout: timeoutMs } = options
  const { typeVersion, priority, within, attemptTimeout } = options
  const requires = options.require === undefined ? undefined : parseUnits(options.require)
  const task = given({ type, typeVersion, priority, withinMs: within, attemptTimeoutMs: attemptTimeout, requires })
  const times = given({ cron, zone, everyMs: every, at: timeOf('at', at), until: timeOf('until', until) })
  const rules = given({ misfire: misfireOf(misfire), overlap })
  const input = text === undefined ? null : await readJsonInput(text)
  const control = await controlOf(options)
  const done = await control.ask('POST', '/api/tasks/schedule', ScheduleDoneSchema, {
    body: { id, ...times, ...rules, task: { ...task, input }, timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  print(options.json === true ? JSON.stringify(done) : `${id} is scheduled`)
}

const misfireText = (misfire: ScheduleShown['misfire']): string =>
  typeof misfire === 'object' ? `all:${misfire.all}` : misfire

const timesText = ({ cron, zone, everyMs, at }: ScheduleShown): string => {
  if (cron !== undefined) return `${cron} ${zone}`
  return everyMs === undefined ? `at ${timeText(at)}` : `each ${everyMs} ms`
}
const timeText = (at: number | undefined): string =>
  at === undefined ? '' : `${new Date(at).toISOString().slice(0, 19)}Z`

export const listSchedules = async (options: TasksCommandOptions & { wide?: boolean }): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { schedules } = await control.ask('POST', '/api/tasks/schedules', SchedulesListedSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(schedules))
  if (schedules.length === 0) return print('no schedules')
  const rows = schedules.map((one) => [
    ...[one.id, one.type, timesText(one), one.isPaused ? 'paused' : timeText(one.nextAt), timeText(one.lastAt)],
    ...[String(one.fired), String(one.held), ...(wide === true ? [misfireText(one.misfire), one.owner] : [])],
  ])
  const columns = ['schedule!', 'type', 'times', 'next', 'last', 'begun', 'held']
  if (wide === true) columns.push('misfire', 'owner')
  print(table(columns, rows, tableWidth(wide)))
}

const DONE = { remove: 'is removed', pause: 'is paused', resume: 'goes on' } as const

export const controlSchedule = async (
  action: keyof typeof DONE,
  id: string,
  options: TasksCommandOptions,
): Promise<void> => {
  const control = await controlOf(options)
  const done = await control.ask('POST', '/api/tasks/schedule-control', ScheduleDoneSchema, {
    body: { id, action },
    timeoutMs: options.timeout + GRACE_MS,
  })
  print(options.json === true ? JSON.stringify(done) : `${id} ${DONE[action]}`)
}
