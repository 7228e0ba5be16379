/** Work that begins once this node knows that it has what the task requires, and ends with that. Keeps no state. */
import type { WorkFunction } from './task-context.ts'

/** What was allocated for a task at this node. */
export interface HeldClaim {
  /** Aborted when it ends. */
  readonly signal: AbortSignal
}

export interface ClaimedWork {
  /** @throws STA001 where this node is not told of it in time */
  claim(signal: AbortSignal): Promise<HeldClaim>
  /** Gives the task back: the signal of the attempt is aborted by that. */
  giveBack(why: string): void
}

export const claimedWork =
  (fn: WorkFunction, { claim, giveBack }: ClaimedWork): WorkFunction =>
  async (task, context) => {
    const { signal } = context
    const held = await claim(signal).catch((error: unknown) => {
      giveBack('its resources were not given to it')
      throw error
    })
    const ended = (): void => giveBack('its resources have ended')
    if (held.signal.aborted) ended()
    held.signal.addEventListener('abort', ended, { once: true })
    try {
      signal.throwIfAborted()
      return await fn(task, context)
    } finally {
      held.signal.removeEventListener('abort', ended)
    }
  }
