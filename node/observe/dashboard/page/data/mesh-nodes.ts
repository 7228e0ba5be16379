/**
 * The nodes of the mesh as the page draws and lists them: graph, directory, peers and coordinator side by side. Pure.
 */
import type { AgentView, CoordinatorView, GraphView, Overview, PeerView } from '../../../debug/debug-schemas.ts'

/** In the order of how much it matters. */
export const NODE_STATES = ['stuck', 'suspect', 'working', 'alive', 'unknown'] as const
export type NodeState = (typeof NODE_STATES)[number]

export interface MeshNode {
  readonly id: string
  readonly name: string
  readonly self: boolean
  readonly state: NodeState
  readonly isCoordinator: boolean
  readonly raftRole: 'voter' | 'learner' | undefined
  /** Connected to this node. */
  readonly peer: PeerView | undefined
  readonly agent: AgentView | undefined
  /** Milliseconds since it reported its connections; undefined where they are not known. */
  readonly reportedMs: number | undefined
}

/** Drawn words for a state; colour is never the only sign. */
export const NODE_STATE_TEXT: Record<NodeState, string> = {
  stuck: 'stuck',
  suspect: 'suspect',
  working: 'working',
  alive: 'alive',
  unknown: 'not in the directory',
}

const stateOf = (agent: AgentView | undefined): NodeState => {
  if (agent === undefined) return 'unknown'
  if (agent.activity?.state === 'stuck') return 'stuck'
  if (agent.state === 'suspect') return 'suspect'
  return agent.activity?.state === 'working' ? 'working' : 'alive'
}

export const nodesOf = (
  overview: Pick<Overview, 'graph' | 'agents' | 'peers'>,
  coordinator: CoordinatorView | undefined,
): MeshNode[] => {
  const agents = new Map<string, AgentView>(overview.agents.map((agent) => [agent.id, agent]))
  const peers = new Map<string, PeerView>(overview.peers.map((peer) => [peer.id, peer]))
  const roles = new Map(coordinator?.seats.map(({ peer, role }) => [peer, role]))
  const nodes = overview.graph.nodes.map(({ id, name, self, toldMs }): MeshNode => {
    const agent = agents.get(id)
    return {
      id,
      name,
      self,
      agent,
      reportedMs: toldMs,
      state: stateOf(agent),
      isCoordinator: coordinator?.leader?.id === id,
      raftRole: roles.get(id),
      peer: peers.get(id),
    }
  })
  return nodes.sort(
    (a, b) =>
      Number(b.self) - Number(a.self) ||
      a.name.localeCompare(b.name, undefined, { numeric: true }) ||
      (a.id < b.id ? -1 : 1),
  )
}

/** Ids of whom each node is connected to, with the round trip where it is known. */
export const linksOf = (graph: GraphView, id: string): { id: string; rttMs: number | undefined; ageMs: number }[] =>
  graph.edges.flatMap(({ from, to, rttMs, ageMs = 0 }) => {
    if (from !== id && to !== id) return []
    return [{ id: from === id ? to : from, rttMs, ageMs }]
  })

/** Two names of one mesh may be the same; then the end of the id tells them apart. */
export const labelsOf = (nodes: readonly MeshNode[]): Map<string, string> => {
  const seen = new Map<string, number>()
  for (const { name } of nodes) seen.set(name, (seen.get(name) ?? 0) + 1)
  return new Map(
    nodes.map(({ id, name }) => [
      id,
      name === '' ? id.slice(-6) : (seen.get(name) ?? 0) > 1 ? `${name} ${id.slice(-4)}` : name,
    ]),
  )
}

/** What the method names of an agent are, without the subscriptions to messages. */
export const skillsOf = (agent: AgentView | undefined) =>
  (agent?.protocols ?? []).filter(({ name }) => !name.startsWith('message/'))

export const takesOf = (agent: AgentView | undefined): string[] =>
  (agent?.protocols ?? []).flatMap(({ name }) => (name.startsWith('message/') ? [name.slice('message/'.length)] : []))
