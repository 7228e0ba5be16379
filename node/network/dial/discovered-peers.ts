/**
 * Peers that were found on the local network and are to be dialled.
 *
 * Whoever can forge them costs this node a bounded number of dials: so many finds at once, one new dial each quarter of a
 * second, a few tries each. A find that is let go is taken again when it is heard again.
 * State: the finds, each until it is connected, or the directory has it, or it has failed often enough.
 */
import type { Clock } from '../../../protocols/port.ts'
import { type DialTarget, dialTarget, type JoinSource, joinSource } from './dial-targets.ts'

const MAX_FINDS = 64
const DIAL_EVERY_MS = 250
const TRIES = 3
/** Two that find each other make one connection, not two: the higher id waits for up to this long. */
const HIGHER_WAITS_MS = 1_000

export interface DiscoveredPeersDeps {
  self: string
  clock: Pick<Clock, 'monotonic'>
  chance(): number
  /** It is connected, or the directory has it, and with it the supervisor. */
  isKnown(peer: string): boolean
}

export interface DiscoveredPeers {
  readonly source: JoinSource
  /** @returns whether there is something new to dial */
  add(peer: string, addresses: string[]): boolean
  failed(target: DialTarget, isRefusal: boolean): 'dropped' | 'kept'
  drop(target: DialTarget): void
  /** Lets go of those that need no dial any more. */
  prune(): void
}

export const createDiscoveredPeers = ({ self, clock, chance, isKnown }: DiscoveredPeersDeps): DiscoveredPeers => {
  const source = joinSource('the local network')
  let lastAt = Number.NEGATIVE_INFINITY

  const drop = (find: DialTarget): void => {
    source.targets = source.targets.filter((target) => target !== find)
  }

  return {
    source,
    drop,
    add(peer, addresses) {
      if (peer === self || isKnown(peer)) return false
      const waiting = source.targets.find((target) => target.peer === peer)
      if (waiting !== undefined) {
        waiting.addresses = addresses
        return false
      }
      if (source.targets.length >= MAX_FINDS) return false
      lastAt = Math.max(clock.monotonic(), lastAt + DIAL_EVERY_MS)
      const target = dialTarget(peer, lastAt + (self > peer ? HIGHER_WAITS_MS * chance() : 0), source)
      source.targets.push({ ...target, addresses })
      return true
    },
    failed(target, isRefusal) {
      if (target.failures < TRIES && !isRefusal) return 'kept'
      drop(target)
      return 'dropped'
    },
    prune() {
      source.targets = source.targets.filter(
        ({ peer, dialling }) => dialling !== undefined || (peer !== undefined && peer !== self && !isKnown(peer)),
      )
    },
  }
}
