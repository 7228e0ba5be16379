/**
 * Values of tasks as whoever has or needs them sees them: a small one stands in the journal as it is, a large one goes to holders
 * first, and comes from whichever of them has it. State: transfers under way; peers that have no disk for it (bounded).
 */
import { abortable, delay } from '../../async.ts'
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import type { Liveness } from '../scheduler/worker-presence.ts'
import { taskBytesProtocol } from './bytes-contract.ts'
import type { BytesKeeper } from './bytes-keeper.ts'
import {
  fetchBytes,
  hexHash,
  type OfferedBytes,
  type OfferedValues,
  PACE_BYTES_PER_MS,
  partsOf,
} from './bytes-sources.ts'
import {
  type BytesPlace,
  decodeValue,
  encodeValue,
  MAX_HOLDERS,
  readStored,
  type StoredBytes,
  storedRow,
  type TaskValue,
} from './stored-bytes.ts'
import { TransferSlots } from './transfer-slots.ts'

/** Copies of a value, where so many nodes have a disk. */
export const COPIES = 3
/** Nodes that are asked to hold one value. */
const MAX_ASKED = 16
/** Of one holder no more than half: what it keeps back keeps nothing of others back. */
const OWN = { most: 6, each: 4_096, eachAtWork: 3, waiting: 4_096 } as const
/** Milliseconds until the first bytes of a value have to be there: others may be before it. */
const GRACE_MS = 30_000
const AGAIN_MS = 1_000
/** Milliseconds that a peer without a disk, or one that was too slow, is not asked again. */
const DISKLESS_MS = 60_000
/** Milliseconds that holding a value may take, beside what its bytes take: others may be before it. */
const HOLD_MS = 5_000
const MAX_DISKLESS = 1_024

export interface TransferDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'hash' | 'log' | 'to' | 'members'>
  readonly keeper: BytesKeeper
  readonly offers: OfferedValues
  presenceOf(peer: string): Liveness
  /** Milliseconds that all holders of a value may be away before it counts as lost. */
  readonly awayMs: number
  /** Peers that vote: they have disks. */
  voters(): readonly string[]
}

/** Whose value it is. */
export interface ValuePlace {
  readonly task: string
  readonly row: string
}

const lost = ({ task, hash, holders }: BytesPlace & Pick<StoredBytes, 'holders'>, cause: unknown): ParleyError =>
  new ParleyError('STA001', `input-lost: none of those who hold the bytes ${hash} of the task ${task} can be reached`, {
    hint: 'start one of details.holders again with its data directory, or submit the task anew',
    details: { reason: 'input-lost', task, hash, holders },
    ...(cause !== undefined && { cause }),
  })

export class BytesTransfers {
  readonly #deps: TransferDeps
  readonly #slots = new TransferSlots(OWN)
  /** Who keeps nothing, for now: when each may be asked again, monotonic. */
  readonly #diskless = new Map<string, number>()
  readonly counts = { stored: 0, fetched: 0, lost: 0, wrong: 0 }

  constructor(deps: TransferDeps) {
    this.#deps = deps
  }

  /**
   * What stands in the journal for a value; a large one is on the disks of its holders then.
   * @param what names it in errors
   * @throws MSG001 for what cannot be kept; STA003 `no-holder`; COM003
   */
  async store(what: string, value: unknown, { task, row }: ValuePlace, signal?: AbortSignal): Promise<Json> {
    const encoded = encodeValue(what, value)
    if ('row' in encoded) return encoded.row
    const { bytes, form } = encoded
    return this.#slots.run('', signal, async () => {
      const hash = hexHash(this.#deps.port, bytes)
      const place = { task, row, hash }
      const size = bytes.length
      const holders: string[] = []
      const failed: unknown[] = []
      try {
        if (await this.#deps.keeper.keepOwn(place, bytes)) holders.push(this.#deps.port.self.id)
      } catch (error) {
        failed.push(error)
      }
      holders.push(
        ...(await this.spread({ ...place, size }, () => partsOf(bytes), {
          ...{ most: COPIES - holders.length, except: holders, failed },
          ...(signal !== undefined && { signal }),
        })),
      )
      if (signal?.aborted === true) throw signal.reason
      if (holders.length === 0) throw this.#noHolder(what, size, failed)
      this.counts.stored += 1
      return storedRow({ hash, size, form, holders: holders.slice(0, MAX_HOLDERS) })
    })
  }

