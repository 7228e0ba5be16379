/**
 * How a node offers its seat to whoever coordinates: often where seats may be free, seldom where there are enough, and not
 * at all once it gave its seat up and has none.
 *
 * State: when it offers next, and what the present coordinator said to the last offer. All of it soft.
 */
import type { Port } from '../port.ts'
import { coordinatorProtocol } from './contract.ts'
import type { Whereabouts } from './whereabouts.ts'

/** An offer without a seat, with one, and when there are enough. */
const OFFER_MS = { open: 1_000, seated: 5_000, enough: 15_000 }

export interface OfferingDeps {
  readonly port: Pick<Port, 'clock' | 'to' | 'members'>
  readonly whereabouts: Pick<Whereabouts, 'leader'>
  meshId(): string | undefined
  /** The seat that this node offers. */
  member(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  isSeated(): boolean
  isLeaving(): boolean
}

export interface Offering {
  /** Tells the coordinator now. @returns milliseconds until the next offer */
  offer(): Promise<number>
  /** Offers where it is time to. */
  look(): void
  /** It is time to. */
  soon(): void
  /** Another one coordinates. */
  renew(): void
  /** Of a node that just lost its seat: how many vote without it; undefined where nobody says. */
  votersLeft(): Promise<number | undefined>
  stop(): void
}

export const createOffering = (deps: OfferingDeps): Offering => {
  const { port, whereabouts, meshId, isSeated, isLeaving } = deps
  const now = (): number => port.clock.monotonic()
  let nextAt = Number.NEGATIVE_INFINITY
  let wasEnough = false
  let stopped = false

  const volunteer = async () => {
    const member = deps.member()
    const id = meshId()
    const leader = whereabouts.leader()
    if (member === undefined || id === undefined || leader === undefined) return undefined
    const body = { meshId: id, member, level: deps.level, ...(isLeaving() && { leaving: true }) }
    return port.to(leader.peer, coordinatorProtocol).volunteer(body)
  }
  const isConnected = (peer: string): boolean => port.members().some(({ id }) => id === peer)

  const offer = async (): Promise<number> => {
    if (isLeaving() && !isSeated()) return OFFER_MS.enough
    // In a mesh in which not all are connected nobody dials the coordinator again and again for a seat that is not free.
    const leader = whereabouts.leader()
    if (wasEnough && leader !== undefined && !isSeated() && !isConnected(leader.peer)) return OFFER_MS.enough
    const answer = await volunteer()
    if (answer === undefined) return OFFER_MS.open
    wasEnough = answer.enough
    if (isSeated()) return OFFER_MS.seated
    return answer.enough ? OFFER_MS.enough : OFFER_MS.open
  }
  const soon = (): void => {
    nextAt = Math.min(nextAt, now())
  }

  return {
    offer,
    look() {
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
    soon,
    renew() {
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
