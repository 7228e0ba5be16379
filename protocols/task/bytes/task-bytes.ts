/**
 * Values of tasks above what the journal takes: stored with holders, loaded from them, held for others, looked after.
 *
 * State: that of its parts; the store, once it is used.
 */

import { isMemberId, peerOf } from '../../consensus/member-id.ts'
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Handlers } from '../../define.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port, Stop } from '../../port.ts'
import { placesOf, reholdBytes, storedIn } from '../journal/rehold-kind.ts'
import type { Liveness } from '../scheduler/worker-presence.ts'
import { DONE, type DoneTask, readTask, type TaskRecord, taskKey } from '../task-record.ts'
import type { ByteStore } from './byte-store.ts'
import { BytesCare, CARE, type CareOptions } from './bytes-care.ts'
import { taskBytesProtocol } from './bytes-contract.ts'
import { BytesKeeper, type BytesRoom } from './bytes-keeper.ts'
import { OfferedValues } from './bytes-sources.ts'
import { BytesTransfers } from './bytes-transfers.ts'
import { COPIES, HolderRequests } from './holder-requests.ts'
import type { BytesPlace, StoredBytes } from './stored-bytes.ts'
import type { SlotLimits } from './transfer-slots.ts'

/** Milliseconds for one look at the journal. */
const READ_MS = 10_000

/** Of a member its peer; who is no member hears of peers. */
const peerOfVoter = (id: string): string => (isMemberId(id) ? peerOf(id) : id)

export interface TaskBytesDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'hash' | 'hasher' | 'log' | 'to' | 'members'>
  readonly journal: Pick<Journal, 'get' | 'rows' | 'submit'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  presenceOf(peer: string): Liveness
  onPresence(fn: (peer: string, presence: Liveness) => void): Stop
  /** Undefined: this node has no disk for bytes of others. */
  readonly openStore: (() => Promise<ByteStore>) | undefined
  readonly room: BytesRoom
  /** Milliseconds that a holder may be away. */
  readonly awayMs: number
  /** How often what this node holds is looked at, and how long what no task refers to is kept. */
  readonly care?: Omit<CareOptions, 'goneMs'>
  /** Transfers that this node asks for at once. */
  readonly atOnce?: SlotLimits
}

export interface BytesFigures {
  readonly held: number
  readonly bytes: number
  readonly stored: number
  readonly fetched: number
  readonly lost: number
  readonly damaged: number
  readonly copied: number
  readonly refused: number
}

export class TaskBytes {
  readonly transfers: BytesTransfers
  readonly handlers: Handlers<typeof taskBytesProtocol>
  readonly #deps: TaskBytesDeps
  readonly #keeper: BytesKeeper
  readonly #care: BytesCare
  #store: Promise<ByteStore> | undefined
  #opened: ByteStore | undefined

