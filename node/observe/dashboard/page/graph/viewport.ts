/** Which part of the plane the canvas shows, which body lies at a point of it, and which one lies in a direction. */
import { type Body, opacityOf } from './force-layout.ts'

/** Of a node's disc. */
export const RADIUS = 17
const MAX_SCALE = 1.35
const MIN_SCALE = 0.12
/** Room that names take, in pixels. */
const PADDING = { x: 70, top: 52, bottom: 64 }
/** Share of the way to the goal that is left after a frame. */
const DRAG = 0.86

/** Where the middle of the canvas lies in the plane of the bodies, and how many pixels a unit of it takes. */
export interface Viewport {
  readonly width: number
  readonly height: number
  readonly scale: number
  readonly x: number
  readonly y: number
}

export interface Point {
  readonly x: number
  readonly y: number
}

type Bodies = Iterable<Body>

const isPresent = ({ leftAt }: Body): boolean => leftAt === undefined

/** The view that holds all bodies and their names, on a canvas as large as that of `view`. */
export const viewportFor = (all: Bodies, view: Viewport): Viewport => {
  const { width, height } = view
  const bodies = [...all].filter(isPresent)
  if (bodies.length === 0 || width === 0) return { ...view, scale: 1, x: 0, y: 0 }
  const xs = bodies.map(({ x }) => x)
  const ys = bodies.map(({ y }) => y)
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
  const fitting = Math.min(
    MAX_SCALE,
    (width - 2 * PADDING.x) / Math.max(1, right - left),
    (height - PADDING.top - PADDING.bottom) / Math.max(1, bottom - top),
  )
  const scale = Math.max(MIN_SCALE, fitting)
  return {
    ...view,
    scale,
    x: (left + right) / 2,
    y: (top + bottom) / 2 + (PADDING.bottom - PADDING.top) / 2 / scale,
  }
}

/** One frame's step from a view to its goal. */
export const stepToward = (view: Viewport, goal: Viewport): { view: Viewport; isMoving: boolean } => {
  const toward = (from: number, to: number): number => to + (from - to) * DRAG
  const next = {
    ...view,
    scale: toward(view.scale, goal.scale),
    x: toward(view.x, goal.x),
    y: toward(view.y, goal.y),
  }
  const isMoving =
    Math.abs(next.scale - goal.scale) > 0.002 || Math.abs(next.x - goal.x) > 0.4 || Math.abs(next.y - goal.y) > 0.4
  return { view: next, isMoving }
}

/** From pixels of the canvas, counted from its top left corner, to the plane of the bodies. */
export const toPlane = ({ x, y }: Point, view: Viewport): Point => ({
  x: (x - view.width / 2) / view.scale + view.x,
  y: (y - view.height / 2) / view.scale + view.y,
})

/** The id of the nearest body that a pointer there means. */
export const bodyAt = (
  bodies: Bodies,
  { x, y }: Point,
  { scale, now, isCalm }: { scale: number; now: number; isCalm: boolean },
): string | undefined => {
  let best: { id: string; distance: number } | undefined
  for (const body of bodies) {
    const distance = Math.hypot(body.x - x, body.y - y)
    if (distance > (RADIUS + 10) / Math.min(1, scale) || opacityOf(body, now, isCalm) === 0) continue
    if (best === undefined || distance < best.distance) best = { id: body.id, distance }
  }
  return best?.id
}

/** The nearest body in this direction of the selected one; this node where none is selected. */
export const nearestInDirection = (
  all: Bodies,
  selected: string | undefined,
  dx: number,
  dy: number,
): Body | undefined => {
  const bodies = [...all].filter(isPresent)
  const from = bodies.find(({ id }) => id === selected)
  if (from === undefined) return bodies.find(({ node }) => node.self) ?? bodies[0]
  let best: { body: Body; cost: number } | undefined
  for (const body of bodies) {
    if (body.id === from.id) continue
    const along = (body.x - from.x) * dx + (body.y - from.y) * dy
    const across = Math.abs((body.x - from.x) * dy) + Math.abs((body.y - from.y) * dx)
    if (along <= 0) continue
    const cost = along + 2 * across
    if (best === undefined || cost < best.cost) best = { body, cost }
  }
  return best?.body
}
