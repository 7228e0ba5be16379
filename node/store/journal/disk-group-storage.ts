/**
 * Raft's log and snapshots in one folder, as the driver of a group sees them. The snapshot that the log begins with is read
 * when they are opened, so that a damaged one is found before anything rests on the log. State: that snapshot, until it is
 * asked for.
 */
import type { GroupStorage } from '../../../protocols/consensus/group/group-storage.ts'
import type { Port } from '../../../protocols/port.ts'
import type { Disk } from '../files/disk.ts'
import { type LogStore, type LogStoreCounts, openLogStore } from '../log/log-store.ts'
import { createSnapshotStore } from './snapshot-files.ts'

/** Behind the last record of a running node: a sync within a file takes about two thirds of one that lengthens it. */
const ROOM_BYTES = 256 * 1024

export interface OpenGroupStorage {
  readonly storage: GroupStorage
  /** Of what is on the disk, hexadecimal: another disk has another one. */
  readonly storageId: string
  counts(): LogStoreCounts
  close(): Promise<void>
}

/** @throws as openLogStore does; STA003 `damaged` for a snapshot that is not whole */
export const openGroupStorage = async (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  timers?: Pick<Port['timers'], 'after'>,
): Promise<OpenGroupStorage> => {
  const log: LogStore = await openLogStore(disk, { random, ...(timers && { timers, roomBytes: ROOM_BYTES }) })
  const snapshots = createSnapshotStore(disk, random)
  const base = log.opened.snapshot
  let first: ReturnType<typeof snapshots.read> | undefined
  if (base !== undefined) {
    first = snapshots.read(base)
    try {
      await first
    } catch (error) {
      await log.close()
      throw error
    }
  }
  return {
    storage: {
      opened: log.opened,
      write: log.write,
      saveSnapshot: snapshots.save,
      readSnapshot(meta) {
        const isFirst = meta.index === base?.index && meta.term === base.term
        const read = (isFirst ? first : undefined) ?? snapshots.read(meta)
        first = undefined
        return read
      },
      removeSnapshotsExcept: snapshots.keepOnly,
    },
    storageId: log.storageId,
    counts: log.counts,
    close: log.close,
  }
}
