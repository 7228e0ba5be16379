/**
 * Some room that a data directory keeps for the time when its disk is full: a file that means nothing, given up for the few
 * small files that a start has to write (the lock, the incarnation). Without it a node could not even start to be read, or
 * to say that its disk is full.
 *
 * State: the file `reserve`, made by a start that finds room, and whether this start gave it up.
 */
import type { Log } from '../../../protocols/port.ts'
import { ensurePrivateDirectory, isFullDisk } from '../../platform/private-file.ts'
import { openFolder, replaceFile } from './disk.ts'

export const RESERVE_FILE = 'reserve'
const RESERVE_BYTES = 256 * 1024

/** Whether it says that there is no room, or was caused by that. */
export const isDiskFull = (error: unknown): boolean => {
  if (isFullDisk(error)) return true
  return error instanceof Error && error.cause !== undefined && isDiskFull(error.cause)
}

export interface DiskReserve {
  /** Runs it, and where the disk has no room gives the reserve up and runs it once more. @throws what it throws */
  within<T>(run: () => Promise<T>): Promise<T>
  /** Makes it where there is none, unless it was just given up. Without room there is none. */
  keep(): Promise<void>
}

export const createDiskReserve = (dataDir: string, log: Pick<Log, 'error'>): DiskReserve => {
  let isGivenUp = false
  const giveUp = async (): Promise<boolean> => {
    const disk = await openFolder(dataDir)
    const isThere = (await disk.list()).includes(RESERVE_FILE)
    if (isThere) {
      await disk.remove(RESERVE_FILE)
      log.error(`the disk is full; ${RESERVE_FILE} was given up so that this node can start`, {
        dataDir,
        hint: 'make room: what it writes next may find none, and a next start neither',
      })
    }
    isGivenUp ||= isThere
    return isThere
  }
  return {
    async within(run) {
      try {
        return await run()
      } catch (error) {
        if (!isDiskFull(error) || !(await giveUp())) throw error
        return run()
      }
    },
    async keep() {
      if (isGivenUp) return
      await ensurePrivateDirectory(dataDir)
      const disk = await openFolder(dataDir)
      if ((await disk.list()).includes(RESERVE_FILE)) return
      try {
        await replaceFile(disk, RESERVE_FILE, new Uint8Array(RESERVE_BYTES).fill(1))
      } catch {
        await disk.remove(`${RESERVE_FILE}.part`).catch(() => {})
      }
    },
  }
}
