/**
 * Claims that are passed on with messages that travel anyway: of each peer the latest, those first that were passed on
 * least (SWIM, section 4.1).
 *
 * State: at most `maxRumours` claims, each until it was passed on often enough; beyond that the one that was passed on
 * most gives way, and is counted.
 */
import type { MembershipUpdate } from './membership-update.ts'

interface Rumour {
  readonly claim: MembershipUpdate
  told: number
}

export interface BroadcastQueue {
  /** Replaces what was said of the peer, and starts anew. */
  put(claim: MembershipUpdate): void
  /** Takes claims for a message to `to`: none of it itself, none of `except`, each of which counts as passed on. */
  take(to: string, most: number, limit: number, except: ReadonlySet<string>): MembershipUpdate[]
  size(): number
  /** Given up for want of room before they were passed on often enough. */
  dropped(): number
}

export const createBroadcastQueue = (maxRumours: number): BroadcastQueue => {
  const rumours = new Map<string, Rumour>()
  let dropped = 0

  const giveWay = (): void => {
    let most: string | undefined
    let told = -1
    for (const [peer, rumour] of rumours) {
      if (rumour.told <= told) continue
      most = peer
      told = rumour.told
    }
    if (most === undefined) return
    rumours.delete(most)
    dropped += 1
  }

  return {
    put(claim) {
      if (!rumours.delete(claim.peer) && rumours.size >= maxRumours) giveWay()
      rumours.set(claim.peer, { claim, told: 0 })
    },
    take(to, most, limit, except) {
      if (rumours.size === 0 || most <= 0) return []
      const eligible = [...rumours.values()].filter(({ claim }) => claim.peer !== to && !except.has(claim.peer))
      const chosen = eligible.sort((a, b) => a.told - b.told).slice(0, most)
      for (const rumour of chosen) {
        rumour.told += 1
        if (rumour.told >= limit) rumours.delete(rumour.claim.peer)
      }
      return chosen.map(({ claim }) => claim)
    },
    size: () => rumours.size,
    dropped: () => dropped,
  }
}
