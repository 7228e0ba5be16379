/**
 * Workers as the coordinator knows them: what each takes, what it has in work, whether it is there. State: that.
 *
 * A worker whose death was heard gets nothing more, and its tasks go to others at once; its place in the journal stays until
 * its lease is over, as it may be alive and cut off. A lease is counted by this node's own clock, from when its renewal was
 * applied here, or from when this node began to coordinate.
 */
import type { TaskRecord, WorkerRecord } from '../task-record.ts'
import { isReturned } from './board-task.ts'
import type { Liveness } from './worker-presence.ts'

/** Milliseconds that a worker may go on without its lease being renewed; it renews each 10 s. */
export const LEASE_MS = 30_000
/** More, for clocks that run differently. */
export const LEASE_MARGIN_MS = 1_500

export interface BoardWorker {
  readonly peer: string
  record: WorkerRecord
  /** By this node's monotonic clock. */
  renewedAt: number
  /** Suspected, or dead, as the failure detector says. */
  presence: Liveness
  /** Tasks in work, by type. */
  readonly running: Map<string, number>
  total: number
}

export const sameRegistration = (worker: BoardWorker | undefined, { registration }: TaskRecord): boolean =>
  worker !== undefined && worker.record.registration === registration

/** Milliseconds; doubled each time, up to the most. */
export const REST_MS = 1_000
export const MAX_REST_MS = 60_000
/** After so long without another loss it begins anew. */
const FORGIVEN_MS = 2 * MAX_REST_MS
const MAX_RESTING = 4_096

interface Rest {
  readonly until: number
  readonly ms: number
}

/**
 * Workers that lost, or gave back, what they had: others are preferred to them for a while, so that one that comes and goes
 * does not use up the losses that a task may have. Where nobody else takes the type they are given it all the same. State:
 * until when each rests (bounded, the oldest goes).
 */
export class WorkerRests {
  readonly #rests = new Map<string, Rest>()

  /** It lost what it had, or gave it back; while it rests that is no news. @param nowMs monotonic */
  note(peer: string, nowMs: number): void {
    const before = this.#rests.get(peer)
    if (before !== undefined && nowMs < before.until) return
    const isForgiven = before === undefined || nowMs - before.until > FORGIVEN_MS
    const ms = isForgiven ? REST_MS : Math.min(MAX_REST_MS, 2 * before.ms)
    this.#rests.delete(peer)
    this.#rests.set(peer, { until: nowMs + ms, ms })
    const [oldest] = this.#rests.keys()
    if (this.#rests.size > MAX_RESTING && oldest !== undefined) this.#rests.delete(oldest)
  }

  isResting(peer: string, nowMs: number): boolean {
    const rest = this.#rests.get(peer)
    return rest !== undefined && nowMs < rest.until
  }
}

export class WorkerTable {
  readonly #workers = new Map<string, BoardWorker>()
  readonly #byType = new Map<string, Set<BoardWorker>>()
  readonly #rests = new WorkerRests()
  /** When it was looked at last. */
  #nowMs = 0

  get(peer: string): BoardWorker | undefined {
    return this.#workers.get(peer)
  }

  all(): IterableIterator<BoardWorker> {
    return this.#workers.values()
  }

  /** @param nowMs monotonic @returns whether its registration is another one than before, or it is gone */
  set(peer: string, record: WorkerRecord | undefined, nowMs: number): boolean {
    const before = this.#workers.get(peer)
    if (before !== undefined && before.total > 0 && before.record.registration !== record?.registration)
      this.#rests.note(peer, nowMs)
    if (record === undefined) {
      this.#unlist(before)
      this.#workers.delete(peer)
      return before !== undefined
    }
    const isAnother = before?.record.registration !== record.registration
    this.#unlist(before)
    const worker: BoardWorker = before ?? {
      ...{ peer, record, renewedAt: nowMs, running: new Map(), total: 0, presence: 'there' },
    }
    worker.record = record
    worker.renewedAt = nowMs
    this.#workers.set(peer, worker)
    for (const { type } of record.offers) {
      const listed = this.#byType.get(type) ?? new Set()
      this.#byType.set(type, listed)
      listed.add(worker)
    }
    return isAnother
  }

  setPresence(peer: string, presence: Liveness): void {
    const worker = this.#workers.get(peer)
    if (worker === undefined) return
    if (presence === 'gone' && worker.total > 0) this.#rests.note(peer, this.#nowMs)
    worker.presence = presence
  }

  /** A task changed: its worker may have given it back. */
  noteChange(before: TaskRecord, after: TaskRecord | undefined): void {
    if (before.worker !== undefined && isReturned(before, after)) this.#rests.note(before.worker, this.#nowMs)
  }

