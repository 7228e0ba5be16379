/** When a node that was told to join is in the mesh. Keeps no state. */
import type { Directory } from '../discovery/directory.ts'
import { ParleyError } from '../protocols/errors.ts'
import { timers } from './platform.ts'
import type { Supervisor } from './supervisor.ts'

const LOOK_MS = 50

export interface JoinedDeps {
  /** It was told to join somebody. */
  readonly joins: boolean
  readonly directory: Pick<Directory, 'firstSync'>
  readonly supervisor: Pick<Supervisor, 'refusedEverywhere'>
  isStopping(): boolean
}

/**
 * Resolves once a member is connected and the directory was compared with it; at once for a node that joins nobody.
 * @throws SEC001 where every join address refused this node; COM002 where it stops; the signal's reason
 */
export const joined = async (
  { joins, directory, supervisor, isStopping }: JoinedDeps,
  signal?: AbortSignal,
): Promise<void> => {
  if (!joins) return
  const refused = new Promise<never>((_, reject) => {
    const stop = timers.every(LOOK_MS, () => {
      const error = supervisor.refusedEverywhere()
      if (error === undefined && !isStopping() && signal?.aborted !== true) return
      stop()
      reject(error ?? signal?.reason ?? new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one' }))
    })
    directory.firstSync().then(stop, stop)
  })
  refused.catch(() => {})
  await Promise.race([directory.firstSync(signal === undefined ? {} : { signal }), refused])
}
