/**
 * What the coordinator tells each node of the records of a part that concern it, as they change.
 *
 * State: the feeds, and whom each record concerns.
 */
import { pause } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { JournalMember } from '../journal-server.ts'
import { JournalView } from './journal-view.ts'
import { type FedRecords, type FeedItem, OpenFeed } from './open-feed.ts'

const MAX_FEEDS = 4_096
const MAX_FEEDS_EACH = 16
/** A feed without news looks this often whether this node still leads. */
const MARK_MS = 1_000

export interface FeedRequest {
  /** Changes after this version; undefined, or too old: all there is. */
  readonly from?: number | undefined
  /** Records that concern others. */
  readonly watch?: readonly string[] | undefined
  /** Those alone. */
  readonly watchedOnly?: boolean | undefined
}

export const notLeading = (): ParleyError =>
  stateError('not-leader', 'this node does not coordinate, or nobody does', 'ask the coordinator, or wait for one')

interface RecordChange<Record> {
  readonly id: string
  readonly version: number
  readonly record: Record | undefined
}

type Peers = readonly (string | undefined)[]

export class RecordFeeds<Record, Told> {
  readonly #port: Pick<Port, 'timers'>
  readonly #records: FedRecords<Record, Told>
  readonly #acting: () => JournalMember | undefined
  readonly #feeds = new Set<OpenFeed<Record, Told>>()
  readonly #byPeer = new Map<string, Set<OpenFeed<Record, Told>>>()
  readonly #byId = new Map<string, Set<OpenFeed<Record, Told>>>()
  /** As they were told last: who had a part in it hears that it has none any more. */
  #peers = new Map<string, Peers>()
  #view: JournalView<RecordChange<Record>> | undefined
  #stop: (() => void) | undefined
  #told = 0

  /** @param acting this node's copy of the journal while it coordinates, and has all that was decided before */
  constructor(port: Pick<Port, 'timers'>, records: FedRecords<Record, Told>, acting: () => JournalMember | undefined) {
    this.#port = port
    this.#records = records
    this.#acting = acting
  }

