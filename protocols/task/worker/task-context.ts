/** What a worker's function is given: the task, and what it may do about it. */

import type { ZodType, z } from 'zod'
import type { Amounts } from '../../budget/amounts.ts'
import type { Slice } from '../../budget/slice.ts'
import type { AnyProtocol, CallOptions } from '../../define.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { RequestInWork } from '../../request-in-work.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import type { SubmitTask, TaskHandle } from '../client/task-api.ts'
import type { EventFilter, HeardEvent } from '../events/event-wait.ts'
import type { Requirements } from '../task-record.ts'

/** The task that an attempt works on. */
export interface WorkItem<I extends TaskValue = Json, C extends TaskValue = Json> {
  readonly id: string
  readonly type: string
  readonly typeVersion: string | undefined
  /** A Uint8Array where one was submitted. */
  readonly input: I
  readonly metadata: Json | undefined
  readonly requirements: Requirements | undefined
  /** Peer id. */
  readonly submitter: string
  readonly parent: string | undefined
  /** From 1. */
  readonly attempt: number
  /** Milliseconds since 1970. */
  readonly deadline: number | undefined
  /** What an attempt before this one saved last. */
  readonly checkpoint: C | undefined
}

/** For what an effect does outside of the mesh. */
export interface EffectFacts {
  /** The same in each attempt: a receiver that removes duplicates by it sees the effect once. */
  readonly idempotencyKey: string
  /** Of this attempt: a receiver that keeps the highest one refuses an attempt that was replaced. */
  readonly fence: Fence
  readonly signal: AbortSignal
}

export interface EffectOptions {
  /** Tells effects of one name apart: at most 96 printable characters without blanks; none unless told. */
  readonly key?: string
}

type CallLimits = Pick<
  CallOptions,
  'budget' | 'timeoutMs' | 'maxMs' | 'attemptTimeoutMs' | 'priority' | 'headers' | 'onProgress'
>

export interface TaskCallOptions extends CallLimits {
  /** A peer id, or the name of an agent; whoever offers the protocol unless told. */
  readonly to?: string
  /** Agents that are not chosen, by peer id or name. */
  readonly exclude?: readonly string[]
  /** As of an effect. */
  readonly key?: string
}

/** Its methods that have one answer. */
export type AnsweredMethod<P extends AnyProtocol> = {
  [K in keyof P['methods'] & string]: P['methods'][K] extends { response: ZodType } ? K : never
}[keyof P['methods'] & string]

/** What comes back. */
export type AnswerOf<P extends AnyProtocol, M extends string> = P['methods'][M] extends {
  response: infer R extends ZodType
}
  ? z.output<R>
  : never

export interface ProgressReport {
  /** For people, at most 256 characters. */
  readonly note?: string
  /** As seed 001 has them: cpu_usage, memory_usage, throughput. */
  readonly metrics?: Readonly<Record<string, number>>
}

export interface WaitForOptions {
  /** `input_required` unless told; `auth_required`: somebody has to sign in or to allow it. */
  readonly status?: 'input_required' | 'auth_required'
  /** What is wanted, for who is to give it: JSON of at most 1 KiB. */
  readonly prompt?: Json
  /** Milliseconds; as long as it takes unless told. */
  readonly timeoutMs?: number
}

export interface WaitForEventOptions {
  /** A topic, or a pattern whose first word is none of the wildcards. */
  readonly topic: string
  /** Which of them: by publisher (a peer id), type, and fields of its data. Each one unless told. */
  readonly filter?: EventFilter
  /** Milliseconds; as long as it takes unless told. */
  readonly timeoutMs?: number
}

