/** Commands as they stand in the log. State: none that outlives an entry. */
import type { Entry } from '../../consensus/raft/raft-messages.ts'
import type { KnownKinds } from '../part-kinds.ts'
import { decodeLoggedCommand, type LoggedCommand, type RowName } from './command-kind.ts'

export class CommandReader {
  readonly #kinds: KnownKinds
  /** A kind that is known has rows. */
  readonly #hasRows: boolean
  /** What was decoded to see which rows it needs is not decoded again. */
  readonly #decoded = new WeakMap<Uint8Array, LoggedCommand>()

  constructor(kinds: KnownKinds) {
    this.#kinds = kinds
    this.#hasRows = [...kinds.values()].some(({ rows }) => rows !== undefined)
  }

  decode(bytes: Uint8Array): LoggedCommand {
    return (this.#hasRows ? this.#decoded.get(bytes) : undefined) ?? decodeLoggedCommand(bytes)
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
      return this.#kinds.get(command.kind)?.rows?.(command.input) ?? []
    } catch {
      // The kind fails again when it is applied.
      return []
    }
  }
}
