/**
 * What an attempt reports: it asks until that is decided, as long as the attempt lasts. And what it failed with, as that is kept.
 * Keeps no state.
 */
import { isParleyError, ParleyError, toFault } from '../../errors.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { isRefusedFor } from '../../journal/state/journal-machine.ts'
import { isJson } from '../../journal/state/json-value.ts'
import { hasNoBudgetLeft } from '../../wire/caller/retry-policy.ts'
import { isLettingGo, type TaskChange } from '../journal/task-changes.ts'
import type { TaskError } from '../task-record.ts'
import type { AttemptDeps } from './attempt-deps.ts'

/** Between tries to have decided what older voters do not know. Milliseconds. */
const OLDER_AGAIN_MS = 1_000
const AGAIN_MS = 200

const MAX_MESSAGE = 1_024
const MAX_HINT = 512

/** As it is kept and shown: of what is no error of the mesh, nothing but that it failed. */
export const taskError = (error: unknown): TaskError => {
  const { code, message, hint, details } = toFault(error)
  const isSmall = isJson(details) && JSON.stringify(details).length <= MAX_MESSAGE
  return {
    code,
    message: message.slice(0, MAX_MESSAGE),
    ...(hint !== undefined && { hint: hint.slice(0, MAX_HINT) }),
    ...(details !== undefined && isSmall && { details: details as Record<string, Json> }),
  }
}

/** What an attempt is aborted with, and whatever it asks for afterwards is refused with. */
export const attemptOver = (task: string, fence: Fence, why: string): ParleyError =>
  new ParleyError('STA002', `the task ${task} is not this attempt's any more: ${why}`, {
    hint: 'end the work: what it reports counts no more',
    details: { task, fence },
  })

/** An error says `details.retry: false` where doing it again is of no use; another attempt has no more to spend either. */
export const mayRetry = (error: unknown): boolean =>
  !(isParleyError(error) && (error.details.retry === false || hasNoBudgetLeft(error)))

/** Too much at the moment, not too much of this task or its submitter. */
const isFullForNow = (error: unknown): boolean =>
  isParleyError(error, 'COM003') &&
  (error.details.retryAfterMs !== undefined ||
    !/^(effects|task-share|budget-exhausted)$/.test(String(error.details.reason)))

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
