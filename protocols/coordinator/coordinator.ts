/**
 * The coordinator of a mesh, from every node's side: who it is, how to become one, and what it does for the seats.
 *
 * A node that has a seat hears of elections from its own Raft; any other one hears the coordinator's events, and asks
 * (whereabouts.ts). The coordinator tells `(epoch, leader, version)` (telling.ts) and decides who votes among those who
 * offer a seat (seats.ts). A node whose seat was taken away while it was not looking, or that gave it up, finds that out
 * from what the coordinator tells. Offering one: offering.ts; giving it up, and
 * taking that back: standing.ts.
 * State: what listeners were told last. It is soft.
 */

import { isMember } from '../consensus/configurations.ts'
import { peerOf } from '../consensus/member-id.ts'
import type { Configuration } from '../consensus/messages.ts'
import type { Proofs } from '../consensus/proof/proofs.ts'
import type { RaftStatus } from '../consensus/raft.ts'
import { ParleyError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import type { JournalSeat } from '../journal/serve.ts'
import type { Port, Stop } from '../port.ts'
import type { StateReason } from '../state-reasons.ts'
import { AUTOPILOT, type AutopilotSettings } from './autopilot.ts'
import { coordinatorProtocol } from './contract.ts'
import { handOver } from './hand-over.ts'
import { type ActingFacts, createLeading } from './leading.ts'
import { LEADERLESS_MS, ledBy } from './led.ts'
import { createOffering } from './offering.ts'
import { createSeats } from './seats.ts'
import { createStanding, type SeatKeeping } from './standing.ts'
import { type Announced, createTelling } from './telling.ts'
import type { Whereabouts } from './whereabouts.ts'

const TICK_MS = 100
/** Offers and the autopilot come once in so many ticks. */
const TICKS_EACH = 5

export interface CoordinatorDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'serve' | 'to' | 'metrics' | 'members'>
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  readonly whereabouts: Whereabouts
  meshId(): string | undefined
  seat(): JournalSeat | undefined
  /** A node of the mesh left or died, as the membership says. */
  onGone(fn: (peer: string) => void): Stop
  /** The seat that this node offers. */
  offers(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  readonly autopilot?: Partial<AutopilotSettings>
  /** Without them everybody is taken at their word. */
  readonly proofs?:
    | Pick<Proofs, 'lead' | 'resign' | 'shown' | 'isSettled' | 'leastLevel' | 'isEnforced' | 'onChange'>
    | undefined
  /** Where a seat that was given up stays so across restarts. */
  readonly keeping?: SeatKeeping | undefined
}

export interface CoordinatorStatus {
  readonly meshId: string | undefined
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** This node coordinates, and acts. */
  readonly acting: boolean
  readonly seat: 'voter' | 'learner' | 'none'
  /** This node offers no seat, or is about to lose the one that it has: it gave it up. */
  readonly givenUp: boolean
  /** Member ids; of a node without a seat the peers that it heard of. */
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  /** Whether decisions can be made, as far as this node knows. */
  readonly quorum: boolean
  readonly version: number
}

export interface CoordinatorFeature {
  status(): CoordinatorStatus
  /** Of a seat that this node has, when its Raft moved on. */
  onStatus(seat: JournalSeat, status: RaftStatus): void
  act(fn: (facts: ActingFacts) => void | Promise<void>): () => void
  /** The epoch in which this node acts. */
  acting(): number | undefined
  onChange(fn: (status: CoordinatorStatus) => void): () => void
  /** Hands over, wherever the coordinator is. Resolves once another one leads. */
  transfer(to: string | undefined, signal: AbortSignal): Promise<{ epoch: number; leader: string }>
  /** This node's seat is given up for good. Resolves once it has none, with how many vote, as far as it heard. */
  giveUp(signal: AbortSignal): Promise<number | undefined>
  /** This node offers its seat again. */
  takeSeat(): Promise<void>
  stop(): Promise<void>
}

const refuse = (reason: StateReason, message: string, hint: string): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason } })

