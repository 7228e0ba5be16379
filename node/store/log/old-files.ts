/**
 * Removes files of a log that are not needed any more, little by little: a file system that gives many megabytes back at once
 * has whoever syncs next wait for it (8 ms measured for 32 MiB on ext4).
 *
 * A file is renamed first, and is none of the log from then on. What a crash leaves of it is removed by the next opening.
 * State: the files that are being removed.
 */
import type { Port } from '../../../protocols/port.ts'
import type { Disk } from '../files/disk.ts'

const OLD = '.old'
/** Given back at a time. */
const STEP_BYTES = 2 * 1024 * 1024
const STEP_MS = 10

export interface OldFiles {
  /** Resolves once the file is none of the log, also after a power cut. @throws what the disk says */
  remove(name: string, bytes: number): Promise<void>
  /** Removes what is left at once, as far as the disk lets it. */
  close(): Promise<void>
}

/** What a crash left. @throws what the disk says */
export const removeOldFiles = async (disk: Disk): Promise<void> => {
  for (const name of await disk.list()) if (name.endsWith(`.log${OLD}`)) await disk.remove(name)
}

/** @param timers without them files are removed at once */
export const createOldFiles = (disk: Disk, timers: Pick<Port['timers'], 'after'> | undefined): OldFiles => {
  const leaving = new Set<Promise<void>>()
  const wake = new Set<() => void>()
  let isClosed = false

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const stop = timers?.after(STEP_MS, () => end())
      const end = (): void => {
        stop?.()
        wake.delete(end)
        resolve()
      }
      wake.add(end)
    })

  const shrink = async (name: string, bytes: number): Promise<void> => {
    const file = await disk.open(name)
    try {
      for (let size = bytes - STEP_BYTES; size > 0 && !isClosed; size -= STEP_BYTES) {
        await file.truncate(size)
        await pause()
      }
    } finally {
      await file.close()
    }
  }

  return {
    async remove(name, bytes) {
      if (timers === undefined || bytes <= STEP_BYTES || isClosed) {
        await disk.remove(name)
        return disk.syncNames()
      }
      const old = `${name}${OLD}`
      await disk.rename(name, old)
      await disk.syncNames()
      const done = shrink(old, bytes)
        .catch(() => {})
        .then(() => disk.remove(old))
        .catch(() => {})
      leaving.add(done)
      void done.then(() => leaving.delete(done))
    },
    async close() {
      isClosed = true
      for (const end of [...wake]) end()
      await Promise.all(leaving)
    },
  }
}
