/**
 * A member's snapshots: its own, taken once the log has grown, and those that a leader offers, fetched from it.
 *
 * One that was saved counts once the log says so: the driver writes that between two steps (`compact`), or as part of what
 * the core asks for. Until then it is kept beside the one that counts.
 * State: the one that the state machine's changes are on top of, the one that is being saved, the one that waits to be
 * written down, the one that came and was not taken yet, the bytes of entries since, when one was read last.
 */
import { ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { raftProtocol } from '../contract.ts'
import { peerOf } from '../member-id.ts'
import type { Raft, RaftInput } from '../raft/raft.ts'
import type { RaftMessage, SnapshotMeta } from '../raft/raft-messages.ts'
import type { StateMachine } from './group-api.ts'
import type { GroupStorage, LogChange, SnapshotAt } from './group-storage.ts'

/** What a leader may send: no voter fills this disk. */
const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024 * 1024
/** Of entries, or what they came to, after which one is taken: what has changed since the last one is in memory. */
const EVERY_BYTES = 16 * 1024 * 1024
/**
 * While somebody reads one, and for a while after, its entries stay in the log, so that whoever got it goes on from there; up
 * to this much.
 */
const WAITING_BYTES = 4 * EVERY_BYTES
/** Of entries that are in no snapshot: a leader takes no more until the disk has caught up, since they are all in memory. */
const BEHIND_BYTES = 8 * EVERY_BYTES
const BEHIND_MS = 500
const READ_LATELY_MS = 10_000

type Offer = Extract<RaftMessage, { type: 'snapshot' }>

export interface SnapshottingDeps {
  readonly port: Pick<Port, 'clock' | 'log' | 'to'>
  readonly storage: GroupStorage
  readonly machine: StateMachine
  readonly raft: Raft
  readonly group: string
  /** This member's id. */
  readonly self: string
  /** Entries after which one is taken. */
  readonly everyEntries: number
  /** What the state machine was restored from. */
  readonly restedOn: SnapshotMeta | undefined
  applied(): number
  /** @returns whether the core will see it */
  enqueue(input: RaftInput): boolean
  wake(): void
  /** @returns false where this member stopped before it could be written */
  persist(change: LogChange): Promise<boolean>
  /** One of its own counts. */
  onTaken(): void
}

export class Snapshotting {
  readonly #deps: SnapshottingDeps
  /** Saved, and counts once the log says so. */
  #compactTo: SnapshotMeta | undefined
  /** Came from a leader, and was not taken yet. */
  #incoming: SnapshotMeta | undefined
  #isFetching = false
  #isSaving = false
  #on: SnapshotAt | undefined
  /** Times that the state machine was restored: what was saved of it before does not count. */
  #restored = 0
  /** Of the entries that are applied and in no snapshot. */
  #bytes = 0
  #readers = 0
  #readAt = Number.NEGATIVE_INFINITY
  readonly #ended = new AbortController()

  constructor(deps: SnapshottingDeps) {
    this.#deps = deps
    this.#on = deps.restedOn
  }

  /** Takes one where it is time, beside all else. */
  saveLater(): void {
    if (this.#isSaving || !this.#isTime()) return
    const { raft } = this.#deps
    const applied = this.#deps.applied()
    const term = raft.termAt(applied)
    if (term === undefined) return
    this.#isSaving = true
    void this.#save({ index: applied, term, configuration: raft.configurationAt(applied) })
  }

  #isTime(): boolean {
    const { raft, port, everyEntries, applied } = this.#deps
    if (applied() - raft.status().baseIndex < everyEntries && this.#waiting() < EVERY_BYTES) return false
    const isReadLately = this.#readers > 0 || port.clock.monotonic() - this.#readAt < READ_LATELY_MS
    return !isReadLately || this.#waiting() >= WAITING_BYTES
  }

  /** Bytes that are in no snapshot: of the entries, or of what they came to. */
  #waiting(): number {
    return Math.max(this.#bytes, this.#deps.machine.changedBytes?.() ?? 0)
  }

  async #save(meta: SnapshotMeta): Promise<void> {
    const { machine, storage, port } = this.#deps
    const [bytes, restored] = [this.#bytes, this.#restored]
    const changes = machine.changes()
    try {
      await storage.saveSnapshot(meta, changes.rows, this.#on)
      if (this.#restored > restored) {
        changes.settle(undefined)
        this.#isSaving = false
        return
      }
      changes.settle(await storage.readSnapshot(meta))
      this.#on = meta
      this.#bytes -= bytes
      this.#compactTo = meta
      this.#deps.wake()
    } catch (error) {
      changes.settle(undefined)
      this.#isSaving = false
      // The log goes on growing until it works.
      port.log.warn('a snapshot of the coordinator group could not be taken', { error })
    }
  }

  /** Why nothing more is taken for now: too much is in no snapshot. */
  refusal(): ParleyError | undefined {
    if (this.#waiting() < BEHIND_BYTES) return undefined
    return new ParleyError('COM003', 'the disk has not caught up with what was decided', {
      hint: 'ask again a second later; where it stays so, the disk of the coordinator is too slow for what is decided',
      details: { reason: 'snapshot-behind', retryAfterMs: BEHIND_MS },
    })
  }

  /** One that was saved waits to be written down. */
  get isDue(): boolean {
    return this.#compactTo !== undefined
  }

  /** Writes it down, and forgets the entries that it holds. */
  async compact(): Promise<void> {
    const meta = this.#compactTo
    this.#compactTo = undefined
    if (meta === undefined) return
    this.#isSaving = false
    const { raft, persist, onTaken } = this.#deps
    if (meta.index <= raft.status().baseIndex || !(await persist({ base: { meta, keeps: true } }))) return
    raft.compact(meta.index)
    onTaken()
    await this.removeObsolete(meta)
  }

  /** Removes all that neither counts nor is about to. */
  removeObsolete(base: SnapshotMeta): Promise<void> {
    return this.#deps.storage.removeSnapshotsExcept(this.#incoming === undefined ? [base] : [base, this.#incoming])
  }

  /** The state machine was restored from this one. */
  onRestored(meta: SnapshotMeta): void {
    this.#on = meta
    this.#restored += 1
    this.#bytes = 0
  }

  /** An entry was applied. @param bytes of it */
  onApplied(bytes: number): void {
    this.#bytes += bytes
  }

  /** One of those that count, for another member. @throws STA003 `damaged` for one that is not there any more */
  async *read(at: SnapshotAt): AsyncGenerator<Uint8Array> {
    const { machine, storage, port } = this.#deps
    this.#readers += 1
    try {
      const saved = await storage.readSnapshot(at)
      try {
        yield* machine.encode(saved)
      } finally {
        saved.release()
      }
    } finally {
      this.#readers -= 1
      this.#readAt = port.clock.monotonic()
    }
  }

  /** Fetches what a leader offers, then lets the core see the message. */
  async receive(from: string, message: Offer): Promise<void> {
    // One at a time, until the core has seen it: tidying up must not remove one that waits for the core.
    if (this.#isFetching || this.#incoming !== undefined) return
    const { raft, storage, machine, port, group, self, enqueue } = this.#deps
    this.#isFetching = true
    const { meta } = message
    try {
      if (meta.index <= raft.status().commit) {
        enqueue({ type: 'message', from, message })
        return
      }
      this.#incoming = meta
      await storage.saveSnapshot(meta, machine.decode(this.#fetch(from, meta)))
      if (!enqueue({ type: 'message', from, message })) this.#incoming = undefined
    } catch (error) {
      this.#incoming = undefined
      if (this.#ended.signal.aborted) return
      port.log.warn('a snapshot of the coordinator group did not arrive', { peer: from, error })
      await port
        .to(peerOf(from), raftProtocol)
        .missed({ group, from: self })
        .catch(() => {})
    } finally {
      this.#isFetching = false
    }
  }

  /** Goes to the disk as it comes. */
  async *#fetch(from: string, { index, term }: SnapshotAt): AsyncGenerator<Uint8Array> {
    const { port, group } = this.#deps
    let size = 0
    const { signal } = this.#ended
    for await (const chunk of port.to(peerOf(from), raftProtocol).fetch({ group, index, term }, { signal })) {
      size += chunk.length
      if (size > MAX_SNAPSHOT_BYTES) throw new Error(`a snapshot above ${MAX_SNAPSHOT_BYTES} bytes`)
      yield chunk
    }
  }

  /** Nothing is fetched any more. */
  close(): void {
    this.#ended.abort(stateError('closed', 'this member has stopped', 'start it again'))
  }

  /** The core saw these. */
  onProcessed(inputs: readonly RaftInput[]): void {
    const incoming = this.#incoming
    // Taken or not: from here on nothing rests on it but the log.
    if (inputs.some((i) => i.type === 'message' && i.message.type === 'snapshot' && i.message.meta === incoming))
      this.#incoming = undefined
  }
}
