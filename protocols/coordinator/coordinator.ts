/**
 * The coordinator of a mesh, from every node's side: who it is, how to become one, and what it does about who votes.
 *
 * A member of the coordinator group hears of elections from its own Raft; any other node hears the coordinator's events, and
 * asks (leader-tracker.ts). The coordinator announces `(epoch, leader, version)` (leader-announcements.ts) and decides who
 * votes among those who volunteer (voter-selection.ts). A member that was put out while it was not looking, or that
 * withdrew, finds that out from what the coordinator announces. Volunteering: voter-offers.ts; withdrawing, and taking that
 * back: candidacy-intent.ts; what others ask: coordinator-server.ts.
 * State: the status that listeners had last. It is soft.
 */
import { liveLeaderOf } from '../consensus/group/live-leader.ts'
import { peerOf } from '../consensus/member-id.ts'
import type { Proofs } from '../consensus/proof/proof-api.ts'
import { isMember } from '../consensus/raft/configuration-history.ts'
import type { RaftStatus } from '../consensus/raft/raft.ts'
import type { Configuration } from '../consensus/raft/raft-messages.ts'
import { stateError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { type JournalPart, offerOf } from '../journal/part-kinds.ts'
import type { Port, Stop } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import type { CoordinatorFeature } from './api.ts'
import { AUTOPILOT_DEFAULTS, type AutopilotSettings } from './autopilot.ts'
import { type CandidacyIntent, createCandidacyIntent, type WithdrawalStore } from './candidacy-intent.ts'
import { coordinatorProtocol } from './contract.ts'
import { serveCoordinator } from './coordinator-server.ts'
import { type CoordinatorStatus, coordinatorStatus } from './coordinator-status.ts'
import { createLeaderAnnouncements, type LeaderAnnouncement, type LeaderAnnouncements } from './leader-announcements.ts'
import type { LeaderTracker } from './leader-tracker.ts'
import { createLeadership, type Leadership } from './leadership.ts'
import { transferLeadership } from './leadership-transfer.ts'
import { createVoterOffers, type VoterOffers } from './voter-offers.ts'
import { createVoterSelection, type VoterSelection } from './voter-selection.ts'

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
  /** The member id that this node offers. */
  ownMemberId(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  /** Those of this node that decide something. */
  readonly parts?: readonly JournalPart[]
  /** It cannot go on as a member, and does not volunteer until it is started again. */
  isUnable?(): boolean
  readonly autopilot?: Partial<AutopilotSettings>
  /** Without them everybody is taken at their word. */
  readonly proofs?:
    | Pick<
        Proofs,
        'collectSignatures' | 'stopCollecting' | 'shown' | 'isChangeProven' | 'minLevel' | 'isEnforced' | 'onChange'
      >
    | undefined
  /** Where a withdrawal is kept across restarts. */
  readonly withdrawal?: WithdrawalStore | undefined
}

/** Peers of a group's members. State: those of the configuration that was asked for last, which is mostly asked for again. */
class MemberPeers {
  #configuration: Configuration | undefined
  #peers: readonly string[] = []

  of(configuration: Configuration): readonly string[] {
    if (configuration === this.#configuration) return this.#peers
    const { voters, learners } = configuration
    this.#configuration = configuration
    this.#peers = [...voters, ...learners].map(peerOf)
    return this.#peers
  }
}

class Coordinator {
  readonly #deps: CoordinatorDeps
  readonly #peers = new MemberPeers()
  readonly voterSelection: VoterSelection
  readonly leadership: Leadership
  readonly #announcements: LeaderAnnouncements
  readonly #intent: CandidacyIntent
  readonly #offers: VoterOffers
  readonly #listeners = new Set<(status: CoordinatorStatus) => void>()
  #stops: readonly Stop[] = []
  /** What was announced last. */
  #announced: LeaderAnnouncement | undefined
  /** When this node's own member last followed a leader or led. */
  #ledAt: number
  #stopped = false
  /** The status that listeners had last, but for its version. */
  #published: string | undefined
  #ticks = 0
  /** As of the last look. */
  #isMember = false

  constructor(deps: CoordinatorDeps) {
    const { port, events, leaderTracker, meshId, proofs, parts = [], isUnable = () => false } = deps
    this.#deps = deps
    this.#ledAt = port.clock.monotonic()
    this.voterSelection = createVoterSelection(port, { ...AUTOPILOT_DEFAULTS, ...deps.autopilot }, deps.level, parts)
    this.#announcements = createLeaderAnnouncements(port, events, leaderTracker, proofs)
    this.leadership = createLeadership(port, (epoch) => this.#onLeadership(epoch))
    this.#intent = createCandidacyIntent({
      timers: port.timers,
      log: port.log,
      withdrawal: deps.withdrawal,
      isMember: () => this.status().role !== 'none',
      isOnlyVoter() {
        const group = deps.journalMember()?.group
        return group?.status().configuration.voters.every((id) => id === group.self) ?? false
      },
      transferLeadership: async (signal) => {
        const member = this.actingMember()
        // A leader that nobody can follow has to stay.
        if (member !== undefined) await transferLeadership(port, member.group, undefined, signal)
      },
      sendOffer: () => this.#offers.send(),
    })
    this.#offers = createVoterOffers({
      port,
      leaderTracker,
      meshId,
      member: deps.ownMemberId,
      level: deps.level,
      isMember: () => this.status().role !== 'none',
      parts: parts.map(offerOf),
      isWithdrawn: () => isUnable() || this.#intent.isWithdrawn(),
      isUnable,
    })
  }

  /** Others are served by now. */
  start(): void {
    const { port, leaderTracker, proofs } = this.#deps
    this.#stops = [
      leaderTracker.onChange(() => {
        this.#offers.onNewLeader()
        this.#publishStatus()
      }),
      port.timers.every(TICK_MS, () => this.#tick()),
      this.#deps.onMemberGone((peer) => leaderTracker.markGone(peer)),
      // Others wait for it.
      proofs?.onChange(() => this.#announce()) ?? (() => {}),
    ]
  }

  status(): CoordinatorStatus {
    const { port, leaderTracker } = this.#deps
    return coordinatorStatus({
      self: port.self.id,
      meshId: this.#deps.meshId(),
      member: this.#deps.journalMember(),
      leaderTracker,
      acting: this.leadership.epoch() !== undefined,
      withdrawn: this.#intent.isWithdrawn(),
      leaderlessMs: port.clock.monotonic() - this.#ledAt,
    })
  }

  /** This node's member while this node coordinates. */
  actingMember(): JournalMember | undefined {
    return this.leadership.epoch() === undefined ? undefined : this.#deps.journalMember()
  }

  onChange(fn: (status: CoordinatorStatus) => void): Registration {
    this.#listeners.add(fn)
    return createRegistration(() => this.#listeners.delete(fn))
  }

  onRaftStatus(member: JournalMember, status: RaftStatus): void {
    const { port, leaderTracker } = this.#deps
    const leader = liveLeaderOf(member.group)
    if (leader !== undefined) {
      this.#ledAt = port.clock.monotonic()
      const { term: epoch, configuration } = status
      if (isMember(configuration, member.group.self))
        leaderTracker.setFromOwnGroup({
          meshId: member.meshId,
          epoch,
          leader: peerOf(leader),
          version: member.machine.version(),
          seats: this.#peers.of(configuration),
        })
    }
    this.leadership.onStatus(member, status)
  }

  async transfer(to: string | undefined, signal: AbortSignal): Promise<{ epoch: number; leader: string }> {
    const { port, leaderTracker } = this.#deps
    const meshId = this.#deps.meshId()
    const leader = await leaderTracker.find(signal)
    if (meshId === undefined)
      throw stateError('not-founded', 'this mesh has no coordinator yet', 'wait until it is founded')
    return port.to(leader.peer, coordinatorProtocol).transfer({ meshId, ...(to !== undefined && { to }) }, { signal })
  }

  async withdraw(signal: AbortSignal): Promise<number | undefined> {
    await this.#intent.withdraw(signal)
    this.#publishStatus()
    return this.#offers.votersLeft()
  }

  async volunteer(): Promise<void> {
    await this.#intent.volunteer()
    this.#offers.sendSoon()
    this.#publishStatus()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const stop of this.#stops) stop()
    this.#offers.stop()
    this.leadership.stop()
    await this.#announcements.stop()
  }

  #tick(): void {
    if (this.#isMember || this.leadership.epoch() !== undefined) {
      this.#announce()
      this.leadership.checkProgress(this.#deps.journalMember())
      this.#publishStatus()
    }
    this.#ticks += 1
    if (this.#ticks % TICKS_EACH !== 0) return
    this.#publishStatus()
    if (this.#deps.meshId() !== undefined) this.#announcements.subscribe()
    this.#selectVoters()
    this.#offers.tick()
  }

  #onLeadership(epoch: number | undefined): void {
    if (epoch !== undefined) {
      this.voterSelection.reset()
      this.#announce()
    } else {
      this.#deps.proofs?.stopCollecting()
      if (this.#announced !== undefined && !this.#stopped) this.#announcements.announceEnd(this.#announced)
    }
    this.#publishStatus()
  }

  /** To listeners, where anything but the version is another one. A listener that fails harms nobody else. */
  #publishStatus(): void {
    const status = this.status()
    const { meshId, epoch, leader, acting, role, withdrawn, quorum, voters, learners } = status
    const text = [meshId, epoch, leader, acting, role, withdrawn, quorum, ...voters, '/', ...learners].join()
    this.#isMember = role !== 'none'
    if (text === this.#published) return
    this.#published = text
    for (const fn of [...this.#listeners]) {
      try {
        fn(status)
      } catch (error) {
        this.#deps.port.log.error('a listener of the coordinator failed', { error })
      }
    }
  }

  #announce(): void {
    const { proofs } = this.#deps
    const member = this.#deps.journalMember()
    const epoch = this.leadership.epoch()
    const meshId = this.#deps.meshId()
    if (member === undefined || epoch === undefined || meshId === undefined) return
    const { configuration } = member.group.status()
    proofs?.collectSignatures(epoch, () => this.leadership.restateEpoch(member))
    this.#announced = { meshId, epoch, version: member.machine.version(), seats: this.#peers.of(configuration) }
    this.#announcements.tick(this.#announced)
  }

  #selectVoters(): void {
    const { proofs } = this.#deps
    const member = this.actingMember()
    if (member === undefined) return
    const isChangeProven = proofs?.isChangeProven(member.group.status().configuration.voters) ?? true
    void this.voterSelection.advance(member, { isChangeProven, minLevel: proofs?.minLevel() ?? 1 })
  }
}

export const createCoordinator = async (deps: CoordinatorDeps): Promise<CoordinatorFeature> => {
  const coordinator = new Coordinator(deps)
  const { leadership, voterSelection } = coordinator
  const unserve = await serveCoordinator({
    port: deps.port,
    meshId: deps.meshId,
    status: () => coordinator.status(),
    actingMember: () => coordinator.actingMember(),
    voterSelection,
    withdraw: (signal) => coordinator.withdraw(signal),
    volunteer: () => coordinator.volunteer(),
  })
  coordinator.start()

  return {
    status: () => coordinator.status(),
    acting: leadership.epoch,
    act: leadership.act,
    onStatus: (member, status) => coordinator.onRaftStatus(member, status),
    onChange: (fn) => coordinator.onChange(fn),
    transfer: (to, signal) => coordinator.transfer(to, signal),
    withdraw: (signal) => coordinator.withdraw(signal),
    volunteer: () => coordinator.volunteer(),
    async stop() {
      await coordinator.stop()
      await unserve()
    },
  }
}
