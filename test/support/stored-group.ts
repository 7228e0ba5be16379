/** A member of a group of words over any Port, with its store on any disk. */
import type { Disk } from '../../node/store/disk.ts'
import { openLogStore } from '../../node/store/log-store.ts'
import { createSnapshotStore } from '../../node/store/snapshots.ts'
import { startGroup } from '../../protocols/consensus/group.ts'
import type { Group, GroupDeps, GroupOptions } from '../../protocols/consensus/group-api.ts'
import { createWords } from './words.ts'

/** The member at a peer: its store is the only one that it will have. */
export const memberAt = (peer: string): string => `${peer}.00`

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
  } = {},
): Promise<StoredGroup> => {
  const { segmentBytes, onFailure, ...rest } = options
  const random = (bytes: number): Uint8Array => port.random(bytes)
  const log = await openLogStore(disk, { random, ...(segmentBytes !== undefined && { segmentBytes }) })
  const snapshots = createSnapshotStore(disk, random)
  const machine = createWords()
  const group = await startGroup(
    {
      port,
      machine,
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
      self: memberAt(port.self.id),
      ...(founders !== undefined && { founders: { voters: founders.map(memberAt), learners: [] } }),
      ...rest,
    },
  )
  return {
    group,
    words: machine.words,
    async close() {
      await group.stop()
      await log.close()
    },
  }
}
