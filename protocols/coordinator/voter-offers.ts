/**
 * How a node volunteers to vote: often where voters may be wanted, seldom where there are enough, and not at all once it
 * has withdrawn and is no member.
 *
 * State: when it offers next, and what the present coordinator said to the last offer. All of it soft.
 */
import type { Port } from '../port.ts'
import { coordinatorProtocol } from './contract.ts'
import type { LeaderTracker } from './leader-tracker.ts'

/** Milliseconds between offers: of one that is no member, of a member, and where there are enough voters. */
const OFFER_MS = { open: 1_000, member: 5_000, enough: 15_000 }

export interface VoterOffersDeps {
  readonly port: Pick<Port, 'clock' | 'to' | 'members'>
  readonly leaderTracker: Pick<LeaderTracker, 'leader'>
  meshId(): string | undefined
  /** The member id that this node offers. */
  member(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  /** Its parts that decide something, as `acme/tally@2`. */
  readonly parts: readonly string[]
  isMember(): boolean
  isWithdrawn(): boolean
  /** It cannot go on in its seat, and says so until the coordinator gave that to another one. */
  isUnable(): boolean
}

export interface VoterOffers {
  /** Tells the coordinator now. @returns milliseconds until the next offer */
  send(): Promise<number>
  /** Offers where it is time to. */
  tick(): void
  /** It is time to. */
  sendSoon(): void
  /** Another one coordinates. */
  onNewLeader(): void
  /** Of a node that is no member any more: how many vote without it; undefined where nobody says. */
  votersLeft(): Promise<number | undefined>
  stop(): void
}

export const createVoterOffers = (deps: VoterOffersDeps): VoterOffers => {
  const { port, leaderTracker, meshId, isMember, isWithdrawn } = deps
  const now = (): number => port.clock.monotonic()
  let nextAt = Number.NEGATIVE_INFINITY
  let wasEnough = false
  let stopped = false

  const volunteer = async () => {
    const member = deps.member()
    const id = meshId()
    const leader = leaderTracker.leader()
    if (member === undefined || id === undefined || leader === undefined) return undefined
    const parts = deps.parts.length === 0 ? {} : { parts: [...deps.parts] }
    const body = { meshId: id, member, level: deps.level, ...(isWithdrawn() && { leaving: true }), ...parts }
    return port.to(leader.peer, coordinatorProtocol).volunteer(body)
  }
  const isConnected = (peer: string): boolean => port.members().some(({ id }) => id === peer)

  const offer = async (): Promise<number> => {
    if (deps.isUnable()) {
      await volunteer()
      return OFFER_MS.enough
    }
    if (isWithdrawn() && !isMember()) return OFFER_MS.enough
    // In a mesh in which not all are connected nobody dials the coordinator again and again where no voter is wanted.
    const leader = leaderTracker.leader()
    if (wasEnough && leader !== undefined && !isMember() && !isConnected(leader.peer)) return OFFER_MS.enough
    const answer = await volunteer()
    if (answer === undefined) return OFFER_MS.open
    wasEnough = answer.enough
    if (isMember()) return OFFER_MS.member
    return answer.enough ? OFFER_MS.enough : OFFER_MS.open
  }
  const soon = (): void => {
    nextAt = Math.min(nextAt, now())
  }

  return {
    send: offer,
    tick() {
      if (now() < nextAt || stopped) return
      // Until it is answered.
      nextAt = Number.POSITIVE_INFINITY
      offer().then(
        (ms) => {
          nextAt = now() + ms
        },
        () => {
          nextAt = now() + OFFER_MS.open
        },
      )
    },
    sendSoon: soon,
    onNewLeader() {
      soon()
      wasEnough = false
    },
    votersLeft: () =>
      volunteer().then(
        (answer) => answer?.voters,
        () => undefined,
      ),
    stop() {
      stopped = true
    },
  }
}
