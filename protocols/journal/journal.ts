/** The journal as a program sees it. */

import type { JournalClient } from './client.ts'
import type { JournalChange, WatchOptions } from './watch.ts'

/**
 * What the mesh has agreed on, in one order, on the disks of the voters. Any node uses it alike.
 *
 * Errors of decisions: STA003 with `details.reason` (`version` where the record changed meanwhile, `level`, `not-founded`,
 * `disk-full` where the coordinator's disk had no room until the time was over), COM001 with `details.reason` `unknown` (it
 * may have been decided: read, then decide again) or `no-leader`, COM003 where too much waits or the journal is full, MSG001
 * for input that is not usable.
 */
export interface Journal extends Omit<JournalClient, 'forget'> {
  /**
   * What there is, then each change as it is decided, in order and without a gap; where a member is lost another goes on.
   * Ends with its signal.
   */
  watch(options?: WatchOptions): AsyncGenerator<JournalChange, void>
}

export type { JournalChange, WatchOptions }
