/** A disk whose syncs take a while of virtual time, in which its process may die and the power go. Keeps no state. */
import type { Disk, DiskFile } from '../../../../node/store/files/disk.ts'
import type { VirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'

/** Milliseconds, at most: of most syncs, and of a few. */
const QUICK_MS = 4
const SLOW_MS = 60
const SLOW_SHARE = 0.1

export const slowDisk = (disk: Disk, time: VirtualTime, random: () => number): Disk => {
  const wait = (): Promise<void> => {
    const mostMs = random() < SLOW_SHARE ? SLOW_MS : QUICK_MS
    return new Promise((resolve) => time.after(random() * mostMs, resolve))
  }
  const slowFile = (file: DiskFile): DiskFile => ({
    ...file,
    async sync() {
      await wait()
      await file.sync()
    },
  })
  return {
    ...disk,
    create: async (name) => slowFile(await disk.create(name)),
    open: async (name) => slowFile(await disk.open(name)),
    async syncNames() {
      await wait()
      await disk.syncNames()
    },
  }
}
