/**
 * That a node gave its seat up, on disk: a file that is there or not. What is in it is for people; whoever finds it there,
 * whole or not, offers no seat. It appears by a rename and is synced with its folder.
 */
import type { WithdrawalStore } from '../../../protocols/coordinator/candidacy-intent.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { isFullDisk, systemCode } from '../../platform/private-file.ts'
import { type Disk, replaceFile } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'

export const WITHDRAWAL_FILE = 'seat-given-up'
const TEXT = 'This node gave its seat up with parley leave and offers none; parley leave --undo takes that back.\n'

/** @throws STA003 with `details.reason` `disk-full` or `disk-failed` */
export const openMemberWithdrawal = async (disk: Disk): Promise<WithdrawalStore> => ({
  isWithdrawn: (await disk.list()).includes(WITHDRAWAL_FILE),
  async save(isGivenUp) {
    try {
      if (isGivenUp) return await replaceFile(disk, WITHDRAWAL_FILE, TEXT)
      await disk.remove(WITHDRAWAL_FILE)
      await disk.syncNames()
    } catch (error) {
      const code = systemCode(error)
      if (isParleyError(error) || code === undefined) throw error
      const isFull = isFullDisk(error)
      const hint = isFull ? 'make room on the disk, then again' : 'see whether the disk is well'
      throw storeError(
        isFull ? 'disk-full' : 'disk-failed',
        `${WITHDRAWAL_FILE} could not be written: ${code}`,
        hint,
        error,
      )
    }
  },
})
