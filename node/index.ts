/** The public entry: everything a program needs to embed a node. */
import './node-version.ts'

export type { Activity } from '../discovery/activity.ts'
export { describe } from '../discovery/describe.ts'
export type { Agent, Change } from '../discovery/directory-state.ts'
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
export { type CommandDefinition, defineCommandType } from '../protocols/command/define.ts'
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
export type {
  DeliveryFigures,
  MessageContext,
  MessageHandler,
  Messages,
  Receipt as MessageReceipt,
  Received,
  ReceiveOptions,
  ReplyOptions,
  SendOptions,
  To,
  Tx,
} from '../protocols/delivery/api.ts'
export type {
  ConversationMessage,
  ConversationStatus,
} from '../protocols/delivery/conversation-note.ts'
export type { ConversationFacts, Conversations } from '../protocols/delivery/conversations.ts'
export type { Grouping, LetterGroup } from '../protocols/delivery/dead-letter-index.ts'
export type { DeadLetter, DeadLetterDetails, DeadLetters } from '../protocols/delivery/dead-letters.ts'
export { defineMessage, type MessageDefinition } from '../protocols/delivery/define-message.ts'
export type {
  Inbox,
  InboxEntry,
  InboxItem,
  InboxQuery,
  InboxType,
  NextOptions as InboxNextOptions,
} from '../protocols/delivery/inbox-api.ts'
export type { Guarantee } from '../protocols/delivery/message.ts'
export type { OutboxEntry, OutboxPage } from '../protocols/delivery/outbox-list.ts'
export { CODES, type Code, isParleyError, ParleyError } from '../protocols/errors.ts'
export type { Events, EventsFigures, PublishOptions, Receipt, SubscribeOptions } from '../protocols/events/api.ts'
export { defineEvent, type EventDefinition } from '../protocols/events/define-event.ts'
export type { MeshEvent, Missed } from '../protocols/events/event.ts'
export { DEFAULT_TOPIC } from '../protocols/events/events.ts'
export type { Journal } from '../protocols/journal/client.ts'
export {
  type CommandKind,
  defineCommand,
  type EntryFacts,
  type JournalTx,
  type Json,
} from '../protocols/journal/command.ts'
export { compareFences, type Fence, FenceSchema } from '../protocols/journal/fence.ts'
export type { Fences } from '../protocols/journal/fences.ts'
export type { JournalChange } from '../protocols/journal/watch.ts'
export type { Notification, Notifications } from '../protocols/notification/notifications.ts'
export {
  type Answers,
  type AnyPart,
  type ApiOf,
  answers,
  definePart,
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
export { STATE_REASONS, type StateReason } from '../protocols/state-reasons.ts'
export { tokens } from '../protocols/tokens.ts'
export {
  type AgentDefinition,
  type AgentFactory,
  type AgentPort,
  defineAgent,
  type Offer,
  offer,
} from './agent/define.ts'
export { type AgentOptions, type RunningAgent, startAgent } from './agent/start.ts'
export type { Mesh, SelfFacts, Unserve } from './api.ts'
export type { AllClient, AnyClient, AnyOptions, Reply, ScatterOptions } from './clients.ts'
export type { Coordinator } from './coordination.ts'
export type { MeshFigures } from './figures.ts'
export type { JoinedOptions } from './joined.ts'
export { createMesh } from './mesh.ts'
export { type MeshOptions, type MeshOptionsInput, MeshOptionsSchema, parseOptions } from './options.ts'
export type { Reloaded } from './reload.ts'
export type { Replies, ThirdPartyReply } from './replies.ts'
export { makeSecret, readSecretFile } from './secret.ts'
export { VERSION } from './version.ts'