  counts(): { feeds: number; told: number } {
    return { feeds: this.#feeds.size, told: this.#told }
  }

  /** @throws STA003 where this node does not lead (any more); COM003 for too many feeds */
  async *follow(
    peer: string,
    { from, watch = [], watchedOnly = false }: FeedRequest,
    signal: AbortSignal,
  ): AsyncGenerator<FeedItem<Told>> {
    const member = this.leading()
    this.#checkRoom(peer)
    this.#begin(member)
    const feed = new OpenFeed(this.#records, peer, new Set(watch), watchedOnly)
    // From here on nothing is missed: what changed before comes from the records.
    const since = from === undefined ? undefined : this.#since(member, feed, from)
    let version = (since === undefined ? this.#view?.version : from) ?? 0
    this.#add(feed)
    try {
      if (since === undefined) yield* feed.all(member, this.#allOf(feed), version)
      else for (const [id, at] of since) feed.mark(id, at)
      // So that it is known to be there.
      yield { version, last: true, told: [] }
      while (!signal.aborted) {
        this.leading(member)
        if (!feed.hasNews()) {
          await feed.untilNews(this.#port.timers, MARK_MS, signal)
          continue
        }
        const told = await feed.take(member)
        version = Math.max(version, feed.reached())
        this.#told += told.length
        const isAll = !feed.hasNews()
        yield { version, last: isAll, told }
        // What else this node does has its turn.
        if (!isAll) await pause(this.#port.timers, 0, signal)
      }
    } finally {
      this.#remove(feed)
    }
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#view = undefined
    for (const feed of this.#feeds) feed.wake()
  }

  /** @throws STA003 where this node does not lead (any more) */
  leading(before?: JournalMember): JournalMember {
    const member = this.#acting()
    if (member !== undefined && (before === undefined || member === before)) return member
    throw notLeading()
  }

  #checkRoom(peer: string): void {
    const isFull = this.#feeds.size >= MAX_FEEDS || (this.#byPeer.get(peer)?.size ?? 0) >= MAX_FEEDS_EACH
    if (!isFull) return
    throw new ParleyError('COM003', `too many feeds of ${this.#records.of} are open`, {
      hint: `a node needs one, and has at most ${MAX_FEEDS_EACH}`,
      details: { retryAfterMs: 1_000 },
    })
  }

  #viewOf(member: JournalMember): JournalView<RecordChange<Record>> {
    const { prefix } = this.#records
    return new JournalView(member, (key, version, value) =>
      key.startsWith(prefix)
        ? { id: key.slice(prefix.length), version, record: value as Record | undefined }
        : undefined,
    )
  }

  /** Reads the journal's changes from now on, while anybody wants to know. */
  #begin(member: JournalMember): void {
    if (this.#view?.member === member) {
      this.#pump()
      return
    }
    this.#stop?.()
    const view = this.#viewOf(member)
    this.#view = view
    this.#peers = new Map()
    for (const { id, record } of view.all()) this.#note(id, record)
    this.#stop = member.machine.onApplied(() => this.#pump())
  }

  #note(id: string, record: Record | undefined): void {
    if (record === undefined) this.#peers.delete(id)
    else this.#peers.set(id, this.#records.peersOf(record))
  }

  #pump(): void {
    const view = this.#view
    if (view === undefined) return
    for (const change of view.changes() ?? view.all()) this.#tell(change)
  }

  #tell({ id, version, record }: RecordChange<Record>): void {
    const before = this.#peers.get(id) ?? []
    this.#note(id, record)
    for (const peer of new Set([...before, ...(this.#peers.get(id) ?? [])]))
      for (const feed of (peer === undefined ? undefined : this.#byPeer.get(peer)) ?? [])
        if (!feed.isWatchedOnly) feed.mark(id, version)
    for (const feed of this.#byId.get(id) ?? []) feed.mark(id, version)
  }

  /** Records of the feed that changed after this version; undefined where that is not known any more. */
  #since(member: JournalMember, feed: OpenFeed<Record, Told>, from: number): Map<string, number> | undefined {
    const view = this.#viewOf(member)
    view.from(from)
    const changes = view.changes()
    if (changes === undefined) return undefined
    const [found, mine] = [new Map<string, number>(), new Set<string>()]
    for (const { id, version, record } of changes) {
      // In the order of the newest changes.
      found.delete(id)
      found.set(id, version)
      // It may have been the peer's at any of them, or before all of them: then it is not known whose it was.
      const now = this.#peers.get(id)
      const isMine =
        now === undefined ||
        feed.isOf(id, now) ||
        (record !== undefined && feed.isOf(id, this.#records.peersOf(record)))
      if (isMine) mine.add(id)
    }
    return new Map([...found].filter(([id]) => mine.has(id)))
  }

  #allOf(feed: OpenFeed<Record, Told>): string[] {
    return [...this.#peers].flatMap(([id, peers]) => (feed.isOf(id, peers) ? [id] : []))
  }

  #add(feed: OpenFeed<Record, Told>): void {
    this.#feeds.add(feed)
    const list = <K>(map: Map<K, Set<OpenFeed<Record, Told>>>, key: K): void => {
      const feeds = map.get(key) ?? new Set()
      map.set(key, feeds)
      feeds.add(feed)
    }
    list(this.#byPeer, feed.peer)
    for (const id of feed.watched) list(this.#byId, id)
  }

  #remove(feed: OpenFeed<Record, Told>): void {
    this.#feeds.delete(feed)
    const unlist = <K>(map: Map<K, Set<OpenFeed<Record, Told>>>, key: K): void => {
      const feeds = map.get(key)
      feeds?.delete(feed)
      if (feeds?.size === 0) map.delete(key)
    }
    unlist(this.#byPeer, feed.peer)
    for (const id of feed.watched) unlist(this.#byId, id)
    if (this.#feeds.size > 0) return
    this.#stop?.()
    this.#stop = undefined
    this.#view = undefined
  }
}
