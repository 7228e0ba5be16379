/** Effects of a task: what one came to is recorded, and no attempt runs it again then. Keeps no state. */
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import type { RecordedEffect } from '../journal/attempt-changes.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import { effectRow } from '../task-record.ts'
import type { EffectFacts, EffectOptions } from './task-context.ts'

export interface EffectAttempt {
  readonly id: string
  readonly fence: Fence
  readonly signal: AbortSignal
  /** What was recorded before. */
  readonly rows: Map<string, Json>
  /** Once in an attempt. @throws MSG001; the reason of the signal */
  use(row: string, name: string, key: string): void
  load(stored: Json, row: string): Promise<TaskValue>
  store(what: string, value: unknown, row: string): Promise<Json>
  /** @throws STA002 */
  decide(change: TaskChange): Promise<Decided>
  count(what: 'effectsKnown' | 'effectsRun'): void
}

export const recordedEffect = async <T extends TaskValue>(
  { id, fence, signal, rows, use, load, store, decide, count }: EffectAttempt,
  name: string,
  fn: (facts: EffectFacts) => Promise<T> | T,
  { key = '' }: EffectOptions = {},
): Promise<T> => {
  const row = effectRow(name, key)
  use(row, name, key)
  const known = rows.get(row)
  if (known !== undefined) {
    count('effectsKnown')
    // It is used once: a long history takes less memory with each.
    rows.delete(row)
    // What it was recorded as in an attempt before.
    return (await load(known, row)) as T
  }
  count('effectsRun')
  const idempotencyKey = key === '' ? `${id}/${name}` : `${id}/${name}/${key}`
  const made = await fn({ idempotencyKey, fence, signal })
  const value = await store(`the value of the effect ${name}`, made, row)
  const { result } = await decide({ do: 'effect', id, fence, name, key, value })
  const { known: before } = result as unknown as RecordedEffect
  return (before === undefined ? (made ?? null) : await load(before, row)) as T
}
