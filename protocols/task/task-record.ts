/**
 * A task as it stands in the journal, and where. Pure.
 *
 * The record of an open task is in memory on every voter: who works on it, under which fence, and what a coordinator needs to
 * place it. Its input, checkpoint and effects are rows of a collection of its own, on the voters' disks. What a final task
 * leaves is a row of the collection DONE; its record says only that it ended, and goes a moment later.
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'
import { FenceSchema } from '../journal/fencing/fence.ts'
import { JsonSchema } from '../journal/state/built-in-kinds.ts'
import type { Json } from '../journal/state/command-kind.ts'
import { partPrefix } from '../part.ts'
import { AllocationId } from '../resource/resource-record.ts'
import { UnitsSchema } from '../resource/units.ts'
import { PRIORITIES } from '../wire/envelope.ts'
import { TaskBudgetStateSchema } from './task-budget-state.ts'
import { TASK_STATUSES, type TaskStatus } from './task-status.ts'

export const TASKS_PART = 'tasks'
const PREFIX = partPrefix(TASKS_PART)
export const TASK_PREFIX = `${PREFIX}t/`
export const WORKER_PREFIX = `${PREFIX}w/`
const USAGE_PREFIX = `${PREFIX}u/`
const WORK_PREFIX = `${PREFIX}work/`
/** Final tasks, by id. */
export const DONE = `${PREFIX}done`
/** Their ids, by when they ended. */
export const ENDED = `${PREFIX}ended`

export const taskKey = (id: string): string => TASK_PREFIX + id
export const workerKey = (peer: string): string => WORKER_PREFIX + peer
export const usageKey = (peer: string): string => USAGE_PREFIX + peer
/** The collection of an open task: its input, checkpoint and effects. */
export const workOf = (id: string): string => WORK_PREFIX + id

export const INPUT_ROW = 'input'
export const CHECKPOINT_ROW = 'checkpoint'
const EFFECT_ROW = 'effect/'
export const effectRow = (name: string, key: string): string => `${EFFECT_ROW}${name}/${key}`
/** Undefined: it is no effect. */
export const effectOf = (row: string): { readonly name: string; readonly key: string } | undefined => {
  if (!row.startsWith(EFFECT_ROW)) return undefined
  const end = row.indexOf('/', EFFECT_ROW.length)
  return end < 0 ? undefined : { name: row.slice(EFFECT_ROW.length, end), key: row.slice(end + 1) }
}

/** When a sleep of that name is over; milliseconds since 1970. */
export const sleepRow = (name: string): string => `sleep/${name}`
/** How long a wait of that name lasts. */
export const waitRow = (name: string): string => `wait/${name}`
export const HISTORY_PREFIX = 'history/'
/** What happened to an open task: its first entries, the newest effects, the newest of all else (journal/history-notes.ts). */
export const HISTORY_ROWS = [`${HISTORY_PREFIX}first`, `${HISTORY_PREFIX}effects`, `${HISTORY_PREFIX}others`] as const
export const isHistoryRow = (row: string): boolean => row.startsWith(HISTORY_PREFIX)
/** The collection of what was given to an open task: it outlives checkpoints. */
export const signalsOf = (id: string): string => `${PREFIX}signals/${id}`
export const signalRow = (name: string): string => `signal/${name}`

const DIGITS = 15
export const endedRow = (at: number, id: string): string => `${String(Math.floor(at)).padStart(DIGITS, '0')}/${id}`

/** Of such a row. */
export const readEndedRow = (key: string): { readonly id: string; readonly endedAt: number } => {
  const slash = key.indexOf('/')
  return { id: key.slice(slash + 1), endedAt: Number(key.slice(0, slash)) }
}

/** Bytes of an input, a checkpoint, the value of an effect and a result, each, as JSON. */
export const MAX_VALUE_BYTES = 16_384
export const MAX_DEPENDENCIES = 64
export const MAX_METADATA_BYTES = 4_096
/** Of what a task that waits for a person wants to know, as JSON. */
export const MAX_PROMPT_BYTES = 1_024
const MAX_REASON = 256

