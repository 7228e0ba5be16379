/**
 * Where nodes are drawn: a force layout that follows who is there and moves those that stay as little as it can.
 *
 * State: one body for each node, and for each that just left until it has faded. Guarantees: at most MAX_BODIES bodies
 * (the page says when there are more); the same mesh comes to rest in the same picture, since nothing is random.
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
const APPEAR_MS = 500
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

/** How much of a body is there: 0 to 1. */
export const opacityOf = (body: Body, now: number, isCalm: boolean): number => {
  if (body.leftAt !== undefined) return isCalm ? 0 : Math.max(0, 1 - (now - body.leftAt) / FADE_MS)
  return isCalm ? 1 : Math.min(1, Math.max(0, now - body.bornAt) / APPEAR_MS)
}

/** Turns between neighbours on the spiral on which new nodes appear: the golden angle. */
const GOLDEN = Math.PI * (3 - Math.sqrt(5))

/** Nodes from which on they stand closer. */
const CROWD = 24
/** Towards the middle. */
const PULL = 0.06

const hasLeft = ({ source, target }: LayoutEdge): boolean => source.leftAt !== undefined || target.leftAt !== undefined

export class ForceLayout {
  readonly #bodies = new Map<string, Body>()
  readonly #degrees = new Map<string, number>()
  #edges: LayoutEdge[] = []
  /** Edges of bodies that left, until they have faded. */
  #fading: LayoutEdge[] = []
  /** Bodies that ever came. */
  #added = 0
  /** Who was there and what connected them at the last update, as text. */
  #arrangement = ''

  readonly #links = forceLink<Body, LayoutEdge>([])
    .id(({ id }) => id)
    .distance(() => (this.#bodies.size > CROWD ? 90 : 170))
    .strength(({ source, target }) => 0.42 / Math.sqrt(this.#degreeOf(source)) / Math.sqrt(this.#degreeOf(target)))
  readonly #towardX = forceX<Body>(0).strength(PULL)
  readonly #towardY = forceY<Body>(0).strength(PULL)
  readonly #simulation = forceSimulation<Body, LayoutEdge>([])
    .force('link', this.#links)
    .force(
      'charge',
      forceManyBody<Body>()
        .strength(() => (this.#bodies.size > CROWD ? -520 : -1_500))
        .distanceMax(1_200),
    )
    .force('collide', forceCollide<Body>(40))
    .force('x', this.#towardX)
    .force('y', this.#towardY)
    .velocityDecay(0.38)
    .alphaDecay(0.03)
    .stop()

  get bodies(): ReadonlyMap<string, Body> {
    return this.#bodies
  }

  edges(): readonly LayoutEdge[] {
    return [...this.#fading, ...this.#edges]
  }

  /** A node works and does not say how far it is: its picture moves until it ends. */
  hasEndlessWork(): boolean {
    return [...this.#bodies.values()].some(
      ({ node }) => node.state === 'working' && node.agent?.activity?.progress === undefined,
    )
  }

  update(nodes: readonly MeshNode[], labels: ReadonlyMap<string, string>, edges: readonly Edge[], now: number): void {
    const present = this.#placeNodes(nodes, labels, now)
    this.#connect(edges)
    this.#simulation.nodes([...this.#bodies.values()].filter(({ leftAt }) => leftAt === undefined))
    this.#links.links(this.#edges)
    const pairs = edges.map(({ from, to }) => [from, to].sort().join(' ')).sort()
    this.#restartIfChanged([...present].sort().join() + pairs)
  }

  /** Moves on. @returns whether anything moves or fades still */
  step(now: number): boolean {
    let isBusy = false
    for (const body of this.#bodies.values()) {
      if (body.leftAt !== undefined && now - body.leftAt > FADE_MS) this.#bodies.delete(body.id)
      else if (body.leftAt !== undefined || now - body.bornAt < APPEAR_MS) isBusy = true
    }
    if (this.#isWarm()) {
      this.#simulation.tick()
      isBusy = true
    }
    return isBusy
  }

  /** Moves until it is at rest, for readers who do not want to see motion. */
  settle(): void {
    for (let turn = 0; turn < 300 && this.#isWarm(); turn += 1) this.#simulation.tick()
  }

  /** Width of the picture over its height: the mesh is laid out to fill it. */
  shape(aspect: number): void {
    const stretch = Math.min(2.5, Math.max(0.5, aspect))
    this.#towardX.strength(PULL / stretch)
    this.#towardY.strength(PULL * stretch ** 1.2)
    this.#warm(0.3)
  }

  hold(id: string, x: number, y: number): void {
    const body = this.#bodies.get(id)
    if (body === undefined) return
    Object.assign(body, { fx: x, fy: y })
    this.#warm(0.25)
  }

  release(id: string): void {
    const body = this.#bodies.get(id)
    if (body === undefined) return
    body.fx = null
    body.fy = null
  }

  /** @returns the ids of the nodes that are there */
  #placeNodes(nodes: readonly MeshNode[], labels: ReadonlyMap<string, string>, now: number): Set<string> {
    const present = new Set<string>()
    for (const node of nodes.slice(0, MAX_BODIES)) {
      present.add(node.id)
      const label = labels.get(node.id) ?? node.name
      const body = this.#bodies.get(node.id)
      if (body === undefined) this.#addBody(node, label, now)
      else {
        if (body.leftAt !== undefined) body.bornAt = now
        Object.assign(body, { node, label, leftAt: undefined })
      }
    }
    for (const body of this.#bodies.values()) if (!present.has(body.id)) body.leftAt ??= now
    return present
  }

  #addBody(node: MeshNode, label: string, now: number): void {
    const radius = 46 * Math.sqrt(this.#added)
    const angle = this.#added * GOLDEN
    const [x, y] = node.self ? [0, 0] : [radius * Math.cos(angle), radius * Math.sin(angle)]
    this.#added += 1
    this.#bodies.set(node.id, { id: node.id, node, label, x, y, bornAt: now, leftAt: undefined })
  }

  #connect(edges: readonly Edge[]): void {
    this.#fading = this.edges().filter(
      (edge) => hasLeft(edge) && this.#bodies.has(edge.source.id) && this.#bodies.has(edge.target.id),
    )
    this.#edges = edges.flatMap(({ from, to, ageMs = 0, rttMs }) => {
      const [source, target] = [this.#bodies.get(from), this.#bodies.get(to)]
      return source === undefined || target === undefined ? [] : [{ source, target, ageMs, rttMs }]
    })
    this.#degrees.clear()
    for (const { source, target } of this.#edges)
      for (const body of [source, target]) this.#degrees.set(body.id, (this.#degrees.get(body.id) ?? 0) + 1)
  }

  #restartIfChanged(arrangement: string): void {
    if (arrangement === this.#arrangement) return
    if (this.#arrangement === '') this.#simulation.alpha(1)
    else this.#warm(0.35)
    this.#arrangement = arrangement
  }

  #degreeOf({ id }: Body): number {
    return this.#degrees.get(id) ?? 1
  }

  #isWarm(): boolean {
    return this.#simulation.alpha() > this.#simulation.alphaMin()
  }

  #warm(alpha: number): void {
    this.#simulation.alpha(Math.max(this.#simulation.alpha(), alpha))
  }
}
