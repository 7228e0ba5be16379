/** Large values of tasks on a node: its disk, its bound for all that it keeps, what others hold. Keeps no state. */
import { join } from 'node:path'
import type { Quota } from '../../protocols/limits/quota.ts'
import { TaskBytes, type TaskBytesDeps } from '../../protocols/task/bytes/task-bytes.ts'
import { HeldBytesStore } from '../store/bytes/held-bytes-store.ts'
import { lookIntoFolder, openFolder } from '../store/files/disk.ts'
import { BYTES_FOLDER } from '../store/known-stores.ts'

export interface NodeBytesDeps extends Omit<TaskBytesDeps, 'openStore' | 'room'> {
  readonly quota: Quota
  readonly dataDir: string | undefined
}

/** Values that were held before are looked after soon; that none of them can be read keeps no node from starting. */
export const createTaskBytes = async ({ quota, dataDir, ...deps }: NodeBytesDeps): Promise<TaskBytes> => {
  const folder = dataDir === undefined ? undefined : join(dataDir, BYTES_FOLDER)
  const openStore = async (): Promise<HeldBytesStore> => HeldBytesStore.open(await openFolder(folder ?? ''))
  const bytes = new TaskBytes({
    ...deps,
    openStore: folder === undefined ? undefined : openStore,
    room: {
      fits: (size) => quota.fits(size),
      recordGrowth: (size) => quota.recordGrowth(size),
      freeBytes() {
        const { maxBytes, bytes: used } = quota.figures()
        return Math.max(0, maxBytes - used)
      },
    },
  })
  if (folder !== undefined && (await lookIntoFolder(folder).list()).length > 0)
    bytes
      .begin()
      .catch((error: unknown) => deps.port.log.error('what this node holds for tasks cannot be read', { error }))
  return bytes
}
