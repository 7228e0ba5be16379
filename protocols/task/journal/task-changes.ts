/**
 * What is decided about tasks: the inputs of the journal commands of tasks, which carry what gathered in one turn of a node.
 * Each change is let through or refused by itself. Pure.
 *
 * `tasks.change` takes those of level 1, `tasks.decide` these and what level 2 of the part brought: both have to stay as they
 * are, as they stand in logs, and so have `tasks.resolve` for those of level 3, `tasks.direct` for those of level 4 and
 * `tasks.spend` for those of level 5. `tasks.lend` takes all of them.
 */
import * as z from 'zod'
import { AmountsSchema } from '../../budget/amounts.ts'
import { FenceSchema } from '../../journal/fencing/fence.ts'
import { AllocationId } from '../../resource/resource-record.ts'
import { readStored } from '../bytes/stored-bytes.ts'
import { CursorSchema, HeardSchema, ListenSchema } from '../events/event-wait.ts'
import { FIRST_SCHEDULE_CHANGES, SCHEDULE_CHANGES } from '../schedule/schedule-changes.ts'
import { TaskBudgetSchema } from '../task-budget-state.ts'
import {
  AttemptTimeout,
  DependencySchema,
  EffectKey,
  EffectName,
  FirstRequirementsSchema,
  MAX_DEPENDENCIES,
  MAX_METADATA_BYTES,
  MAX_PROMPT_BYTES,
  PeerId,
  PRIORITY_LEVELS,
  Reason,
  RequirementsSchema,
  RetrySchema,
  smallJson,
  Takeover,
  TaskErrorSchema,
  TaskId,
  TypeName,
  TypeVersion,
  Value,
  WorkerOfferSchema,
} from '../task-record.ts'

/** Of one command. Rows that they name, and what they write, bound them too. */
export const MAX_CHANGES_AT_ONCE = 256
/** Tasks of one submission that may wait for each other. */
export const MAX_TOGETHER = 64
/** Children that one draw lets go of. */
export const MAX_LET_GO = 64
/** Tasks that are forgotten at once. */
export const MAX_FORGOTTEN = 256

const Epoch = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)

const FirstTaskSchema = z.object({
  id: TaskId,
  type: TypeName,
  typeVersion: TypeVersion.optional(),
  priority: z
    .int()
    .min(0)
    .max(PRIORITY_LEVELS - 1),
  /** Milliseconds since 1970. */
  deadline: Millis.optional(),
  requirements: FirstRequirementsSchema.optional(),
  dependencies: z.array(DependencySchema).max(MAX_DEPENDENCIES).optional(),
  parent: TaskId.optional(),
  retry: RetrySchema,
  input: Value,
  metadata: smallJson(MAX_METADATA_BYTES).optional(),
  /** SHA-256 of all of it, as hex digits. */
  digest: z.string().max(64),
})
const SecondTaskSchema = FirstTaskSchema.extend({
  /** Milliseconds that one attempt may take; level 2. */
  attemptTimeoutMs: AttemptTimeout.optional(),
})
const ThirdTaskSchema = SecondTaskSchema.extend({
  requirements: RequirementsSchema.optional(),
  /** Level 3. */
  takeover: Takeover.optional(),
})
const FourthTaskSchema = ThirdTaskSchema.extend({
  /** It is held until this plan says who gets it; level 4. */
  plan: AllocationId.optional(),
})
export const SubmittedTaskSchema = FourthTaskSchema.extend({
  /** What it may use up; level 5. */
  budget: TaskBudgetSchema.optional(),
})
export type SubmittedTask = z.output<typeof SubmittedTaskSchema>

const FirstOfferSchema = WorkerOfferSchema.omit({ attemptTimeoutMs: true })

/** Of the assignee alone, under its fence. */
const attempt = { id: TaskId, fence: FenceSchema }
/** Of the coordinator of this epoch alone. */
const coordinating = { epoch: Epoch }

/** Of who submitted it; with an epoch, of its coordinator, which says for whom. */
const control = { epoch: Epoch.optional(), asker: PeerId.optional() }

/** Final tasks, with when they ended. */
const EndedRefSchema = z.object({ id: TaskId, endedAt: Millis })
export type EndedRef = z.output<typeof EndedRefSchema>
const Ended = z.array(EndedRefSchema).max(MAX_FORGOTTEN)

/** All of them, or none. */
const submitOf = <S extends z.ZodType>(task: S) =>
  z.object({ do: z.literal('submit'), tasks: z.array(task).min(1).max(MAX_TOGETHER) })

