/**
 * Effects of a task, and calls of other agents out of it, which are effects whose value is the answer. What one came to is
 * recorded, and no attempt runs it, or calls, again then; until it is recorded, another attempt does so again with the same
 * idempotency key. Keeps no state.
 */
import type { Slice } from '../../budget/slice.ts'
import { type AnyProtocol, type CallOptions, kindOf } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import type { DelegationChain } from '../../wire/delegation-chain.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import type { RecordedEffect } from '../journal/attempt-changes.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import { effectRow } from '../task-record.ts'
import type { EffectFacts, EffectOptions, TaskCallOptions } from './task-context.ts'

/** Headers of a call out of a task, as its handler finds them in `context.envelope.headers`. */
export const IDEMPOTENCY_HEADER = 'idempotency-key'
/** `<term>.<index>` of the attempt's fence. */
export const FENCE_HEADER = 'task-fence'
const MAX_MS = 2 ** 31 - 1

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

/** Makes one call, as programs do: through their interceptors. */
export type MakeCall = (
  to: string | undefined,
  protocol: AnyProtocol,
  method: string,
  input: unknown,
  options: CallOptions & { exclude?: readonly string[] },
) => Promise<unknown>

const CALL_KEYS = keysOf<TaskCallOptions>({
  to: true,
  exclude: true,
  key: true,
  budget: true,
  timeoutMs: true,
  maxMs: true,
  attemptTimeoutMs: true,
  priority: true,
  headers: true,
  onProgress: true,
})

/** @throws MSG001 for what has no answer that could be recorded */
const checkMethod = ({ name, methods }: AnyProtocol, method: string): void => {
  const found = Object.hasOwn(methods, method) ? methods[method] : undefined
  if (found !== undefined && kindOf(found) === 'unary') return
  throw new ParleyError('MSG001', `a task cannot call ${name}.${method}: it has no single answer`, {
    hint: 'call a method with a `response`; use effect() for a stream',
    details: { retry: false },
  })
}

export interface CallingAttempt {
  readonly call: MakeCall
  readonly chain: DelegationChain
  readonly budget: Slice | undefined
  effect(name: string, fn: (facts: EffectFacts) => Promise<TaskValue>, options: EffectOptions): Promise<TaskValue>
  /** Milliseconds. */
  remainingMs(): number | undefined
}

/** @throws MSG001, `effect-name-reused`; what the call throws; STA002 */
export const recordedCall = async (
  { call, chain, budget, effect, remainingMs }: CallingAttempt,
  name: string,
  protocol: AnyProtocol,
  method: string,
  input: unknown,
  given: TaskCallOptions = {},
): Promise<TaskValue> => {
  checkKeys(given, CALL_KEYS, 'the options of a call out of a task')
  checkMethod(protocol, method)
  const { to, key, headers, maxMs = MAX_MS, ...options } = given
  return effect(
    name,
    async ({ idempotencyKey, fence: { term, index }, signal }) => {
      const leftMs = Math.max(1, Math.floor(Math.min(maxMs, remainingMs() ?? MAX_MS)))
      // That it can be recorded is checked before it is.
      return (await call(to, protocol, method, input, {
        ...options,
        ...{ parent: { chain, signal, budget }, maxMs: leftMs },
        headers: { ...headers, [IDEMPOTENCY_HEADER]: idempotencyKey, [FENCE_HEADER]: `${term}.${index}` },
      })) as TaskValue
    },
    key === undefined ? {} : { key },
  )
}