export const createCoordinator = async (deps: CoordinatorDeps): Promise<CoordinatorFeature> => {
  const { port, events, whereabouts, meshId, seat, proofs } = deps
  const now = (): number => port.clock.monotonic()
  const seats = createSeats(port, { ...AUTOPILOT, ...deps.autopilot }, deps.level)
  const listeners = new Set<(status: CoordinatorStatus) => void>()
  const telling = createTelling(port, events, whereabouts, proofs)
  let lastTold: Announced | undefined
  let ledAt = now()
  let stopped = false
  let told: string | undefined
  let ticks = 0
  /** As of the last look. */
  let isSeated = false

  /** Where anything but the version is another one. A listener that fails harms nobody else. */
  const tell = (): void => {
    const status = read()
    const { epoch, leader, acting, seat: role, givenUp, quorum, voters, learners } = status
    const text = [status.meshId, epoch, leader, acting, role, givenUp, quorum, ...voters, '/', ...learners].join()
    isSeated = role !== 'none'
    if (text === told) return
    told = text
    for (const fn of [...listeners]) {
      try {
        fn(status)
      } catch (error) {
        port.log.error('a listener of the coordinator failed', { error })
      }
    }
  }

  const leading = createLeading(port, (epoch) => {
    if (epoch !== undefined) {
      seats.began()
      announce()
    } else {
      proofs?.resign()
      if (lastTold !== undefined && !stopped) telling.ended(lastTold)
    }
    tell()
  })

  const seatsOf = ({ voters, learners }: Configuration): string[] => [...voters, ...learners].map(peerOf)

  /** Who is put out hears nothing of that from its group; without a leader of its own it believes the coordinator. */
  const hasSeat = ({ group }: JournalSeat): boolean => {
    const { configuration } = group.status()
    if (!isMember(configuration, group.self)) return false
    if (ledBy(group) !== undefined) return true
    const { isPresent, seats: heardSeats } = whereabouts.heard()
    return !isPresent || heardSeats.includes(port.self.id)
  }

  const standing = createStanding({
    timers: port.timers,
    log: port.log,
    keeping: deps.keeping,
    isSeated: () => read().seat !== 'none',
    isAlone() {
      const group = seat()?.group
      return group?.status().configuration.voters.every((id) => id === group.self) ?? false
    },
    async handOver(signal) {
      const at = seat()
      // A leader that nobody can follow has to stay.
      if (at !== undefined && leading.epoch() !== undefined) await handOver(port, at.group, undefined, signal)
    },
    offer: () => offering.offer(),
  })
  const offering = createOffering({
    port,
    whereabouts,
    meshId,
    member: deps.offers,
    level: deps.level,
    isSeated: () => read().seat !== 'none',
    isLeaving: standing.isGivenUp,
  })

  const read = (): CoordinatorStatus => {
    const at = seat()
    const heard = whereabouts.heard()
    if (at === undefined || !hasSeat(at)) {
      const { epoch, version, seats: voters, isPresent } = heard
      return {
        meshId: meshId(),
        epoch,
        leader: whereabouts.leader()?.peer,
        acting: false,
        seat: 'none',
        givenUp: standing.isGivenUp(),
        voters,
        learners: [],
        quorum: isPresent,
        version,
      }
    }
    const { term, configuration } = at.group.status()
    const leader = ledBy(at.group)
    return {
      meshId: meshId(),
      epoch: term,
      leader: leader === undefined ? undefined : peerOf(leader),
      acting: leading.epoch() !== undefined,
      seat: configuration.voters.includes(at.group.self) ? 'voter' : 'learner',
      givenUp: standing.isGivenUp(),
      ...configuration,
      quorum: leader !== undefined || now() - ledAt < LEADERLESS_MS,
      version: at.machine.version(),
    }
  }

  const announce = (): void => {
    const at = seat()
    const epoch = leading.epoch()
    const id = meshId()
    if (at === undefined || epoch === undefined || id === undefined) return
    const { configuration } = at.group.status()
    proofs?.lead(epoch, () => leading.restate(at))
    lastTold = { meshId: id, epoch, version: at.machine.version(), seats: seatsOf(configuration) }
    telling.tick(lastTold)
  }

  const steer = (): void => {
    const at = seat()
    if (at === undefined || leading.epoch() === undefined) return
    const isSettled = proofs?.isSettled(at.group.status().configuration.voters) ?? true
    void seats.steer(at, { isSettled, leastLevel: proofs?.leastLevel() ?? 1 })
  }

  const giveUp = async (signal: AbortSignal): Promise<number | undefined> => {
    await standing.giveUp(signal)
    tell()
    return offering.votersLeft()
  }
  const takeSeat = async (): Promise<void> => {
    await standing.takeBack()
    offering.soon()
    tell()
  }

  const unserve = await port.serve(coordinatorProtocol, {
    where() {
      const { epoch, leader, version, voters, learners } = read()
      const id = meshId()
      return {
        ...(id !== undefined && { meshId: id }),
        epoch,
        ...(leader !== undefined && { leader }),
        version,
        seats: [...voters, ...learners].map(peerOf),
      }
    },
    volunteer({ meshId: named, member, level, leaving: goes = false }, { peer }) {
      if (named !== meshId())
        throw refuse('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')
      if (peerOf(member) !== peer)
        throw new ParleyError('SEC002', 'a seat can only be offered by its own node', { hint: 'offer your own' })
      const at = seat()
      if (at === undefined || leading.epoch() === undefined)
        throw refuse('not-leader', 'this node does not coordinate', 'ask the coordinator')
      const { configuration } = at.group.status()
      return {
        enough: seats.offered({ member, level, leaving: goes }, configuration),
        voters: configuration.voters.length,
      }
    },
    async transfer({ meshId: named, to }, { signal }) {
      const at = seat()
      if (named !== meshId() || at === undefined || leading.epoch() === undefined)
        throw refuse('not-leader', 'this node does not coordinate', 'ask the coordinator')
      return handOver(port, at.group, to, signal)
    },
    async giveUp(_, { signal }) {
      const voters = await giveUp(signal)
      return voters === undefined ? {} : { voters }
    },
    async takeSeat() {
      await takeSeat()
      return {}
    },
  })

  const stopLearning = whereabouts.onChange(() => {
    offering.renew()
    tell()
  })
  const tick = (): void => {
    if (isSeated || leading.epoch() !== undefined) {
      announce()
      leading.look(seat())
      tell()
    }
    ticks += 1
    if (ticks % TICKS_EACH !== 0) return
    tell()
    if (meshId() !== undefined) telling.listen()
    steer()
    offering.look()
  }
  const stops = [
    port.timers.every(TICK_MS, tick),
    deps.onGone((peer) => whereabouts.gone(peer)),
    stopLearning,
    // Others wait for it.
    proofs?.onChange(announce) ?? (() => {}),
  ]

  return {
    status: read,
    acting: () => leading.epoch(),
    act: leading.act,
    onStatus(at, status) {
      const leader = ledBy(at.group)
      if (leader !== undefined) {
        ledAt = now()
        const { term: epoch, configuration } = status
        if (isMember(configuration, at.group.self))
          whereabouts.learn({
            meshId: at.meshId,
            epoch,
            leader: peerOf(leader),
            version: at.machine.version(),
            seats: seatsOf(configuration),
          })
      }
      leading.onStatus(at, status)
    },
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    async transfer(to, signal) {
      const id = meshId()
      const leader = await whereabouts.find(signal)
      if (id === undefined) throw refuse('not-founded', 'this mesh has no coordinator yet', 'wait until it is founded')
      return port
        .to(leader.peer, coordinatorProtocol)
        .transfer({ meshId: id, ...(to !== undefined && { to }) }, { signal })
    },
    giveUp,
    takeSeat,
    async stop() {
      stopped = true
      for (const stop of stops) stop()
      offering.stop()
      leading.stop()
      await telling.stop()
      await unserve()
    },
  }
}