/** Words with dots between them, as topics have them. */
export const TaskId = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, 'use 1 to 128 letters, digits, _ and -, with single dots between them')
export const TypeName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'use 1 to 64 letters, digits and . _ -, beginning with a letter or digit')
export const TypeVersion = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'use 1 to 32 letters, digits and . _ -, beginning with a letter or digit')
const EFFECT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const EFFECT_KEY = /^[\x21-\x7e]{0,96}$/
export const EffectName = z
  .string()
  .regex(EFFECT_NAME, 'use 1 to 64 letters, digits and . _ -, beginning with a letter or digit')
export const EffectKey = z.string().regex(EFFECT_KEY, 'use at most 96 printable ASCII characters without blanks')
/** What the schemas say, for what is asked a hundred thousand times. */
export const isEffectId = (name: unknown, key: unknown): boolean =>
  typeof name === 'string' && typeof key === 'string' && EFFECT_NAME.test(name) && EFFECT_KEY.test(key)
export const PeerId = z.string().min(1).max(128)
export const Reason = z.string().max(MAX_REASON)
export const reasonText = (text: string): string => text.slice(0, MAX_REASON)

const lengthOf = (value: unknown): number => JSON.stringify(value)?.length ?? 0
/** JSON of at most so many bytes as text; the document of the protocol names the bound. */
export const smallJson = (maxBytes: number) =>
  JsonSchema.refine((value) => lengthOf(value) <= maxBytes, `use at most ${maxBytes} bytes of JSON`).meta({
    'x-max-bytes': maxBytes,
  })
export const Value = smallJson(MAX_VALUE_BYTES)

/** As seed 001 has it. */
export const FirstRequirementsSchema = z.object({
  cpu_cores: z.number().int().nonnegative().max(100_000).optional(),
  memory_gb: z.number().nonnegative().max(1_000_000).optional(),
  storage_gb: z.number().nonnegative().max(1_000_000_000).optional(),
  gpu_units: z.number().int().nonnegative().max(100_000).optional(),
})
export const RequirementsSchema = FirstRequirementsSchema.extend({
  /** Other resources of nodes, by name, in whole units; level 3. */
  resources: UnitsSchema.optional(),
})
export type Requirements = z.output<typeof RequirementsSchema>

export const DependencySchema = z.object({
  task_id: TaskId,
  /** `finished`: however it ended. */
  condition: z.enum(['completed', 'finished']),
})
export type Dependency = z.output<typeof DependencySchema>

export const RetrySchema = z.object({
  /** Attempts that may fail before the last one. */
  max: z.int().min(0).max(1_000),
  /** Milliseconds before the first retry; doubled with each one more. */
  delayMs: z.int().min(0).max(86_400_000),
  maxDelayMs: z.int().min(0).max(86_400_000),
})

/** Milliseconds that one attempt may take: 100 ms to 30 days. */
export const AttemptTimeout = z.int().min(100).max(2_592_000_000)

/** What went wrong with an attempt, as it is kept and shown. */
export const TaskErrorSchema = z.object({
  code: z.string().max(16),
  message: z.string().max(1_024),
  hint: z.string().max(512).optional(),
  details: z.record(z.string(), JsonSchema).optional(),
})
export type TaskError = z.output<typeof TaskErrorSchema>

/** How urgent: 0 low to 3 critical, as the integer of seed 001 (MESSAGES.md). */
export const PRIORITY_LEVELS = PRIORITIES.length

const Millis = z.number().nonnegative()
/** How the task of a worker that is gone goes to another one. */
export const Takeover = z.literal('after-lease')

