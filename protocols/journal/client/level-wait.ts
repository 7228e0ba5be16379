/** Decisions of a part in a mesh that has just begun, or has voters of an older version. Keeps no state. */
import { isParleyError, type ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { isRefusedFor } from '../state/journal-machine.ts'

/** Milliseconds that a mesh may take until all of its voters are known to have a part, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200

/** The voters have the part, and not all of them this level of it: of an older version, as the coordinator may be itself. */
export const isOfOlderVoters = (error: unknown): boolean =>
  (isParleyError(error, 'STA003') && error.details.reason === 'level' && Number(error.details.agreed) > 0) ||
  (isParleyError(error, 'MSG004') && error.details.reason === 'unknown-command')

export const needsNewer = (part: string, what: string, level: number): ParleyError =>
  stateError('level', `a change of ${part} (${what}) needs ${part}@${level} of all voters`, 'upgrade all voters')

/**
 * Asks again for as long as not all voters are known to have the part that decides it.
 * @param older made of what older voters refuse: it waits for no upgrade
 * @throws what `submit` throws, or that
 */
export const onceLevelIsKnown = async <T>(
  { clock, timers }: Pick<Port, 'clock' | 'timers'>,
  submit: () => Promise<T>,
  older?: () => ParleyError,
): Promise<T> => {
  for (const begun = clock.monotonic(); ; ) {
    try {
      return await submit()
    } catch (error) {
      if (older !== undefined && isOfOlderVoters(error)) throw older()
      if (!isRefusedFor(error, 'level') || clock.monotonic() - begun >= LEVEL_MS) throw error
      await new Promise<void>((resolve) => timers.after(LEVEL_AGAIN_MS, resolve))
    }
  }
}
