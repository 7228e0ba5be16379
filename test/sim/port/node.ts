/**
 * A node of the simulated mesh: the real driver over the real store, in a process that dies and comes back.
 *
 * State: its disk, which outlives its processes unless it is lost; the process that runs now.
 */

import { createFaultyDisk, type FaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import type { NetworkNode, PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { RaftGroup } from '../../../protocols/consensus/group/group-api.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { memberAt, startStoredGroup } from '../../support/stored-group.ts'
import type { Invariants } from './invariants.ts'
import { createSessionMachine, type SessionMachine } from './machine.ts'
import { createProcess, type FileChange, type Process, type Wires } from './process.ts'
import { createProofs, nothingShown, type Shown } from './proofs.ts'
import { forgets, hear, type Said, silence } from './said.ts'

/** Entries; with few of them most that were away need a snapshot. */
const SNAPSHOT_EVERY = [6, 30] as const
const SEGMENT_BYTES = 8_192

export interface Life {
  readonly network: NetworkNode
  readonly process: Process
  readonly machine: SessionMachine
  /** Once it takes part. */
  group: RaftGroup | undefined
  isOver: boolean
}

export interface SimNode {
  readonly name: string
  /** Peer id. */
  readonly peer: string
  disk: FaultyDisk
  /** Disks that were lost. */
  lost: number
  /** With the disk that it has. */
  said: Said
  /** What was proven to it. */
  shown: Shown
  life: Life | undefined
}

export interface NodeTotals {
  snapshots: number
  restores: number
  doubted: number
}

export interface Nodes {
  readonly all: SimNode[]
  /** The member that it is now: another one after it lost its disk. */
  idOf(node: SimNode): string
  /** Those that run, and take part. */
  up(): SimNode[]
  start(node: SimNode): void
  /** As SIGKILL does; `power`: what was not synced may be lost. */
  kill(node: SimNode, power: boolean): void
  loseDisk(node: SimNode): void
  connect(): void
}

export interface NodesOptions {
  readonly network: PortNetwork
  readonly wires: Wires
  readonly invariants: Invariants
  readonly totals: NodeTotals
  readonly count: number
  tell(line: string): void
  /** Its process has ended by itself. */
  ended(node: SimNode): void
  /** It has sent a message, in this moment. */
  spoke(node: SimNode): void
  /** It has begun or removed a file, in this moment. */
  changed(node: SimNode, change: FileChange, file: string): void
  /** Others that every node is connected to. */
  connectOthers(): void
}

/** What a disk that was made to fail may bring about. */
const OF_THE_DISK: readonly unknown[] = ['broken', 'disk-full', 'disk-failed', 'ENOSPC', 'EIO']

const reasonOf = (error: unknown): unknown => {
  if (isParleyError(error)) return error.details.reason
  return error instanceof Error && 'code' in error ? error.code : undefined
}

export const createNodes = (options: NodesOptions): Nodes => {
  const { network, wires, invariants, totals, count, tell, ended, spoke, changed } = options
  const { time, random } = network
  const all = Array.from({ length: count }, (_, i): SimNode => {
    const name = `m${i}`
    // Ids are made from names; a node tells its own.
    const probe = network.start(name)
    probe.kill()
    return {
      name,
      peer: probe.id,
      disk: createFaultyDisk(),
      lost: 0,
      said: silence(),
      shown: nothingShown(),
      life: undefined,
    }
  })
  const snapshotEvery = SNAPSHOT_EVERY[random() < 0.5 ? 0 : 1]
  const founders = all.map(({ peer }) => peer)
  const storageOf = ({ lost }: SimNode): string => String(lost).padStart(2, '0')
  const idOf = (node: SimNode): string => memberAt(node.peer, storageOf(node))

  const connect = (): void => {
    for (const a of all)
      for (const b of all) {
        if (a.peer >= b.peer || a.life === undefined || b.life === undefined) continue
        network.connect(a.life.network, b.life.network)
      }
    options.connectOthers()
  }

  /** Ends what runs; nothing of it counts any more. */
  const end = (node: SimNode): void => {
    const { life } = node
    if (life === undefined) return
    node.life = undefined
    life.isOver = true
    const counts = life.group?.counts()
    if (counts !== undefined) {
      totals.snapshots += counts.snapshots
      totals.restores += counts.restored
      totals.doubted += counts.notAVoter + counts.notAMember + counts.termOfALearner + counts.termTooHigh
      if (counts.contradictions > 0) invariants.failed(`${node.name} was told what contradicts its log`)
    }
    life.network.kill()
  }

  const kill = (node: SimNode, power: boolean): void => {
    end(node)
    if (power) node.disk.crash(random)
    else node.disk.release()
  }

  /** A process that its own store or driver has ended. Only a disk that failed may do so. */
  const fail = (node: SimNode, life: Life, error: unknown): void => {
    if (life.isOver) return
    const reason = reasonOf(error)
    const message = error instanceof Error ? error.message : String(error)
    tell(`${node.name} ends: ${message}`)
    if (!OF_THE_DISK.includes(reason)) invariants.failed(`${node.name} ends: ${message}`)
    kill(node, false)
    ended(node)
  }

  const start = (node: SimNode): void => {
    const inner = network.start(node.name)
    const onSaid = (input: unknown): void => {
      if (life.isOver) return
      hear(node.said, input)
      spoke(node)
    }
    const onFile = (change: FileChange, file: string): void => {
      if (!life.isOver) changed(node, change, file)
    }
    const process = createProcess(inner.port, node.disk.mount(), time, random, wires, onSaid, onFile)
    const machine = createSessionMachine((applied) => {
      if (!life.isOver) invariants.applied(node.name, applied)
    })
    const life: Life = { network: inner, process, machine, group: undefined, isOver: false }
    node.life = life
    connect()
    startStoredGroup(process.port, process.disk, node.lost > 0 ? undefined : founders, {
      segmentBytes: SEGMENT_BYTES,
      snapshotEvery,
      storage: storageOf(node),
      machine,
      proven: proofs(node, () => life.isOver),
      onFailure: (error) => fail(node, life, error),
    }).then(
      ({ group }) => {
        life.group = group
        if (life.isOver) return
        tell(`${node.name} takes part in term ${group.status().term}`)
        const forgotten = forgets(node.said, group.status())
        if (forgotten !== undefined) invariants.failed(`${node.name} comes back, and ${forgotten}`)
      },
      (error: unknown) => fail(node, life, error),
    )
  }

  const nodes: Nodes = {
    all,
    idOf,
    up: () => all.filter(({ life }) => life?.group !== undefined),
    start,
    kill,
    loseDisk(node) {
      kill(node, true)
      node.disk = createFaultyDisk()
      node.lost += 1
      node.said = silence()
      node.shown = nothingShown()
    },
    connect,
  }
  const proofs = createProofs(nodes, time, random)
  return nodes
}
