/** Whether a member still hears its leader. */
import type { RaftGroup } from './group-api.ts'

/** A leader beats each 100 ms; who was silent for so long does not lead this member any more. */
export const LEADERLESS_MS = 2_000

/** The leader's member id. A learner does not stand for election, and so goes on naming a leader that is gone. */
export const liveLeaderOf = (group: Pick<RaftGroup, 'self' | 'status' | 'silentMs'>): string | undefined => {
  const { leader } = group.status()
  if (leader === undefined || leader === group.self) return leader
  return (group.silentMs(leader) ?? 0) < LEADERLESS_MS ? leader : undefined
}
