/**
 * Values of tasks as whoever has or needs them sees them: a small one stands in the journal as it is, a large one goes to holders
 * first, and comes from whichever of them has it. State: transfers under way (bounded).
 */
import { abortable, delay } from '../../async.ts'
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import type { Liveness } from '../scheduler/worker-presence.ts'
import { taskBytesProtocol } from './bytes-contract.ts'
import type { BytesKeeper } from './bytes-keeper.ts'
import { fetchBytes, hexHashInTurns, partsOf } from './bytes-sources.ts'
import { COPIES, type HolderRequests } from './holder-requests.ts'
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
import { type SlotLimits, TransferSlots } from './transfer-slots.ts'

/** Of one holder no more than half: what it keeps back keeps nothing of others back. */
const OWN = { most: 6, each: 4_096, eachAtWork: 3, waiting: 4_096 } as const satisfies SlotLimits
/** Milliseconds until the first bytes of a value have to be there: others may be before it. */
const GRACE_MS = 30_000
const AGAIN_MS = 1_000

export interface TransferDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'hasher' | 'log' | 'to'>
  readonly keeper: BytesKeeper
  readonly holders: HolderRequests
  presenceOf(peer: string): Liveness
  /** Milliseconds that all holders of a value may be away before it counts as lost. */
  readonly awayMs: number
  /** Of this node at once. */
  readonly atOnce?: SlotLimits
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
  readonly #slots: TransferSlots
  readonly #holders: HolderRequests
  readonly counts = { stored: 0, fetched: 0, lost: 0, wrong: 0 }

  constructor(deps: TransferDeps) {
    this.#deps = deps
    this.#holders = deps.holders
    this.#slots = new TransferSlots(deps.atOnce ?? OWN)
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
      const hash = await hexHashInTurns(this.#deps.port, bytes)
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
        ...(await this.#holders.spread({ ...place, size }, () => partsOf(bytes), {
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