const registerOf = <S extends z.ZodType>(offer: S) =>
  z.object({
    do: z.literal('register'),
    offers: z.array(offer).max(256),
    incarnation: z.number(),
    draining: z.boolean().optional(),
  })

const FirstPlaceSchema = z.object({
  do: z.literal('place'),
  ...coordinating,
  id: TaskId,
  worker: PeerId,
  registration: z.int().nonnegative(),
})
const PlaceSchema = FirstPlaceSchema.extend({
  /** What it requires, allocated at its worker; level 3. */
  allocation: AllocationId.optional(),
})

/** Of the coordinator, for a task that is held for a plan; level 4. */
const SteerSchema = z.object({
  do: z.literal('steer'),
  ...coordinating,
  id: TaskId,
  plan: AllocationId,
  /** Who alone gets it; absent: it is held. */
  assignee: PeerId.optional(),
  /** It is of no plan any more. */
  free: z.literal(true).optional(),
})

/** Of a task that has a budget, by its attempt in work; level 5. */
const DrawSchema = z.object({
  do: z.literal('draw'),
  ...attempt,
  /** Which draw of this attempt, from 1: the same one again changes nothing. */
  number: z.int().min(1),
  /** Counts as spent from here on, until some of it is given back. */
  amounts: AmountsSchema,
  /** Of what this attempt drew before, and did not spend. */
  back: AmountsSchema.optional(),
})
const LaterDrawSchema = DrawSchema.extend({
  /** Of these children this attempt takes back nothing any more: what they leave is the task's; level 6. */
  children: z.array(TaskId).min(1).max(MAX_LET_GO).optional(),
})

/** As they are at all levels. */
const CHANGES = [
  z.object({ do: z.literal('pause'), id: TaskId, reason: Reason.optional(), ...control }),
  z.object({ do: z.literal('resume'), id: TaskId, checkpoint: Value.optional(), ...control }),
  z.object({ do: z.literal('cancel'), id: TaskId, reason: Reason.optional(), ...control }),

  z.object({ do: z.literal('renew'), registration: z.int().nonnegative() }),
  z.object({ do: z.literal('withdraw'), registration: z.int().nonnegative() }),

  z.object({ do: z.literal('start'), ...attempt }),
  z.object({ do: z.literal('effect'), ...attempt, name: EffectName, key: EffectKey, value: Value }),
  z.object({ do: z.literal('checkpoint'), ...attempt, value: Value }),
  z.object({ do: z.literal('complete'), ...attempt, result: Value }),
  z.object({ do: z.literal('fail'), ...attempt, error: TaskErrorSchema, retry: z.boolean() }),
  /** The assignee gives it back unharmed: it stops. */
  z.object({ do: z.literal('release'), ...attempt, reason: Reason }),

  /** What it waits for has ended: its dependencies are looked at. */
  z.object({ do: z.literal('settle'), ...coordinating, id: TaskId }),
  /** Its worker is gone. */
  z.object({ do: z.literal('lose'), ...coordinating, ...attempt, reason: Reason }),
  /** Its deadline passed. */
  z.object({ do: z.literal('expire'), ...coordinating, id: TaskId }),
  /** Why nobody takes it, for people. */
  z.object({ do: z.literal('explain'), ...coordinating, id: TaskId, reason: Reason }),
  /** This worker's lease is over. */
  z.object({ do: z.literal('dismiss'), ...coordinating, worker: PeerId, registration: z.int().nonnegative() }),
  /** Records of final tasks go, what they left stays. */
  z.object({ do: z.literal('archive'), ...coordinating, tasks: Ended }),
  /** What final tasks left goes, oldest first. */
  z.object({ do: z.literal('forget'), ...coordinating, tasks: Ended }),
] as const

/** From level 2 on: a voter of level 1 would pass over them, and have another state from there on. */
const LATER_CHANGES = [
  /** It sleeps until then; unless it stays, its worker has room for others meanwhile. */
  z.object({ do: z.literal('sleep'), ...attempt, name: EffectName, until: Millis, stays: z.boolean() }),
  /** It goes on once somebody gives it what it waits for, or when the time is over. */
  z.object({
    do: z.literal('wait'),
    ...attempt,
    name: EffectName,
    status: z.enum(['input_required', 'auth_required']),
    prompt: smallJson(MAX_PROMPT_BYTES).optional(),
    until: Millis.optional(),
  }),
  /** What it waits for, or will. */
  z.object({ do: z.literal('signal'), id: TaskId, name: EffectName, value: Value, ...control }),
  /** It waited as long as it was to. */
  z.object({ do: z.literal('wake'), ...coordinating, id: TaskId }),
  /** Its attempt took longer than it may. */
  z.object({ do: z.literal('time-out'), ...coordinating, ...attempt }),
  /** It waits for an event, from this place in the history of its topic on. */
  z.object({ do: z.literal('listen'), ...attempt, name: EffectName, ...ListenSchema.shape }),
  /** It still waits, and nothing before this place is what it waits for. */
  z.object({ do: z.literal('advance'), ...coordinating, id: TaskId, name: EffectName, cursor: CursorSchema }),
  /** The first event that fits came, or may have been among what is gone. */
  z.object({ do: z.literal('hear'), ...coordinating, id: TaskId, name: EffectName, heard: HeardSchema }),
] as const

