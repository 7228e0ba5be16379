/**
 * What the coordinator tells each node of its tasks: those that it submitted, works on, or asked to watch, as they change.
 *
 * Each feed has a list of tasks that changed and were not told yet: the newest state of each is told, so a follower that is
 * slow costs no more than its tasks. State: the feeds, and of which peers' interest each task is.
 */
import { onAbort, waitFor } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { FeedTask } from '../contract.ts'
import { JournalView } from '../journal-view.ts'
import type { TaskRecord } from '../task-record.ts'
import { feedTask } from './feed-task.ts'

const MAX_FEEDS = 4_096
const MAX_FEEDS_EACH = 16
/** Of one item. */
const ITEM_TASKS = 256
const ITEM_BYTES = 131_072
/** A feed without news looks this often whether this node still leads. */
const MARK_MS = 1_000

interface Feed {
  readonly peer: string
  readonly isWatchedOnly: boolean
  readonly watched: ReadonlySet<string>
  /** Tasks that changed, with the version. */
  readonly changed: Map<string, number>
  /** Of the last one that was taken from there: they stand in the order of their versions. */
  taken: number
  wake: (() => void) | undefined
}

export interface FeedItem {
  version: number
  reset?: boolean
  last: boolean
  tasks: FeedTask[]
}

interface Parties {
  readonly submitter: string
  readonly worker: string | undefined
}

export class TaskFeeds {
  readonly #port: Pick<Port, 'timers'>
  readonly #acting: () => JournalMember | undefined
  readonly #feeds = new Set<Feed>()
  readonly #byPeer = new Map<string, Set<Feed>>()
  readonly #byTask = new Map<string, Set<Feed>>()
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

  /**
   * @param from changes after this version; undefined, or too old: all there is
   * @throws STA003 where this node does not lead (any more); COM003 for too many feeds
   */
  async *follow(
    peer: string,
    {
      from,
      watch = [],
      watchedOnly = false,
    }: { from?: number | undefined; watch?: readonly string[] | undefined; watchedOnly?: boolean | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<FeedItem> {
    const member = this.#leading()
    this.#checkRoom(peer)
    this.#begin(member)
    const feed: Feed = {
      ...{ peer, isWatchedOnly: watchedOnly, watched: new Set(watch), changed: new Map() },
      ...{ taken: 0, wake: undefined },
    }
    // From here on nothing is missed: what changed before comes from the records.
    let version = this.#version()
    const since = from === undefined ? undefined : this.#since(member, feed, from)
    this.#add(feed)
    try {
      if (since === undefined) yield* this.#everything(member, feed, version)
      else for (const [id, at] of since) if (!feed.changed.has(id)) feed.changed.set(id, at)
      // So that it is known to be there.
      yield { version, last: true, tasks: [] }
      while (!signal.aborted) {
        this.#leading(member)
        if (feed.changed.size === 0) {
          await this.#untilNews(feed, signal)
          continue
        }
        const tasks = await this.#take(member, feed)
        version = Math.max(version, this.#reached(feed))
        this.#told += tasks.length
        yield { version, last: feed.changed.size === 0, tasks }
      }
    } finally {
      this.#remove(feed)
    }
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#view = undefined
    for (const feed of this.#feeds) feed.wake?.()
  }

  #leading(before?: JournalMember): JournalMember {
    const member = this.#acting()
    if (member !== undefined && (before === undefined || member === before)) return member
    throw stateError('not-leader', 'this node does not coordinate', 'ask the coordinator')
  }

  #checkRoom(peer: string): void {
    const isFull = this.#feeds.size >= MAX_FEEDS || (this.#byPeer.get(peer)?.size ?? 0) >= MAX_FEEDS_EACH
    if (!isFull) return
    throw new ParleyError('COM003', 'too many feeds of tasks are open', {
      hint: `a node needs one, and has at most ${MAX_FEEDS_EACH}`,
      details: { retryAfterMs: 1_000 },
    })
  }

  #version(): number {
    return this.#view?.version ?? 0
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
        if (!feed.isWatchedOnly) this.#mark(feed, id, version)
    for (const feed of this.#byTask.get(id) ?? []) this.#mark(feed, id, version)
  }

  #mark(feed: Feed, id: string, version: number): void {
    // Again at the end: in the order of the newest changes.
    feed.changed.delete(id)
    feed.changed.set(id, version)
    feed.wake?.()
  }

  #isOf({ peer, isWatchedOnly, watched }: Feed, id: string, record: TaskRecord): boolean {
    return watched.has(id) || (!isWatchedOnly && (record.submitter === peer || record.worker === peer))
  }

