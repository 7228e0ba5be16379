/** Commands as they stand in the log. State: what was read of entries that are applied next. */
import type { Entry } from '../../consensus/raft/raft-messages.ts'
import { ParleyError } from '../../errors.ts'
import type { KnownKind, KnownKinds } from '../part-kinds.ts'
import { decodeLoggedCommand, type Json, type LoggedCommand, type RowName } from './command-kind.ts'

/** Rows that one command may read or write: each of them may be a read of the disk. The same on every member. */
export const MAX_COMMAND_ROWS = 4_096

/** @throws MSG001; whatever the kind throws */
export const rowsNamedBy = (kind: KnownKind, input: Json): readonly RowName[] | undefined => {
  const named = kind.rows?.(input)
  if (named === undefined || named.length <= MAX_COMMAND_ROWS) return named
  throw new ParleyError('MSG001', `${kind.name} reads or writes ${named.length} rows, and may ${MAX_COMMAND_ROWS}`, {
    hint: 'decide it in several commands; nothing was changed',
  })
}

export interface ReadCommand {
  readonly command: LoggedCommand
  /** As its kind names them; undefined: nobody asked yet. */
  readonly named: readonly RowName[] | undefined
}

export class CommandReader {
  readonly #kinds: KnownKinds
  /** A kind that is known has rows. */
  readonly #hasRows: boolean
  /** What was read to see which rows it needs is not read again; it goes when it is applied. */
  readonly #read = new WeakMap<Uint8Array, ReadCommand>()

  constructor(kinds: KnownKinds) {
    this.#kinds = kinds
    this.#hasRows = [...kinds.values()].some(({ rows }) => rows !== undefined)
  }

  /** Of an entry that is applied now. */
  take(bytes: Uint8Array): ReadCommand {
    const read = this.#hasRows ? this.#read.get(bytes) : undefined
    if (read === undefined) return { command: decodeLoggedCommand(bytes), named: undefined }
    // The log keeps its bytes for long.
    this.#read.delete(bytes)
    return read
  }

  /** Rows that these read or write. */
  rowsOf(entries: readonly Pick<Entry, 'kind' | 'data'>[]): RowName[] {
    if (!this.#hasRows) return []
    return entries.flatMap(({ kind, data }) => (kind === 'command' ? this.#rowsOf(data) : []))
  }

  #rowsOf(bytes: Uint8Array): readonly RowName[] {
    const command = decodeLoggedCommand(bytes)
    let named: readonly RowName[] | undefined
    try {
      const kind = this.#kinds.get(command.kind)
      named = kind && rowsNamedBy(kind, command.input)
    } catch {
      // The kind fails again when it is applied.
    }
    this.#read.set(bytes, { command, named })
    return named ?? []
  }
}
