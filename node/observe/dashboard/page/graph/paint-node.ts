/** Draws one node: what state it is in, what it is at, its part in the mesh, its name. */
import { type Body, opacityOf } from './force-layout.ts'
import { disc, FONT, type Palette, type Pen, type Scene } from './graph-scene.ts'
import { RADIUS } from './viewport.ts'

/** Of a node on the screen, whatever the scale. */
const LEAST_SIZE = 0.6
const LEAST_POINTS = 10.5
/** In a mesh of more nodes only those are named that matter most. */
const MAX_NAMES = 40
const TURN_MS = 2_400

/** 0 to 1, with a little swing at the end. */
const pop = (share: number): number => {
  const rest = share - 1
  return 1 + 2.4 * rest ** 3 + 1.4 * rest ** 2
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

const SIGNS: Partial<Record<Body['node']['state'], string>> = { stuck: '!', suspect: '?' }

/** `ada` is A, `node-12` is N12. */
const initialOf = (label: string): string =>
  `${label.slice(0, 1).toUpperCase()}${/\D(\d{1,2})$/.exec(label)?.[1] ?? ''}`

export const paintBody = (pen: Pen, body: Body, scene: Scene): void => {
  const { palette, now, isCalm, selected, hovered, hasFocus, view } = scene
  const { node, leftAt } = body
  const there = opacityOf(body, now, isCalm)
  if (there <= 0) return
  const color = leftAt === undefined ? palette[node.state] : palette.unknown
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
  if (node.reportedMs === undefined && !node.self) {
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
  if (node.state === 'working' && leftAt === undefined) {
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
  const sign = SIGNS[node.state] ?? initialOf(label)
  pen.fillStyle = node.self ? palette.panel : color
  pen.font = `700 ${sign.length > 2 ? 11 : sign.length > 1 ? 12.5 : 14}px ${FONT}`
  pen.textAlign = 'center'
  pen.textBaseline = 'middle'
  pen.fillText(sign, x, y + 1)
  if (node.isCoordinator && leftAt === undefined) paintCrown(pen, palette, x, y - radius - 5)

  const isChosen = node.id === selected || node.id === hovered
  if (scene.bodies.size <= MAX_NAMES || isChosen || node.self || node.isCoordinator || node.state === 'stuck') {
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