  /** Tasks of the feed that changed after this version; undefined where that is not known any more. */
  #since(member: JournalMember, feed: Feed, from: number): Map<string, number> | undefined {
    const view = new JournalView(member)
    view.from(from)
    const changes = view.changes()
    if (changes === undefined) return undefined
    const found = new Map<string, number>()
    // A task may have been its own at any of these changes; one that is not any more is told too.
    for (const change of changes)
      if (change.type === 'task') {
        found.delete(change.id)
        found.set(change.id, change.version)
      }
    const mine = new Set(
      changes.flatMap((change) =>
        change.type === 'task' && change.record !== undefined && this.#isOf(feed, change.id, change.record)
          ? [change.id]
          : [],
      ),
    )
    for (const id of found.keys()) {
      const parties = this.#parties.get(id)
      const isGone = parties === undefined
      const isMine = parties?.submitter === feed.peer || parties?.worker === feed.peer
      if (!mine.has(id) && !(isMine && !feed.isWatchedOnly) && !feed.watched.has(id) && !isGone) found.delete(id)
    }
    return found
  }

  async *#everything(member: JournalMember, feed: Feed, version: number): AsyncGenerator<FeedItem> {
    const mine: string[] = []
    for (const [id, parties] of this.#parties)
      if (
        feed.watched.has(id) ||
        (!feed.isWatchedOnly && (parties.submitter === feed.peer || parties.worker === feed.peer))
      )
        mine.push(id)
    for (let at = 0; ; at += ITEM_TASKS) {
      const tasks: FeedTask[] = []
      for (const id of mine.slice(at, at + ITEM_TASKS)) tasks.push(await feedTask(member, feed.peer, id, version))
      const last = at + ITEM_TASKS >= mine.length
      yield { version, reset: true, last, tasks }
      if (last) return
    }
  }

  async #take(member: JournalMember, feed: Feed): Promise<FeedTask[]> {
    const tasks: FeedTask[] = []
    let bytes = 0
    for (const [id, version] of feed.changed) {
      if (tasks.length >= ITEM_TASKS || bytes >= ITEM_BYTES) break
      feed.changed.delete(id)
      feed.taken = version
      const task = await feedTask(member, feed.peer, id, version)
      bytes += 512 + (task.work === undefined && task.done === undefined ? 0 : JSON.stringify(task).length)
      tasks.push(task)
    }
    return tasks
  }

  /** All changes up to this version were told: the next one may be of the same entry as the last. */
  #reached({ changed, taken }: Feed): number {
    const [next = Number.POSITIVE_INFINITY] = changed.values()
    return Math.min(taken, next - 1)
  }

  #untilNews(feed: Feed, signal: AbortSignal): Promise<void> {
    return waitFor(undefined, (resolve) => {
      feed.wake = () => queueMicrotask(resolve)
      const stopClock = this.#port.timers.after(MARK_MS, resolve)
      const stopFollowing = onAbort(signal, resolve)
      return () => {
        feed.wake = undefined
        stopClock()
        stopFollowing()
      }
    })
  }

  #add(feed: Feed): void {
    this.#feeds.add(feed)
    const list = <K>(map: Map<K, Set<Feed>>, key: K): void => {
      const feeds = map.get(key) ?? new Set()
      map.set(key, feeds)
      feeds.add(feed)
    }
    list(this.#byPeer, feed.peer)
    for (const id of feed.watched) list(this.#byTask, id)
  }

  #remove(feed: Feed): void {
    this.#feeds.delete(feed)
    const unlist = <K>(map: Map<K, Set<Feed>>, key: K): void => {
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
