/**
 * Looks after what this node holds: what no task needs any more goes, and where a holder is gone or has lost it another copy is made.
 *
 * Each holder looks at its own, at a gentle pace; the first one in the journal that is there and has it acts. The
 * coordinator writes the new holder down, and believes its own eyes about who is gone. State: since when peers are gone.
 */
import { delay } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import type { Liveness } from '../scheduler/worker-presence.ts'
import type { ByteStore, HeldBytes } from './byte-store.ts'
import { taskBytesProtocol } from './bytes-contract.ts'
import type { BytesKeeper } from './bytes-keeper.ts'
import { COPIES, type HolderRequests } from './holder-requests.ts'
import type { BytesPlace, StoredBytes } from './stored-bytes.ts'

/** Milliseconds between two looks at everything. */
const LOOK_MS = 600_000
/** What nobody refers to is kept so long: its task may be being submitted. Milliseconds. */
const ORPHAN_MS = 3_600_000
/** What it holds is read again after so long, so that damage is found while others have it. Milliseconds. */
const REREAD_MS = 86_400_000
/** Of values that one look reads again; those whose turn it is not yet come next time. */
const REREAD_BYTES = 256 * 1024 * 1024
/** Between two values. */
const PACE_MS = 5
const SOON_MS = 1_000

export interface CareOptions {
  readonly lookMs: number
  /** That a holder may be away before its copy is made elsewhere. */
  readonly goneMs: number
  readonly orphanMs: number
  readonly rereadMs: number
}
export const CARE = { lookMs: LOOK_MS, orphanMs: ORPHAN_MS, rereadMs: REREAD_MS } as const

export interface CareDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to'>
  readonly keeper: BytesKeeper
  readonly holders: HolderRequests
  store(): Promise<ByteStore | undefined>
  /** What the journal says of it. @throws COM001 and others where that cannot be read */
  storedAt(place: BytesPlace): Promise<StoredBytes | undefined>
  presenceOf(peer: string): Liveness
  onPresence(fn: (peer: string, presence: Liveness) => void): Stop
  leader(): string | undefined
}

const keyOf = ({ task, row, hash }: BytesPlace): string => `${task} ${row} ${hash}`

export class BytesCare {
  readonly #deps: CareDeps
  readonly #options: CareOptions
  readonly #goneSince = new Map<string, number>()
  readonly #end = new AbortController()
  readonly #stops: Stop[] = []
  #stopSoon: Stop | undefined
  #isLooking = false
  #looks = 0
  readonly counts = { copied: 0, removed: 0, reread: 0, passedOver: 0 }
  /** When each value was read again last, monotonic. */
  #readAt = new Map<string, number>()

