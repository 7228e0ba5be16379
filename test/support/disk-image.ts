/** What lies on a disk at one time, to be damaged, looked at and put back; and timers that a test lets run out. Keeps no state. */
import type { Disk } from '../../node/store/files/disk.ts'
import { createFaultyDisk, type FaultyDisk } from '../../node/testing/virtual/faulty-disk.ts'

/** Timers that run out when the test says so. */
export const createTimers = () => {
  const due = new Set<() => void>()
  return {
    after(_ms: number, fn: () => void) {
      due.add(fn)
      return () => void due.delete(fn)
    },
    runOut() {
      const now = [...due]
      due.clear()
      for (const fn of now) fn()
    },
  }
}

export type Image = Map<string, Uint8Array>
export const imageOf = async (disk: Disk): Promise<Image> => {
  const image: Image = new Map()
  for (const name of await disk.list()) image.set(name, await disk.read(name))
  return image
}
/** Enough of a disk to be looked at. */
export const readable = (image: Image): Disk => {
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = image.get(name)
    if (bytes === undefined) throw Object.assign(new Error(`no ${name}`), { code: 'ENOENT' })
    return bytes
  }
  // Only what reading a log asks for.
  return { list: async () => [...image.keys()], read } as Partial<Disk> as Disk
}
export const diskOf = async (image: Image): Promise<FaultyDisk> => {
  const disk = createFaultyDisk()
  for (const [name, bytes] of image) {
    const file = await disk.create(name)
    await file.write(bytes, 0)
    await file.sync()
  }
  await disk.syncNames()
  return disk
}
