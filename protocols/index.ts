/** The public entry of the protocols: contracts, errors, the Port, events, and the wire below them. */
export {
  type Accepted,
  type AnyProtocol,
  type CallOptions,
  type Client,
  type Content,
  type Context,
  defineProtocol,
  type Handlers,
  kindOf,
  type Method,
  majorOf,
  type Progress,
  type Protocol,
  wireId,
} from './define.ts'
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
} from './delivery/api.ts'
export type { DeadLetter, DeadLetterDetails, DeadLetters } from './delivery/dead-letters/dead-letter-store.ts'
export { defineMessage, type MessageDefinition } from './delivery/define-message.ts'
export { GUARANTEES, type Guarantee } from './delivery/durable-message.ts'
export type { Received } from './delivery/receive/inbound-message.ts'
export { ERROR_REASONS, type ErrorReason } from './error-reasons.ts'
export { CODES, type Code, type ErrorOf, type Fault, isParleyError, ParleyError } from './errors.ts'
export type { Events, EventsFigures, PublishOptions, Receipt, SubscribeOptions } from './events/api.ts'
export { defineEvent, type EventDefinition } from './events/define-event.ts'
export type { MeshEvent, Missed } from './events/event.ts'
export { createEvents, DEFAULT_TOPIC } from './events/events.ts'
export type { Clock, Compression, Gossip, Log, Member, Metrics, Port, Self, Stop, Timers } from './port.ts'
export { createRegistration, type Registration } from './registration.ts'
export type { RequestInWork } from './request-in-work.ts'
export { type Recovery, type Severity, STATE_REASONS, type StateReason } from './state-reasons.ts'
export { type Caller, createCaller } from './wire/caller/caller.ts'
export { type Duplex, duplexPair } from './wire/duplex.ts'
export {
  type Envelope,
  EnvelopeSchema,
  MESSAGE_TYPES,
  type MessageType,
  PERFORMATIVES,
  type Performative,
  PRIORITIES,
  type Priority,
} from './wire/envelope.ts'
export { compile, type Served } from './wire/payload/contract.ts'
export { createResponder, type Responder } from './wire/responder/responder.ts'