  constructor(deps: TaskBytesDeps) {
    this.#deps = deps
    const { port, room, presenceOf, onPresence, coordinator, awayMs, care = CARE, atOnce } = deps
    const offers = new OfferedValues()
    const store = () => this.#openedStore()
    this.#keeper = new BytesKeeper({
      ...{ port, store, room, offers },
      partiesOf: (task) => this.#partiesOf(task),
    })
    const holders = new HolderRequests({
      ...{ port, offers, presenceOf },
      voters: () => coordinator.status().voters.map(peerOfVoter),
    })
    this.transfers = new BytesTransfers({
      port,
      keeper: this.#keeper,
      holders,
      presenceOf,
      awayMs,
      ...(atOnce && { atOnce }),
    })
    this.#care = new BytesCare(
      {
        ...{ port, keeper: this.#keeper, holders, store, presenceOf, onPresence },
        storedAt: (place) => this.#stored(place),
        leader: () => coordinator.status().leader,
      },
      { ...care, goneMs: awayMs },
    )
    this.handlers = {
      hold: async (asked, { peer, signal }) => {
        await this.#keeper.hold(asked, peer, signal)
        return {}
      },
      fetch: (place, context) => this.#keeper.give(place, context, false),
      read: (place, context) => this.#keeper.give(place, context, true),
      has: async ({ verify = false, ...place }, { peer, signal }) => ({
        has: await this.#keeper.has(place, peer, verify, signal),
      }),
      replace: (asked, { peer }) => this.#replace(asked, peer),
    }
  }

  figures(): BytesFigures {
    const { held: _held, served: _served, ...kept } = this.#keeper.counts
    const { stored, fetched, lost } = this.transfers.counts
    return {
      ...{ held: this.#opened?.count() ?? 0, bytes: this.bytes(), stored, fetched, lost },
      ...{ damaged: kept.damaged, refused: kept.refused, copied: this.#care.counts.copied },
    }
  }

  /** On disk. */
  bytes(): number {
    return this.#opened?.bytes() ?? 0
  }

  /** What was held before is looked after from now on. */
  async begin(): Promise<void> {
    await this.#openedStore()
  }

  /** Looks at everything it holds, now. */
  look(): Promise<void> {
    return this.#care.look()
  }

  stop(): void {
    this.#care.stop()
  }

  async #openedStore(): Promise<ByteStore | undefined> {
    const { openStore } = this.#deps
    if (openStore === undefined) return undefined
    this.#store ??= openStore().then((opened) => {
      this.#opened = opened
      this.#care.start()
      return opened
    })
    try {
      return await this.#store
    } catch (error) {
      // The next one tries again.
      this.#store = undefined
      throw error
    }
  }

  async #readRow(collection: string, key: string): Promise<Json | undefined> {
    const { rows } = await this.#deps.journal.rows(collection, { key, timeoutMs: READ_MS })
    return rows.find((row) => row.key === key)?.value
  }

  async #recordOf(task: string): Promise<TaskRecord | undefined> {
    const found = await this.#deps.journal.get(taskKey(task), { timeoutMs: READ_MS })
    const record = readTask(found?.value)
    if (record !== undefined) return record
    // This part wrote it.
    return ((await this.#readRow(DONE, task)) as DoneTask | undefined)?.record
  }

  async #partiesOf(task: string): Promise<ReadonlySet<string>> {
    const record = await this.#recordOf(task)
    if (record === undefined) return new Set()
    const { submitter, worker, parent } = record
    const above = parent === undefined ? undefined : await this.#recordOf(parent)
    const all = [submitter, worker, above?.submitter, above?.worker]
    return new Set(all.filter((peer) => peer !== undefined))
  }

  /** Another holder is written down. Only where this node coordinates, and sees for itself. @throws SEC002, STA003 */
  async #replace(asked: BytesPlace & { from?: string | undefined; to: string }, peer: string) {
    const { port, journal, coordinator, presenceOf } = this.#deps
    const { task, row, hash, from, to } = asked
    const { acting, epoch } = coordinator.status()
    if (!acting) throw stateError('not-leader', 'this node does not coordinate', 'ask the coordinator')
    const stored = await this.#stored(asked)
    if (stored === undefined) throw stateError('missing', `the task ${task} has no such bytes`, 'they are not needed')
    const { holders } = stored
    if (!holders.includes(peer))
      throw new ParleyError('SEC002', `${peer} does not hold these bytes`, { hint: 'only their holders ask for that' })
    const isAllowed =
      from === undefined ? holders.length < COPIES : holders.includes(from) && presenceOf(from) === 'gone'
    if (!isAllowed)
      throw stateError('holder-there', 'the holders of these bytes are there', 'ask again once one is gone', {
        holders,
      })
    const { has } = await port.to(to, taskBytesProtocol).has({ task, row, hash })
    if (!has) throw stateError('missing', `${to} does not hold these bytes`, 'have it hold them first', { to })
    const { result } = await journal.submit(
      reholdBytes,
      { epoch, id: task, row, hash, to, ...(from !== undefined && { from }) },
      { timeoutMs: READ_MS },
    )
    return result
  }

  async #stored({ task, row, hash }: BytesPlace): Promise<StoredBytes | undefined> {
    for (const { collection, key } of placesOf(task, row)) {
      const stored = storedIn(await this.#readRow(collection, key), hash)
      if (stored !== undefined) return stored
    }
    return undefined
  }
}
