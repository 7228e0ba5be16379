/**
 * Who coordinates, put together for one node: the founding, its seat, the journal, the coordinator.
 *
 * A node with a data directory has a store, and so may vote; any other one uses the journal of the others. The mesh id is
 * what the founders agreed on; nodes that belong to meshes that were founded apart refuse each other (admission.ts).
 * State: the parts', and the mesh id of a node without a store.
 */
import { join } from 'node:path'
import type { Founding } from '../../protocols/consensus/bootstrap/api.ts'
import { startFounding } from '../../protocols/consensus/bootstrap/founding.ts'
import { foundingVoters } from '../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf } from '../../protocols/consensus/member-id.ts'
import { createProofs, type ProofMode } from '../../protocols/consensus/proof/proofs.ts'
import type { CoordinatorFeature } from '../../protocols/coordinator/api.ts'
import { createCoordinator } from '../../protocols/coordinator/coordinator.ts'
import type { CoordinatorStatus } from '../../protocols/coordinator/coordinator-status.ts'
import { createLeaderTracker } from '../../protocols/coordinator/leader-tracker.ts'
import type { ActingFacts } from '../../protocols/coordinator/leadership.ts'
import type { Events } from '../../protocols/events/api.ts'
import { createJournalClient, type Journal } from '../../protocols/journal/client/journal-client.ts'
import { createJournalDeadlines } from '../../protocols/journal/client/journal-deadlines.ts'
import { createJournalWatch } from '../../protocols/journal/client/journal-watch.ts'
import { createFenceGuard, type Fences } from '../../protocols/journal/fencing/fence-guard.ts'
import { serveJournal } from '../../protocols/journal/journal-server.ts'
import { type JournalPart, knownKinds, PARTS_LEVEL } from '../../protocols/journal/part-kinds.ts'
import {
  EPOCHS_PREFIX,
  type Epoch,
  EpochSchema,
  FEATURE_LEVEL_KEY,
  featureLevelOf,
} from '../../protocols/journal/state/built-in-kinds.ts'
import { implementPart } from '../../protocols/part.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import { type CoordinatorFacts, coordinatorFactsOf } from '../observe/debug/sources/coordinator-view.ts'
import { looksForOthers } from '../options/discovery-options.ts'
import type { coordination } from '../parts/coordination-part.ts'
import { createFenceStore } from '../store/fences/fence-store.ts'
import { openFolder } from '../store/files/disk.ts'
import { createFoundingFile } from '../store/journal/founding-file.ts'
import { createProofFile } from '../store/journal/proof-file.ts'
import { FENCE_FOLDER, type KnownStores } from '../store/known-stores.ts'
import { exposeCoordination } from './coordination-metrics.ts'
import type { CoordinationSettings } from './coordination-options.ts'
import {
  logUnlessStopping,
  NO_VOTE_AFTER_RESTORE,
  openJournalFolder,
  openRaftMember,
  type RaftMember,
  transferBeforeStop,
  votesOnlyAsFormerMember,
} from './raft-member.ts'

export { JOURNAL_FOLDER } from './raft-member.ts'

const PROOF_FOLDER = 'proof'
/** The highest feature level that this version knows. */
const LEVEL = PARTS_LEVEL
/** A coordinator that is gone for no longer may just be replaced. */
const LOST_MS = 4_000

