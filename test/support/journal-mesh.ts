/**
 * Whole nodes' coordination in virtual time: founding, seats on disks that can fail, journal, coordinator, events, as
 * node/coordination/coordination.ts puts them together. Nodes can be killed, frozen, cut off, and lose their disks.
 *
 * What the port network has not: calls of a node to itself, the refusal to serve a protocol twice, and members that tell
 * each other which founded mesh they belong to, as admission does.
 * State: the network, and for each name its disk, which outlives its node.
 */

import { openRaftMember, type RaftMember } from '../../node/coordination/raft-member.ts'
import { createFoundingFile } from '../../node/store/journal/founding-file.ts'
import { openMemberWithdrawal } from '../../node/store/journal/member-withdrawal.ts'
import { createProofFile } from '../../node/store/journal/proof-file.ts'
import { createFaultyDisk, type FaultyDisk } from '../../node/testing/virtual/faulty-disk.ts'
import { createLife, type Life } from '../../node/testing/virtual/port-life.ts'
import { createPortNetwork, type NetworkNode, type NetworkOptions } from '../../node/testing/virtual/port-network.ts'
import { VirtualCalls } from '../../node/testing/virtual/virtual-calls.ts'
import type { Founding } from '../../protocols/consensus/bootstrap/api.ts'
import { startFounding } from '../../protocols/consensus/bootstrap/founding.ts'
import { foundingVoters } from '../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf } from '../../protocols/consensus/member-id.ts'
import type { Proofs } from '../../protocols/consensus/proof/proof-api.ts'
import { PROOF_LEVEL, type ProofMode } from '../../protocols/consensus/proof/proof-enforcement.ts'
import { createProofs } from '../../protocols/consensus/proof/proofs.ts'
import type { CoordinatorFeature } from '../../protocols/coordinator/api.ts'
import type { AutopilotSettings } from '../../protocols/coordinator/autopilot.ts'
import { createCoordinator } from '../../protocols/coordinator/coordinator.ts'
import { createLeaderTracker, type LeaderTracker } from '../../protocols/coordinator/leader-tracker.ts'
import type { Events } from '../../protocols/events/api.ts'
import { createEvents } from '../../protocols/events/events.ts'
import { createJournalClient, type Journal } from '../../protocols/journal/client/journal-client.ts'
import { createJournalWatch } from '../../protocols/journal/client/journal-watch.ts'
import { type JournalMember, serveJournal } from '../../protocols/journal/journal-server.ts'
import { type JournalPart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { FEATURE_LEVEL_KEY, featureLevelOf } from '../../protocols/journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../protocols/journal/state/collection-rows.ts'
import type { AnyCommandKind, Json } from '../../protocols/journal/state/command-kind.ts'
import type { JournalMachine } from '../../protocols/journal/state/journal-machine.ts'
import type { Port } from '../../protocols/port.ts'

const BOOT_MS = 5
const LEVEL = COLLECTIONS_LEVEL

export interface JournalMeshOptions extends NetworkOptions {
  readonly autopilot?: Partial<AutopilotSettings>
  readonly commands?: readonly AnyCommandKind[]
  readonly snapshotEvery?: number
  /** As it comes about unless told. */
  readonly mode?: ProofMode
  /** Milliseconds that the wall clock of a node is ahead; right unless told. */
  clockAheadMs?(name: string): number
}

export interface StartOptions {
  /** How many found the mesh together. */
  readonly expect?: number
  /** Without a data directory it has no seat; with one unless told. */
  readonly mayVote?: boolean
  /** Connected to nobody at first. */
  readonly isApart?: boolean
  /** The highest feature level that it knows. */
  readonly level?: number
  /** More than the mesh's own. */
  readonly commands?: readonly AnyCommandKind[]
  /** What its parts decide. */
  readonly parts?: readonly JournalPart[]
}

export interface JournalNode {
  readonly name: string
  readonly id: string
  readonly port: Port
  readonly logs: NetworkNode['logs']
  readonly network: NetworkNode
  readonly disk: FaultyDisk | undefined
  readonly member: string | undefined
  readonly events: Events
  readonly whereabouts: LeaderTracker
  /** Of a node of before there were proofs: none. */
  readonly proofs: Proofs | undefined
  readonly journal: Journal
  readonly coordinator: CoordinatorFeature
  readonly life: Life
  readonly isUp: () => boolean
  meshId(): string | undefined
  seat(): JournalMember | undefined
  /** Why it cannot take part. */
  problem(): string | undefined
  /** @throws where it has no seat */
  machine(): JournalMachine
  /** A record as this node's own copy has it. */
  value(key: string): Json | undefined
  stop(): Promise<void>
}

const clockedPort = (port: Port, aheadMs: number): Port =>
  aheadMs === 0 ? port : { ...port, clock: { ...port.clock, now: () => port.clock.now() + aheadMs } }

export const createJournalMesh = (options: JournalMeshOptions = {}) => {
  const network = createPortNetwork(options)
  const { time } = network
  const nodes = new Map<string, JournalNode>()
  const disks = new Map<string, FaultyDisk>()
  const lives = new Set<string>()
  const loops = new VirtualCalls(time)

  const up = (): JournalNode[] => [...nodes.values()].filter((node) => node.isUp())

  /** Both sides of a connection learn what the other one belongs to. */
  const heardBy = new Map<string, (meshId: string) => void>()
  const tellOthers = (name: string, id: string): void => {
    time.after(BOOT_MS, () => {
      const from = nodes.get(name)
      for (const other of up()) if (from?.network.isConnected(other.id) === true) heardBy.get(other.name)?.(id)
    })
  }
  const introduce = (): void => {
    for (const { name, meshId } of up()) {
      const id = meshId()
      if (id !== undefined) tellOthers(name, id)
    }
  }

  /** Also again, after `kill`, with the disk that it had. */
  const start = async (name: string, given: StartOptions = {}): Promise<JournalNode> => {
    const {
      expect,
      mayVote = true,
      isApart = false,
      level = LEVEL,
      commands = options.commands ?? [],
      parts = [],
    } = given
    const inner = network.start(name)
    lives.add(name)
    let alive = true
    const life = createLife(clockedPort(inner.port, options.clockAheadMs?.(name) ?? 0), loops, time)
    const { port } = life
    const kinds = knownKinds(commands, parts)
    const events = createEvents(port)

    let founding: Founding | undefined
    let adopted: string | undefined
    let seat: RaftMember | undefined
    let feature: CoordinatorFeature | undefined
    let member: string | undefined
    const meshId = (): string | undefined => founding?.meshId() ?? adopted
    const current = (): JournalMember | undefined => seat?.current()
    const hasSeat = (): boolean => feature !== undefined && feature.status().role !== 'none'
    const disk = mayVote ? (disks.get(name) ?? createFaultyDisk()) : undefined
    const mounted = disk?.mount()
    const proofs =
      level < PROOF_LEVEL
        ? undefined
        : await createProofs({
            port,
            store: mounted && createProofFile(mounted),
            member: () => member,
            level: () => featureLevelOf(current()?.machine.records.get(FEATURE_LEVEL_KEY)?.value),
            leader: () => current()?.group.status().leader?.split('.')[0],
            mode: options.mode,
          })
    const whereabouts = createLeaderTracker(port, meshId, proofs)
    const client = createJournalClient({ port, leaderTracker: whereabouts, meshId, isMember: hasSeat })
    const unserve = await serveJournal({ port, kinds, member: current })

    const belong = (id: string): void => {
      tellOthers(name, id)
      const set = founding?.founded()?.members
      const recovery = founding?.recovered()
      const own = set && ({ type: 'founded', mesh: port.self.mesh, founders: [...set] } as const)
      void proofs?.setMesh(id, recovery === undefined ? own : { type: 'recovered', recovery })
      if (seat === undefined || member === undefined) return
      const founders = set === undefined ? undefined : foundingVoters(set)
      seat
        .start(member, { meshId: id, founders: founders?.includes(member) === true ? founders : undefined })
        .catch((error: unknown) => port.log.error('this node cannot take part in the coordinator group', { error }))
    }

    feature = await createCoordinator({
      port,
      events,
      leaderTracker: whereabouts,
      meshId,
      journalMember: current,
      onMemberGone: (fn) => port.onMember(({ id }, change) => change === 'left' && fn(id)),
      ownMemberId: () => (current() === undefined && seat?.unable() === undefined ? undefined : member),
      level,
      parts,
      isUnable: () => seat?.unable() !== undefined,
      proofs,
      autopilot: options.autopilot ?? {},
      withdrawal: mounted && (await openMemberWithdrawal(mounted)),
    })
    const coordinator = feature

    const node: JournalNode = {
      name,
      id: inner.id,
      port,
      logs: inner.logs,
      network: inner,
      disk,
      get member() {
        return member
      },
      events,
      whereabouts,
      proofs,
      journal: {
        ...client,
        watch: createJournalWatch({ port, leaderTracker: whereabouts, meshId, isMember: hasSeat }),
      },
      coordinator,
      life,
      isUp: () => alive && lives.has(name),
      meshId,
      seat: current,
      problem: () => seat?.problem() ?? seat?.unable(),
      machine() {
        const at = current()
        if (at === undefined) throw new Error(`${name} has no seat`)
        return at.machine
      },
      value: (key) => current()?.machine.records.get(key)?.value,
      async stop() {
        await founding?.stop()
        await coordinator.stop()
        whereabouts.stop()
        await seat?.stop()
        await proofs?.stop()
        await unserve()
        await events.stop()
        kill(node)
      },
    }
    heardBy.set(name, (id) => {
      if (founding !== undefined) {
        founding.adopt(id).catch((error: unknown) => port.log.error('the mesh could not be joined for good', { error }))
        return
      }
      if (adopted !== undefined || disk !== undefined) return
      adopted = id
      belong(id)
    })
    const others = isApart ? [] : up()
    nodes.set(name, node)
    stops.set(node, () => {
      alive = false
      life.end()
      inner.kill()
    })
    for (const other of others) network.connect(inner, other.network)

    if (disk !== undefined && mounted !== undefined) {
      disks.set(name, disk)
      seat = await openRaftMember({
        port,
        disk: mounted,
        kinds,
        snapshotEvery: options.snapshotEvery ?? 10_000,
        proofs,
        onStatus: coordinator.onStatus,
      })
      member = memberIdOf(port.self.id, seat.storageId)
      founding = await startFounding({ port, store: createFoundingFile(mounted) }, { member, expect, joins: true })
      const id = founding.meshId()
      if (id !== undefined) belong(id)
      else founding.onMeshId(belong)
    }
    introduce()
    return node
  }

  const stops = new WeakMap<JournalNode, () => void>()
  /** As SIGKILL does; `power`: what was not synced may be lost. */
  const kill = (node: JournalNode, power = false): void => {
    if (!node.isUp()) return
    stops.get(node)?.()
    heardBy.delete(node.name)
    nodes.delete(node.name)
    if (power) node.disk?.crash(network.random)
    else node.disk?.release()
  }

  /** The one that acts in the highest epoch. */
  const leader = (): JournalNode | undefined =>
    up()
      .filter(({ coordinator }) => coordinator.acting() !== undefined)
      .toSorted((a, b) => (b.coordinator.acting() ?? 0) - (a.coordinator.acting() ?? 0))[0]

  const untilLeader = async (maxMs = 5_000, except?: JournalNode): Promise<JournalNode> => {
    await time.until(() => leader() !== undefined && leader() !== except, maxMs)
    const found = leader()
    if (found === undefined) throw new Error('nobody coordinates')
    return found
  }

  return {
    ...network,
    /** For nodes that are played by hand. */
    network,
    start,
    up,
    /** A node without a disk belongs to this mesh from now on. */
    adopt: ({ name }: JournalNode, meshId: string): void => heardBy.get(name)?.(meshId),
    kill,
    leader,
    untilLeader,
    /** The disk is gone; the next start has an empty one. */
    loseDisk: (name: string): void => void disks.delete(name),
    /** Nodes m0, m1, … that found a mesh together; once one of them acts, and all have heard of it. */
    async found(count: number): Promise<JournalNode[]> {
      const started: JournalNode[] = []
      for (let i = 0; i < count; i += 1) started.push(await start(`m${i}`, { expect: count }))
      const one = await untilLeader(10_000)
      const epoch = one.coordinator.acting()
      await time.until(() => started.every(({ coordinator }) => coordinator.status().epoch === epoch), 5_000)
      return started
    },
    cut(one: readonly JournalNode[], other: readonly JournalNode[]): void {
      for (const a of one) for (const b of other) network.disconnect(a.network, b.network)
    },
    heal(): void {
      for (const a of up()) for (const b of up()) if (a.id < b.id) network.connect(a.network, b.network)
      introduce()
    },
  }
}

export type JournalMesh = ReturnType<typeof createJournalMesh>