export const FirstChangeSchema = z.discriminatedUnion('do', [
  submitOf(FirstTaskSchema),
  registerOf(FirstOfferSchema),
  FirstPlaceSchema,
  ...CHANGES,
])
export const SecondChangeSchema = z.discriminatedUnion('do', [
  submitOf(SecondTaskSchema),
  registerOf(WorkerOfferSchema),
  FirstPlaceSchema,
  ...CHANGES,
  ...LATER_CHANGES,
  ...FIRST_SCHEDULE_CHANGES,
])
/** As they are from level 3 on. */
const REST = [registerOf(WorkerOfferSchema), PlaceSchema, ...CHANGES, ...LATER_CHANGES, ...SCHEDULE_CHANGES] as const
export const ThirdChangeSchema = z.discriminatedUnion('do', [submitOf(ThirdTaskSchema), ...REST])
export const FourthChangeSchema = z.discriminatedUnion('do', [submitOf(FourthTaskSchema), SteerSchema, ...REST])
export const FifthChangeSchema = z.discriminatedUnion('do', [
  submitOf(SubmittedTaskSchema),
  SteerSchema,
  DrawSchema,
  ...REST,
])
export const TaskChangeSchema = z.discriminatedUnion('do', [
  submitOf(SubmittedTaskSchema),
  SteerSchema,
  LaterDrawSchema,
  ...REST,
])
export type TaskChange = z.output<typeof TaskChangeSchema>
export type ChangeOf<D extends TaskChange['do']> = Extract<TaskChange, { do: D }>

const LATER: ReadonlySet<string> = new Set([...LATER_CHANGES, ...SCHEDULE_CHANGES].map(({ shape }) => shape.do.value))
const isLimited = ({ attemptTimeoutMs }: { readonly attemptTimeoutMs?: number | undefined }): boolean =>
  attemptTimeoutMs !== undefined

/** Bytes that nodes hold for it: a node of level 1 would take what stands for them for the value. */
const isStored = (value: unknown): boolean => readStored(value) !== undefined

type LaterTask = Pick<SubmittedTask, 'requirements' | 'takeover'>
const isLaterTask = ({ requirements, takeover }: LaterTask): boolean =>
  requirements?.resources !== undefined || takeover !== undefined

const isOfLevel3 = (change: TaskChange): boolean => {
  if (change.do === 'submit') return change.tasks.some(isLaterTask)
  if (change.do === 'schedule') return isLaterTask(change.task)
  return change.do === 'place' && change.allocation !== undefined
}

const isOfLevel4 = (change: TaskChange): boolean =>
  change.do === 'steer' || (change.do === 'submit' && change.tasks.some(({ plan }) => plan !== undefined))

const isOfLevel5 = (change: TaskChange): boolean =>
  change.do === 'draw' || (change.do === 'submit' && change.tasks.some(({ budget }) => budget !== undefined))

/** It is done without where voters are older: nothing waits for them. */
export const isLettingGo = (change: TaskChange): boolean => change.do === 'draw' && change.children !== undefined

/** The level of the part that a voter has to have for it. */
export const levelOfChange = (change: TaskChange): 1 | 2 | 3 | 4 | 5 | 6 => {
  if (isLettingGo(change)) return 6
  if (isOfLevel5(change)) return 5
  if (isOfLevel4(change)) return 4
  if (isOfLevel3(change)) return 3
  if (change.do === 'submit') return change.tasks.some((task) => isLimited(task) || isStored(task.input)) ? 2 : 1
  if (change.do === 'complete') return isStored(change.result) ? 2 : 1
  if (change.do === 'effect' || change.do === 'checkpoint') return isStored(change.value) ? 2 : 1
  if (change.do === 'register') return change.offers.some(isLimited) ? 2 : 1
  return LATER.has(change.do) ? 2 : 1
}
