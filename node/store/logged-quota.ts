/** The quota of the disk, which says in the log when it is used up. State: when it said so. */

import { createQuota, type Quota } from '../../protocols/limits/quota.ts'
import type { Clock, Log } from '../../protocols/port.ts'

const LOG_EVERY_MS = 60_000

export const createLoggedQuota = (maxBytes: number, clock: Pick<Clock, 'monotonic'>, log: Log): Quota => {
  let loggedAt = Number.NEGATIVE_INFINITY
  const quota: Quota = createQuota(maxBytes, () => {
    if (clock.monotonic() - loggedAt < LOG_EVERY_MS) return
    loggedAt = clock.monotonic()
    log.warn('this node keeps as much on disk as it may: senders wait, and their messages are refused after a while', {
      ...quota.figures(),
      hint: 'work off the inbox and the dead letters, see which peer takes nothing, or raise limits.maxDiskBytes',
    })
  })
  return quota
}
