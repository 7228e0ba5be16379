/** A member of a group of words, or of anything else, over any Port, with its store on any disk. */
import type { Disk } from '../../node/store/disk.ts'
import { openLogStore } from '../../node/store/log-store.ts'
import { createSnapshotStore } from '../../node/store/snapshots.ts'
import { startGroup } from '../../protocols/consensus/group.ts'
import type { Group, GroupDeps, GroupOptions, StateMachine } from '../../protocols/consensus/group-api.ts'
import { createWords } from './words.ts'

/** The member at a peer, with the first store that it has unless told. */
export const memberAt = (peer: string, storage = '00'): string => `${peer}.${storage}`

export interface StoredGroup {
  readonly group: Group
  readonly words: string[]
  /** Ends it and closes its files. */
  close(): Promise<void>
}

/** @param founders peer ids */
export const startStoredGroup = async (
  port: GroupDeps['port'],
  disk: Disk,
  founders: readonly string[] | undefined,
  options: Omit<GroupOptions, 'group' | 'self' | 'founders'> & {
    segmentBytes?: number
    onFailure?: (error: unknown) => void
    /** Of this member; a disk that was lost is followed by another one. */
    storage?: string
    /** Words unless told. */
    machine?: StateMachine
    proven?: GroupDeps['proven']
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
  const group = await startGroup(
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
        keepOnly: snapshots.keepOnly,
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
