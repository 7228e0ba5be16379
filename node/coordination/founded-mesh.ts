/**
 * Which founded mesh this node belongs to, and its member of the coordinator group.
 *
 * A node with a store founds a mesh with others or adopts one, for good; any other one belongs to whatever mesh it can
 * reach, and may leave it. State: that, from when each of it is known.
 */
import type { Founding } from '../../protocols/consensus/bootstrap/api.ts'
import { foundingVoters } from '../../protocols/consensus/bootstrap/founding-record.ts'
import type { Proofs } from '../../protocols/consensus/proof/proof-api.ts'
import type { CoordinatorFeature } from '../../protocols/coordinator/api.ts'
import type { LeaderTracker } from '../../protocols/coordinator/leader-tracker.ts'
import type { JournalClient } from '../../protocols/journal/client/journal-client.ts'
import type { JournalMember } from '../../protocols/journal/journal-server.ts'
import type { Port } from '../../protocols/port.ts'
import { logUnlessStopping, NO_VOTE_AFTER_RESTORE, type RaftMember, votesOnlyAsFormerMember } from './raft-member.ts'

/** A coordinator that is gone for no longer may just be replaced. */
const LOST_MS = 4_000

/** What follows the mesh that this node belongs to. */
export interface MeshFollowers {
  readonly proofs: Pick<Proofs, 'setMesh'>
  readonly tracker: Pick<LeaderTracker, 'latest' | 'reset'>
  readonly client: Pick<JournalClient, 'reset'>
}

export class FoundedMesh {
  readonly #port: Pick<Port, 'self' | 'log'>
  readonly #onFounded: (meshId: string) => void
  #founding: Founding | undefined
  /** Of a node without a store. */
  #adopted: string | undefined
  #raftMember: RaftMember | undefined
  #memberId: string | undefined
  #coordinator: Pick<CoordinatorFeature, 'status'> | undefined

  /** @param onFounded called with the id of each mesh that this node comes to belong to */
  constructor(port: Pick<Port, 'self' | 'log'>, onFounded: (meshId: string) => void) {
    this.#port = port
    this.#onFounded = onFounded
  }

  meshId(): string | undefined {
    return this.#founding?.meshId() ?? this.#adopted
  }
  /** Its member of the coordinator group, while that takes part. */
  current(): JournalMember | undefined {
    return this.#raftMember?.current()
  }
  memberId(): string | undefined {
    return this.#memberId
  }
  /** The group knows it as a voter or a learner. */
  isMember(): boolean {
    return this.#coordinator !== undefined && this.#coordinator.status().role !== 'none'
  }
  /** It left the group until this node is started again. */
  isUnable(): boolean {
    return this.#raftMember?.unable() !== undefined
  }
  counts(): Partial<ReturnType<RaftMember['counts']>> {
    return this.#raftMember?.counts() ?? {}
  }

  coordinateBy(coordinator: Pick<CoordinatorFeature, 'status'>): void {
    this.#coordinator = coordinator
  }
  joinGroup(raftMember: RaftMember, memberId: string): void {
    this.#raftMember = raftMember
    this.#memberId = memberId
  }
  /** Belongs to its mesh now, or once it is founded. */
  follow(founding: Founding, followers: MeshFollowers): void {
    this.#founding = founding
    const id = founding.meshId()
    if (id !== undefined) this.#belong(id, followers)
    else founding.onMeshId((meshId) => this.#belong(meshId, followers))
  }

  /** A node that keeps nothing belongs to whatever mesh it can reach. */
  mayMove({ tracker }: Pick<MeshFollowers, 'tracker'>): boolean {
    const { isPresent, silentMs } = tracker.latest()
    return this.#founding === undefined && !isPresent && silentMs >= LOST_MS
  }

  /** A member of the mesh belongs to the founded mesh of this id. */
  heard(id: string, followers: MeshFollowers): void {
    const { log } = this.#port
    if (this.#founding !== undefined) {
      this.#founding.adopt(id).catch(logUnlessStopping(log, 'the mesh could not be joined for good'))
      return
    }
    const before = this.#adopted
    if (before === id || (before !== undefined && !this.mayMove(followers))) return
    if (before !== undefined) {
      log.warn('nobody coordinates the mesh that this node belonged to; it joins another one', { from: before, to: id })
      followers.tracker.reset()
      followers.client.reset()
    }
    this.#adopted = id
    this.#belong(id, followers)
  }

  /** Why nothing can be decided, for a person. */
  problem({ status }: Pick<CoordinatorFeature, 'status'>): string | undefined {
    const raft = this.#raftMember
    const ended = raft?.problem() ?? raft?.unable()
    if (ended !== undefined) return ended
    if (this.meshId() === undefined) return this.#founding?.status().problem ?? 'this mesh has not been founded'
    const { quorum, leader } = status()
    const at = this.current()
    const lost = raft?.loss()
    if (lost !== undefined) return quorum ? lost : `${lost}; ${NO_VOTE_AFTER_RESTORE}`
    if (!quorum && at !== undefined && votesOnlyAsFormerMember(at)) return NO_VOTE_AFTER_RESTORE
    if (!quorum)
      return 'no coordinator: a majority of the voters does not answer; nothing new is decided, all else goes on'
    return leader === undefined ? 'no coordinator is known yet' : undefined
  }
  /** Why it is not ready: who lost what it had acknowledged waits until one of the others coordinates. */
  notReady(coordinator: Pick<CoordinatorFeature, 'status'>): string | undefined {
    const raft = this.#raftMember
    return raft?.problem() ?? (raft?.loss() && !coordinator.status().quorum ? this.problem(coordinator) : undefined)
  }

  async stopFounding(): Promise<void> {
    await this.#founding?.stop()
  }
  async leaveGroup(): Promise<void> {
    await this.#raftMember?.stop()
  }

  #belong(id: string, { proofs }: Pick<MeshFollowers, 'proofs'>): void {
    this.#onFounded(id)
    const set = this.#founding?.founded()?.members
    const recovery = this.#founding?.recovered()
    const own = set && ({ type: 'founded', mesh: this.#port.self.mesh, founders: [...set] } as const)
    void proofs.setMesh(id, recovery === undefined ? own : { type: 'recovered', recovery })
    const member = this.#memberId
    if (this.#raftMember === undefined || member === undefined) return
    const founders = set === undefined ? undefined : foundingVoters(set)
    this.#raftMember
      .start(member, { meshId: id, founders: founders?.includes(member) === true ? founders : undefined })
      .catch(logUnlessStopping(this.#port.log, 'this node cannot take part in the coordinator group'))
  }
}
