/**
 * A member's snapshots: its own, taken once the log has grown, and those that a leader offers, fetched from it.
 *
 * One that was saved counts once the log says so: the driver writes that between two steps (`compact`), or as part of what
 * the core asks for. Until then it is kept beside the one that counts.
 * State: the one that the state machine's changes are on top of, the one that is being saved, the one that waits to be
 * written down, the one that came and was not taken yet, the bytes of entries since, when one was read last.
 */
import type { Port } from '../../port.ts'
import { raftProtocol } from '../contract.ts'
import { peerOf } from '../member-id.ts'
import type { Raft, RaftInput } from '../raft/raft.ts'
import type { RaftMessage, SnapshotMeta } from '../raft/raft-messages.ts'
import type { StateMachine } from './group-api.ts'
import type { GroupStorage, LogChange, SnapshotAt } from './group-storage.ts'

/** What a leader may send: no voter fills this disk. */
const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024 * 1024
/** Of entries, after which one is taken: what has changed since the last one is in memory. */
const EVERY_BYTES = 16 * 1024 * 1024
/**
 * While somebody reads one, and for a while after, its entries stay in the log, so that whoever got it goes on from there; up
 * to this much.
 */
const WAITING_BYTES = 4 * EVERY_BYTES
/** Of entries that are in no snapshot: a leader takes no more until the disk has caught up, since they are all in memory. */
const BEHIND_BYTES = 8 * EVERY_BYTES
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

export interface Snapshotting {
  /** Takes one where it is time, beside all else. */
  saveLater(): void
  /** So much is in no snapshot that nothing more is taken for now. */
  isBehind(): boolean
  /** One that was saved waits to be written down. */
  isDue(): boolean
  /** Writes it down, and forgets the entries that it holds. */
  compact(): Promise<void>
  /** Removes all that neither counts nor is about to. */
  removeObsolete(base: SnapshotMeta): Promise<void>
  /** The state machine was restored from this one. */
  onRestored(meta: SnapshotMeta): void
  /** An entry was applied. @param bytes of it */
  onApplied(bytes: number): void
  /** One of those that count, for another member. @throws STA003 `damaged` for one that is not there any more */
  read(at: SnapshotAt): AsyncIterable<Uint8Array>
  /** Fetches what a leader offers, then lets the core see the message. */
  receive(from: string, message: Offer): Promise<void>
  /** The core saw these. */
  onProcessed(inputs: readonly RaftInput[]): void
}

export const createSnapshotting = (deps: SnapshottingDeps): Snapshotting => {
  const { port, storage, machine, raft, group, self, enqueue } = deps
  /** Saved, and counts once the log says so. */
  let compactTo: SnapshotMeta | undefined
  /** Came from a leader, and was not taken yet. */
  let incoming: SnapshotMeta | undefined
  let fetching = false
  let saving = false
  let on: SnapshotAt | undefined = deps.restedOn
  /** Times that the state machine was restored: what was saved of it before does not count. */
  let restored = 0
  /** Of the entries that are applied and in no snapshot. */
  let bytes = 0
  let readers = 0
  let readAt = Number.NEGATIVE_INFINITY

  const save = async (meta: SnapshotMeta): Promise<void> => {
    const [before, then] = [bytes, restored]
    const changes = machine.changes()
    try {
      await storage.saveSnapshot(meta, changes.rows, on)
      if (restored > then) {
        saving = false
        return
      }
      changes.settle(await storage.readSnapshot(meta))
      on = meta
      bytes -= before
      compactTo = meta
      deps.wake()
    } catch (error) {
      if (restored === then) changes.settle(undefined)
      saving = false
      // The log goes on growing until it works.
      port.log.warn('a snapshot of the coordinator group could not be taken', { error })
    }
  }

  const isDue = (): boolean => {
    if (deps.applied() - raft.status().baseIndex < deps.everyEntries && bytes < EVERY_BYTES) return false
    const isReadLately = readers > 0 || port.clock.monotonic() - readAt < READ_LATELY_MS
    return !isReadLately || bytes >= WAITING_BYTES
  }

  const tidy = (base: SnapshotMeta): Promise<void> =>
    storage.removeSnapshotsExcept(incoming === undefined ? [base] : [base, incoming])

  /** Goes to the disk as it comes. */
  const fetch = async function* (from: string, { index, term }: SnapshotAt): AsyncGenerator<Uint8Array> {
    let size = 0
    for await (const chunk of port.to(peerOf(from), raftProtocol).fetch({ group, index, term })) {
      size += chunk.length
      if (size > MAX_SNAPSHOT_BYTES) throw new Error(`a snapshot above ${MAX_SNAPSHOT_BYTES} bytes`)
      yield chunk
    }
  }

  return {
    saveLater() {
      if (saving || !isDue()) return
      const applied = deps.applied()
      const term = raft.termAt(applied)
      if (term === undefined) return
      saving = true
      void save({ index: applied, term, configuration: raft.configurationAt(applied) })
    },
    isBehind: () => bytes >= BEHIND_BYTES,
    isDue: () => compactTo !== undefined,
    async compact() {
      const meta = compactTo
      compactTo = undefined
      if (meta === undefined) return
      saving = false
      if (meta.index <= raft.status().baseIndex || !(await deps.persist({ base: { meta, keeps: true } }))) return
      raft.compact(meta.index)
      deps.onTaken()
      await tidy(meta)
    },
    removeObsolete: tidy,
    onRestored(meta) {
      on = meta
      restored += 1
      bytes = 0
    },
    onApplied(more) {
      bytes += more
    },
    async *read(at) {
      readers += 1
      try {
        const saved = await storage.readSnapshot(at)
        try {
          yield* machine.encode(saved)
        } finally {
          saved.release()
        }
      } finally {
        readers -= 1
        readAt = port.clock.monotonic()
      }
    },
    async receive(from, message) {
      // One at a time, until the core has seen it: tidying up must not remove one that waits for the core.
      if (fetching || incoming !== undefined) return
      fetching = true
      const { meta } = message
      try {
        if (meta.index <= raft.status().commit) {
          enqueue({ type: 'message', from, message })
          return
        }
        incoming = meta
        await storage.saveSnapshot(meta, machine.decode(fetch(from, meta)))
        if (!enqueue({ type: 'message', from, message })) incoming = undefined
      } catch (error) {
        incoming = undefined
        port.log.warn('a snapshot of the coordinator group did not arrive', { peer: from, error })
        await port
          .to(peerOf(from), raftProtocol)
          .missed({ group, from: self })
          .catch(() => {})
      } finally {
        fetching = false
      }
    },
    onProcessed(inputs) {
      // Taken or not: from here on nothing rests on it but the log.
      if (inputs.some((i) => i.type === 'message' && i.message.type === 'snapshot' && i.message.meta === incoming))
        incoming = undefined
    },
  }
}
