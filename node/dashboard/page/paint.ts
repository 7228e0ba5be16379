/**
 * Draws the mesh on a canvas: edges, nodes, names, and what passes between them. Keeps no state; the colours are the
 * custom properties of page.css, so that light and dark are told in one place.
 */
import { APPEAR_MS, type Body, FADE_MS, type Wire } from './layout.ts'

export interface Palette {
  readonly text: string
  readonly muted: string
  readonly panel: string
  readonly line: string
  readonly accent: string
  readonly alive: string
  readonly working: string
  readonly suspect: string
  readonly stuck: string
  readonly unknown: string
  readonly crown: string
}

export const readPalette = (element: Element): Palette => {
  const style = getComputedStyle(element)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    text: of('text'),
    muted: of('muted'),
    panel: of('panel'),
    line: of('edge'),
    accent: of('accent'),
    alive: of('alive'),
    working: of('working'),
    suspect: of('suspect'),
    stuck: of('stuck'),
    unknown: of('unknown'),
    crown: of('crown'),
  }
}

/** An event on its way along an edge, or out of this node. */
export interface Pulse {
  readonly from: string
  /** Undefined: it spreads from where it is. */
  readonly to: string | undefined
  readonly startedAt: number
}
export const PULSE_MS = 750

export interface View {
  readonly width: number
  readonly height: number
  readonly scale: number
  readonly x: number
  readonly y: number
}

export interface Scene {
  readonly bodies: ReadonlyMap<string, Body>
  readonly wires: readonly Wire[]
  readonly pulses: readonly Pulse[]
  readonly view: View
  readonly palette: Palette
  readonly selected: string | undefined
  readonly hovered: string | undefined
  readonly hasFocus: boolean
  readonly isCalm: boolean
  readonly now: number
}

export const RADIUS = 17
/** Of a node on the screen, whatever the scale. */
const LEAST_SIZE = 0.6
const LEAST_POINTS = 10.5
/** In a mesh of more nodes only those are named that matter most. */
const MAX_NAMES = 40
const TURN_MS = 2_400
const STALE_MS = 30_000
const FONT = '"Inter", ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif'

/** 0 to 1, slower towards the end, with a little swing at the end of an appearance. */
const easeOut = (share: number): number => 1 - (1 - share) ** 3
const pop = (share: number): number => {
  const rest = share - 1
  return 1 + 2.4 * rest ** 3 + 1.4 * rest ** 2
}

/** How much of a body is there: 0 to 1. */
export const presenceOf = (body: Body, now: number, isCalm: boolean): number => {
  if (body.leftAt !== undefined) return isCalm ? 0 : Math.max(0, 1 - (now - body.leftAt) / FADE_MS)
  return isCalm ? 1 : Math.min(1, Math.max(0, now - body.bornAt) / APPEAR_MS)
}

type Pen = CanvasRenderingContext2D

const disc = (pen: Pen, x: number, y: number, radius: number): void => {
  pen.beginPath()
  pen.arc(x, y, radius, 0, 2 * Math.PI)
}

interface Place {
  readonly x: number
  readonly y: number
}

/** Edges are bent a little, always to the same side, so that one behind a node can be told from two that end there. */
const BEND = 0.07
const bendOf = (one: Body, two: Body): Place => {
  const [a, b] = one.id < two.id ? [one, two] : [two, one]
  return { x: (a.x + b.x) / 2 - (b.y - a.y) * BEND, y: (a.y + b.y) / 2 + (b.x - a.x) * BEND }
}

/** @param share 0 at `from`, 1 at `to` */
const placeOn = (from: Body, to: Body, share: number): Place => {
  const { x, y } = bendOf(from, to)
  const rest = 1 - share
  const at = (start: number, middle: number, end: number): number =>
    rest ** 2 * start + 2 * rest * share * middle + share ** 2 * end
  return { x: at(from.x, x, to.x), y: at(from.y, y, to.y) }
}

