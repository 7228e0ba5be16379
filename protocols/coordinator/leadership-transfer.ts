/** A coordinator hands over to another voter, and says once that leads (dissertation, section 3.10). */

import { onAbort, waitFor } from '../async.ts'
import type { RaftGroup } from '../consensus/group/group-api.ts'
import { peerOf } from '../consensus/member-id.ts'
import { stateError } from '../errors.ts'
import type { Port } from '../port.ts'

const LOOK_MS = 20
const HAND_OVER_MS = 3_000

/**
 * @param to peer id; the most suitable voter unless told
 * @throws STA003 with `details.reason`: `alone`, `no-voter`, `not-handed-over`
 */
export const transferLeadership = async (
  { self, timers }: Pick<Port, 'self' | 'timers'>,
  group: RaftGroup,
  to: string | undefined,
  signal: AbortSignal,
): Promise<{ epoch: number; leader: string }> => {
  const { term, configuration } = group.status()
  if (to === self.id) return { epoch: term, leader: to }
  const others = configuration.voters.filter((id) => id !== group.self)
  if (others.length === 0)
    throw stateError('alone', 'no other node votes', 'wait until others have joined and caught up')
  const member = to === undefined ? undefined : others.find((id) => peerOf(id) === to)
  if (to !== undefined && member === undefined)
    throw stateError('no-voter', `${to} does not vote`, `the voters are ${others.map(peerOf).join(', ')}`)
  group.transfer(member)
  // Whoever asked it is told the same, whether this time is over or theirs.
  return waitFor(undefined, (resolve, reject) => {
    const look = (): void => {
      const { term: epoch, leader } = group.status()
      if (epoch > term && leader !== undefined && leader !== group.self) resolve({ epoch, leader: peerOf(leader) })
    }
    const fail = (): void =>
      reject(
        stateError('not-handed-over', 'nobody took over in time', 'see whether the others keep up, then try again'),
      )
    const stops = [timers.every(LOOK_MS, look), timers.after(HAND_OVER_MS, fail), onAbort(signal, fail)]
    return () => {
      for (const stop of stops) stop()
    }
  })
}