  constructor(deps: CareDeps, options: CareOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** From the first value on. */
  start(): void {
    if (this.#stops.length > 0 || this.#end.signal.aborted) return
    const { port, onPresence } = this.#deps
    const { lookMs, goneMs } = this.#options
    this.#stops.push(
      port.timers.every(lookMs, () => void this.look()),
      onPresence((_peer, presence) => {
        // Whoever is gone for long enough by then.
        if (presence === 'gone') this.#lookAfter(goneMs + SOON_MS)
      }),
    )
    this.#lookAfter(goneMs + SOON_MS)
  }

  #lookAfter(ms: number): void {
    if (this.#stopSoon !== undefined || this.#end.signal.aborted) return
    // So that who was gone before is known for long enough.
    this.#stopSoon = this.#deps.port.timers.after(ms, () => {
      this.#stopSoon = undefined
      void this.look()
    })
  }

  stop(): void {
    this.#end.abort(new Error('this node stops'))
    this.#stopSoon?.()
    for (const stop of this.#stops) stop()
  }

  /** How often everything was looked at. */
  looks(): number {
    return this.#looks
  }

  /** At everything, once. Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#end.signal.aborted) return
    this.#isLooking = true
    const { port, store } = this.#deps
    try {
      const now = await store()
      let reread = 0
      const readAt = new Map<string, number>()
      for (const held of now?.all() ?? []) {
        if (this.#end.signal.aborted) return
        let at = this.#readAt.get(keyOf(held)) ?? this.#someTimeAgo()
        try {
          await this.#lookAt(now as ByteStore, held)
          if (port.clock.monotonic() - at >= this.#options.rereadMs && reread < REREAD_BYTES) {
            reread += held.size
            await this.#reread(held)
            at = port.clock.monotonic()
          }
        } catch (error) {
          this.#passOver(held, error)
        }
        readAt.set(keyOf(held), at)
        await delay(port.timers, PACE_MS, this.#end.signal)
      }
      // What is held no more is forgotten.
      this.#readAt = readAt
      this.#looks += 1
    } catch (error) {
      if (!this.#end.signal.aborted)
        port.log.info('the bytes of tasks that this node holds are looked at later', { error })
    } finally {
      this.#isLooking = false
      if (this.#isWaiting()) this.#lookAfter(this.#options.goneMs)
    }
  }

  /** One that cannot be read keeps no other from being looked at. @throws where the mesh says nothing: it will not of the next one */
  #passOver({ task }: HeldBytes, error: unknown): void {
    if (this.#end.signal.aborted || isParleyError(error)) throw error
    this.counts.passedOver += 1
    this.#deps.port.log.warn('bytes that this node holds for a task could not be looked at', { task, error })
  }

  /** Somebody is gone, and not for long enough yet. */
  #isWaiting(): boolean {
    return [...this.#goneSince.keys()].some((peer) => this.#isGone(peer) === 'not-yet')
  }

  /** Its own clock counts, from when it was first asked. */
  #isGone(peer: string): 'there' | 'not-yet' | 'gone' {
    const { port, presenceOf } = this.#deps
    if (peer === port.self.id || presenceOf(peer) !== 'gone') {
      this.#goneSince.delete(peer)
      return 'there'
    }
    const now = port.clock.monotonic()
    const since = this.#goneSince.get(peer) ?? now
    this.#goneSince.set(peer, since)
    return now - since >= this.#options.goneMs ? 'gone' : 'not-yet'
  }

  async #lookAt(store: ByteStore, held: HeldBytes): Promise<void> {
    const { port } = this.#deps
    const stored = await this.#deps.storedAt(held)
    const isMine = stored?.holders.includes(port.self.id) === true
    if (stored !== undefined && isMine) return this.#keepCopies(held, stored)
    // Not said yet, or said no more.
    if (port.clock.now() - held.at < this.#options.orphanMs) return
    await store.remove(held)
    this.counts.removed += 1
  }

  /** What is damaged goes, and is given to it again by who cares for it. */
  async #reread(held: HeldBytes): Promise<void> {
    const { port, keeper } = this.#deps
    const isGood = await keeper.has(held, port.self.id, true, this.#end.signal)
    this.counts.reread += 1
    if (!isGood) port.log.warn('bytes that this node holds for a task were damaged, and are gone', { task: held.task })
  }

  /** Of what was kept in a life before: not all of it is read at once. */
  #someTimeAgo(): number {
    const { random, clock } = this.#deps.port
    const [part = 0] = random(1)
    return clock.monotonic() - (part / 256) * this.#options.rereadMs
  }

  async #keepCopies(held: HeldBytes, { holders }: StoredBytes): Promise<void> {
    const { port } = this.#deps
    const there = holders.filter((peer) => this.#isGone(peer) !== 'gone')
    if (!(await this.#isFirst(held, there))) return
    for (const peer of holders) {
      if (peer === port.self.id) continue
      if (!there.includes(peer)) await this.#copy(held, holders, peer)
      else if (this.#isGone(peer) === 'there' && !(await this.#has(peer, held))) await this.#again(held, peer)
    }
    if (holders.length < COPIES) await this.#copy(held, holders, undefined)
  }

  /** Of those that are there and have it, in the order of the journal. */
  async #isFirst(held: HeldBytes, there: readonly string[]): Promise<boolean> {
    for (const peer of there) {
      if (peer === this.#deps.port.self.id) return true
      if (this.#isGone(peer) === 'there' && (await this.#has(peer, held))) return false
    }
    return false
  }

  async #has(peer: string, { task, row, hash }: HeldBytes): Promise<boolean> {
    try {
      return (await this.#deps.port.to(peer, taskBytesProtocol).has({ task, row, hash })).has
    } catch {
      // It may have it.
      return true
    }
  }

  /** It is written down as a holder, and has lost it. */
  async #again(held: HeldBytes, peer: string): Promise<void> {
    const open = await this.#deps.keeper.offerOf(held)
    if (open === undefined) return
    if (await this.#deps.holders.give(held, peer, open, this.#end.signal)) this.counts.copied += 1
  }

  /** @param from undefined: one more */
  async #copy(held: HeldBytes, holders: readonly string[], from: string | undefined): Promise<void> {
    const { port, keeper, holders: requests, leader } = this.#deps
    const open = await keeper.offerOf(held)
    const coordinator = leader()
    if (open === undefined || coordinator === undefined) return
    const { task, row, hash, size } = held
    const spread = { most: 1, except: holders, signal: this.#end.signal }
    const [to] = await requests.spread({ task, row, hash, size }, open, spread)
    // Nobody else has a disk.
    if (to === undefined) return
    const moved = { task, row, hash, to, ...(from !== undefined && { from }) }
    try {
      await port.to(coordinator, taskBytesProtocol).replace(moved)
      this.counts.copied += 1
      port.log.info('a value of a task has another holder', { task, hash, from, to })
    } catch (error) {
      // What was copied in vain is removed there after a while.
      if (!isParleyError(error, 'COM001', 'COM002', 'STA003', 'STA002', 'SEC002')) throw error
      port.log.info('another holder of a value of a task was not written down', { task, hash, from, to, error })
    }
  }
}
