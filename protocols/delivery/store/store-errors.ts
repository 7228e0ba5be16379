/** Why nothing can be kept at the moment, or at all. */
import { ParleyError } from '../../errors.ts'
import type { RowStoreState } from './row-storage.ts'

export const storeUnavailable = (state: RowStoreState): ParleyError =>
  state === 'full'
    ? new ParleyError('STA003', 'the disk of this node has no room for messages', {
        hint: 'make room on the disk; the node goes on by itself then',
        details: { reason: 'disk-full' },
      })
    : new ParleyError('STA003', 'the disk of this node takes nothing at the moment', {
        hint: 'see the log, and whether the disk is well; the node goes on by itself then',
        details: { reason: 'disk-failed' },
      })

export const needsDataDirectory = (what: string): ParleyError =>
  new ParleyError('STA003', `${what} needs a data directory`, {
    hint: 'give createMesh a dataDir; without one only AT_MOST_ONCE can be sent',
    details: { reason: 'volatile' },
  })
