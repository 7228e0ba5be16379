/** What a member of a group keeps, as its driver sees it; node/store/ implements it on disk. */
import type { Entry, HardState, SnapshotMeta } from '../raft/raft-messages.ts'

/** The log as it stands after all changes so far. */
export interface LogState {
  hardState: HardState
  snapshot: SnapshotMeta | undefined
  entries: Entry[]
}

export interface LogChange {
  readonly hardState?: HardState | undefined
  /** Whatever the log has at or after the first of them is cut off. */
  readonly entries?: readonly Entry[]
  /** `keeps`: entries after it stay, as where a node made the snapshot itself. */
  readonly base?: { readonly meta: SnapshotMeta; readonly keeps: boolean } | undefined
}

/** A part of what a state machine has, under a key in ASCII. */
export interface StateRow {
  readonly key: string
  readonly value: Uint8Array
}

/** `value` undefined: the row is gone; a text stands for its bytes in UTF-8. The key is printable ASCII. */
export interface StateChange {
  readonly key: string
  readonly value: Uint8Array | string | undefined
}

/** Names a snapshot. */
export type SnapshotAt = Pick<SnapshotMeta, 'index' | 'term'>

/** What a snapshot holds. It stays, whatever is saved and removed meanwhile, until it is let go. */
export interface SavedRows {
  readonly meta: SnapshotMeta
  /** @throws STA003 `damaged` */
  get(key: string): Promise<Uint8Array | undefined>
  /** In the order of their keys. @param after only those behind this key @throws STA003 `damaged` */
  rows(prefix: string, after?: string): AsyncIterable<StateRow>
  release(): void
}

export interface GroupStorage {
  /** As it was when it was opened. */
  readonly opened: Readonly<LogState>
  /** Resolves once all of it is durable; rejects where none of it is, or nobody knows (`details.reason` `broken`). */
  write(change: LogChange): Promise<void>
  /**
   * Resolves once it is durable. It counts once a change with its base was written.
   * @param on the rows are what has changed since that snapshot; undefined: they are all there is
   */
  saveSnapshot(
    meta: SnapshotMeta,
    rows: Iterable<StateChange> | AsyncIterable<StateChange>,
    on?: SnapshotAt | undefined,
  ): Promise<void>
  /** @throws STA003 `damaged` for one that is not there or not whole */
  readSnapshot(at: SnapshotAt): Promise<SavedRows>
  /** Removes all snapshots but these. */
  removeSnapshotsExcept(kept: readonly SnapshotAt[]): Promise<void>
}
