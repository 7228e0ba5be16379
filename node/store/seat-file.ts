/**
 * That a node gave its seat up, on disk: a file that is there or not. What is in it is for people; whoever finds it there,
 * whole or not, offers no seat. It appears by a rename and is synced with its folder. Keeps no state.
 */
import type { SeatKeeping } from '../../protocols/coordinator/standing.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { isFullDisk, systemCode } from '../private-file.ts'
import { type Disk, replaceFile } from './disk.ts'
import { refuse } from './segments.ts'

export const SEAT_FILE = 'seat-given-up'
const TEXT = 'This node gave its seat up with parley leave and offers none; parley leave --undo takes that back.\n'

/** @throws STA003 with `details.reason` `disk-full` or `disk-failed` */
export const openSeatFile = async (disk: Disk): Promise<SeatKeeping> => ({
  isGivenUp: (await disk.list()).includes(SEAT_FILE),
  async keep(isGivenUp) {
    try {
      if (isGivenUp) return await replaceFile(disk, SEAT_FILE, TEXT)
      await disk.remove(SEAT_FILE)
      await disk.syncNames()
    } catch (error) {
      const code = systemCode(error)
      if (isParleyError(error) || code === undefined) throw error
      const isFull = isFullDisk(error)
      const hint = isFull ? 'make room on the disk, then again' : 'see whether the disk is well'
      throw refuse(isFull ? 'disk-full' : 'disk-failed', `${SEAT_FILE} could not be written: ${code}`, hint, error)
    }
  },
})
