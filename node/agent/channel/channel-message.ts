/** What two threads post to each other, and what each side brings to its end of the channel. */
import type { TransferableError } from './transferable.ts'

export type ChannelMessage =
  /** Without credit the requester expects one answer. */
  | { kind: 'open'; id: number; body: unknown; bytes: Uint8Array | undefined; credit: number }
  | { kind: 'item'; id: number; value: unknown }
  /** Something that the responder says before the answer. */
  | { kind: 'notice'; id: number; value: unknown }
  | { kind: 'end'; id: number; value: unknown }
  | { kind: 'fail'; id: number; failure: TransferableError }
  | { kind: 'cancel'; id: number; failure: TransferableError }
  | { kind: 'credit'; id: number; units: number }

/** @throws DataCloneError for what cannot be posted */
export type PostChannelMessage = (message: ChannelMessage, transfer: ArrayBuffer[]) => void

/** What the handler of a request gets beside it. */
export interface ChannelRequestContext {
  /** Aborted when the requester gives up or is gone. */
  readonly signal: AbortSignal
  /** Says something to the requester before the answer; for rare things, since nothing holds it back. */
  notify(value: unknown): void
}

export type ChannelRequestHandler = (
  body: unknown,
  bytes: Uint8Array | undefined,
  context: ChannelRequestContext,
) => Promise<unknown> | AsyncIterable<unknown>

export interface ThreadChannelOptions {
  post: PostChannelMessage
  /** Carries out what the other side requests. */
  handle: ChannelRequestHandler
  /** Called with every error that is no ParleyError; the other side gets `unexpectedText` instead. */
  onUnexpected(error: unknown, body: unknown): void
  unexpectedText: string
  maxOpen: number
  maxBytes: number
  /** Who is on the other side, for error messages: `the agent`. */
  otherSide: string
}
