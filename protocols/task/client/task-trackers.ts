/**
 * Tasks that this node waits for: those that it submitted, until they end, and those that a program holds by their id.
 *
 * What it submitted comes by its own feed. A task that somebody else submitted has a feed of its own for as long as anybody
 * here waits for it. State: the newest state of each, and who is told (bounded).
 */
import { pause } from '../../async.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { untilRead } from '../../journal/client/leader-retry.ts'
import type { Port } from '../../port.ts'
import type { FeedTask } from '../contract.ts'
import { followTasks, type TaskFollower, type TaskFollowerDeps } from '../feed/task-feed.ts'
import { isFinal } from '../task-status.ts'
import type { TaskState } from './task-api.ts'
import { stateOf } from './task-reader.ts'

/** Tasks of one node that are waited for. */
const MAX_TRACKED = 20_000
const AGAIN_MS = 500

type Watcher = (state: TaskState) => void

/** What is known of a task. */
export interface Tracker {
  last: TaskState | undefined
  readonly fns: Set<Watcher>
}
interface Listed extends Tracker {
  /** It was submitted here, and not before: all that comes is told, nothing has to be read. */
  isOwn: boolean
}

export interface Watching {
  /** The newest state, where it is known; it is told otherwise. */
  readonly last: TaskState | undefined
  stop(): void
}

export interface TrackerDeps extends TaskFollowerDeps {
  readonly port: Pick<Port, 'self' | 'timers' | 'to' | 'log'>
  /** As it is now. @throws STA001 */
  read(id: string, signal: AbortSignal | undefined): Promise<TaskState>
  /** Resolves once this node hears of what it submitted. */
  live(signal: AbortSignal | undefined): Promise<void>
  readonly stopped: AbortSignal
}

export class TaskTrackers {
  readonly #deps: TrackerDeps
  readonly #trackers = new Map<string, Listed>()
  readonly #ofOthers = new Map<string, { readonly follower: TaskFollower; users: number }>()

  constructor(deps: TrackerDeps) {
    this.#deps = deps
  }

  size(): number {
    return this.#trackers.size
  }

  /** From its submission until its end. */
  track(id: string): Tracker {
    const known = this.#trackers.get(id)
    if (known !== undefined) return known
    const tracker: Listed = { last: undefined, fns: new Set(), isOwn: false }
    if (this.#trackers.size < MAX_TRACKED) this.#trackers.set(id, tracker)
    return tracker
  }

  /** It was submitted, and not before. */
  confirm(id: string): void {
    const tracker = this.#trackers.get(id)
    if (tracker !== undefined) tracker.isOwn = true
  }

  /** It was not submitted, or before, perhaps by another node: who waits for it reads how it is. */
  untrack(id: string): void {
    if (this.#trackers.get(id)?.fns.size === 0) this.#trackers.delete(id)
  }

  /** A task changed, as a feed tells it. */
  onTask({ id, version, record, done }: FeedTask): void {
    if (!this.#trackers.has(id)) return
    // It was archived: what it left is read.
    if (record === undefined || (isFinal(record.status) && done === undefined)) this.#readAgain(id)
    else this.#tell(stateOf(id, version, record, done))
  }

  /** All there is was told: who waits for anything else reads it. */
  onReset(ids: ReadonlySet<string>): void {
    for (const id of this.#trackers.keys()) if (!ids.has(id)) this.#readAgain(id)
  }

  /** Tells `fn` of each change from now on. @param known the tracker of a handle that has one @throws STA001, COM003 */
  async watch(id: string, fn: Watcher, signal: AbortSignal | undefined, known: Tracker | undefined): Promise<Watching> {
    if (known?.last !== undefined && isFinal(known.last.status)) return { last: known.last, stop() {} }
    const listed = this.#trackers.get(id)
    if (listed?.isOwn === true) {
      listed.fns.add(fn)
      return { last: listed.last, stop: () => void listed.fns.delete(fn) }
    }
    const tracker = listed ?? this.#add(id)
    tracker.fns.add(fn)
    let release: (() => void) | undefined
    const stop = (): void => {
      tracker.fns.delete(fn)
      if (tracker.fns.size === 0 && this.#trackers.get(id) === tracker) this.#trackers.delete(id)
      release?.()
    }
    try {
      release = await this.#follow(id, signal)
      // From here on changes are told; as it was before is read.
      return { last: await this.#read(id, signal), stop }
    } catch (error) {
      stop()
      throw error
    }
  }

  stop(): void {
    for (const { follower } of this.#ofOthers.values()) follower.stop()
    this.#ofOthers.clear()
  }

  #add(id: string): Listed {
    if (this.#trackers.size >= MAX_TRACKED)
      throw new ParleyError('COM003', `${MAX_TRACKED} tasks are waited for on this node`, {
        hint: 'wait for some of them to end first',
      })
    const tracker: Listed = { last: undefined, fns: new Set(), isOwn: false }
    this.#trackers.set(id, tracker)
    return tracker
  }

  #tell(state: TaskState): void {
    const tracker = this.#trackers.get(state.id)
    if (tracker === undefined) return
    tracker.last = state
    if (isFinal(state.status)) this.#trackers.delete(state.id)
    for (const fn of [...tracker.fns]) fn(state)
  }

  #readAgain(id: string): void {
    const { read, stopped, port } = this.#deps
    read(id, stopped).then(
      (state) => this.#tell(state),
      async (error: unknown) => {
        if (stopped.aborted || isParleyError(error, 'STA001')) return
        await pause(port.timers, AGAIN_MS, stopped)
        if (this.#trackers.has(id)) this.#readAgain(id)
      },
    )
  }

  /** Also where nobody coordinates for a while, until the signal is aborted. @throws STA001 */
  #read(id: string, signal: AbortSignal | undefined): Promise<TaskState> {
    const { port, read } = this.#deps
    return untilRead(port.timers, signal, () => read(id, signal))
  }

  /** Hears of it from now on. @returns what ends that */
  async #follow(id: string, signal: AbortSignal | undefined): Promise<(() => void) | undefined> {
    const { live, port } = this.#deps
    const { record, status } = await this.#read(id, signal)
    if (isFinal(status)) return undefined
    if (record.submitter !== port.self.id) return this.#followOther(id, signal)
    await live(signal)
    return undefined
  }

  async #followOther(id: string, signal: AbortSignal | undefined): Promise<() => void> {
    const known = this.#ofOthers.get(id) ?? {
      follower: followTasks(
        this.#deps,
        {
          onTold: (task) => this.onTask(task),
          onReset: (ids) => (ids.has(id) ? undefined : this.#readAgain(id)),
        },
        [id],
      ),
      users: 0,
    }
    this.#ofOthers.set(id, known)
    known.users += 1
    const release = (): void => {
      known.users -= 1
      if (known.users > 0) return
      known.follower.stop()
      if (this.#ofOthers.get(id) === known) this.#ofOthers.delete(id)
    }
    try {
      await known.follower.live(signal)
      return release
    } catch (error) {
      release()
      throw error
    }
  }
}
