/**
 * The power goes at each operation of a store on its disk, one run for each: of what was not synced any part is left. Opened
 * again it has all that was answered, or that and the step that was under way, and nothing else; and it takes more.
 */
import type { Disk, DiskFile } from '../../../node/store/files/disk.ts'
import { createFaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { DiskFindings } from './flips.ts'
import type { KeptStore } from './kept-stores.ts'

const MAX_TOLD = 20
/** More than any run needs. */
const MAX_OPERATIONS = 5_000

/** Tells of each operation that changes the disk, before it is done. */
const watched = (disk: Disk, before: () => void): Disk => {
  const fileOf = (file: DiskFile): DiskFile => ({
    ...file,
    async write(bytes, at) {
      before()
      return file.write(bytes, at)
    },
    writeNow(bytes, at) {
      before()
      file.writeNow(bytes, at)
    },
    async truncate(size) {
      before()
      return file.truncate(size)
    },
    async sync() {
      before()
      return file.sync()
    },
  })
  return {
    ...disk,
    async create(name) {
      before()
      return fileOf(await disk.create(name))
    },
    open: async (name) => fileOf(await disk.open(name)),
    async rename(from, to) {
      before()
      return disk.rename(from, to)
    },
    async remove(name) {
      before()
      return disk.remove(name)
    },
    async syncNames() {
      before()
      return disk.syncNames()
    },
  }
}

/** @returns how many steps were answered when the power went, and whether it went */
const runUntil = async (
  store: KeptStore,
  disk: ReturnType<typeof createFaultyDisk>,
  cutAt: number,
  random: () => number,
): Promise<{ answered: number; isCut: boolean }> => {
  let [operations, answered, isCut] = [0, 0, false]
  const before = (): void => {
    operations += 1
    if (operations !== cutAt) return
    isCut = true
    disk.crash(random)
  }
  try {
    await store.run(watched(disk.mount(), before), (step) => {
      if (!isCut) answered = step
    })
  } catch (error) {
    if (!isCut) throw error
  }
  return { answered, isCut }
}

const judge = async (
  store: KeptStore,
  disk: ReturnType<typeof createFaultyDisk>,
  answered: number,
): Promise<string | undefined> => {
  try {
    const found = await store.read(disk.mount(), answered)
    disk.release()
    if (store.isBestEffort) return undefined
    const next = Math.min(answered + 1, store.steps)
    if (found !== store.state(answered) && found !== store.state(next)) return `holds ${found.slice(0, 200)}`
    const again = await store.read(disk.mount(), answered)
    disk.release()
    return again === found ? undefined : `holds something else when it is opened once more: ${again.slice(0, 200)}`
  } catch (error) {
    const isTold = store.isBestEffort && isParleyError(error, 'STA003')
    return isTold ? undefined : `${error}`
  }
}

/** @param tears that are tried at each operation */
export const cutPower = async (store: KeptStore, tears: number, seed: number): Promise<DiskFindings> => {
  const violations: string[] = []
  const counts = { operations: 0, cuts: 0 }
  for (let cutAt = 1; cutAt <= MAX_OPERATIONS; cutAt += 1) {
    let ended = false
    for (let tear = 0; tear < tears; tear += 1) {
      const disk = createFaultyDisk()
      const random = createRandom(seed + cutAt * 1_000 + tear)
      const { answered, isCut } = await runUntil(store, disk, cutAt, random)
      ended ||= !isCut
      if (!isCut) break
      counts.cuts += 1
      const wrong = await judge(store, disk, answered)
      if (wrong !== undefined && violations.length < MAX_TOLD)
        violations.push(`operation ${cutAt}, tear ${tear}, ${answered} steps answered: ${wrong}`)
    }
    if (ended) break
    counts.operations = cutAt
  }
  return { figures: counts, violations }
}
