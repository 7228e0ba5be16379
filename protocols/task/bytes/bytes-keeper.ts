/**
 * Holds values of tasks for others: fetches what it is asked to hold, and gives it to those who may have it.
 *
 * Who asks a node to hold bytes has to have them, so that nobody gets bytes of others by naming their hash. What one peer may
 * fill is a share of what is free. State: what is asked for now.
 */
import { ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { ByteStore, HeldBytes } from './byte-store.ts'
import { PART_BYTES } from './bytes-contract.ts'
import { fetchBytes, gatherBytes, type OfferedValues } from './bytes-sources.ts'
import type { BytesPlace } from './stored-bytes.ts'
import { TransferSlots } from './transfer-slots.ts'

/** Values that a node holds. */
const MAX_HELD = 65_536
/** A peer may fill three times of what is free, as shares of the journal are cut. */
const TIMES_FREE = 3
const HOLDS = { most: 4, each: 4, eachAtWork: 2, waiting: 64 } as const
const SERVED = { most: 16, each: 8, eachAtWork: 8, waiting: 256 } as const
const CHECKS = { most: 1, each: 1, eachAtWork: 1, waiting: 16 } as const
/** Milliseconds until whoever asks for that gives something: it has it in its memory, or on its disk. */
const GRACE_MS = 10_000

export interface BytesRoom {
  /** Whether so many bytes more have room. */
  fits(bytes: number): boolean
  recordGrowth(bytes: number): void
  freeBytes(): number
}

export interface KeeperDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'hasher' | 'log' | 'to'>
  /** Undefined: this node has no disk for it. */
  store(): Promise<ByteStore | undefined>
  readonly room: BytesRoom
  readonly offers: OfferedValues
  /** Peers that have to do with a task: its submitter, its assignee, the submitter of its parent. */
  partiesOf(task: string): Promise<ReadonlySet<string>>
}

const noRoom = (by: string, size: number, reason: 'disk-quota' | 'bytes'): ParleyError =>
  new ParleyError('COM003', `${by} cannot have ${size} bytes more held here`, {
    hint: 'ask another node; limits.maxDiskBytes bounds what all have, and a peer gets a share of what is free',
    details: { reason, retryAfterMs: 60_000 },
  })

const notHeld = ({ task, hash }: BytesPlace): ParleyError =>
  new ParleyError('STA001', `the bytes ${hash} of the task ${task} are not on this node`, {
    hint: 'ask another one that holds them',
    details: { task, hash },
  })

export class BytesKeeper {
  readonly #deps: KeeperDeps
  readonly #holds = new TransferSlots(HOLDS)
  readonly #served = new TransferSlots(SERVED)
  readonly #checks = new TransferSlots(CHECKS)
  readonly counts = { held: 0, refused: 0, served: 0, damaged: 0 }

  constructor(deps: KeeperDeps) {
    this.#deps = deps
  }

  /** Keeps what is in memory here. @returns false: this node has no disk for it @throws COM003, STA003 */
  async keepOwn(place: BytesPlace, bytes: Uint8Array): Promise<boolean> {
    const { port } = this.#deps
    const store = await this.#deps.store()
    if (store === undefined) return false
    await this.#keep(store, { ...place, size: bytes.length, by: port.self.id, at: port.clock.now() }, bytes)
    return true
  }

