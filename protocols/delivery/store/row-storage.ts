/**
 * The rows that delivery keeps, as its driver sees them; node/store/ implements it on disk.
 *
 * What was committed survives kill -9 and a power cut. Commits are atomic each, and take effect in the order in which they
 * were called: whoever reads sees all that was called before. A store that fails (no room, a bad disk) refuses everything
 * with STA003 until it was opened again; what was called and not answered by then is written or not, nobody knows, so its
 * driver reads all rows anew.
 */
import type { Stop } from '../../port.ts'

export interface StoredRow {
  readonly key: string
  readonly value: Uint8Array
}

/**
 * `undefined` removes the row. A function is asked when the group that it is in is written, so that a row that changes with
 * every message is written once a group, as it is by then: it may tell of everything that was committed or put off by then.
 */
export interface RowChange {
  readonly key: string
  readonly value: Uint8Array | (() => Uint8Array) | undefined
}

/** `open`: it takes changes. `full`: there is no room. `failed`: the disk does not do what it should. */
export type RowStoreState = 'open' | 'full' | 'failed'

export interface RowStore {
  /**
   * 32 hexadecimal digits: which store this is. Another one once it was lost, repaired or restored from a backup.
   * @throws why it is not known yet, before the store was open for the first time
   */
  readonly id: string
  /** What its id was before, newest first, at most 16. */
  readonly formerIds: readonly string[]
  state(): RowStoreState
  /** Told of each change of the state; at `open` everything that was read before is to be read again. */
  onState(fn: (state: RowStoreState) => void): Stop
  get(key: string): Promise<Uint8Array | undefined>
  /** The same for many keys at once, in their order. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  /** Rows whose key begins with `prefix`, in the order of their keys (UTF-8 bytes), from the first one after `after` on. */
  rows(prefix: string, options?: { readonly after?: string; readonly limit?: number }): AsyncIterable<StoredRow>
  /**
   * Resolves once all of it is durable.
   * @throws STA003 with `details.reason` `disk-full`, `disk-failed` or `closed`
   */
  commit(changes: readonly RowChange[]): Promise<void>
  /** Changes that may wait: written with the next commit, or within 50 ms, and not waited for by a sync of their own. */
  later(changes: readonly RowChange[]): void
  /** Bytes on disk, as far as it is known. */
  bytes(): number
  /** Writes what was put off, and closes. */
  close(): Promise<void>
}
