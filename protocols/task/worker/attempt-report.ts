/** Has decided what an attempt did: it asks until that is so, as long as the attempt lasts. Keeps no state. */
import { isParleyError } from '../../errors.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import { isRefusedFor } from '../../journal/state/journal-machine.ts'
import { isLettingGo, type TaskChange } from '../journal/task-changes.ts'
import { isFullForNow } from './attempt-data.ts'
import type { AttemptDeps } from './attempt-deps.ts'

/** Between tries to have decided what older voters do not know. Milliseconds. */
const OLDER_AGAIN_MS = 1_000
const AGAIN_MS = 200

export interface Reporting {
  /** Of the attempt: once it is aborted, nothing is tried again. */
  readonly signal: AbortSignal
  /** A try failed. */
  failed(error: unknown): void
}

/** Whether an earlier try was decided is told by asking again. @throws STA002 */
export const reportChange = async (
  { decide, port: { timers } }: Pick<AttemptDeps, 'decide' | 'port'>,
  change: TaskChange,
  plan: string | undefined,
  { signal, failed }: Reporting,
): Promise<Decided> => {
  for (;;) {
    try {
      return await decide(change, plan)
    } catch (error) {
      failed(error)
      // Nobody coordinates, or a voter is of an older version: what was done waits for that, as long as the lease lasts.
      const isOlder = isRefusedFor(error, 'level') && !isLettingGo(change)
      const isPassing = isOlder || isParleyError(error, 'COM001', 'COM002') || isFullForNow(error)
      if (!isPassing || signal.aborted) throw error
      await new Promise<void>((resolve) => timers.after(isOlder ? OLDER_AGAIN_MS : AGAIN_MS, resolve))
    }
  }
}
