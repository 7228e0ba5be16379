/**
 * Groups over whole Ports and real stores on disks that can fail, in virtual time.
 *
 * State: the network, and for each member its disk, which outlives it.
 */

import { createFaultyDisk, type FaultyDisk } from '../../node/testing/virtual/faulty-disk.ts'
import { createPortNetwork, type NetworkNode, type NetworkOptions } from '../../node/testing/virtual/port-network.ts'
import type { RaftGroup, RaftGroupDeps, RaftGroupOptions } from '../../protocols/consensus/group/group-api.ts'
import { memberAt, startStoredGroup } from './stored-group.ts'

export interface GroupMember {
  readonly name: string
  readonly id: string
  readonly disk: FaultyDisk
  readonly failures: unknown[]
  readonly logs: NetworkNode['logs']
  group: RaftGroup
  words: string[]
  isUp: boolean
}

type MeshOptions = NetworkOptions &
  Omit<RaftGroupOptions, 'group' | 'self' | 'founders'> & { readonly proven?: RaftGroupDeps['proven'] }

export const createGroupMesh = (options: MeshOptions = {}) => {
  const network = createPortNetwork(options)
  const members = new Map<string, GroupMember>()
  const nodes = new Map<string, NetworkNode>()
  const disks = new Map<string, FaultyDisk>()
  /** Also again, after `kill`, with the disk that it had. */
  const start = async (name: string, founders?: readonly string[]): Promise<GroupMember> => {
    const disk = disks.get(name) ?? createFaultyDisk()
    disks.set(name, disk)
    const node = network.start(name)
    nodes.set(name, node)
    for (const other of nodes.values())
      if (other !== node && members.get(other.port.self.name)?.isUp) network.connect(node, other)
    const failures: unknown[] = []
    const { group, words } = await startStoredGroup(node.port, disk.mount(), founders, {
      segmentBytes: 8_192,
      onFailure: (error) => failures.push(error),
      proven: options.proven,
      ...(options.tickMs !== undefined && { tickMs: options.tickMs }),
      ...(options.snapshotEvery !== undefined && { snapshotEvery: options.snapshotEvery }),
    })
    const member: GroupMember = {
      name,
      id: memberAt(node.id),
      disk,
      failures,
      logs: node.logs,
      group,
      words,
      isUp: true,
    }
    members.set(name, member)
    return member
  }

  const up = (): GroupMember[] => [...members.values()].filter(({ isUp }) => isUp)
  const leader = (): GroupMember | undefined =>
    up()
      .filter(({ group }) => group.status().role === 'leader')
      .toSorted((a, b) => b.group.status().term - a.group.status().term)[0]

  return {
    ...network,
    members,
    start,
    /** Nodes with these names, who found the group together. */
    async found(count: number): Promise<GroupMember[]> {
      const names = Array.from({ length: count }, (_, i) => `m${i}`)
      // Ids are made from names; a node tells its own.
      const ids = names.map((name) => {
        const node = network.start(name)
        node.kill()
        return node.id
      })
      const started: GroupMember[] = []
      for (const name of names) started.push(await start(name, ids))
      return started
    },
    /** A node without a seat that is connected to all. */
    join(name: string): NetworkNode {
      const node = network.start(name)
      for (const other of nodes.values()) network.connect(node, other)
      return node
    },
    /** As SIGKILL does; `power`: what was not synced may be lost. */
    kill(member: GroupMember, power = false): void {
      member.isUp = false
      nodes.get(member.name)?.kill()
      nodes.delete(member.name)
      if (power) member.disk.crash(network.random)
      else member.disk.release()
    },
    leader,
    async untilLeader(maxMs = 5_000): Promise<GroupMember> {
      await network.time.until(() => leader() !== undefined, maxMs)
      const found = leader()
      if (found === undefined) throw new Error('no leader')
      return found
    },
    /** All that are up have the same words, this many. */
    agree: (count: number): boolean => {
      const [first, ...rest] = up().map(({ words }) => words.join())
      return up().every(({ words }) => words.length === count) && rest.every((words) => words === first)
    },
    cut(one: readonly GroupMember[], other: readonly GroupMember[]): void {
      for (const a of one)
        for (const b of other) {
          const [x, y] = [nodes.get(a.name), nodes.get(b.name)]
          if (x && y) network.disconnect(x, y)
        }
    },
    heal(): void {
      for (const a of nodes.values()) for (const b of nodes.values()) if (a.id < b.id) network.connect(a, b)
    },
  }
}
