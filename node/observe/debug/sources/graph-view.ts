/**
 * The graph of the mesh as the debug endpoint shows it: agents of the directory and neighbours as nodes, connections as
 * edges. What others told of themselves carries its age; where both ends told, the later word counts. Only nodes that
 * this node knows are drawn, whatever others name.
 */
import type { Directory } from '../../../../discovery/directory/directory.ts'
import type { Member } from '../../../../protocols/port.ts'
import type { GraphView } from '../debug-schemas.ts'
import type { Neighbour, Neighbours } from './neighbours.ts'

type GraphNode = GraphView['nodes'][number]
type Edge = GraphView['edges'][number]

export interface GraphViewDeps {
  readonly self: Member
  readonly directory: Pick<Directory, 'agents'>
  readonly neighbours: Pick<Neighbours, 'reports' | 'own'>
  members(): Member[]
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000

/** @returns each connection once */
const edgesOf = (told: ReadonlyMap<string, { ageMs: number; peers: readonly Neighbour[] }>): Edge[] => {
  const edges = new Map<string, Edge>()
  const names = new Map([...told].map(([id, { peers }]) => [id, new Set(peers.map((peer) => peer.id))]))
  for (const [from, { ageMs, peers }] of told) {
    for (const { id: to, rttMs } of peers) {
      const other = told.get(to)
      // The other end told later, and does not have it any more.
      if (other !== undefined && other.ageMs < ageMs && names.get(to)?.has(from) === false) continue
      const key = from < to ? `${from} ${to}` : `${to} ${from}`
      const known = edges.get(key)
      if (known !== undefined && (known.ageMs ?? 0) <= ageMs) continue
      edges.set(key, {
        from,
        to,
        ageMs: Math.round(ageMs),
        ...(rttMs !== undefined && { rttMs: rounded(rttMs) }),
      })
    }
  }
  return [...edges.values()]
}

export const graphView = ({ self, directory, neighbours, members }: GraphViewDeps): GraphView => {
  const told = new Map([...neighbours.reports(), [self.id, { ageMs: 0, peers: neighbours.own() }] as const])
  const nodes = new Map<string, GraphNode>()
  const add = (id: string, name: string): void => {
    const heard = told.get(id)
    nodes.set(id, {
      id,
      name,
      self: id === self.id,
      ...(heard !== undefined && { toldMs: Math.round(heard.ageMs) }),
    })
  }
  for (const { peer, name } of directory.agents()) add(peer, name)
  for (const { id, name } of [self, ...members()]) if (!nodes.has(id)) add(id, name)
  const shown = edgesOf(told).filter(({ from, to }) => from !== to && nodes.has(from) && nodes.has(to))
  return { nodes: [...nodes.values()], edges: shown }
}