const paintWires = (pen: Pen, scene: Scene): void => {
  const { wires, palette, selected, hovered, now, isCalm, view } = scene
  const crowded = Math.min(1, 60 / Math.max(1, wires.length))
  for (const { source, target, ageMs, rttMs } of wires) {
    const there = Math.min(presenceOf(source, now, isCalm), presenceOf(target, now, isCalm))
    if (there <= 0) continue
    const chosen = selected ?? hovered
    const isChosen = chosen !== undefined && (source.id === chosen || target.id === chosen)
    pen.globalAlpha = there * (isChosen ? 0.95 : (chosen === undefined ? 0.5 : 0.25) + 0.35 * crowded)
    pen.strokeStyle = isChosen ? palette.accent : palette.line
    pen.lineWidth = (isChosen ? 2 : 1.2) / Math.max(0.7, view.scale)
    pen.setLineDash(ageMs > STALE_MS ? [3, 4] : [])
    pen.beginPath()
    pen.moveTo(source.x, source.y)
    const bend = bendOf(source, target)
    pen.quadraticCurveTo(bend.x, bend.y, target.x, target.y)
    pen.stroke()
    pen.setLineDash([])
    if (isChosen && rttMs !== undefined && view.scale > 0.5) {
      const text = rttMs < 10 ? `${rttMs.toFixed(1)} ms` : `${Math.round(rttMs)} ms`
      // Towards the other end, where edges lie apart.
      const far = source.id === chosen ? target : source
      const near = far === source ? target : source
      const { x, y } = placeOn(near, far, 0.55)
      pen.font = `500 10.5px ${FONT}`
      const width = pen.measureText(text).width + 10
      pen.globalAlpha = there
      pen.fillStyle = palette.panel
      pen.beginPath()
      pen.roundRect(x - width / 2, y - 8, width, 16, 8)
      pen.fill()
      pen.fillStyle = palette.muted
      pen.textAlign = 'center'
      pen.textBaseline = 'middle'
      pen.fillText(text, x, y + 0.5)
    }
  }
  pen.globalAlpha = 1
}

const paintPulses = (pen: Pen, { pulses, bodies, palette, now }: Scene): void => {
  for (const { from, to, startedAt } of pulses) {
    const share = (now - startedAt) / PULSE_MS
    const source = bodies.get(from)
    if (source === undefined || share < 0 || share > 1) continue
    if (to === undefined) {
      pen.globalAlpha = 0.5 * (1 - share)
      pen.strokeStyle = palette.accent
      pen.lineWidth = 1.5
      disc(pen, source.x, source.y, RADIUS + 4 + 22 * easeOut(share))
      pen.stroke()
      continue
    }
    const target = bodies.get(to)
    if (target === undefined) continue
    const at = placeOn(source, target, easeOut(share))
    pen.globalAlpha = 0.95 * Math.min(1, 4 * (1 - share))
    pen.fillStyle = palette.accent
    disc(pen, at.x, at.y, 3)
    pen.fill()
  }
  pen.globalAlpha = 1
}

const CROWN = [
  [-9, 0],
  [-10.5, -9],
  [-5, -4.5],
  [0, -11],
  [5, -4.5],
  [10.5, -9],
  [9, 0],
] as const

const paintCrown = (pen: Pen, palette: Palette, x: number, y: number): void => {
  pen.beginPath()
  for (const [dx, dy] of CROWN) pen.lineTo(x + dx, y + dy)
  pen.closePath()
  pen.fillStyle = palette.crown
  pen.strokeStyle = palette.panel
  pen.lineWidth = 2
  pen.lineJoin = 'round'
  pen.stroke()
  pen.fill()
}

const SIGNS: Partial<Record<Body['node']['standing'], string>> = { stuck: '!', suspect: '?' }

