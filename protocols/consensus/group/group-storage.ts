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

export interface GroupStorage {
  /** As it was when it was opened. */
  readonly opened: Readonly<LogState>
  /** Resolves once all of it is durable; rejects where none of it is, or nobody knows (`details.reason` `broken`). */
  write(change: LogChange): Promise<void>
  /** Resolves once it is durable. It counts once a change with its base was written. */
  saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>
  readSnapshot(meta: Pick<SnapshotMeta, 'index' | 'term'>): Promise<{ meta: SnapshotMeta; chunks: Uint8Array[] }>
  /** Removes all snapshots but these. */
  removeSnapshotsExcept(metas: readonly Pick<SnapshotMeta, 'index' | 'term'>[]): Promise<void>
}
