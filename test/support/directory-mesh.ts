/** A network of nodes that run nothing but a directory, and what a bare node needs to talk to one. */

import { createDirectory, type Directory } from '../../discovery/directory/directory.ts'
import { type DirectoryOptions, directoryProtocol } from '../../discovery/directory/protocol.ts'
import { type AgentRecord, signRecord } from '../../discovery/directory/record/agent-record.ts'
import { createPortNetwork, type NetworkNode, type NetworkOptions } from '../../node/testing/virtual/port-network.ts'

export interface DirectoryNode extends NetworkNode {
  readonly directory: Directory
  /** Names of the others in its view, sorted. */
  others(): string[]
}

export const createDirectoryMesh = (options: NetworkOptions = {}, directoryOptions: DirectoryOptions = {}) => {
  const network = createPortNetwork(options)
  const nodes: DirectoryNode[] = []

  const start = async (name: string, { incarnation, ...own }: DirectoryOptions & { incarnation?: number } = {}) => {
    const node = network.start(name, incarnation === undefined ? {} : { incarnation })
    const directory = await createDirectory(node.port, { ...directoryOptions, ...own })
    const others = (): string[] =>
      directory
        .agents()
        .filter(({ self }) => !self)
        .map((agent) => agent.name)
        .sort()
    const started: DirectoryNode = { ...node, directory, others }
    nodes.push(started)
    return started
  }

  /** Starts `count` nodes, each connected to the next `reach` ones of a ring. */
  const startRing = async (count: number, reach: number): Promise<DirectoryNode[]> => {
    const ring: DirectoryNode[] = []
    for (let n = 0; n < count; n += 1) ring.push(await start(`n${String(n).padStart(3, '0')}`))
    ring.forEach((node, n) => {
      for (let step = 1; step <= reach; step += 1) {
        const other = ring[(n + step) % count]
        if (other && other !== node) network.connect(node, other)
      }
    })
    return ring
  }

  /** True when each of these has exactly the others of these in its view. */
  const isComplete = (members: readonly DirectoryNode[]): boolean => {
    const names = members.map(({ port }) => port.self.name).sort()
    return members.every((node) => {
      const seen = [...node.others(), node.port.self.name].sort()
      return seen.length === names.length && seen.every((name, n) => name === names[n])
    })
  }

  return { ...network, startBare: network.start, nodes, start, startRing, isComplete }
}

/** A record of a node that runs no directory. */
export const recordOf = (node: NetworkNode, fields: Partial<AgentRecord> = {}): AgentRecord => ({
  peerId: node.id,
  name: node.port.self.name,
  mesh: 'test',
  incarnation: node.port.self.incarnation,
  version: 1000,
  protocols: [],
  labels: {},
  addresses: [],
  ttlMs: 30_000,
  ...fields,
})
/** A bare node without a directory, to say what no directory would say. */
export const pushTo = async (from: NetworkNode, to: NetworkNode, ...records: AgentRecord[]): Promise<void> => {
  const signed = await Promise.all(records.map((record) => signRecord(from.port, record)))
  await from.port.to(to.id, directoryProtocol).push({ records: signed })
}
