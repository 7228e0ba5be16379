/**
 * Who coordinates, put together for one node: the founding, its member of the group, the journal, the coordinator.
 *
 * A node with a data directory has a store, and so may vote; any other one uses the journal of the others. The mesh id is
 * what the founders agreed on; nodes that belong to meshes that were founded apart refuse each other (admission.ts).
 * State: that of what it starts.
 */
import { join } from 'node:path'
import { startFounding } from '../../protocols/consensus/bootstrap/founding.ts'
import { memberIdOf } from '../../protocols/consensus/member-id.ts'
import type { ProofMode } from '../../protocols/consensus/proof/proof-enforcement.ts'
import { createProofs } from '../../protocols/consensus/proof/proofs.ts'
import type { CoordinatorFeature } from '../../protocols/coordinator/api.ts'
import { createCoordinator } from '../../protocols/coordinator/coordinator.ts'
import { createLeaderTracker } from '../../protocols/coordinator/leader-tracker.ts'
import type { Events } from '../../protocols/events/api.ts'
import { createJournalClient } from '../../protocols/journal/client/journal-client.ts'
import { createJournalDeadlines } from '../../protocols/journal/client/journal-deadlines.ts'
import { createJournalWatch } from '../../protocols/journal/client/journal-watch.ts'
import { createFenceGuard } from '../../protocols/journal/fencing/fence-guard.ts'
import { serveJournal } from '../../protocols/journal/journal-server.ts'
import { type JournalPart, type KnownKinds, knownKinds } from '../../protocols/journal/part-kinds.ts'
import {
  EPOCHS_PREFIX,
  EpochSchema,
  FEATURE_LEVEL_KEY,
  featureLevelOf,
} from '../../protocols/journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../protocols/journal/state/collection-rows.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import { coordinatorFactsOf } from '../observe/debug/sources/coordinator-view.ts'
import { createFenceStore } from '../store/fences/fence-store.ts'
import { openFolder } from '../store/files/disk.ts'
import { createFoundingFile } from '../store/journal/founding-file.ts'
import { createProofFile } from '../store/journal/proof-file.ts'
import { FENCE_FOLDER, type KnownStores } from '../store/known-stores.ts'
import type { Coordination, Coordinator } from './api.ts'
import type { CoordinationSettings } from './coordination-options.ts'
import { FoundedMesh } from './founded-mesh.ts'
import { openJournalFolder, openRaftMember, transferBeforeStop } from './raft-member.ts'

const PROOF_FOLDER = 'proof'
/** The highest feature level that this version knows. */
const LEVEL = COLLECTIONS_LEVEL

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
type Opened = Awaited<ReturnType<typeof openJournal>>

/** What any node has of the journal, one that does not vote too. @param begun what a start that fails has to end */
const openJournal = async (deps: CoordinationDeps, mesh: FoundedMesh, kinds: KnownKinds, begun: End[]) => {
  const { port, dataDir, known } = deps
  const meshId = () => mesh.meshId()
  const isMember = () => mesh.isMember()
  const member = () => mesh.current()
  const proofs = await createProofs({
    port,
    store: dataDir === undefined ? undefined : createProofFile(await openFolder(join(dataDir, PROOF_FOLDER))),
    member: () => mesh.memberId(),
    level: () => featureLevelOf(member()?.machine.records.get(FEATURE_LEVEL_KEY)?.value),
    leader: () => member()?.group.status().leader?.split('.')[0],
    mode: deps.proofMode,
  })
  const tracker = createLeaderTracker(port, meshId, proofs)
  const limits = createJournalDeadlines(port.timers, tracker.stopped)
  const client = createJournalClient({ port, leaderTracker: tracker, meshId, isMember })
  const watch = createJournalWatch({ port, leaderTracker: tracker, meshId, isMember })
  const random = (bytes: number): Uint8Array => port.random(bytes)
  const fenceStore =
    dataDir === undefined
      ? undefined
      : createFenceStore(await openFolder(join(dataDir, FENCE_FOLDER)), random, { known, timers: port.timers })
  if (fenceStore !== undefined) begun.push(fenceStore.close)
  const fences = await createFenceGuard(fenceStore, { isProven: proofs.hasBegun })
  const unserve = await serveJournal({ port, kinds, member })
  return { proofs, tracker, limits, client, watch, fences, fenceStore, unserve }
}

