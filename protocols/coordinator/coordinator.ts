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

import { LEADERLESS_MS, liveLeaderOf } from '../consensus/group/live-leader.ts'
import { peerOf } from '../consensus/member-id.ts'
import type { Proofs } from '../consensus/proof/proofs.ts'
import { isMember } from '../consensus/raft/configuration-history.ts'
import type { RaftStatus } from '../consensus/raft/raft.ts'
import type { Configuration } from '../consensus/raft/raft-messages.ts'
import { ParleyError, stateError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { type JournalPart, offerOf, readOffers } from '../journal/part-kinds.ts'
import type { Port, Stop } from '../port.ts'
import { AUTOPILOT_DEFAULTS, type AutopilotSettings } from './autopilot.ts'
import { createCandidacyIntent, type WithdrawalStore } from './candidacy-intent.ts'
import { coordinatorProtocol } from './contract.ts'
import { createLeaderAnnouncements, type LeaderAnnouncement } from './leader-announcements.ts'
import type { LeaderTracker } from './leader-tracker.ts'
import { type ActingFacts, createLeadership } from './leadership.ts'
import { transferLeadership } from './leadership-transfer.ts'
import { createVoterOffers } from './voter-offers.ts'
import { createVoterSelection } from './voter-selection.ts'

const TICK_MS = 100
/** Offers and the autopilot come once in so many ticks. */
const TICKS_EACH = 5

export interface CoordinatorDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'serve' | 'to' | 'metrics' | 'members'>
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  readonly leaderTracker: LeaderTracker
  meshId(): string | undefined
  journalMember(): JournalMember | undefined
  /** A node of the mesh left or died, as the membership says. */
  onMemberGone(fn: (peer: string) => void): Stop
  /** The seat that this node offers. */
  ownMemberId(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  /** Those of this node that decide something. */
  readonly parts?: readonly JournalPart[]
  /** It cannot go on in the seat that it offers, and gives it up until it is started again. */
  isUnable?(): boolean
  readonly autopilot?: Partial<AutopilotSettings>
  /** Without them everybody is taken at their word. */
  readonly proofs?:
    | Pick<
        Proofs,
        'collectSignatures' | 'stopCollecting' | 'shown' | 'isChangeProven' | 'minLevel' | 'isEnforced' | 'onChange'
      >
    | undefined
  /** Where a seat that was given up stays so across restarts. */
  readonly withdrawal?: WithdrawalStore | undefined
}

export interface CoordinatorStatus {
  readonly meshId: string | undefined
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** This node coordinates, and acts. */
  readonly acting: boolean
  readonly role: 'voter' | 'learner' | 'none'
  /** This node offers no seat, or is about to lose the one that it has: it gave it up. */
  readonly withdrawn: boolean
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
  onStatus(seat: JournalMember, status: RaftStatus): void
  act(fn: (facts: ActingFacts) => void | Promise<void>): () => void
  /** The epoch in which this node acts. */
  acting(): number | undefined
  onChange(fn: (status: CoordinatorStatus) => void): () => void
  /** Hands over, wherever the coordinator is. Resolves once another one leads. */
  transfer(to: string | undefined, signal: AbortSignal): Promise<{ epoch: number; leader: string }>
  /** This node's seat is given up for good. Resolves once it has none, with how many vote, as far as it heard. */
  withdraw(signal: AbortSignal): Promise<number | undefined>
  /** This node offers its seat again. */
  volunteer(): Promise<void>
  stop(): Promise<void>
}

export const createCoordinator = async (deps: CoordinatorDeps): Promise<CoordinatorFeature> => {
  const { port, events, leaderTracker, meshId, journalMember, proofs } = deps
  const now = (): number => port.clock.monotonic()
  const { parts = [], isUnable = () => false } = deps
  const seats = createVoterSelection(port, { ...AUTOPILOT_DEFAULTS, ...deps.autopilot }, deps.level, parts)
  const listeners = new Set<(status: CoordinatorStatus) => void>()
  const telling = createLeaderAnnouncements(port, events, leaderTracker, proofs)
  let lastTold: LeaderAnnouncement | undefined
  let ledAt = now()
  let stopped = false
  let told: string | undefined
  let ticks = 0
  /** As of the last look. */
  let isSeated = false

  /** Where anything but the version is another one. A listener that fails harms nobody else. */
  const tell = (): void => {
    const status = read()
    const { epoch, leader, acting, role, withdrawn, quorum, voters, learners } = status
    const text = [status.meshId, epoch, leader, acting, role, withdrawn, quorum, ...voters, '/', ...learners].join()
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

  const leading = createLeadership(port, (epoch) => {
    if (epoch !== undefined) {
      seats.reset()
      announce()
    } else {
      proofs?.stopCollecting()
      if (lastTold !== undefined && !stopped) telling.announceEnd(lastTold)
    }
    tell()
  })

  const seatsOf = ({ voters, learners }: Configuration): string[] => [...voters, ...learners].map(peerOf)

  /** Who is put out hears nothing of that from its group; without a leader of its own it believes the coordinator. */
  const hasSeat = ({ group }: JournalMember): boolean => {
    const { configuration } = group.status()
    if (!isMember(configuration, group.self)) return false
    if (liveLeaderOf(group) !== undefined) return true
    const { isPresent, seats: heardSeats } = leaderTracker.latest()
    return !isPresent || heardSeats.includes(port.self.id)
  }

  const standing = createCandidacyIntent({
    timers: port.timers,
    log: port.log,
    withdrawal: deps.withdrawal,
    isMember: () => read().role !== 'none',
    isOnlyVoter() {
      const group = journalMember()?.group
      return group?.status().configuration.voters.every((id) => id === group.self) ?? false
    },
    async transferLeadership(signal) {
      const at = journalMember()
      // A leader that nobody can follow has to stay.
      if (at !== undefined && leading.epoch() !== undefined) await transferLeadership(port, at.group, undefined, signal)
    },
    sendOffer: () => offering.send(),
  })
  const offering = createVoterOffers({
    port,
    leaderTracker,
    meshId,
    member: deps.ownMemberId,
    level: deps.level,
    isMember: () => read().role !== 'none',
    parts: parts.map(offerOf),
    isWithdrawn: () => isUnable() || standing.isWithdrawn(),
    isUnable,
  })

  const read = (): CoordinatorStatus => {
    const at = journalMember()
    const heard = leaderTracker.latest()
    if (at === undefined || !hasSeat(at)) {
      const { epoch, version, seats: voters, isPresent } = heard
      return {
        meshId: meshId(),
        epoch,
        leader: leaderTracker.leader()?.peer,
        acting: false,
        role: 'none',
        withdrawn: standing.isWithdrawn(),
        voters,
        learners: [],
        quorum: isPresent,
        version,
      }
    }
    const { term, configuration } = at.group.status()
    const leader = liveLeaderOf(at.group)
    return {
      meshId: meshId(),
      epoch: term,
      leader: leader === undefined ? undefined : peerOf(leader),
      acting: leading.epoch() !== undefined,
      role: configuration.voters.includes(at.group.self) ? 'voter' : 'learner',
      withdrawn: standing.isWithdrawn(),
      ...configuration,
      quorum: leader !== undefined || now() - ledAt < LEADERLESS_MS,
      version: at.machine.version(),
    }
  }

  const announce = (): void => {
    const at = journalMember()
    const epoch = leading.epoch()
    const id = meshId()
    if (at === undefined || epoch === undefined || id === undefined) return
    const { configuration } = at.group.status()
    proofs?.collectSignatures(epoch, () => leading.restateEpoch(at))
    lastTold = { meshId: id, epoch, version: at.machine.version(), seats: seatsOf(configuration) }
    telling.tick(lastTold)
  }

  const steer = (): void => {
    const at = journalMember()
    if (at === undefined || leading.epoch() === undefined) return
    const isSettled = proofs?.isChangeProven(at.group.status().configuration.voters) ?? true
    void seats.advance(at, { isChangeProven: isSettled, minLevel: proofs?.minLevel() ?? 1 })
  }

  const giveUp = async (signal: AbortSignal): Promise<number | undefined> => {
    await standing.withdraw(signal)
    tell()
    return offering.votersLeft()
  }
  const takeSeat = async (): Promise<void> => {
    await standing.volunteer()
    offering.sendSoon()
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
    volunteer({ meshId: named, member, level, leaving: goes = false, parts: its }, { peer }) {
      if (named !== meshId())
        throw stateError('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')
      if (peerOf(member) !== peer)
        throw new ParleyError('SEC002', 'a seat can only be offered by its own node', { hint: 'offer your own' })
      const at = journalMember()
      if (at === undefined || leading.epoch() === undefined)
        throw stateError('not-leader', 'this node does not coordinate', 'ask the coordinator')
      const { configuration } = at.group.status()
      return {
        enough: seats.addOffer({ member, level, leaving: goes, parts: readOffers(its) }, configuration),
        voters: configuration.voters.length,
      }
    },
    async transfer({ meshId: named, to }, { signal }) {
      const at = journalMember()
      if (named !== meshId() || at === undefined || leading.epoch() === undefined)
        throw stateError('not-leader', 'this node does not coordinate', 'ask the coordinator')
      return transferLeadership(port, at.group, to, signal)
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

  const stopLearning = leaderTracker.onChange(() => {
    offering.onNewLeader()
    tell()
  })
  const tick = (): void => {
    if (isSeated || leading.epoch() !== undefined) {
      announce()
      leading.checkProgress(journalMember())
      tell()
    }
    ticks += 1
    if (ticks % TICKS_EACH !== 0) return
    tell()
    if (meshId() !== undefined) telling.subscribe()
    steer()
    offering.tick()
  }
  const stops = [
    port.timers.every(TICK_MS, tick),
    deps.onMemberGone((peer) => leaderTracker.markGone(peer)),
    stopLearning,
    // Others wait for it.
    proofs?.onChange(announce) ?? (() => {}),
  ]

  return {
    status: read,
    acting: () => leading.epoch(),
    act: leading.act,
    onStatus(at, status) {
      const leader = liveLeaderOf(at.group)
      if (leader !== undefined) {
        ledAt = now()
        const { term: epoch, configuration } = status
        if (isMember(configuration, at.group.self))
          leaderTracker.setFromOwnGroup({
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
      const leader = await leaderTracker.find(signal)
      if (id === undefined)
        throw stateError('not-founded', 'this mesh has no coordinator yet', 'wait until it is founded')
      return port
        .to(leader.peer, coordinatorProtocol)
        .transfer({ meshId: id, ...(to !== undefined && { to }) }, { signal })
    },
    withdraw: giveUp,
    volunteer: takeSeat,
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