export interface Coordinator {
  status(): CoordinatorStatus
  onChange(fn: (status: CoordinatorStatus) => void): Stop
  /**
   * Runs `fn` each time that this node begins to coordinate, until the signal that it is given is aborted. What it has
   * others do must carry the fence of a decision, so that they can refuse it once another node coordinates. A decision of
   * one who was replaced meanwhile is taken like anybody's, and gets a new fence: a command that only the coordinator of an
   * epoch may give names that epoch in its input, and its `apply` compares it with `facts.fence.term`.
   */
  act(fn: (facts: ActingFacts) => void | Promise<void>): Stop
  /** Hands over, to the agent that is named (peer id or name) or to the most suitable. @throws STA003, COM002, SEC002 */
  transfer(to?: string, options?: { signal?: AbortSignal }): Promise<{ epoch: number; leader: string }>
  /** Who coordinated when, oldest first; the last 256 epochs. */
  history(options?: { signal?: AbortSignal }): Promise<Epoch[]>
  /** Resolves with who coordinates, once somebody does. @throws COM001 `no-leader` after `timeoutMs`; COM002 at stop */
  found(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<{ epoch: number; leader: string }>
  /**
   * Gives this node's seat up for good, also after a restart; the node stays in the mesh. Resolves once it has none.
   * @throws STA003 with `details.reason` `alone` for the only voter, `taken-back`; the signal's reason; it keeps its seat then
   */
  giveUpSeat(options?: { signal?: AbortSignal }): Promise<void>
  /** Offers the seat again that was given up: it learns first. @throws STA003 where the disk cannot keep it */
  takeSeat(): Promise<void>
}

export interface Coordination {
  readonly journal: Journal
  readonly coordinator: Coordinator
  readonly fences: Fences
  meshId(): string | undefined
  /** Whether it may leave its founded mesh for another one. */
  mayMove(): boolean
  /** A member of the mesh belongs to the founded mesh of this id. */
  heard(meshId: string): void
  facts(): CoordinatorFacts
  /** Why this node is not ready. */
  problems(): string[]
  /** What does not work although it is. */
  degraded(): string[]
  counts(): Record<string, number>
  handOver(): Promise<void>
  stop(): Promise<void>
}

export interface CoordinationDeps {
  readonly port: Port
  readonly events: Events
  readonly dataDir: string | undefined
  readonly joins: boolean
  readonly settings: CoordinationSettings
  /** What its parts decide with others. */
  readonly parts?: readonly JournalPart[]
  /** Where it is noted what this node keeps. */
  readonly known?: KnownStores | undefined
  /** As a test wants it. */
  readonly proofMode?: ProofMode
  /** A node of the mesh left or died, as the membership says. */
  onGone(fn: (peer: string) => void): Stop
  /** This node belongs to a founded mesh from now on. */
  founded(meshId: string): void
}

const never = new AbortController().signal
const GIVEN_UP =
  'this node gave its seat up and offers none; `parley leave --undo` or mesh.coordinator.takeSeat() takes that back'

/** Ends something that was begun. */
type End = () => Promise<void>

/** @param begun what a start that fails has to end */
const start = async (deps: CoordinationDeps, begun: End[]): Promise<Coordination> => {
  const { port, events, settings, known, parts = [] } = deps
  const kinds = knownKinds(settings.commands, parts)
  let founding: Founding | undefined
  /** Of a node without a store. */
  let adopted: string | undefined
  let seat: RaftMember | undefined
  let feature: CoordinatorFeature | undefined
  let member: string | undefined

  const meshId = (): string | undefined => founding?.meshId() ?? adopted
  const current = () => seat?.current()
  const hasSeat = (): boolean => feature !== undefined && feature.status().role !== 'none'
  const { dataDir } = deps
  const proofs = await createProofs({
    port,
    store: dataDir === undefined ? undefined : createProofFile(await openFolder(join(dataDir, PROOF_FOLDER))),
    member: () => member,
    level: () => featureLevelOf(current()?.machine.records.get(FEATURE_LEVEL_KEY)?.value),
    leader: () => current()?.group.status().leader?.split('.')[0],
    mode: deps.proofMode,
  })
  const whereabouts = createLeaderTracker(port, meshId, proofs)
  const limits = createJournalDeadlines(port.timers, whereabouts.stopped)
  const client = createJournalClient({ port, leaderTracker: whereabouts, meshId, isMember: hasSeat })
  const fenceStore =
    dataDir === undefined
      ? undefined
      : createFenceStore(await openFolder(join(dataDir, FENCE_FOLDER)), (bytes) => port.random(bytes), {
          known,
          timers: port.timers,
        })
  if (fenceStore !== undefined) begun.push(fenceStore.close)
  const fences = await createFenceGuard(fenceStore, { isProven: proofs.hasBegun })
  const unserve = await serveJournal({ port, kinds, member: current })

  const belong = (id: string): void => {
    deps.founded(id)
    const set = founding?.founded()?.members
    const recovery = founding?.recovered()
    const own = set && ({ type: 'founded', mesh: port.self.mesh, founders: [...set] } as const)
    void proofs.setMesh(id, recovery === undefined ? own : { type: 'recovered', recovery })
    if (seat === undefined || member === undefined) return
    const founders = set === undefined ? undefined : foundingVoters(set)
    seat
      .start(member, { meshId: id, founders: founders?.includes(member) === true ? founders : undefined })
      .catch(logUnlessStopping(port.log, 'this node cannot take part in the coordinator group'))
  }

  const store =
    dataDir === undefined || settings.voter !== 'auto' ? undefined : await openJournalFolder(port, dataDir, deps.joins)
  feature = await createCoordinator({
    port,
    events,
    leaderTracker: whereabouts,
    meshId,
    journalMember: current,
    onMemberGone: deps.onGone,
    ownMemberId: () => (current() === undefined && seat?.unable() === undefined ? undefined : member),
    level: LEVEL,
    parts,
    isUnable: () => seat?.unable() !== undefined,
    proofs,
    autopilot: { stableMs: settings.stableMs, replaceAfterMs: settings.replaceAfterMs },
    withdrawal: store?.keeping,
  })
  const coordinator = feature

  if (store !== undefined) {
    const { disk } = store
    seat = await openRaftMember({
      port,
      disk,
      kinds,
      snapshotEvery: settings.snapshotEvery,
      proofs,
      knownStores: known,
      onStatus: coordinator.onStatus,
    })
    begun.push(seat.stop)
    member = memberIdOf(port.self.id, seat.storageId)
    founding = await startFounding(
      { port, store: createFoundingFile(disk, seat.hasContents || known?.recorded().journal !== undefined) },
      { member, expect: settings.expect, joins: deps.joins },
    )
    const id = founding.meshId()
    if (id !== undefined) belong(id)
    else founding.onMeshId(belong)
  }

  const history = async (signal: AbortSignal = never): Promise<Epoch[]> => {
    const { records } = await client.list(EPOCHS_PREFIX, { signal })
    return records.map(({ value }) => EpochSchema.parse(value))
  }

  /** A node that keeps nothing belongs to whatever mesh it can reach. */
  const mayMove = (): boolean => {
    const { isPresent, silentMs } = whereabouts.latest()
    return founding === undefined && !isPresent && silentMs >= LOST_MS
  }

  /** Why nothing can be decided, for a person. */
  const problem = (): string | undefined => {
    const told = seat?.problem() ?? seat?.unable()
    if (told !== undefined) return told
    if (meshId() === undefined) return founding?.status().problem ?? 'this mesh has not been founded'
    const { quorum, leader } = coordinator.status()
    const at = current()
    const lost = seat?.loss()
    if (lost !== undefined) return quorum ? lost : `${lost}; ${NO_VOTE_AFTER_RESTORE}`
    if (!quorum && at !== undefined && votesOnlyAsFormerMember(at)) return NO_VOTE_AFTER_RESTORE
    if (!quorum)
      return 'no coordinator: a majority of the voters does not answer; nothing new is decided, all else goes on'
    return leader === undefined ? 'no coordinator is known yet' : undefined
  }
  /** Who lost what it had acknowledged waits for the others, and is not ready until one of them coordinates. */
  const unready = (): string[] | undefined => {
    const told = seat?.problem() ?? (seat?.loss() && !coordinator.status().quorum ? problem() : undefined)
    return told === undefined ? undefined : [told]
  }

  return {
    journal: { ...client, watch: createJournalWatch({ port, leaderTracker: whereabouts, meshId, isMember: hasSeat }) },
    coordinator: {
      status: coordinator.status,
      onChange: coordinator.onChange,
      act: coordinator.act,
      transfer: (to, { signal = never } = {}) => coordinator.transfer(to, signal),
      history: ({ signal } = {}) => history(signal),
      async found({ signal, timeoutMs } = {}) {
        const limit = limits(signal, timeoutMs)
        const { epoch, peer } = await whereabouts.find(limit.signal).finally(limit.stop)
        return { epoch, leader: peer }
      },
      async giveUpSeat({ signal = never } = {}) {
        await coordinator.withdraw(signal)
      },
      takeSeat: coordinator.volunteer,
    },
    fences,
    meshId,
    mayMove,
    heard(id) {
      if (founding === undefined) {
        if (adopted === id || (adopted !== undefined && !mayMove())) return
        if (adopted !== undefined) {
          port.log.warn('nobody coordinates the mesh that this node belonged to; it joins another one', {
            from: adopted,
            to: id,
          })
          whereabouts.reset()
          client.reset()
        }
        adopted = id
        belong(id)
        return
      }
      founding.adopt(id).catch(logUnlessStopping(port.log, 'the mesh could not be joined for good'))
    },
    facts: () =>
      coordinatorFactsOf({
        at: current(),
        status: coordinator.status(),
        problem: problem() ?? (coordinator.status().withdrawn ? GIVEN_UP : undefined),
        proof: proofs.facts(),
      }),
    problems: () => unready() ?? [],
    degraded() {
      const told = meshId() === undefined || unready() !== undefined ? undefined : problem()
      return told === undefined ? [] : [told]
    },
    counts: () => ({ ...client.counts(), ...seat?.counts(), ...current()?.group.counts(), ...proofs.counts() }),
    handOver: async () =>
      coordinator.acting() === undefined ? undefined : transferBeforeStop(port, current(), coordinator.transfer),
    async stop() {
      await founding?.stop()
      await coordinator.stop()
      whereabouts.stop()
      await seat?.stop()
      await proofs.stop()
      await fenceStore?.close()
      await unserve()
    },
  }
}

/** @throws STA003 for a log or a founding file that is damaged or of a newer version, or that was copied and cannot be renewed */
export const startCoordination = async (deps: CoordinationDeps): Promise<Coordination> => {
  const begun: End[] = []
  try {
    return await start(deps, begun)
  } catch (error) {
    for (const end of begun.toReversed())
      await end().catch((why: unknown) => deps.port.log.warn('a store could not be closed', { error: why }))
    throw error
  }
}

export default implementPart<typeof coordination>({
  async start({ ground, network, directory, decisions, events, ...port }) {
    const { options, known, log, metrics } = ground
    const { peers, admission } = network
    /** Neighbours that have not heard of the mesh id are told, and those of another founded mesh are parted from. */
    const tellMeshId = (): void => {
      for (const { chosen } of peers.all())
        admission.renew(chosen).catch((error: unknown) => log.info('a neighbour was not told the mesh id', { error }))
    }
    const api = await startCoordination({
      port,
      events,
      dataDir: options.dataDir,
      joins: looksForOthers(options) || network.localOthers > 0,
      settings: options.coordination,
      parts: decisions,
      known,
      onGone: (fn) => directory.onChange(({ type, agent }) => type === 'left' && fn(agent.peer)),
      founded: tellMeshId,
    })
    // Who was admitted before has not been told.
    if (api.meshId() !== undefined) tellMeshId()
    exposeCoordination(metrics, api)
    const readiness = () => ({ reasons: api.problems(), degraded: api.degraded() })
    return { api, readiness, stop: api.stop }
  },
})