const paintBody = (pen: Pen, body: Body, scene: Scene): void => {
  const { palette, now, isCalm, selected, hovered, hasFocus, view } = scene
  const { node, leftAt } = body
  const there = presenceOf(body, now, isCalm)
  if (there <= 0) return
  const color = leftAt === undefined ? palette[node.standing] : palette.unknown
  const radius = RADIUS * (leftAt === undefined ? pop(there) : 0.6 + 0.4 * there)
  pen.save()
  pen.translate(body.x, body.y)
  // In a large mesh distances shrink, and nodes stay large enough to be seen.
  const size = Math.max(LEAST_SIZE, view.scale)
  pen.scale(size / view.scale, size / view.scale)
  const [x, y] = [0, 0]
  pen.globalAlpha = leftAt === undefined ? Math.min(1, there * 1.6) : there * 0.8

  // What surrounds it: a soft light, whether its connections are known, what it is at.
  const glow = pen.createRadialGradient(x, y, radius * 0.6, x, y, radius * 2.3)
  glow.addColorStop(0, `color-mix(in srgb, ${color} 34%, transparent)`)
  // Not the word transparent, which is black on its way there.
  glow.addColorStop(1, `color-mix(in srgb, ${color} 1%, transparent)`)
  pen.fillStyle = glow
  disc(pen, x, y, radius * 2.3)
  pen.fill()
  if (node.id === selected || node.id === hovered) {
    pen.strokeStyle = palette.accent
    pen.lineWidth = node.id === selected && hasFocus ? 3.5 : 2
    disc(pen, x, y, radius + 8)
    pen.stroke()
  }
  if (node.toldMs === undefined && !node.self) {
    pen.strokeStyle = palette.muted
    pen.lineWidth = 1
    pen.setLineDash([2, 3])
    disc(pen, x, y, radius + 4)
    pen.stroke()
    pen.setLineDash([])
  }
  pen.fillStyle = palette.panel
  disc(pen, x, y, radius)
  pen.fill()
  pen.fillStyle = `color-mix(in srgb, ${color} ${node.self ? 92 : 20}%, ${palette.panel})`
  pen.strokeStyle = color
  pen.lineWidth = 2.2
  disc(pen, x, y, radius)
  pen.fill()
  pen.stroke()
  if (node.standing === 'working' && leftAt === undefined) {
    const { progress } = node.agent?.activity ?? {}
    const from = progress === undefined && !isCalm ? ((now % TURN_MS) / TURN_MS) * 2 * Math.PI : -Math.PI / 2
    pen.strokeStyle = color
    pen.lineWidth = 3
    pen.lineCap = 'round'
    pen.beginPath()
    pen.arc(x, y, radius + 4.5, from, from + 2 * Math.PI * Math.max(0.06, progress ?? 0.28))
    pen.stroke()
  }

  const label = body.label
  const sign = SIGNS[node.standing] ?? label.slice(0, 1).toUpperCase()
  pen.fillStyle = node.self ? palette.panel : color
  pen.font = `700 14px ${FONT}`
  pen.textAlign = 'center'
  pen.textBaseline = 'middle'
  pen.fillText(sign, x, y + 1)
  if (node.leads && leftAt === undefined) paintCrown(pen, palette, x, y - radius - 5)

  const isChosen = node.id === selected || node.id === hovered
  if (scene.bodies.size <= MAX_NAMES || isChosen || node.self || node.leads || node.standing === 'stuck') {
    const points = Math.max(12.5, LEAST_POINTS / size)
    pen.font = `${node.self || isChosen ? 650 : 500} ${points}px ${FONT}`
    pen.textBaseline = 'top'
    pen.lineJoin = 'round'
    pen.lineWidth = 4
    pen.strokeStyle = palette.panel
    const text = label.length > 22 ? `${label.slice(0, 21)}…` : label
    pen.strokeText(text, x, y + radius + 8)
    pen.fillStyle = palette.text
    pen.fillText(text, x, y + radius + 8)
    if (node.self) {
      pen.font = `500 ${points * 0.84}px ${FONT}`
      pen.strokeText('this node', x, y + radius + 10 + points)
      pen.fillStyle = palette.muted
      pen.fillText('this node', x, y + radius + 10 + points)
    }
  }
  pen.restore()
}

/** @returns names of the nodes that can be seen */
export const paint = (pen: Pen, scene: Scene): string[] => {
  const { view, bodies, now, isCalm } = scene
  const ratio = window.devicePixelRatio || 1
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
  pen.clearRect(0, 0, view.width, view.height)
  pen.translate(view.width / 2, view.height / 2)
  pen.scale(view.scale, view.scale)
  pen.translate(-view.x, -view.y)
  paintWires(pen, scene)
  paintPulses(pen, scene)
  const drawn = [...bodies.values()].filter((body) => presenceOf(body, now, isCalm) > 0)
  // Who is chosen lies above the others.
  drawn.sort((a, b) => Number(a.id === scene.selected) - Number(b.id === scene.selected))
  for (const body of drawn) paintBody(pen, body, scene)
  return drawn.map(({ label }) => label)
}
