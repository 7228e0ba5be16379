/**
 * Where nodes are drawn: a force layout that is told who is there and moves those that stay as little as it can.
 *
 * State: one body for each node, and for each that just left until it has faded. Guarantees: at most MAX_BODIES bodies
 * (the reader is told when there are more); the same mesh comes to rest in the same picture, since nothing is random.
 */
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationLinkDatum,
  type SimulationNodeDatum,
} from 'd3-force'
import type { MeshNode } from '../data/mesh-nodes.ts'

export const MAX_BODIES = 600
export const APPEAR_MS = 500
export const FADE_MS = 1_100

export interface Body extends SimulationNodeDatum {
  readonly id: string
  node: MeshNode
  label: string
  x: number
  y: number
  /** When it came, and when it left; milliseconds of the page's clock. */
  bornAt: number
  leftAt: number | undefined
}

export interface LayoutEdge extends SimulationLinkDatum<Body> {
  source: Body
  target: Body
  ageMs: number
  rttMs: number | undefined
}

interface Edge {
  readonly from: string
  readonly to: string
  readonly ageMs?: number | undefined
  readonly rttMs?: number | undefined
}

export interface Layout {
  readonly bodies: ReadonlyMap<string, Body>
  edges(): readonly LayoutEdge[]
  update(nodes: readonly MeshNode[], labels: ReadonlyMap<string, string>, edges: readonly Edge[], now: number): void
  /** Moves on. @returns whether anything moves or fades still */
  step(now: number): boolean
  /** Moves until it is at rest, for readers who do not want to see motion. */
  settle(): void
  /** Width of the picture over its height: the mesh is laid out to fill it. */
  shape(aspect: number): void
  hold(id: string, x: number, y: number): void
  release(id: string): void
}

/** Turns between neighbours on the spiral on which new nodes appear: the golden angle. */
const GOLDEN = Math.PI * (3 - Math.sqrt(5))

/** Nodes from which on they stand closer. */
const CROWD = 24
/** Towards the middle. */
const PULL = 0.06

const hasLeft = ({ source, target }: LayoutEdge): boolean => source.leftAt !== undefined || target.leftAt !== undefined

export const createLayout = (): Layout => {
  const bodies = new Map<string, Body>()
  let wires: LayoutEdge[] = []
  /** Of who left, until it has faded. */
  let ghosts: LayoutEdge[] = []
  let come = 0
  let picture = ''

  const links = forceLink<Body, LayoutEdge>([])
    .id(({ id }) => id)
    .distance(() => (bodies.size > CROWD ? 90 : 170))
    .strength(
      (wire) => 0.42 / Math.sqrt(degrees.get(wire.source.id) ?? 1) / Math.sqrt(degrees.get(wire.target.id) ?? 1),
    )
  const degrees = new Map<string, number>()
  const across = forceX<Body>(0).strength(PULL)
  const along = forceY<Body>(0).strength(PULL)
  const simulation = forceSimulation<Body, LayoutEdge>([])
    .force('link', links)
    .force(
      'charge',
      forceManyBody<Body>()
        .strength(() => (bodies.size > CROWD ? -520 : -1_500))
        .distanceMax(1_200),
    )
    .force('collide', forceCollide<Body>(40))
    .force('x', across)
    .force('y', along)
    .velocityDecay(0.38)
    .alphaDecay(0.03)
    .stop()

  return {
    bodies,
    edges: () => [...ghosts, ...wires],
    update(nodes, labels, edges, now) {
      const present = new Set<string>()
      for (const node of nodes.slice(0, MAX_BODIES)) {
        present.add(node.id)
        const label = labels.get(node.id) ?? node.name
        const body = bodies.get(node.id)
        if (body !== undefined) {
          if (body.leftAt !== undefined) body.bornAt = now
          Object.assign(body, { node, label, leftAt: undefined })
          continue
        }
        const radius = 46 * Math.sqrt(come)
        const [x, y] = node.self ? [0, 0] : [radius * Math.cos(come * GOLDEN), radius * Math.sin(come * GOLDEN)]
        come += 1
        bodies.set(node.id, { id: node.id, node, label, x, y, bornAt: now, leftAt: undefined })
      }
      for (const body of bodies.values()) if (!present.has(body.id)) body.leftAt ??= now
      ghosts = [...ghosts, ...wires].filter(
        (wire) => hasLeft(wire) && bodies.has(wire.source.id) && bodies.has(wire.target.id),
      )
      wires = edges.flatMap(({ from, to, ageMs = 0, rttMs }) => {
        const [source, target] = [bodies.get(from), bodies.get(to)]
        return source === undefined || target === undefined ? [] : [{ source, target, ageMs, rttMs }]
      })
      const next = [...present].sort().join() + edges.map(({ from, to }) => [from, to].sort().join(' ')).sort()
      degrees.clear()
      for (const { source, target } of wires)
        for (const { id } of [source, target]) degrees.set(id, (degrees.get(id) ?? 0) + 1)
      simulation.nodes([...bodies.values()].filter(({ leftAt }) => leftAt === undefined))
      links.links(wires)
      if (next === picture) return
      simulation.alpha(picture === '' ? 1 : Math.max(simulation.alpha(), 0.35))
      picture = next
    },
    step(now) {
      let isBusy = false
      for (const body of bodies.values()) {
        if (body.leftAt !== undefined && now - body.leftAt > FADE_MS) bodies.delete(body.id)
        else if (body.leftAt !== undefined || now - body.bornAt < APPEAR_MS) isBusy = true
      }
      if (simulation.alpha() > simulation.alphaMin()) {
        simulation.tick()
        isBusy = true
      }
      return isBusy
    },
    settle() {
      for (let turn = 0; turn < 300 && simulation.alpha() > simulation.alphaMin(); turn += 1) simulation.tick()
    },
    shape(aspect) {
      const stretch = Math.min(2.5, Math.max(0.5, aspect))
      across.strength(PULL / stretch)
      along.strength(PULL * stretch ** 1.2)
      simulation.alpha(Math.max(simulation.alpha(), 0.3))
    },
    hold(id, x, y) {
      const body = bodies.get(id)
      if (body === undefined) return
      Object.assign(body, { fx: x, fy: y })
      simulation.alpha(Math.max(simulation.alpha(), 0.25))
    },
    release(id) {
      const body = bodies.get(id)
      if (body === undefined) return
      body.fx = null
      body.fy = null
    },
  }
}
