/**
 * Copies of values of tasks that this node holds, as their keeper sees them; node/store/bytes/ has them on disk.
 *
 * What `keep` resolved for survives kill -9 and a power cut, and is either read as it was or not at all.
 */
import type { BytesPlace } from './stored-bytes.ts'

export interface HeldBytes extends BytesPlace {
  /** Bytes. */
  readonly size: number
  /** Peer id of who asked for it. */
  readonly by: string
  /** When it was kept: milliseconds since 1970. */
  readonly at: number
}

export interface ByteStore {
  find(place: BytesPlace): HeldBytes | undefined
  /** Any of this task and hash, whatever its row. */
  findOf(task: string, hash: string): HeldBytes | undefined
  all(): Iterable<HeldBytes>
  count(): number
  /** Of all of them. */
  bytes(): number
  /** Those that this peer asked for. */
  of(by: string): { readonly values: number; readonly bytes: number }
  /** In parts of at most `partBytes`. They are not checked: who reads them knows their hash. @throws STA001, STA003 */
  read(held: HeldBytes, partBytes: number): AsyncGenerator<Uint8Array, void>
  /** Where it was kept before, it is kept anew. @throws STA003 `disk-full`, `disk-failed` */
  keep(held: HeldBytes, bytes: Uint8Array): Promise<void>
  /** As it was found here: one that was kept anew since stays. */
  remove(held: HeldBytes): Promise<void>
}
