/**
 * What happened to a task, as it is kept and as it is told. An entry is one short line of text, as in
 * `e 1760000000000 2 120 fetch page-7`: a letter for what happened, when, in which attempt, and what belongs to it. What is free
 * text stands last. Pure.
 */
import type { DoneTask, TaskRecord } from './task-record.ts'
import { isFinal, type TaskStatus } from './task-status.ts'

/** Entries of a task from its beginning on, which are never dropped. */
export const FIRST_ENTRIES = 32
/** The newest effects behind them. */
export const EFFECT_ENTRIES = 16
/** The newest of all else behind them. */
export const OTHER_ENTRIES = 64
/** Characters of an entry. */
const MAX_ENTRY = 256

export type HappenedWhat =
  | TaskStatus
  /** An effect was recorded. */
  | 'effect'
  | 'checkpoint'
  | 'sleep'
  /** It waits for what somebody is to give. */
  | 'wait'
  /** It waited as long as it was to. */
  | 'woken'
  /** Somebody gave it something. */
  | 'signal'
  /** The event that it waited for came, or may have been among what is gone. */
  | 'event'
  | 'resumed'
  /** It submitted a task of its own. */
  | 'child'
  /** An attempt failed, and another one is made. */
  | 'attempt-failed'
  | 'worker-lost'
  /** Its worker stopped, and gave it back. */
  | 'released'

/** One thing that happened to a task. */
export interface TaskHappened {
  /** Milliseconds since 1970 by the journal's clock. */
  readonly at: number
  readonly what: HappenedWhat
  /** From 1; absent before the first one. */
  readonly attempt?: number
  /** Peer id of the worker. */
  readonly worker?: string
  /** Peer id of who asked for it. */
  readonly by?: string
  /** Of an effect, a sleep, a wait, a signal. */
  readonly name?: string
  /** Of an effect. */
  readonly key?: string
  /** Of the value of an effect or a checkpoint, as JSON. */
  readonly bytes?: number
  /** Of a sleep: until when. */
  readonly until?: number
  /** Of a child: its id. */
  readonly task?: string
  /** Why, for people. */
  readonly reason?: string
}

/** What stands behind letter, time and attempt, in this order; the last one may have blanks in it. */
type Field = 'worker' | 'by' | 'name' | 'key' | 'bytes' | 'until' | 'task' | 'reason'
const FORMS = {
  q: ['queued'],
  a: ['assigned', 'worker'],
  r: ['running'],
  e: ['effect', 'bytes', 'name', 'key'],
  c: ['checkpoint', 'bytes'],
  z: ['sleep', 'until', 'name'],
  w: ['wait', 'name'],
  k: ['woken'],
  g: ['signal', 'by', 'name'],
  h: ['event', 'name'],
  p: ['paused', 'by', 'reason'],
  u: ['resumed', 'by'],
  x: ['canceled', 'by'],
  d: ['child', 'task'],
  f: ['attempt-failed', 'reason'],
  l: ['worker-lost', 'worker', 'reason'],
  b: ['released', 'reason'],
} as const satisfies Readonly<Record<string, readonly [what: HappenedWhat, ...fields: Field[]]>>
export type EntryLetter = keyof typeof FORMS
const NUMBERS: ReadonlySet<Field> = new Set(['bytes', 'until'])

/** In front of each entry: no name, key or id has it, it is ASCII, and JSON does not escape it. */
export const ENTRY_END = '\x7f'
export const isAssigned = (entry: string): boolean => entry.startsWith('a ')
export const timeOf = (entry: string): number => Number.parseInt(entry.slice(2), 10)

/** @param fields as FORMS has them, joined by blanks */
export const historyEntry = (letter: EntryLetter, at: number, attempt: number, fields = ''): string =>
  `${letter} ${Math.floor(at)} ${attempt} ${fields.replaceAll(ENTRY_END, ' ')}`.slice(0, MAX_ENTRY)

/** Undefined: a newer version wrote it. */
export const readEntry = (entry: string): TaskHappened | undefined => {
  const [letter = '', at, attempt, ...words] = entry.split(' ')
  if (!Object.hasOwn(FORMS, letter)) return undefined
  const [what, ...fields] = FORMS[letter as EntryLetter]
  const found: { -readonly [K in Field]?: string | number } = {}
  for (const [i, field] of fields.entries()) {
    const text = i === fields.length - 1 ? words.slice(i).join(' ') : (words[i] ?? '')
    if (text !== '') found[field] = NUMBERS.has(field) ? Number(text) : text
  }
  const n = Number(attempt)
  return { at: Number(at), what, ...(n > 0 && { attempt: n }), ...found } as TaskHappened
}

const attemptOf = ({ attempts }: TaskRecord): { readonly attempt?: number } =>
  attempts > 0 ? { attempt: attempts } : {}

/** What the record tells by itself is not kept twice: how it began, who has it, how it ended. */
export const completeHistory = (
  record: TaskRecord,
  kept: readonly string[],
  error?: DoneTask['error'],
): readonly TaskHappened[] => {
  const { status, submittedAt, changedAt, submitter, worker, attempts, reason } = record
  const all = kept.flatMap((entry) => readEntry(entry) ?? [])
  const isTold = all.some(({ what, attempt }) => what === 'assigned' && attempt === attempts)
  const entries: TaskHappened[] = [{ at: submittedAt, what: 'submitted', by: submitter }, ...all]
  if (status === 'assigned' && !isTold)
    entries.push({ at: changedAt, what: status, ...attemptOf(record), ...(worker !== undefined && { worker }) })
  if (!isFinal(status)) return entries
  // Who canceled it stands in the history, why in the record.
  const by = status === 'canceled' ? all.findLast(({ what }) => what === status)?.by : undefined
  const why = error === undefined || reason !== undefined ? reason : error.message
  return [
    ...entries.filter(({ what }) => what !== 'canceled'),
    { at: changedAt, what: status, ...attemptOf(record), ...(by && { by }), ...(why !== undefined && { reason: why }) },
  ]
}
