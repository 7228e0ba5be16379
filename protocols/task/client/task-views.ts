/** Tasks as people look at them: a board by state, and one task's timeline. Keeps no state. */
import type { Journal } from '../../journal/client/journal-client.ts'
import type { BoardCard, BoardData, TableData, TimelineData, TimelineEntry } from '../../part.ts'
import type { TaskHappened } from '../history-entry.ts'
import {
  ENDED,
  type EndedTask,
  endedRow,
  readEndedRow,
  readTask,
  TASK_PREFIX,
  type TaskRecord,
} from '../task-record.ts'
import { isFinal, type TaskStatus } from '../task-status.ts'
import type { TaskHistory, TaskState } from './task-api.ts'

/** Cards of a column. */
const MOST_CARDS = 50
/** How far back it looks for what ended, until there are enough. */
const ENDED_WITHIN_MS = [2_000, 60_000, 3_600_000, 86_400_000] as const

type ColumnName = 'Waiting' | 'In work' | 'Held' | 'Ended lately'
const COLUMNS: Readonly<Record<TaskStatus, ColumnName>> = {
  submitted: 'Waiting',
  queued: 'Waiting',
  assigned: 'In work',
  running: 'In work',
  paused: 'Held',
  input_required: 'Held',
  auth_required: 'Held',
  completed: 'Ended lately',
  failed: 'Ended lately',
  canceled: 'Ended lately',
  rejected: 'Ended lately',
}

const TONES: Readonly<Partial<Record<TaskStatus, NonNullable<BoardCard['tone']>>>> = {
  running: 'busy',
  paused: 'held',
  input_required: 'held',
  auth_required: 'held',
  completed: 'good',
  failed: 'bad',
  rejected: 'bad',
}

export const tasksTable = (tasks: readonly TaskState[]): TableData => ({
  columns: ['task', 'type', 'status', 'attempts', 'worker', 'reason'],
  rows: tasks.map(({ id, status, record: { type, attempts, worker = '', reason = '' } }) => [
    ...[id, type, status, attempts, worker, reason],
  ]),
})

const attemptsText = (attempts: number): string => (attempts === 1 ? '1 attempt' : `${attempts} attempts`)

const cardOf = (id: string, task: EndedTask & Pick<TaskRecord, 'wait'> & { readonly at: number }): BoardCard => {
  const { type, status, attempts, reason, worker, at, wait } = task
  const facts = [
    status,
    ...(attempts > 0 ? [attemptsText(attempts)] : []),
    ...(wait === undefined ? [] : [`wants ${wait.name}`]),
    ...(reason === undefined ? [] : [reason]),
  ]
  const tone = TONES[status]
  return {
    id,
    title: type,
    facts,
    at,
    ...(tone !== undefined && { tone }),
    ...(worker !== undefined && { peer: worker }),
  }
}

/** What ended and was put away since, the newest last. */
const endedLately = async (
  journal: Pick<Journal, 'rows'>,
  now: number,
  options: { readonly timeoutMs: number },
): Promise<BoardCard[]> => {
  let found: BoardCard[] = []
  for (const withinMs of ENDED_WITHIN_MS) {
    const after = endedRow(Math.max(0, now - withinMs), '')
    const { rows, more } = await journal.rows(ENDED, { ...options, after, consistency: 'local' })
    // A page of more than there is room for begins too early: what was found before is newer.
    if (more && found.length > 0) break
    found = rows.map(({ key, value }) => {
      const { id, endedAt } = readEndedRow(key)
      // This part wrote it; a version without histories only said that it ended.
      const ended = typeof value === 'object' ? (value as unknown as EndedTask) : undefined
      return ended === undefined ? { id, title: 'ended', at: endedAt } : cardOf(id, { ...ended, at: endedAt })
    })
    if (found.length >= MOST_CARDS) break
  }
  return found
}

/** As a member has it, which may be a moment old. @param now by the journal's clock, about */
export const readBoard = async (
  journal: Pick<Journal, 'rows' | 'list'>,
  now: number,
  timeoutMs: number,
): Promise<BoardData> => {
  const { records } = await journal.list(TASK_PREFIX, { timeoutMs, consistency: 'local' })
  const columns = new Map<ColumnName, BoardCard[]>([...new Set(Object.values(COLUMNS))].map((name) => [name, []]))
  const ended = new Map<string, BoardCard>()
  for (const { key, value } of records) {
    const record = readTask(value)
    if (record === undefined) continue
    const card = cardOf(key.slice(TASK_PREFIX.length), { ...record, at: record.changedAt })
    if (isFinal(record.status)) ended.set(card.id, card)
    else columns.get(COLUMNS[record.status])?.push(card)
  }
  for (const card of await endedLately(journal, now, { timeoutMs })) ended.set(card.id, card)
  columns.set('Ended lately', [...ended.values()])
  return {
    columns: [...columns].map(([title, cards]) => {
      const isOver = title === 'Ended lately'
      // What is so for longest stands first; of what is over the newest.
      cards.sort((a, b) => (isOver ? -1 : 1) * ((a.at ?? 0) - (b.at ?? 0)))
      return { title, all: cards.length, cards: cards.slice(0, MOST_CARDS) }
    }),
  }
}

const because = ({ reason }: TaskHappened): string => (reason === undefined ? '' : `: ${reason}`)

/** In words, without who it was of. */
export const happenedText = (one: TaskHappened): string => {
  const { what, name = '', key, bytes = 0, until = 0, task = '' } = one
  switch (what) {
    case 'queued':
      return 'queued: what it waited for has ended'
    case 'assigned':
      return 'given to a worker'
    case 'effect':
      return `effect ${name}${key === undefined ? '' : ` ${key}`}, ${bytes} bytes`
    case 'checkpoint':
      return `checkpoint, ${bytes} bytes`
    case 'sleep':
      return `sleeps until ${new Date(until).toISOString()} (${name})`
    case 'wait':
      return `waits for ${name}`
    case 'woken':
      return 'nobody gave what it waited for in time'
    case 'signal':
      return `was given ${name}`
    case 'event':
      return `heard of the event that it waited for (${name})`
    case 'child':
      return `submitted the task ${task}`
    case 'attempt-failed':
      return `the attempt failed${because(one)}`
    case 'worker-lost':
      return `its worker was lost${because(one)}`
    case 'released':
      return `given back${because(one)}`
    default:
      return `${what}${because(one)}`
  }
}

export const timelineOf = ({ entries, dropped }: TaskHistory, parent: string | undefined): TimelineData => {
  const told = entries.map((one): TimelineEntry => {
    const { at, what, attempt, task } = one
    const peer = one.worker ?? one.by
    const id = what === 'submitted' ? parent : task
    return {
      ...{
        at,
        text: what === 'submitted' && parent !== undefined ? `submitted by the task ${parent}` : happenedText(one),
      },
      ...(attempt !== undefined && { lane: `Attempt ${attempt}` }),
      ...(peer !== undefined && { peer }),
      ...(id !== undefined && { id }),
    }
  })
  if (dropped === 0) return { entries: told }
  const last = told.at(-1)
  const note = { at: last?.at ?? 0, text: `${dropped} entries between these are not kept any more` }
  return { entries: [...told, note] }
}
