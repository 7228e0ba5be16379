/** Draws the mesh on a canvas: edges, what passes on them, and nodes (paint-node.ts). */
import { type Body, opacityOf } from './force-layout.ts'
import { disc, FONT, type Pen, PULSE_MS, type Scene, STALE_MS } from './graph-scene.ts'
import { paintBody } from './paint-node.ts'
import { RADIUS } from './viewport.ts'

/** 0 to 1, slower towards the end. */
const easeOut = (share: number): number => 1 - (1 - share) ** 3

interface Place {
  readonly x: number
  readonly y: number
}

/** Edges are bent a little, always to the same side, so that one behind a node can be distinguished from two that end there. */
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

const paintEdges = (pen: Pen, scene: Scene): void => {
  const { edges, palette, selected, hovered, now, isCalm, view } = scene
  const crowded = Math.min(1, 60 / Math.max(1, edges.length))
  for (const { source, target, ageMs, rttMs } of edges) {
    const there = Math.min(opacityOf(source, now, isCalm), opacityOf(target, now, isCalm))
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
      const size = 10.5 * Math.max(1, 0.9 / view.scale)
      pen.font = `500 ${size}px ${FONT}`
      const width = pen.measureText(text).width + size
      pen.globalAlpha = there
      pen.fillStyle = palette.panel
      pen.beginPath()
      pen.roundRect(x - width / 2, y - 0.76 * size, width, 1.52 * size, 0.76 * size)
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

/** @returns names of the nodes that can be seen */
export const paintScene = (pen: Pen, scene: Scene): string[] => {
  const { view, bodies, now, isCalm } = scene
  const ratio = window.devicePixelRatio || 1
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
  pen.clearRect(0, 0, view.width, view.height)
  pen.translate(view.width / 2, view.height / 2)
  pen.scale(view.scale, view.scale)
  pen.translate(-view.x, -view.y)
  paintEdges(pen, scene)
  paintPulses(pen, scene)
  const drawn = [...bodies.values()].filter((body) => opacityOf(body, now, isCalm) > 0)
  // Who is chosen lies above the others.
  drawn.sort((a, b) => Number(a.id === scene.selected) - Number(b.id === scene.selected))
  for (const body of drawn) paintBody(pen, body, scene)
  return drawn.map(({ label }) => label)
}
