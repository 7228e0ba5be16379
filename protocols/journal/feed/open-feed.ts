/**
 * A feed that is open: whose it is, and which records changed and were not told yet. The newest state of each is told, so a
 * follower that is slow costs no more than its records. State: those.
 */
import { onAbort, waitFor } from '../../async.ts'
import type { Port } from '../../port.ts'
import type { JournalMember } from '../journal-server.ts'

/** Of one item. */
const MOST_AT_ONCE = 80
const ITEM_BYTES = 98_304

/** Records of which each peer is told those that concern it. */
export interface FedRecords<Record, Told> {
  /** What they are, in errors. */
  readonly of: string
  /** Of their keys; the rest of a key is the id. */
  readonly prefix: string
  /** Whom one concerns. */
  peersOf(record: Record): readonly (string | undefined)[]
  /** One, as a peer is told of it now. @param version of the change that it is told for */
  read(member: JournalMember, peer: string, id: string, version: number): Promise<Told> | Told
  /** About. */
  bytesOf(told: Told): number
}

export interface FeedItem<Told> {
  readonly version: number
  /** It is all there is, or a part of that. */
  readonly reset?: boolean | undefined
  readonly last: boolean
  readonly told: Told[]
}

export class OpenFeed<Record, Told> {
  readonly peer: string
  readonly watched: ReadonlySet<string>
  readonly isWatchedOnly: boolean
  readonly #records: FedRecords<Record, Told>
  /** With the version, in the order of their versions. */
  readonly #changed = new Map<string, number>()
  /** Version of the last one that was told. */
  #taken = 0
  #wake: (() => void) | undefined

  constructor(
    records: FedRecords<Record, Told>,
    peer: string,
    watched: ReadonlySet<string> = new Set(),
    isWatchedOnly = false,
  ) {
    this.#records = records
    this.peer = peer
    this.watched = watched
    this.isWatchedOnly = isWatchedOnly
  }

  /** @param peers whom it concerns */
  isOf(id: string, peers: readonly (string | undefined)[]): boolean {
    return this.watched.has(id) || (!this.isWatchedOnly && peers.includes(this.peer))
  }

  hasNews(): boolean {
    return this.#changed.size > 0
  }

  /** It changed, by the newest entry there is. */
  mark(id: string, version: number): void {
    this.#changed.delete(id)
    this.#changed.set(id, version)
    this.#wake?.()
  }

  wake(): void {
    this.#wake?.()
  }

  async take(member: JournalMember): Promise<Told[]> {
    const { read, bytesOf } = this.#records
    const told: Told[] = []
    let bytes = 0
    for (const [id, version] of this.#changed) {
      if (told.length >= MOST_AT_ONCE || bytes >= ITEM_BYTES) break
      this.#changed.delete(id)
      this.#taken = version
      const one = await read(member, this.peer, id, version)
      bytes += bytesOf(one)
      told.push(one)
    }
    return told
  }

  /** All changes up to this version were told: the next one may be of the same entry as the last. */
  reached(): number {
    const [next = Number.POSITIVE_INFINITY] = this.#changed.values()
    return Math.min(this.#taken, next - 1)
  }

  /** These, as they are now, in parts. @param version that they are of at least */
  async *all(member: JournalMember, ids: readonly string[], version: number): AsyncGenerator<FeedItem<Told>> {
    for (let at = 0; ; at += MOST_AT_ONCE) {
      const told: Told[] = []
      for (const id of ids.slice(at, at + MOST_AT_ONCE))
        told.push(await this.#records.read(member, this.peer, id, version))
      const last = at + MOST_AT_ONCE >= ids.length
      yield { version, reset: true, last, told }
      if (last) return
    }
  }

  /** Resolves when something changed, after so many milliseconds, or when the signal is aborted. */
  untilNews(timers: Port['timers'], mostMs: number, signal: AbortSignal): Promise<void> {
    return waitFor(undefined, (resolve) => {
      this.#wake = () => queueMicrotask(resolve)
      const stopClock = timers.after(mostMs, resolve)
      const stopFollowing = onAbort(signal, resolve)
      return () => {
        this.#wake = undefined
        stopClock()
        stopFollowing()
      }
    })
  }
}
