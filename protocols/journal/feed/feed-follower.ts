/**
 * This node's feed of the records of a part that concern it, from whoever coordinates: as they change, without a gap.
 *
 * Where the coordinator is lost, the next one goes on from the version that was reached. State: that version.
 */
import { waitFor } from '../../async.ts'
import type { CoordinatorStatus } from '../../coordinator/coordinator-status.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { Registration } from '../../registration.ts'
import type { FeedItem } from './open-feed.ts'

/** Milliseconds between tries. */
const AGAIN_MS = 50
const MAX_AGAIN_MS = 1_000

export interface FollowerDeps {
  readonly port: Pick<Port, 'timers' | 'log'>
  readonly coordinator: { status(): CoordinatorStatus; onChange(fn: (status: CoordinatorStatus) => void): Registration }
}

export interface FollowRequest {
  readonly meshId: string
  /** Changes after this version; absent: all there is. */
  readonly from?: number
  /** Of those that concern others, too. */
  readonly watch?: string[]
}

export interface FollowerOptions<Told> {
  /** What it follows, in the log. */
  readonly of: string
  /** Asks whoever coordinates. */
  open(
    leader: string,
    request: FollowRequest,
    signal: AbortSignal,
  ): AsyncIterable<FeedItem<Told>> | Promise<AsyncIterable<FeedItem<Told>>>
  idOf(told: Told): string
  /**
   * Ids of records that this node believes to be its own. A feed that goes on from a version tells a node of what is its own now;
   * of these it tells although they have gone to somebody else. Where they are more than `mostWatched` it tells all there is
   * instead, so that none of them is missed.
   */
  own?(): readonly string[]
  /** Ids that one request may name; 0 unless told. */
  readonly mostWatched?: number
  /** One changed. */
  onTold(told: Told): void
  /** All there was at this version was told: those that are not among these ids are over, or do not concern this node any more. */
  onReset(ids: ReadonlySet<string>, version: number): void
}

export class FeedFollower<Told> {
  readonly #deps: FollowerDeps
  readonly #options: FollowerOptions<Told>
  readonly #end = new AbortController()
  #version: number | undefined
  #mesh: string | undefined
  #isLive = false
  readonly #waiting = new Set<() => void>()
  #resumed = 0

  constructor(deps: FollowerDeps, options: FollowerOptions<Told>) {
    this.#deps = deps
    this.#options = options
    void this.#run()
  }

  counts(): { live: boolean; resumed: number } {
    return { live: this.#isLive, resumed: this.#resumed }
  }

  /** Resolves once changes from now on are told. */
  live(signal: AbortSignal | undefined): Promise<void> {
    if (this.#isLive) return Promise.resolve()
    return waitFor(signal, (resolve) => {
      this.#waiting.add(resolve)
      return () => this.#waiting.delete(resolve)
    })
  }

  stop(): void {
    this.#end.abort(new Error('this node stops'))
  }

  async #run(): Promise<void> {
    const { signal } = this.#end
    let waitMs = AGAIN_MS
    while (!signal.aborted) {
      const { leader, meshId } = this.#deps.coordinator.status()
      if (leader !== undefined && meshId !== undefined) {
        const before = this.#resumed
        await this.#follow(leader, meshId)
        waitMs = this.#resumed > before ? AGAIN_MS : Math.min(MAX_AGAIN_MS, 2 * waitMs)
      }
      await this.#pause(waitMs)
    }
  }

  /** Until the time is over, or another node coordinates. */
  #pause(waitMs: number): Promise<void> {
    const { signal } = this.#end
    const { coordinator, port } = this.#deps
    const { leader } = coordinator.status()
    return waitFor(signal, (resolve) => {
      const changes = coordinator.onChange(
        (status) => status.leader !== undefined && status.leader !== leader && resolve(),
      )
      const stop = port.timers.after(waitMs, resolve)
      return () => {
        void changes.stop()
        stop()
      }
    }).catch(() => {})
  }

  async #follow(leader: string, meshId: string): Promise<void> {
    const { port, coordinator } = this.#deps
    const { of, open, idOf, onTold, onReset } = this.#options
    const over = new AbortController()
    const changes = coordinator.onChange((status) => {
      if (status.leader !== undefined && status.leader !== leader) over.abort(new Error('another node coordinates'))
    })
    if (this.#mesh !== meshId) this.#version = undefined
    this.#mesh = meshId
    let all: Set<string> | undefined
    try {
      const own = this.#version === undefined ? [] : this.#ownToWatch()
      const request: FollowRequest = {
        meshId,
        ...(this.#version !== undefined && { from: this.#version }),
        ...(own.length > 0 && { watch: [...own] }),
      }
      const signal = AbortSignal.any([this.#end.signal, over.signal])
      for await (const { version, reset, last, told } of await open(leader, request, signal)) {
        if (reset === true) all ??= new Set()
        for (const one of told) {
          if (reset === true) all?.add(idOf(one))
          onTold(one)
        }
        if (reset === true && last && all !== undefined) {
          onReset(all, version)
          all = undefined
        }
        // Where it breaks among the parts of all there is, it begins again.
        if (all === undefined) this.#version = version
        if (reset !== true) this.#becomeLive()
      }
    } catch (error) {
      if (this.#end.signal.aborted || over.signal.aborted) return
      if (!isParleyError(error, 'COM001', 'COM002', 'STA003'))
        port.log.warn(`the ${of} of this node cannot be followed`, { leader, error })
    } finally {
      this.#isLive = false
      void changes.stop()
    }
  }

  /** None where a feed that goes on cannot name them all: then it begins anew. */
  #ownToWatch(): readonly string[] {
    const { own, mostWatched = 0 } = this.#options
    const ids = own?.() ?? []
    if (ids.length <= mostWatched) return ids
    this.#version = undefined
    return []
  }

  #becomeLive(): void {
    if (this.#isLive) return
    this.#isLive = true
    this.#resumed += 1
    for (const go of [...this.#waiting]) go()
    this.#waiting.clear()
  }
}
