/**
 * Raft's log and snapshots in one folder, as the driver of a group sees them. The snapshot that the log begins with is looked
 * at when they are opened, so that a damaged one is found before anything rests on the log.
 */
import type { GroupStorage, SnapshotAt } from '../../../protocols/consensus/group/group-storage.ts'
import type { Port } from '../../../protocols/port.ts'
import { type Disk, replaceFile } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { type LogStore, type LogStoreCounts, openLogStore } from '../log/log-store.ts'
import { createPace } from '../rows/row-options.ts'
import { snapshotName } from './snapshot-files.ts'
import { SnapshotStore, type SnapshotStoreOptions } from './snapshot-store.ts'
import { surveySnapshots } from './snapshot-survey.ts'

/** Damage was found in a table. */
const DAMAGE_NOTE = 'damage'
/** Behind the last record of a running node: a sync within a file takes about two thirds of one that lengthens it. */
const ROOM_BYTES = 256 * 1024

export interface OpenGroupStorage {
  readonly storage: GroupStorage
  /** Of what is on the disk, hexadecimal: another disk has another one. */
  readonly storageId: string
  counts(): LogStoreCounts
  close(): Promise<void>
}

export interface GroupStorageOptions extends Pick<SnapshotStoreOptions, 'decode'> {
  /** Without it nothing is sealed before it is closed, and long work steps aside by the clock of the process. */
  readonly port?: Pick<Port, 'timers' | 'clock' | 'log'>
  readonly segmentBytes?: number
  /** Zeros behind the log; 256 KiB with a port unless told. */
  readonly roomBytes?: number
}

const noteDamage = async (disk: Disk, log: Pick<Port['log'], 'warn'> | undefined): Promise<void> => {
  try {
    await replaceFile(disk, DAMAGE_NOTE, '')
  } catch (error) {
    log?.warn('that a snapshot of the journal is damaged could not be noted', { error })
  }
}

/** Opening looks at the index of each table only; after damage was found while they were read, at all of them. */
const refuseNotedDamage = async (disk: Disk, base: SnapshotAt | undefined): Promise<void> => {
  if (!(await disk.list()).includes(DAMAGE_NOTE)) return
  const found = (await surveySnapshots(disk)).find(({ name }) => base !== undefined && name === snapshotName(base))
  if (found?.problem !== undefined)
    throw storeError('damaged', found.problem, 'parley store verify shows what is left, parley store repair keeps it')
  await disk.remove(DAMAGE_NOTE)
}

/** @throws STA003 `damaged` for a log or a snapshot that is not whole, `newer` */
export const openGroupStorage = async (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  options: GroupStorageOptions = {},
): Promise<OpenGroupStorage> => {
  const { port, segmentBytes, roomBytes = ROOM_BYTES, decode } = options
  const log: LogStore = await openLogStore(disk, {
    random,
    ...(port && { timers: port.timers, roomBytes }),
    ...(segmentBytes !== undefined && { segmentBytes }),
  })
  let snapshots: SnapshotStore
  try {
    const pace = createPace(port?.clock.monotonic)
    const onDamage = (what: string): void => {
      port?.log.error('a snapshot of the journal is damaged', {
        what,
        hint: 'stop the node, then run parley store verify',
      })
      void noteDamage(disk, port?.log)
    }
    await refuseNotedDamage(disk, log.opened.snapshot)
    snapshots = await SnapshotStore.open(disk, { random, log: port?.log, pace, decode, onDamage }, log.opened.snapshot)
  } catch (error) {
    await log.close()
    throw error
  }
  return {
    storage: {
      opened: log.opened,
      write: log.write,
      saveSnapshot: (meta, rows, on) => snapshots.save(meta, rows, on),
      readSnapshot: (at) => snapshots.read(at),
      removeSnapshotsExcept: (kept) => snapshots.keepOnly(kept),
    },
    storageId: log.storageId,
    counts: log.counts,
    async close() {
      await snapshots.close()
      await log.close()
    },
  }
}
