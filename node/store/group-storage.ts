/** Raft's log and snapshots in one folder, as the driver of a group sees them. Keeps no state of its own. */
import type { GroupStorage } from '../../protocols/consensus/storage.ts'
import type { Port } from '../../protocols/port.ts'
import type { Disk } from './disk.ts'
import { type LogStore, type LogStoreCounts, openLogStore } from './log-store.ts'
import { createSnapshotStore } from './snapshots.ts'

export interface OpenGroupStorage {
  readonly storage: GroupStorage
  /** Of what is on the disk, hexadecimal: another disk has another one. */
  readonly storageId: string
  counts(): LogStoreCounts
  close(): Promise<void>
}

/** @throws as openLogStore does */
export const openGroupStorage = async (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  timers?: Pick<Port['timers'], 'after'>,
): Promise<OpenGroupStorage> => {
  const log: LogStore = await openLogStore(disk, { random, ...(timers && { timers }) })
  const snapshots = createSnapshotStore(disk, random)
  return {
    storage: {
      opened: log.opened,
      write: log.write,
      saveSnapshot: snapshots.save,
      readSnapshot: snapshots.read,
      keepOnly: snapshots.keepOnly,
    },
    storageId: log.storageId,
    counts: log.counts,
    close: log.close,
  }
}