/** A chain begins with its submitter. */
export interface TaskContext extends RequestInWork {
  /**
   * Aborted when the task is paused, canceled or given to another worker, its time is over, or this node stops; and when the
   * attempt has ended by itself, once that is decided or counts no more: what is done then counts no more.
   */
  readonly signal: AbortSignal
  readonly fence: Fence
  /** What it drew and has not spent; undefined: the task has no budget. Calls and children get parts of it. */
  readonly budget: Slice | undefined
  /**
   * Runs `fn` and records what it returned; an effect that was recorded is not run again, in no attempt: its value is returned.
   * Between running and recording a worker may die: then it runs again, with the same idempotency key.
   * @param name 1 to 64 letters, digits and . _ -; with the key used once in an attempt
   * @returns what was recorded: JSON or a Uint8Array of at most 64 MiB; above 16 KiB nodes with a disk hold it
   * @throws whatever `fn` throws; MSG001 `effect-name-reused`; STA002 where the task is not this attempt's any more; of large
   *   values STA003 `no-holder`, and STA001 `input-lost` where all of their copies are gone
   */
  effect<T extends TaskValue>(
    name: string,
    fn: (facts: EffectFacts) => Promise<T> | T,
    options?: EffectOptions,
  ): Promise<T>
  /**
   * Calls another agent and records its answer: an attempt after that gets the answer and does not call again. Between answer
   * and record this node may die; then it is called again, with the same header `idempotency-key` (and `task-fence`). The
   * call ends with the deadline of the task, and with the time of the attempt; the attempt is its parent.
   * @param name as of an effect
   * @param method one with a `response`, which is JSON or bytes as of an effect
   * @throws what the call throws, which is not recorded; MSG001, STA002 as `effect`
   */
  call<P extends AnyProtocol, M extends AnsweredMethod<P>>(
    name: string,
    protocol: P,
    method: M,
    input: z.input<P['methods'][M]['request']>,
    options?: TaskCallOptions,
  ): Promise<AnswerOf<P, M>>
  /**
   * Saves where the work is: the next attempt begins with it. Effects before it are forgotten, and their names are free again.
   * @param value JSON or a Uint8Array of at most 64 MiB @throws MSG001, STA002, STA003 `no-holder`
   */
  checkpoint(value: TaskValue): Promise<void>
  /** Tells whoever listens to `tasks.status.<id>` how far the work is; not kept. @param fraction 0 to 1 */
  progress(fraction: number, report?: ProgressReport): void
  /**
   * Waits for so long, through whatever dies meanwhile. For 5 s and more the attempt ends here, its worker has room for others,
   * and another attempt begins from the top when the time is over: what was recorded is not run again.
   * @param name as of an effect; used once @param ms milliseconds
   */
  sleep(name: string, ms: number): Promise<void>
  /**
   * Waits until somebody gives it what it wants, by `handle.signal(name, value)`: a person, or another task. The attempt ends
   * here, as with `sleep`; what was given before is there at once.
   * @param name as of an effect; used once
   * @returns what was given
   * @throws COM001 where nobody gave it in time
   */
  waitFor(name: string, options?: WaitForOptions): Promise<Json>
  /**
   * Waits for an event: the first one of the topic that fits, published after the wait began, also while nobody runs the task.
   * The attempt ends here, as with `sleep`. The coordinator follows the topic from where the wait began.
   * @param name as of an effect; used once in a task
   * @throws STA003 `missed` where events of the topic's first word are gone for good: it may have been among them; COM001 where
   *   none came in time; COM003 where too many tasks wait for events; MSG001
   */
  waitForEvent(name: string, options: WaitForEventOptions): Promise<HeardEvent>
  /**
   * Submits a child: the same name in another attempt is the same task. What it gets of the task's budget is drawn, as far as
   * `budget` has not as much; a child of an earlier attempt has what it was given then, and takes nothing. An attempt that waits by `result` or `ended` of its
   * handle, 5 s long, while nobody has begun the child, ends as with `sleep`: its slot may be the one that the child waits for.
   * @throws as `tasks.submit` does, and as `draw`
   */
  submit(name: string, task: Omit<SubmitTask, 'id' | 'parent'>): Promise<TaskHandle>
  /**
   * Takes so much of the task's budget, in a decision of the journal, and adds it to `budget`: it counts as spent from here on,
   * whatever becomes of this attempt. What is left of it when the attempt ends, sleeps or waits is given back. Where children of
   * earlier attempts may leave more, it waits for them, as for the result of a child. Of a task without a budget nothing is limited.
   * @throws COM003 `budget-exhausted`; MSG001; STA002
   */
  draw(amounts: Amounts): Promise<void>
  /** Milliseconds until the deadline, or until this attempt has taken as long as it may; undefined: it has neither. */
  remainingMs(): number | undefined
}

export type WorkFunction<I extends TaskValue = Json, C extends TaskValue = Json> = (
  task: WorkItem<I, C>,
  context: TaskContext,
) => Promise<TaskValue | undefined> | TaskValue | undefined
