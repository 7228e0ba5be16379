/**
 * What the coordinator tells each node of its tasks: those that it submitted, works on, or asked to watch, as they change.
 *
 * State: the feeds, and whose each task is.
 */
import { pause } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { JournalView } from '../journal-view.ts'
import type { TaskRecord } from '../task-record.ts'
import { type FeedItem, OpenFeed, type Parties } from './open-feed.ts'

const MAX_FEEDS = 4_096
const MAX_FEEDS_EACH = 16
/** A feed without news looks this often whether this node still leads. */
const MARK_MS = 1_000

export interface FeedRequest {
  /** Changes after this version; undefined, or too old: all there is. */
  readonly from?: number | undefined
  readonly watch?: readonly string[] | undefined
  readonly watchedOnly?: boolean | undefined
}

export const notLeading = (): ParleyError =>
  stateError('not-leader', 'this node does not coordinate, or nobody does', 'ask the coordinator, or wait for one')

export class TaskFeeds {
  readonly #port: Pick<Port, 'timers'>
  readonly #acting: () => JournalMember | undefined
  readonly #feeds = new Set<OpenFeed>()
  readonly #byPeer = new Map<string, Set<OpenFeed>>()
  readonly #byTask = new Map<string, Set<OpenFeed>>()
  /** As they were told last: a worker hears of a task that is taken from it. */
  #parties = new Map<string, Parties>()
  #view: JournalView | undefined
  #stop: (() => void) | undefined
  #told = 0

  /** @param acting this node's copy of the journal while it coordinates, and has all that was decided before */
  constructor(port: Pick<Port, 'timers'>, acting: () => JournalMember | undefined) {
    this.#port = port
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
  ): AsyncGenerator<FeedItem> {
    const member = this.leading()
    this.#checkRoom(peer)
    this.#begin(member)
    const feed = new OpenFeed(peer, new Set(watch), watchedOnly)
    // From here on nothing is missed: what changed before comes from the records.
    const since = from === undefined ? undefined : this.#since(member, feed, from)
    let version = (since === undefined ? this.#view?.version : from) ?? 0
    this.#add(feed)
    try {
      if (since === undefined) yield* feed.all(member, this.#allOf(feed), version)
      else for (const [id, at] of since) feed.mark(id, at)
      // So that it is known to be there.
      yield { version, last: true, tasks: [] }
      while (!signal.aborted) {
        this.leading(member)
        if (!feed.hasNews()) {
          await feed.untilNews(this.#port.timers, MARK_MS, signal)
          continue
        }
        const tasks = await feed.take(member)
        version = Math.max(version, feed.reached())
        this.#told += tasks.length
        const isAll = !feed.hasNews()
        yield { version, last: isAll, tasks }
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
    throw new ParleyError('COM003', 'too many feeds of tasks are open', {
      hint: `a node needs one, and has at most ${MAX_FEEDS_EACH}`,
      details: { retryAfterMs: 1_000 },
    })
  }

  /** Reads the journal's changes from now on, while anybody wants to know. */
  #begin(member: JournalMember): void {
    if (this.#view?.member === member) {
      this.#pump()
      return
    }
    this.#stop?.()
    const view = new JournalView(member)
    this.#view = view
    this.#parties = new Map()
    for (const change of view.all()) if (change.type === 'task') this.#note(change.id, change.record)
    this.#stop = member.machine.onApplied(() => this.#pump())
  }

  #note(id: string, record: TaskRecord | undefined): void {
    if (record === undefined) this.#parties.delete(id)
    else this.#parties.set(id, { submitter: record.submitter, worker: record.worker })
  }

  #pump(): void {
    const view = this.#view
    if (view === undefined) return
    const changes = view.changes()
    if (changes === undefined) {
      for (const change of view.all()) if (change.type === 'task') this.#tell(change.id, change.version, change.record)
      return
    }
    for (const change of changes) if (change.type === 'task') this.#tell(change.id, change.version, change.record)
  }

  #tell(id: string, version: number, record: TaskRecord | undefined): void {
    const before = this.#parties.get(id)
    this.#note(id, record)
    const peers = new Set([before?.submitter, before?.worker, record?.submitter, record?.worker])
    for (const peer of peers)
      for (const feed of (peer === undefined ? undefined : this.#byPeer.get(peer)) ?? [])
        if (!feed.isWatchedOnly) feed.mark(id, version)
    for (const feed of this.#byTask.get(id) ?? []) feed.mark(id, version)
  }

  /** Tasks of the feed that changed after this version; undefined where that is not known any more. */
  #since(member: JournalMember, feed: OpenFeed, from: number): Map<string, number> | undefined {
    const view = new JournalView(member)
    view.from(from)
    const changes = view.changes()
    if (changes === undefined) return undefined
    const [found, mine] = [new Map<string, number>(), new Set<string>()]
    for (const change of changes) {
      if (change.type !== 'task') continue
      const { id, version, record } = change
      // In the order of the newest changes.
      found.delete(id)
      found.set(id, version)
      // It may have been the peer's at any of them, or before all of them: then it is not known whose it was.
      const now = this.#parties.get(id)
      if (now === undefined || feed.isOf(id, now) || (record !== undefined && feed.isOf(id, record))) mine.add(id)
    }
    return new Map([...found].filter(([id]) => mine.has(id)))
  }

  #allOf(feed: OpenFeed): string[] {
    return [...this.#parties].flatMap(([id, parties]) => (feed.isOf(id, parties) ? [id] : []))
  }

  #add(feed: OpenFeed): void {
    this.#feeds.add(feed)
    const list = <K>(map: Map<K, Set<OpenFeed>>, key: K): void => {
      const feeds = map.get(key) ?? new Set()
      map.set(key, feeds)
      feeds.add(feed)
    }
    list(this.#byPeer, feed.peer)
    for (const id of feed.watched) list(this.#byTask, id)
  }

  #remove(feed: OpenFeed): void {
    this.#feeds.delete(feed)
    const unlist = <K>(map: Map<K, Set<OpenFeed>>, key: K): void => {
      const feeds = map.get(key)
      feeds?.delete(feed)
      if (feeds?.size === 0) map.delete(key)
    }
    unlist(this.#byPeer, feed.peer)
    for (const id of feed.watched) unlist(this.#byTask, id)
    if (this.#feeds.size > 0) return
    this.#stop?.()
    this.#stop = undefined
    this.#view = undefined
  }
}