/** The coordinator, and this node's own member where it may vote. @returns once it takes part, or waits for a mesh */
const startMember = async (
  deps: CoordinationDeps,
  mesh: FoundedMesh,
  kinds: KnownKinds,
  opened: Opened,
  begun: End[],
): Promise<CoordinatorFeature> => {
  const { port, events, settings, dataDir, known } = deps
  const { proofs, tracker } = opened
  const store =
    dataDir === undefined || settings.voter !== 'auto' ? undefined : await openJournalFolder(port, dataDir, deps.joins)
  const coordinator = await createCoordinator({
    port,
    events,
    leaderTracker: tracker,
    meshId: () => mesh.meshId(),
    journalMember: () => mesh.current(),
    onMemberGone: deps.onGone,
    ownMemberId: () => (mesh.current() === undefined && !mesh.isUnable() ? undefined : mesh.memberId()),
    level: LEVEL,
    parts: deps.parts ?? [],
    isUnable: () => mesh.isUnable(),
    proofs,
    autopilot: { stableMs: settings.stableMs, replaceAfterMs: settings.replaceAfterMs },
    withdrawal: store?.keeping,
  })
  mesh.coordinateBy(coordinator)
  if (store === undefined) return coordinator
  const { disk } = store
  const raftMember = await openRaftMember({
    port,
    disk,
    kinds,
    snapshotEvery: settings.snapshotEvery,
    proofs,
    knownStores: known,
    onStatus: coordinator.onStatus,
  })
  begun.push(raftMember.stop)
  const member = memberIdOf(port.self.id, raftMember.storageId)
  mesh.joinGroup(raftMember, member)
  const founding = await startFounding(
    { port, store: createFoundingFile(disk, raftMember.hasContents || known?.recorded().journal !== undefined) },
    { member, expect: settings.expect, joins: deps.joins },
  )
  mesh.follow(founding, opened)
  return coordinator
}

/** What a program sees of it. */
const coordinatorOf = (feature: CoordinatorFeature, { client, tracker, limits }: Opened): Coordinator => ({
  status: feature.status,
  onChange: feature.onChange,
  act: feature.act,
  transfer: (to, { signal = never } = {}) => feature.transfer(to, signal),
  async history({ signal = never } = {}) {
    const { records } = await client.list(EPOCHS_PREFIX, { signal })
    return records.map(({ value }) => EpochSchema.parse(value))
  },
  async found({ signal, timeoutMs } = {}) {
    const limit = limits(signal, timeoutMs)
    const { epoch, peer } = await tracker.find(limit.signal).finally(limit.stop)
    return { epoch, leader: peer }
  },
  async giveUpSeat({ signal = never } = {}) {
    await feature.withdraw(signal)
  },
  takeSeat: feature.volunteer,
})

const coordinationOf = (
  { port }: CoordinationDeps,
  mesh: FoundedMesh,
  feature: CoordinatorFeature,
  opened: Opened,
): Coordination => {
  const { proofs, tracker, client, watch, fences, fenceStore, unserve } = opened
  const problem = (): string | undefined => mesh.problem(feature)
  const notReady = (): string | undefined => mesh.notReady(feature)
  return {
    journal: { ...client, watch },
    coordinator: coordinatorOf(feature, opened),
    fences,
    meshId: () => mesh.meshId(),
    journalMember: () => mesh.current(),
    mayMove: () => mesh.mayMove(opened),
    heard: (id) => mesh.heard(id, opened),
    facts: () =>
      coordinatorFactsOf({
        at: mesh.current(),
        status: feature.status(),
        problem: problem() ?? (feature.status().withdrawn ? GIVEN_UP : undefined),
        proof: proofs.facts(),
      }),
    problems() {
      const reason = notReady()
      return reason === undefined ? [] : [reason]
    },
    degraded() {
      const reason = mesh.meshId() === undefined || notReady() !== undefined ? undefined : problem()
      return reason === undefined ? [] : [reason]
    },
    counts: () => ({ ...client.counts(), ...mesh.counts(), ...mesh.current()?.group.counts(), ...proofs.counts() }),
    handOver: async () =>
      feature.acting() === undefined ? undefined : transferBeforeStop(port, mesh.current(), feature.transfer),
    async stop() {
      await mesh.stopFounding()
      await feature.stop()
      tracker.stop()
      await mesh.leaveGroup()
      await proofs.stop()
      await fenceStore?.close()
      await unserve()
    },
  }
}

/** @throws STA003 for a log or a founding file that is damaged or of a newer version, or that was copied and cannot be renewed */
export const startCoordination = async (deps: CoordinationDeps): Promise<Coordination> => {
  const begun: End[] = []
  const mesh = new FoundedMesh(deps.port, deps.founded)
  try {
    const kinds = knownKinds(deps.settings.commands, deps.parts ?? [])
    const opened = await openJournal(deps, mesh, kinds, begun)
    const feature = await startMember(deps, mesh, kinds, opened, begun)
    return coordinationOf(deps, mesh, feature, opened)
  } catch (error) {
    for (const end of begun.toReversed())
      await end().catch((why: unknown) => deps.port.log.warn('a store could not be closed', { error: why }))
    throw error
  }
}
