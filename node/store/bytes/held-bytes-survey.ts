/** What is held for tasks, looked at and repaired while the node does not run. Keeps no state. */
import type { ParleyError } from '../../../protocols/errors.ts'
import type { Disk } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { isHeldFile, isWhole } from './held-bytes-file.ts'

/** Files that errors name. */
const MOST_NAMED = 16

export interface HeldBytesSurvey {
  readonly values: number
  /** Of all files. */
  readonly bytes: number
  /** Names of files. */
  readonly damaged: readonly string[]
  readonly problems: readonly ParleyError[]
}

const damagedError = (names: readonly string[]): ParleyError => {
  const shown = names.slice(0, MOST_NAMED).join(', ')
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''
  return storeError(
    'damaged',
    `large values of tasks are damaged: ${shown}${more}`,
    'parley store repair puts them aside; other nodes hold them too, and give them back',
  )
}

/** Reads all of it, and changes nothing. @throws what the disk says */
export const surveyHeldBytes = async (disk: Disk): Promise<HeldBytesSurvey> => {
  const names = (await disk.list()).filter(isHeldFile).sort()
  const damaged: string[] = []
  let bytes = 0
  for (const name of names) {
    const file = await disk.open(name)
    try {
      bytes += await file.size()
    } finally {
      await file.close()
    }
    if (!(await isWhole(disk, name))) damaged.push(name)
  }
  return { values: names.length, bytes, damaged, problems: damaged.length === 0 ? [] : [damagedError(damaged)] }
}

/** @returns names that damaged files have by now; what it was before @throws what the disk says */
export const repairHeldBytes = async (disk: Disk): Promise<{ aside: string[]; before: HeldBytesSurvey }> => {
  const before = await surveyHeldBytes(disk)
  const aside: string[] = []
  for (const name of before.damaged) {
    const other = `${name}.damaged`
    await disk.rename(name, other)
    aside.push(other)
  }
  if (aside.length > 0) await disk.syncNames()
  return { aside, before }
}