  #noHolder(what: string, size: number, failed: readonly unknown[]): ParleyError {
    return stateError('no-holder', `no node of the mesh keeps ${what}: ${size} bytes`, 'give a node a data directory', {
      size,
      tried: failed.length,
      ...(failed[0] !== undefined && { first: failed[0] instanceof Error ? failed[0].message : String(failed[0]) }),
    })
  }

  /** Has others hold it. @returns who does by now: at most `most` */
  async spread(
    asked: BytesPlace & { readonly size: number },
    open: OfferedBytes,
    {
      most,
      except,
      signal,
      failed = [],
    }: { most: number; except: readonly string[]; signal?: AbortSignal; failed?: unknown[] },
  ): Promise<string[]> {
    const { offers } = this.#deps
    const candidates = this.#candidates(asked.hash, except)
    const asking = new Set<string>()
    const found: string[] = []
    const takeBack = offers.offer(asked, asking, open)
    const ask = async (): Promise<void> => {
      // Those that are being asked count: nobody else holds it in vain.
      while (found.length + asking.size < most && signal?.aborted !== true) {
        const peer = candidates.shift()
        if (peer === undefined) return
        asking.add(peer)
        try {
          await this.#hold(peer, asked, signal)
          found.push(peer)
        } catch (error) {
          failed.push(error)
          this.#note(peer, error)
        } finally {
          asking.delete(peer)
        }
      }
    }
    try {
      await Promise.all(Array.from({ length: Math.max(0, most) }, ask))
    } finally {
      takeBack()
    }
    return found.slice(0, Math.max(0, most))
  }

  /** To one that should hold it. @returns whether it does */
  async give(
    asked: BytesPlace & { readonly size: number },
    peer: string,
    open: OfferedBytes,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { offers } = this.#deps
    const takeBack = offers.offer(asked, new Set([peer]), open)
    try {
      await this.#hold(peer, asked, signal)
      return true
    } catch (error) {
      this.#note(peer, error)
      return false
    } finally {
      takeBack()
    }
  }

  /** Whoever takes too long keeps nobody waiting, whatever it says meanwhile. */
  async #hold(
    peer: string,
    { task, row, hash, size }: BytesPlace & { readonly size: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { port } = this.#deps
    const late = new AbortController()
    const stop = port.timers.after(HOLD_MS + size / PACE_BYTES_PER_MS, () => {
      this.#leaveOut(peer)
      late.abort(new ParleyError('COM001', `${peer} did not hold ${size} bytes in time`, { hint: 'ask another node' }))
    })
    const ended = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
    try {
      await abortable(port.to(peer, taskBytesProtocol).hold({ task, row, hash, size }, { signal: ended }), ended)
    } finally {
      stop()
    }
  }

  #note(peer: string, error: unknown): void {
    // A version before this one does not know the question; it has no disk for it either.
    if (!isParleyError(error, 'MSG004') && !(isParleyError(error, 'STA003') && error.details.reason === 'volatile'))
      return
    this.#leaveOut(peer)
  }

  #leaveOut(peer: string): void {
    const { clock } = this.#deps.port
    this.#diskless.delete(peer)
    this.#diskless.set(peer, clock.monotonic() + DISKLESS_MS)
    const [oldest] = this.#diskless.keys()
    if (this.#diskless.size > MAX_DISKLESS && oldest !== undefined) this.#diskless.delete(oldest)
  }

  /** Voters first, then others that are connected; which of them follows from the hash, so that loads are even. */
  #candidates(hash: string, except: readonly string[]): string[] {
    const { port, presenceOf, voters } = this.#deps
    const now = port.clock.monotonic()
    const encoder = new TextEncoder()
    const rank = (peer: string): string => hexHash(port, encoder.encode(`${hash}/${peer}`))
    const isUsable = (peer: string): boolean =>
      peer !== port.self.id &&
      !except.includes(peer) &&
      presenceOf(peer) === 'there' &&
      (this.#diskless.get(peer) ?? 0) <= now
    const first = new Set(voters())
    const sorted = (peers: readonly string[]): string[] =>
      peers
        .filter(isUsable)
        .map((peer) => [rank(peer), peer] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, peer]) => peer)
    const others = port.members().flatMap(({ id }) => (first.has(id) ? [] : [id]))
    return [...sorted([...first]), ...sorted(others)].slice(0, MAX_ASKED)
  }

  /**
   * The value that a row of the journal stands for.
   * @throws STA001 `input-lost`, MSG003; SEC002 where this node may not have it
   */
  async load(
    row: Json,
    { task, row: name }: ValuePlace,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<TaskValue> {
    const stored = readStored(row)
    if (stored === undefined) return row
    const bytes = await this.#fetch(stored, { task, row: name, hash: stored.hash }, signal)
    this.counts.fetched += 1
    return decodeValue(stored, bytes)
  }

  async #fetch(stored: StoredBytes, place: BytesPlace, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { port, keeper, awayMs } = this.#deps
    const until = port.clock.monotonic() + awayMs
    for (;;) {
      let last: unknown
      // Each attempt has its turn: one that waits for holders takes none.
      const own = await this.#slots.run('', signal, () => keeper.readOwn(place))
      if (own !== undefined) return own
      for (const peer of this.#inOrder(stored.holders))
        try {
          return await this.#slots.run(peer, signal, () =>
            this.#fetchFrom(peer, { ...place, size: stored.size }, signal),
          )
        } catch (error) {
          if (signal?.aborted === true) throw signal.reason
          if (isParleyError(error, 'SEC002')) throw error
          last = error
        }
      if (port.clock.monotonic() >= until) {
        this.counts.lost += 1
        throw lost({ ...place, holders: stored.holders }, last)
      }
      await delay(port.timers, AGAIN_MS, signal)
    }
  }

  /** Those that are there first. */
  #inOrder(holders: readonly string[]): string[] {
    const { port, presenceOf } = this.#deps
    const others = new Set(holders.filter((peer) => peer !== port.self.id))
    return [...others].sort((a, b) => Number(presenceOf(b) === 'there') - Number(presenceOf(a) === 'there'))
  }

  async #fetchFrom(
    peer: string,
    place: BytesPlace & { readonly size: number },
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { port } = this.#deps
    const as = async (method: 'fetch' | 'read'): Promise<Uint8Array> => {
      try {
        return await abortable(fetchBytes(port, peer, place, { as: method, graceMs: GRACE_MS, signal }), signal)
      } catch (error) {
        if (isParleyError(error, 'MSG003')) this.#suspect(peer, place, error)
        throw error
      }
    }
    try {
      return await as('fetch')
    } catch (error) {
      // It is somebody else's task: whoever may coordinate reads it all the same.
      if (!isParleyError(error, 'SEC002')) throw error
      return await as('read')
    }
  }

  /** It sent other bytes than it should: it looks at what it has. */
  #suspect(peer: string, { task, row, hash }: BytesPlace, error: ParleyError): void {
    const { port } = this.#deps
    this.counts.wrong += 1
    port.log.warn('a holder sent other bytes than it holds', { peer, task, hash, error })
    port
      .to(peer, taskBytesProtocol)
      .has({ task, row, hash, verify: true })
      .catch(() => {})
  }
}