  /** From here on it is so late. @param nowMs monotonic */
  setTime(nowMs: number): void {
    this.#nowMs = nowMs
  }

  count(peer: string, type: string, by: 1 | -1): void {
    const worker = this.#workers.get(peer)
    if (worker === undefined) return
    worker.running.set(type, (worker.running.get(type) ?? 0) + by)
    worker.total += by
  }

  /** Whether anybody takes tasks of this type and version, busy or not. */
  offers(type: string, version: string | undefined): boolean {
    for (const worker of this.#byType.get(type) ?? [])
      if (worker.presence !== 'gone' && this.#slots(worker, type, version) > 0) return true
    return false
  }

  /** Whether this one does. */
  offersAt(peer: string, type: string, version: string | undefined): boolean {
    const worker = this.#workers.get(peer)
    return worker !== undefined && worker.presence !== 'gone' && this.#slots(worker, type, version) > 0
  }

  /** Whether anybody takes tasks of this type, of whatever version. */
  offersType(type: string): boolean {
    for (const { presence } of this.#byType.get(type) ?? []) if (presence !== 'gone') return true
    return false
  }

  /** Those that take it, busy or not. */
  takers(type: string, version: string | undefined): BoardWorker[] {
    return [...(this.#byType.get(type) ?? [])].filter((worker) => this.#takes(worker, type, version))
  }

  /** Those that rest only where nobody else takes it. */
  #rested(type: string, version: string | undefined): BoardWorker[] {
    const takers = this.takers(type, version)
    const rested = takers.filter(({ peer }) => !this.#rests.isResting(peer, this.#nowMs))
    return rested.length > 0 ? rested : takers
  }

  /** The one with most room for it; undefined where all are busy. */
  choose(type: string, version: string | undefined): BoardWorker | undefined {
    return this.#leastBusy(this.#rested(type, version), type, version)
  }

  /** Peer ids of those that have room for it; those that rest only where nobody else takes it. */
  *free(type: string, version: string | undefined): Generator<string> {
    const isResting = ({ peer }: BoardWorker): boolean => this.#rests.isResting(peer, this.#nowMs)
    let hasRested = false
    const resting: string[] = []
    for (const worker of this.#byType.get(type) ?? []) {
      if (!this.#takes(worker, type, version)) continue
      const hasRoom = this.#hasRoom(worker, type, version)
      if (isResting(worker)) {
        if (hasRoom) resting.push(worker.peer)
        continue
      }
      hasRested = true
      if (hasRoom) yield worker.peer
    }
    if (!hasRested) yield* resting
  }

  hasRoom(peer: string, type: string, version: string | undefined): boolean {
    const worker = this.#workers.get(peer)
    return worker !== undefined && this.#takes(worker, type, version) && this.#hasRoom(worker, type, version)
  }

  #hasRoom(worker: BoardWorker, type: string, version: string | undefined): boolean {
    return (worker.running.get(type) ?? 0) < this.#slots(worker, type, version)
  }

  #takes(worker: BoardWorker, type: string, version: string | undefined): boolean {
    return worker.presence === 'there' && worker.record.draining !== true && this.#slots(worker, type, version) > 0
  }

  #leastBusy(workers: readonly BoardWorker[], type: string, version: string | undefined): BoardWorker | undefined {
    let best: BoardWorker | undefined
    let bestLoad = 1
    for (const worker of workers) {
      const load = (worker.running.get(type) ?? 0) / this.#slots(worker, type, version)
      const isBetter = load < bestLoad || (load === bestLoad && best !== undefined && worker.total < best.total)
      if (isBetter) {
        best = worker
        bestLoad = load
      }
    }
    return best
  }

  /** Those whose lease is over. */
  expired(nowMs: number): BoardWorker[] {
    return [...this.#workers.values()].filter(({ renewedAt }) => nowMs - renewedAt > LEASE_MS + LEASE_MARGIN_MS)
  }

  /** Of one that does not take it 0: a load without end. */
  #slots({ record }: BoardWorker, type: string, version: string | undefined): number {
    const offer = record.offers.find((one) => one.type === type)
    if (offer === undefined) return 0
    return version === undefined || offer.versions?.includes(version) === true ? offer.slots : 0
  }

  #unlist(worker: BoardWorker | undefined): void {
    for (const { type } of worker?.record.offers ?? []) {
      const listed = this.#byType.get(type)
      listed?.delete(worker as BoardWorker)
      if (listed?.size === 0) this.#byType.delete(type)
    }
  }
}