export const TaskRecordSchema = z.object({
  type: TypeName,
  /** Of its type. Absent: any worker of the type will do. */
  typeVersion: TypeVersion.optional(),
  status: z.enum(TASK_STATUSES),
  priority: z
    .int()
    .min(0)
    .max(PRIORITY_LEVELS - 1),
  /** Peer id of who submitted it. */
  submitter: PeerId,
  parent: TaskId.optional(),
  /** The plan that says which agent gets it. Absent: whoever is free. */
  plan: AllocationId.optional(),
  /** Of a task of a plan, peer id of the agent that alone gets it; absent: it is held. */
  assignee: PeerId.optional(),
  /** Milliseconds since 1970 by the journal's clock, as all times here. */
  submittedAt: Millis,
  /** When its status changed last. */
  changedAt: Millis,
  deadline: Millis.optional(),
  requirements: RequirementsSchema.optional(),
  /** What it still waits for. */
  dependencies: z.array(DependencySchema).max(MAX_DEPENDENCIES).optional(),
  retry: RetrySchema,
  /** Milliseconds that one attempt may take; absent: as its worker says, or without a limit. */
  attemptTimeoutMs: AttemptTimeout.optional(),
  /** Another attempt begins only once the worker of this one cannot go on any more: its lease is over. Absent: at once. */
  takeover: Takeover.optional(),
  /** What was allocated for the attempt in work; absent: it requires nothing, or voters are of an older version. */
  allocation: AllocationId.optional(),
  /** When the attempt in work has taken as long as it may. */
  attemptUntil: Millis.optional(),
  /** Attempts that began. */
  attempts: z.int().nonnegative(),
  /** Attempts that failed. */
  failures: z.int().nonnegative(),
  /** Attempts that were lost with their worker. */
  losses: z.int().nonnegative(),
  /** Not placed before. */
  notBefore: Millis.optional(),
  /** Peer id of the assignee. */
  worker: PeerId.optional(),
  /** The registration of the worker that it was given to: index of its entry. */
  registration: z.int().nonnegative().optional(),
  /** Of the decision that gave it to the worker: nothing counts under an older one. */
  fence: FenceSchema.optional(),
  /** What it waits for, in `input_required` and `auth_required`. */
  wait: z
    .object({
      name: EffectName,
      /** Of an event: its topic. */
      topic: z.string().max(256).optional(),
      /** What is wanted, for who is to give it. */
      prompt: smallJson(MAX_PROMPT_BYTES).optional(),
      /** Not longer than until then. */
      until: Millis.optional(),
    })
    .optional(),
  /** Why it is in this state, for people and programs. */
  reason: Reason.optional(),
  /** Absent: nothing that it uses up is limited. */
  budget: TaskBudgetStateSchema.optional(),
  /** How much room its submitter answers for, bytes. */
  size: z.int().nonnegative(),
  /** Its submitter answers for its rows too. Absent: it was submitted while a voter was of level 1. */
  isCounted: z.literal(true).optional(),
})
export type TaskRecord = z.output<typeof TaskRecordSchema>

/** What a final task leaves. */
export interface DoneTask {
  readonly id: string
  readonly record: TaskRecord
  readonly metadata?: Json
  readonly result?: Json
  readonly error?: TaskError
  /** As text (journal/history-notes.ts). Absent: it ended under a version without histories. */
  readonly history?: string
  /** Of one that was not completed: it can be submitted again. Absent under a version without histories. */
  readonly input?: Json
}

/** A row of ENDED, for whoever lists what ended. */
export interface EndedTask {
  readonly type: string
  readonly status: TaskStatus
  readonly attempts: number
  readonly worker?: string | undefined
  readonly reason?: string | undefined
}

/** Row INPUT_ROW. */
export interface TaskInput {
  readonly input: Json
  readonly metadata?: Json
  /** SHA-256 of what was submitted: the same id with something else is refused. */
  readonly digest: string
}

export const WorkerOfferSchema = z.object({
  type: TypeName,
  /** Absent: it takes tasks that name no version. */
  versions: z.array(TypeVersion).max(16).optional(),
  /** Tasks of this type at once. */
  slots: z.int().min(1).max(10_000),
  /** Milliseconds that an attempt may take, at tasks that do not say it themselves. */
  attemptTimeoutMs: AttemptTimeout.optional(),
})
export type WorkerOffer = z.output<typeof WorkerOfferSchema>

/** A worker's place in the journal: what it takes, for as long as it renews its lease. */
export const WorkerRecordSchema = z.object({
  offers: z.array(WorkerOfferSchema).max(256),
  /** Index of the entry that registered it. */
  registration: z.int().nonnegative(),
  /** Of the process: one that was started again has lost what it had in work. */
  incarnation: z.number(),
  /** It takes nothing new. */
  draining: z.boolean().optional(),
  renewedAt: Millis,
})
export type WorkerRecord = z.output<typeof WorkerRecordSchema>

/** Of a record that this part wrote. */
export const readTask = (value: unknown): TaskRecord | undefined => value as TaskRecord | undefined
export const readWorker = (value: unknown): WorkerRecord | undefined => value as WorkerRecord | undefined

export const notFound = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no task ${id}`, {
    hint: 'it was never submitted, or ended longer ago than tasks.retainMs',
    details: { task: id },
  })
