/**
 * Effects that happen once, for a consumer whose system may hand it a message twice: the ids of all messages in a file,
 * each synced before the message is acknowledged. What a user of such a system has to write to be as safe.
 *
 * State: the file, and the ids that it has. Guarantee: of all copies of a message one takes effect, and it is on the disk
 * before any of them is acknowledged.
 */
import type { SyncedLog } from './synced-log.ts'

export interface Effects {
  /** Resolves once the message has taken effect durably: true for the first copy, false for others. */
  once(id: number): Promise<boolean>
}

export const createEffects = (log: SyncedLog): Effects => {
  const known = new Map<number, Promise<void>>()
  return {
    once: async (id) => {
      const before = known.get(id)
      if (before !== undefined) {
        await before
        return false
      }
      const written = log.add(String(id))
      known.set(id, written)
      await written
      return true
    },
  }
}
