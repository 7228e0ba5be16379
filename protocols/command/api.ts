/** Commands as a program sees them; commands.ts says what is promised. */
import type { z } from 'zod'
import type { BudgetShare } from '../budget/carried/budget-share.ts'
import type { ParleyError } from '../errors.ts'
import type { Registration } from '../registration.ts'
import type { RequestInWork } from '../request-in-work.ts'
import type { Envelope, Priority } from '../wire/envelope.ts'
import type { CommandDefinition } from './command-definition.ts'

export interface CommandContext extends RequestInWork {
  readonly commandId: string
  readonly type: string
  /** Peer id of the sender, proven by Noise. */
  readonly peer: string
  /** The whole message of the first attempt. */
  readonly envelope: Envelope
  /** Aborted when the sender cancels, the command's time is over, or this node stops. */
  readonly signal: AbortSignal
  /** Milliseconds that the sender still waits. */
  remainingMs(): number
}

export type CommandHandler<P, R> = (parameters: P, context: CommandContext) => R | Promise<R>

export interface CommandRetry {
  /** Attempts after the first one, 0 to 100; 3 unless told. */
  maxRetries?: number
  /** Milliseconds before the second attempt, 1,000 unless told; it doubles with each. */
  initialDelayMs?: number
  /** Milliseconds between two attempts at most, 30,000 unless told. */
  maxDelayMs?: number
}

export interface CommandOptions {
  /** The request on whose behalf it is sent: the command has its delegation chain, and at most the time that is left for it. */
  parent?: RequestInWork
  /**
   * What it gets of a budget, as a call does; of a command to a list, what each of them gets. All attempts have it together, and
   * what is left of it comes with the acknowledgement.
   */
  budget?: BudgetShare
  /** Milliseconds for the command, all attempts together; 30,000 unless told. */
  timeoutMs?: number
  /** Milliseconds that one attempt waits for the acknowledgement, 5,000 unless told; the last one waits to the end. The command runs on meanwhile. */
  ackTimeoutMs?: number
  retry?: CommandRetry
  /** `high` unless told. */
  priority?: Priority
  conversationId?: string
  headers?: Record<string, string>
  /** 1 to 128 characters, so that a command can be sent again by another process; made unless told. */
  commandId?: string
  /** Aborting it cancels the command at the receiver. */
  signal?: AbortSignal
}

export interface CommandAck<R = unknown> {
  readonly commandId: string
  readonly status: 'ack'
  readonly result: R
  /** Who ran it. */
  readonly peer: string
  /** Attempts that were made. */
  readonly attempts: number
}

/** One outcome of a command to a list; `peer` is the name that was given where nobody has it. */
export type CommandOutcome<R = unknown> =
  | { readonly peer: string; readonly ack: CommandAck<R> }
  | { readonly peer: string; readonly error: ParleyError }

/** Outcomes as they come; each peer once. */
export interface CommandOutcomes<R = unknown> extends AsyncIterable<CommandOutcome<R>> {
  /** All of them, in the order of the list. */
  settled(): Promise<CommandOutcome<R>[]>
}

/** Anybody who registered the type of the command, and the one that is named here. */
export interface AnyReceiver {
  readonly capability: string
}

export interface Commands {
  /**
   * Registers the handler of a type. What it throws is the nack that the sender gets.
   * @throws MSG001 for a type that is not usable, STA003 for one that is registered, COM003 for too many
   */
  register<P extends z.ZodType, R extends z.ZodType>(
    definition: CommandDefinition<P, R>,
    handler: CommandHandler<z.output<P>, z.input<R>>,
  ): Promise<Registration>
  register(type: string, handler: CommandHandler<unknown, unknown>): Promise<Registration>
  /**
   * Sends a command to a peer id, or to the agent of a name where only one has it, and waits for its acknowledgement.
   * @throws MSG006 where the receiver does not know the type, MSG001 for parameters that do not fit, COM001, COM002 or COM003
   *   where it was not acknowledged in spite of all attempts, COM004 where nobody registered it, what the handler threw
   *   (with `details.status` `nack` and `details.command_id`), the signal's reason
   */
  send<P extends z.ZodType, R extends z.ZodType>(
    target: string | AnyReceiver,
    command: CommandDefinition<P, R>,
    parameters: z.input<P>,
    options?: CommandOptions,
  ): Promise<CommandAck<z.output<R>>>
  send(target: string | AnyReceiver, type: string, parameters?: unknown, options?: CommandOptions): Promise<CommandAck>
  /** To each of a list of peers; one that fails does not stop the others. */
  send<P extends z.ZodType, R extends z.ZodType>(
    targets: readonly string[],
    command: CommandDefinition<P, R>,
    parameters: z.input<P>,
    options?: CommandOptions,
  ): CommandOutcomes<z.output<R>>
  send(targets: readonly string[], type: string, parameters?: unknown, options?: CommandOptions): CommandOutcomes
  /** Types that are registered on this node. */
  types(): string[]
  counts(): CommandCounts
}

export interface CommandCounts {
  /** Handlers that were begun here. */
  readonly executed: number
  /** Commands that came again and were not run again. */
  readonly repeated: number
  readonly acks: number
  readonly nacks: number
  readonly sent: number
  readonly retries: number
  readonly running: number
  readonly remembered: number
  readonly forgotten: number
}
