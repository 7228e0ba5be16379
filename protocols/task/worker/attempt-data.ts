/** What an attempt begins with, as its function sees it, the names that it uses, and what its children are submitted with. */
import { shareFor } from '../../budget/carried/budget-share.ts'
import type { Slice } from '../../budget/slice.ts'
import { ParleyError } from '../../errors.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import type { SubmitTask } from '../client/task-api.ts'
import {
  CHECKPOINT_ROW,
  EffectKey,
  EffectName,
  INPUT_ROW,
  isEffectId,
  type TaskInput,
  type TaskRecord,
} from '../task-record.ts'
import type { WorkItem } from './task-context.ts'

export interface AttemptWork {
  readonly id: string
  readonly record: TaskRecord
  readonly fence: Fence
  /** Input, checkpoint and effects; the attempt takes away what it has used. */
  readonly rows: Map<string, Json>
}

/** @param load the value that a row stands for @throws what `load` throws */
export const workItem = async (
  { id, record, rows }: AttemptWork,
  load: (row: Json, name: string) => Promise<TaskValue>,
): Promise<WorkItem> => {
  // This part wrote it.
  const { input: given = null, metadata } = (rows.get(INPUT_ROW) as TaskInput | undefined) ?? {}
  const { type, typeVersion, requirements, submitter, parent, attempts: attempt, deadline } = record
  const saved = rows.get(CHECKPOINT_ROW)
  const [input, checkpoint] = await Promise.all([
    load(given, INPUT_ROW),
    saved === undefined ? undefined : load(saved, CHECKPOINT_ROW),
  ])
  const of = { id, type, typeVersion, metadata, requirements, submitter, parent, attempt, deadline }
  // Of the types that the program says.
  return { ...of, input, checkpoint } as WorkItem
}

/** @param what an effect, or another thing that has a name in an attempt */
const unusableName = (what: string, name: unknown, key: unknown): ParleyError => {
  const problem = EffectName.safeParse(name).error ?? EffectKey.safeParse(key).error
  return new ParleyError('MSG001', `the ${what} ${JSON.stringify(name)} cannot be named so`, {
    hint: problem?.issues[0]?.message ?? 'use another name',
  })
}

const usedTwice = (what: string, name: string, key: string): ParleyError =>
  new ParleyError('MSG001', `this attempt used the ${what} ${name} twice${key === '' ? '' : `, with the key ${key}`}`, {
    hint: what === 'effect' ? 'give each of them a key of its own: effect(name, fn, { key })' : 'use another name',
    details: { reason: 'effect-name-reused', effect: name, key },
  })

/** A child, with a part of what its parent has: nothing unless told. */
export const childOf = (
  task: Omit<SubmitTask, 'id' | 'parent'>,
  { id, name, budget }: { readonly id: string; readonly name: string; readonly budget: Slice | undefined },
): SubmitTask => {
  const share = shareFor(task.budget, budget)
  return { ...task, id: `${id}.${name}`, parent: id, ...(share !== undefined && { budget: share }) }
}

/** Names of effects, sleeps and waits: each is used once in an attempt. State: those that were. */
export class UsedNames {
  readonly #rows = new Set<string>()

  /** @param row where it is recorded @throws MSG001, `effect-name-reused`; the reason of the signal, once that is aborted */
  add(row: string, what: string, name: string, key: string, signal: AbortSignal): void {
    if (!isEffectId(name, key)) throw unusableName(what, name, key)
    signal.throwIfAborted()
    if (this.#rows.has(row)) throw usedTwice(what, name, key)
    this.#rows.add(row)
  }

  /** After a checkpoint they may be used again. */
  clear(): void {
    this.#rows.clear()
  }
}

/** Milliseconds that an attempt has; undefined: nothing ends it. @param now by the journal's clock */
export const remainingOf = ({ deadline, attemptUntil }: TaskRecord, now: number): number | undefined => {
  const until = Math.min(deadline ?? Number.POSITIVE_INFINITY, attemptUntil ?? Number.POSITIVE_INFINITY)
  return until === Number.POSITIVE_INFINITY ? undefined : Math.max(0, until - now)
}

/** An attempt that ends waits so long to hear what came of its submissions: a new coordinator has begun by then. Milliseconds. */
export const MOST_SETTLE_MS = 10_000
/** So much of the time of an attempt is left to have its end decided. Milliseconds. */
const REPORT_MS = 1_000

/** @returns milliseconds that an attempt which ends has for what it is submitting */
export const settleMs = (record: TaskRecord, now: number): number =>
  Math.max(0, Math.min(MOST_SETTLE_MS, (remainingOf(record, now) ?? Number.POSITIVE_INFINITY) - REPORT_MS))
