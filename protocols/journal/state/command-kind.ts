/**
 * Commands of the journal: what its members decide, as data, and what each kind does to the records.
 *
 * A kind is applied on every member, in the order of the log, from the same bytes: `apply` uses no clock, no randomness and
 * nothing but its arguments. Input is checked by its schema once, where it enters the log; defaults are filled in there.
 */
import type * as z from 'zod'
import type { Fence } from '../fencing/fence.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What an entry brings with it. */
export interface EntryFacts {
  readonly fence: Fence
  /** Milliseconds since 1970 by the clocks of leaders; it never goes back. For people, not for safety. */
  readonly at: number
  /** Peer id of the node that asked for it. */
  readonly by: string
}

/** The records, as one command sees and changes them: all of its changes count, or none. */
export interface JournalTx {
  get(key: string): Json | undefined
  /** Index of the entry that wrote it last; 0: there is none. */
  version(key: string): number
  /** @throws MSG001 for what is too large, COM003 where the journal has no room */
  put(key: string, value: Json): void
  delete(key: string): void
  /** Keys that begin so, sorted. */
  keys(prefix: string): string[]
  /**
   * Rows that are too much for memory, below a key of the part that the command is of. The command's kind has to name each
   * row that it reads or writes (`CommandKind.rows`). @throws MSG001, SEC002, STA003 `level`
   */
  collection(name: string): CollectionTx
  /** As `collection(name).drop()`; where there is none, it leaves no trace in what later ones are called. @throws as that */
  dropCollection(name: string): void
}

/** Rows of a collection, as one command sees and changes them. A collection is there from its first row on. */
export interface CollectionTx {
  rows(): number
  /** Of all rows, as they count for the part. */
  bytes(): number
  /** @throws Error for a row that the kind did not name */
  get(key: string): Json | undefined
  /** @throws MSG001 for what is too large, COM003 where the part has no room; Error for a row that the kind did not name */
  put(key: string, value: Json): void
  /** @throws Error for a row that the kind did not name */
  delete(key: string): void
  /** All of it is gone, however much it is. */
  drop(): void
}

/** Names a row of a collection. */
export interface RowName {
  readonly collection: string
  readonly key: string
}

export interface CommandKind<I, O> {
  /** As in `task.assign`. */
  readonly name: string
  /** The feature level that brought it: it is emitted only once every voter has this level. */
  readonly level: number
  readonly input: z.ZodType<I>
  readonly output: z.ZodType<O>
  /** Rows of collections that a command reads or writes, from its input alone, at most 4,096; none unless told. */
  rows?(input: I): readonly RowName[]
  /**
   * Looks at a command where it enters the log, with the records as they are there, and refuses it: not seen when it is applied,
   * so that what was decided before stays as it was. @param by peer id of who asks @throws ParleyError
   */
  admit?(get: JournalTx['get'], input: I, by: string): void
  /** Codes of what an answer says was refused, where one command carries several things. */
  refusals?(output: O): readonly string[]
  /** A ParleyError that it throws is the answer, and nothing was changed. */
  apply(tx: JournalTx, input: I, facts: EntryFacts): O
}

/** A kind whose types are not of interest here: its schemas check what goes through it. */
export type AnyCommandKind = CommandKind<unknown, unknown>

export const defineJournalCommand = <I, O>(kind: CommandKind<I, O>): CommandKind<I, O> => kind

/** An entry as it stands in the log. */
export interface LoggedCommand {
  readonly kind: string
  /** Index of the entry that opened the session; 0: none, and then a command that is repeated counts again. */
  readonly session: number
  /** From 1 in each session; one that was applied has no effect again (dissertation, section 6.3). */
  readonly serial: number
  /** The client will not ask again for this serial or those below. */
  readonly acked: number
  readonly at: number
  readonly by: string
  readonly input: Json
}

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

export const encodeLoggedCommand = (command: LoggedCommand): Uint8Array => ENCODER.encode(JSON.stringify(command))
/** Of bytes that this file wrote: what enters the log is checked before. */
export const decodeLoggedCommand = (bytes: Uint8Array): LoggedCommand => JSON.parse(DECODER.decode(bytes))
