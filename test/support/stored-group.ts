/** A member of a group of words, or of anything else, over any Port, with its store on any disk. */
import type { Disk } from '../../node/store/files/disk.ts'
import { openGroupStorage } from '../../node/store/journal/disk-group-storage.ts'
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
  const store = await openGroupStorage(disk, random, {
    port,
    roomBytes: 0,
    ...(segmentBytes !== undefined && { segmentBytes }),
  })
  const words = createWords()
  const group = await startRaftGroup(
    {
      port,
      machine: machine ?? words,
      proven,
      ...(onFailure !== undefined && { onFailure }),
      storage: store.storage,
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
      await store.close()
    },
  }
}
