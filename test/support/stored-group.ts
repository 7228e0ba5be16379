/** A member of a group of words, or of anything else, over any Port, with its store on any disk. */
import type { Disk } from '../../node/store/files/disk.ts'
import { createSnapshotStore } from '../../node/store/journal/snapshot-files.ts'
import { openLogStore } from '../../node/store/log/log-store.ts'
import { startRaftGroup } from '../../protocols/consensus/group/group.ts'
import type {
  RaftGroup,
  RaftGroupDeps,
  RaftGroupOptions,
  StateMachine,
} from '../../protocols/consensus/group/group-api.ts'
import { createWords } from './words.ts'

/** The member at a peer, with the first store that it has unless told. */
export const memberAt = (peer: string, storage = '00'): string => `${peer}.${storage}`

export interface StoredGroup {
  readonly group: RaftGroup
  readonly words: string[]
  /** Ends it and closes its files. */
  close(): Promise<void>
}

/** @param founders peer ids */
export const startStoredGroup = async (
  port: RaftGroupDeps['port'],
  disk: Disk,
  founders: readonly string[] | undefined,
  options: Omit<RaftGroupOptions, 'group' | 'self' | 'founders'> & {
    segmentBytes?: number
    onFailure?: (error: unknown) => void
    /** Of this member; a disk that was lost is followed by another one. */
    storage?: string
    /** Words unless told. */
    machine?: StateMachine
    proven?: RaftGroupDeps['proven']
  } = {},
): Promise<StoredGroup> => {
  const { segmentBytes, onFailure, storage, machine, proven, ...rest } = options
  const random = (bytes: number): Uint8Array => port.random(bytes)
  const log = await openLogStore(disk, {
    random,
    timers: port.timers,
    ...(segmentBytes !== undefined && { segmentBytes }),
  })
  const snapshots = createSnapshotStore(disk, random)
  const words = createWords()
  const group = await startRaftGroup(
    {
      port,
      machine: machine ?? words,
      proven,
      ...(onFailure !== undefined && { onFailure }),
      storage: {
        opened: log.opened,
        write: log.write,
        saveSnapshot: snapshots.save,
        readSnapshot: snapshots.read,
        removeSnapshotsExcept: snapshots.keepOnly,
      },
    },
    {
      group: 'test',
      self: memberAt(port.self.id, storage),
      ...(founders !== undefined && { founders: { voters: founders.map((peer) => memberAt(peer)), learners: [] } }),
      ...rest,
    },
  )
  return {
    group,
    words: words.words,
    async close() {
      await group.stop()
      await log.close()
    },
  }
}
