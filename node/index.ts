/** The public entry: everything a program needs to embed a node. */
import './lifecycle/check-node-version.ts'

export type { Activity } from '../discovery/agent-activity.ts'
export { describe } from '../discovery/directory/record/describe-protocol.ts'
export type { Agent, Change } from '../discovery/directory/tables/agent-change.ts'
export type { AmountName, Amounts, Limits } from '../protocols/budget/amounts.ts'
export type {
  Budget,
  BudgetState,
  Budgets,
  BudgetsCounts,
  BudgetTree,
  BudgetWaitOptions,
  ChunkedDraws,
  Draw,
  LendOptions,
  LentBudget,
  OfferedLoan,
  OpenBudgetOptions,
} from '../protocols/budget/api.ts'
export type { BudgetStatus } from '../protocols/budget/budget-record.ts'
export type { BudgetShare } from '../protocols/budget/carried/budget-share.ts'
export { type Allowance, type Reservation, Slice, type SliceCounts } from '../protocols/budget/slice.ts'
export type {
  AnyReceiver,
  CommandAck,
  CommandContext,
  CommandHandler,
  CommandOptions,
  CommandOutcome,
  CommandOutcomes,
  Commands,
} from '../protocols/command/api.ts'
export { type CommandDefinition, defineCommand } from '../protocols/command/command-definition.ts'
export type {
  AgentTraits,
  DirectedWork,
  DirectiveVerdict,
  MakePlan,
  PlanHandle,
  PlanStatus,
  Plans,
  PlansCounts,
} from '../protocols/coordination/api.ts'
export type {
  CoalitionListener,
  CoalitionNews,
  CoalitionStatus,
  Coalitions,
  CoalitionsCounts,
  CoalitionVerdict,
  NewCoalition,
} from '../protocols/coordination/coalition/coalition-api.ts'
export type { Assignment, PlanMove, PlanOutcome } from '../protocols/coordination/plan-record.ts'
export { PLAN_STATES, PLAN_TRIGGERS, type PlanState, type PlanTrigger } from '../protocols/coordination/plan-states.ts'
export {
  type ChosenAgent,
  defaultGenerator,
  type GeneratedPlan,
  type PlanChoice,
  type PlanGenerator,
  type PlanInput,
  type PlannableAgent,
  type PlannableTask,
  type ResourceAdjustment,
} from '../protocols/coordination/planner/generator.ts'
export {
  type Accepted,
  type AnyProtocol,
  type CallOptions,
  type Client,
  type Context,
  defineProtocol,
  type Handlers,
  type Progress,
  type Protocol,
} from '../protocols/define.ts'
export { definePart } from '../protocols/define-part.ts'
export type {
  DeliveryFigures,
  MessageContext,
  MessageHandler,
  MessageReceipt,
  Messages,
  ReceiveOptions,
  ReplyOptions,
  SendOptions,
  To,
  Tx,
} from '../protocols/delivery/api.ts'
export type {
  ConversationMessage,
  ConversationStatus,
} from '../protocols/delivery/conversations/conversation-entry.ts'
export type { ConversationFacts, Conversations } from '../protocols/delivery/conversations/conversation-log.ts'
export type { Grouping, LetterGroup } from '../protocols/delivery/dead-letters/dead-letter-index.ts'
export type {
  DeadLetter,
  DeadLetterDetails,
  DeadLetters,
} from '../protocols/delivery/dead-letters/dead-letter-store.ts'
export { defineMessage, type MessageDefinition } from '../protocols/delivery/define-message.ts'
export type { Guarantee } from '../protocols/delivery/durable-message.ts'
export type {
  Inbox,
  InboxEntry,
  InboxItem,
  InboxNextOptions,
  InboxQuery,
  InboxType,
} from '../protocols/delivery/inbox/inbox-api.ts'
export type { Received } from '../protocols/delivery/receive/inbound-message.ts'
export type { OutboxEntry, OutboxPage } from '../protocols/delivery/send/outbox-list.ts'
export { ERROR_REASONS, type ErrorReason } from '../protocols/error-reasons.ts'
export { CODES, type Code, type ErrorOf, isParleyError, ParleyError } from '../protocols/errors.ts'
export type {
  EventCursor,
  Events,
  EventsFigures,
  PublishOptions,
  Receipt,
  SubscribeOptions,
} from '../protocols/events/api.ts'
export { defineEvent, type EventDefinition } from '../protocols/events/define-event.ts'
export type { MeshEvent, Missed } from '../protocols/events/event.ts'
export { DEFAULT_TOPIC } from '../protocols/events/events.ts'
export {
  type CallChange,
  type CallInput,
  defineInterceptor,
  type HearChange,
  type HearInput,
  type Interceptor,
  interceptors,
  isCallOf,
  isEventOf,
  isMessageOf,
  itemsOf,
  type Next,
  type PassedOn,
  type PublishChange,
  type PublishInput,
  type ReceiveChange,
  type ReceiveInput,
  type SendChange,
  type SendInput,
  type ServeChange,
  type ServeInput,
} from '../protocols/interceptors/interceptor.ts'
export type { Journal } from '../protocols/journal/client/journal-client.ts'
export type { JournalChange } from '../protocols/journal/client/journal-watch.ts'
export { compareFences, type Fence, FenceSchema } from '../protocols/journal/fencing/fence.ts'
export type { Fences } from '../protocols/journal/fencing/fence-guard.ts'
export {
  type CommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
  type Json,
} from '../protocols/journal/state/command-kind.ts'
export type { Notification } from '../protocols/notification/notification.ts'
export type { Notifications } from '../protocols/notification/notifications.ts'
export {
  type Answers,
  type AnyPart,
  type ApiOf,
  answers,
  type ExtensionPoint,
  extensionPoint,
  type GraphData,
  type Implementation,
  implementPart,
  type Loading,
  type Part,
  type PartContext,
  type PartJournal,
  type PartReadiness,
  partPrefix,
  type Started,
  type TableData,
  type TimelineData,
  type Token,
  tokenOf,
} from '../protocols/part.ts'
export type { Member, Port } from '../protocols/port.ts'
export { createRegistration, type Registration } from '../protocols/registration.ts'
export type { RequestInWork } from '../protocols/request-in-work.ts'
export type {
  AllocateOptions,
  AllocationState,
  Claim,
  ClaimOptions,
  GivenPart,
  HeldAllocation,
  ResourceStatus,
  Resources,
  ResourcesCounts,
  ResourceWaitOptions,
  WantedPart,
} from '../protocols/resource/api.ts'
export {
  type ResourceStatusData,
  resourceRequestEvent,
  resourceStatusEvent,
} from '../protocols/resource/resource-events.ts'
export { STATE_REASONS, type StateReason } from '../protocols/state-reasons.ts'
export type { Tasks, TasksCounts, WorkOptions } from '../protocols/task/api.ts'
export type {
  ListTasks,
  RetryOptions,
  SubmitTask,
  TaskBudget,
  TaskChangesOptions,
  TaskHandle,
  TaskRecorded,
  TaskState,
  TasksChange,
  TaskWaitOptions,
} from '../protocols/task/client/task-api.ts'
export type { EventFilter, HeardEvent } from '../protocols/task/events/event-wait.ts'
export type { ScheduledSubmission, ScheduleOptions, ScheduleState } from '../protocols/task/schedule/schedule-api.ts'
export {
  stateChangedEvent,
  type TaskStatusData,
  taskStatusEvent,
  taskSubmittedEvent,
} from '../protocols/task/task-events.ts'
export type { Dependency, Requirements, TaskError, TaskRecord } from '../protocols/task/task-record.ts'
export { A2A_STATES, MOVES, TASK_STATUSES, type TaskStatus } from '../protocols/task/task-status.ts'
export { FENCE_HEADER, IDEMPOTENCY_HEADER } from '../protocols/task/worker/recorded-effect.ts'
export type {
  AnsweredMethod,
  AnswerOf,
  EffectFacts,
  EffectOptions,
  ProgressReport,
  TaskCallOptions,
  TaskContext,
  WaitForEventOptions,
  WorkFunction,
  WorkItem,
} from '../protocols/task/worker/task-context.ts'
export { tokens } from '../protocols/tokens.ts'
export {
  type AgentDefinition,
  type AgentFactory,
  type AgentPort,
  defineAgent,
  type Offer,
  offer,
} from './agent/define-agent.ts'
export { type AgentOptions, type RunningAgent, startAgent } from './agent/start-agent.ts'
export type { Mesh, MeshActivity, MeshDirectory, SelfFacts } from './api.ts'
export type { AllClient, AnyClient, AnyOptions, Reply, ScatterOptions } from './calls/clients.ts'
export type { Replies, ThirdPartyReply } from './calls/reply-to.ts'
export type { Coordinator } from './coordination/api.ts'
export type { JoinedOptions } from './lifecycle/wait-until-joined.ts'
export { createMesh } from './mesh.ts'
export type { MeshFigures } from './observe/metrics/mesh-figures.ts'
export type { Reloaded } from './options/reload.ts'
export { type MeshOptions, type MeshOptionsInput, MeshOptionsSchema, parseOptions } from './options/schema.ts'
export { VERSION } from './platform/version.ts'
export { makeSecret, readSecretFile } from './trust/secret.ts'