  /** @throws STA003 `volatile`, `disk-full`, `disk-failed`; COM003; MSG003 for other bytes than were named */
  async hold(asked: BytesPlace & { readonly size: number }, peer: string, signal: AbortSignal): Promise<void> {
    const { port } = this.#deps
    const store = await this.#deps.store()
    if (store === undefined) throw stateError('volatile', 'this node keeps nothing', 'ask a node with a data directory')
    const { task, row, hash, size } = asked
    this.#checkRoom(store, peer, size)
    await this.#holds.run(peer, signal, async () => {
      const bytes = await fetchBytes(port, peer, asked, { as: 'fetch', graceMs: GRACE_MS, signal })
      await this.#keep(store, { task, row, hash, size, by: peer, at: port.clock.now() }, bytes)
    })
  }

  async #keep(store: ByteStore, held: HeldBytes, bytes: Uint8Array): Promise<void> {
    this.#checkRoom(store, held.by, held.size)
    await store.keep(held, bytes)
    this.#deps.room.recordGrowth(held.size)
    this.counts.held += 1
  }

  #checkRoom(store: ByteStore, by: string, size: number): void {
    const { room } = this.#deps
    const own = store.of(by)
    const isShare =
      own.bytes + size <= TIMES_FREE * room.freeBytes() && own.values < TIMES_FREE * (MAX_HELD - store.count())
    if (isShare && store.count() < MAX_HELD && room.fits(size)) return
    this.counts.refused += 1
    throw noRoom(by, size, isShare ? 'disk-quota' : 'bytes')
  }

  /** @param may the caller holds the capability coordinate @throws STA001, SEC002, COM003 */
  async *give(
    place: BytesPlace,
    { peer, signal }: { readonly peer: string; readonly signal: AbortSignal },
    may: boolean,
  ): AsyncGenerator<{ bytes: Uint8Array }, void> {
    const offered = this.#deps.offers.find(place, peer)
    if (offered !== undefined) return yield* offered()
    const store = await this.#deps.store()
    const held = store?.findOf(place.task, place.hash)
    if (store === undefined || held === undefined) throw notHeld(place)
    if (!may) await this.#checkParty(place, peer)
    const leave = await this.#served.enter(peer, signal)
    try {
      for await (const bytes of store.read(held, PART_BYTES)) yield { bytes }
      this.counts.served += 1
    } finally {
      leave()
    }
  }

  async #checkParty({ task }: BytesPlace, peer: string): Promise<void> {
    const parties = await this.#deps.partiesOf(task)
    if (parties.has(peer)) return
    this.counts.refused += 1
    throw new ParleyError('SEC002', `${peer} has nothing to do with the task ${task}`, {
      hint: 'its submitter and its assignee get its bytes; others need the capability coordinate',
      details: { task },
    })
  }

  async has(place: BytesPlace, peer: string, verify: boolean, signal: AbortSignal): Promise<boolean> {
    const store = await this.#deps.store()
    const held = store?.findOf(place.task, place.hash)
    if (store === undefined || held === undefined) return false
    return verify ? this.#checks.run(peer, signal, () => this.#isGood(store, held)) : true
  }

  /** What is damaged goes: whoever cares for it has it copied again. */
  async #isGood(store: ByteStore, held: HeldBytes): Promise<boolean> {
    if ((await this.readOwn(held)) !== undefined) return true
    await store.remove(held).catch(() => {})
    return false
  }

  /** What this node holds itself; undefined: nothing that can be used. */
  async readOwn(place: BytesPlace): Promise<Uint8Array | undefined> {
    const { port } = this.#deps
    const store = await this.#deps.store()
    const held = store?.findOf(place.task, place.hash)
    if (store === undefined || held === undefined) return undefined
    const parts = async function* () {
      for await (const bytes of store.read(held, PART_BYTES)) yield { bytes }
    }
    try {
      return await gatherBytes(port, port.self.id, held, parts())
    } catch (error) {
      this.counts.damaged += 1
      port.log.error('bytes of a task that this node holds are damaged; others hold them too', {
        task: held.task,
        hash: held.hash,
        error,
      })
      return undefined
    }
  }

  /** To make another copy of it, once it was read and is as it was. Undefined: it is not here, or damaged, and gone then. */
  async offerOf(place: BytesPlace): Promise<(() => AsyncGenerator<{ bytes: Uint8Array }, void>) | undefined> {
    const store = await this.#deps.store()
    const held = store?.findOf(place.task, place.hash)
    if (store === undefined || held === undefined || !(await this.#isGood(store, held))) return undefined
    return async function* () {
      for await (const bytes of store.read(held, PART_BYTES)) yield { bytes }
    }
  }
}
