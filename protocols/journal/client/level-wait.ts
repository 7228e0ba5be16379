/** Decisions of a part in a mesh that has just begun. Keeps no state. */
import type { Port } from '../../port.ts'
import { isRefusedFor } from '../state/journal-machine.ts'

/** Milliseconds that a mesh may take until all of its voters are known to have a part, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200

/** Asks again for as long as not all voters are known to have the part that decides it. @throws what `submit` throws */
export const onceLevelIsKnown = async <T>(
  { clock, timers }: Pick<Port, 'clock' | 'timers'>,
  submit: () => Promise<T>,
): Promise<T> => {
  for (const begun = clock.monotonic(); ; ) {
    try {
      return await submit()
    } catch (error) {
      if (!isRefusedFor(error, 'level') || clock.monotonic() - begun >= LEVEL_MS) throw error
      await new Promise<void>((resolve) => timers.after(LEVEL_AGAIN_MS, resolve))
    }
  }
}
