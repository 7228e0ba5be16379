/** Commands as they stand in the log. State: none that outlives an entry. */
import type { Entry } from '../../consensus/raft/raft-messages.ts'
import { ParleyError } from '../../errors.ts'
import type { KnownKind, KnownKinds } from '../part-kinds.ts'
import { decodeLoggedCommand, type Json, type LoggedCommand, type RowName } from './command-kind.ts'

/** Rows that one command may read or write: each of them may be a read of the disk. The same on every member. */
export const MAX_COMMAND_ROWS = 4_096

/** @throws MSG001; whatever the kind throws */
const rowsNamedBy = (kind: KnownKind, input: Json): readonly RowName[] | undefined => {
  const named = kind.rows?.(input)
  if (named === undefined || named.length <= MAX_COMMAND_ROWS) return named
  throw new ParleyError('MSG001', `${kind.name} reads or writes ${named.length} rows, and may ${MAX_COMMAND_ROWS}`, {
    hint: 'decide it in several commands; nothing was changed',
  })
}

export class CommandReader {
  readonly #kinds: KnownKinds
  /** A kind that is known has rows. */
  readonly #hasRows: boolean
  /** What was decoded to see which rows it needs is not decoded again. */
  readonly #decoded = new WeakMap<Uint8Array, LoggedCommand>()
  /** Nor are its rows named again. */
  readonly #named = new WeakMap<LoggedCommand, readonly RowName[]>()

  constructor(kinds: KnownKinds) {
    this.#kinds = kinds
    this.#hasRows = [...kinds.values()].some(({ rows }) => rows !== undefined)
  }

  decode(bytes: Uint8Array): LoggedCommand {
    return (this.#hasRows ? this.#decoded.get(bytes) : undefined) ?? decodeLoggedCommand(bytes)
  }

  /** @throws MSG001; whatever the kind throws */
  namedBy(kind: KnownKind, command: LoggedCommand): readonly RowName[] | undefined {
    return this.#named.get(command) ?? rowsNamedBy(kind, command.input)
  }

  /** Rows that these read or write. */
  rowsOf(entries: readonly Pick<Entry, 'kind' | 'data'>[]): RowName[] {
    if (!this.#hasRows) return []
    return entries.flatMap(({ kind, data }) => (kind === 'command' ? this.#rowsOf(data) : []))
  }

  #rowsOf(bytes: Uint8Array): readonly RowName[] {
    const command = decodeLoggedCommand(bytes)
    this.#decoded.set(bytes, command)
    try {
      const kind = this.#kinds.get(command.kind)
      const named = kind && rowsNamedBy(kind, command.input)
      if (named !== undefined) this.#named.set(command, named)
      return named ?? []
    } catch {
      // The kind fails again when it is applied.
      return []
    }
  }
}
