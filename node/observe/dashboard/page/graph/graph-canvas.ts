/**
 * The canvas with the mesh on it: keeps the layout, follows what the page knows, draws while something moves and rests
 * otherwise. One for each canvas; stop() ends it.
 */
import { effect } from '@preact/signals'
import { labelsOf, type MeshNode } from '../data/mesh-nodes.ts'
import { onDebugEvent } from '../live/live-updates.ts'
import { showInspector } from '../state/folding.ts'
import * as store from '../state/page-state.ts'
import { colours } from '../state/theme.ts'
import { createLayout } from './force-layout.ts'
import { opacityOf, PULSE_MS, type Pulse, RADIUS, readPalette, type Viewport } from './graph-scene.ts'
import { paintScene } from './paint-scene.ts'

const MAX_PULSES = 24
const MAX_SCALE = 1.35
const PADDING = { x: 70, top: 52, bottom: 64 }
/** Share of the way to where the view should be that is left after a frame. */
const DRAG = 0.86

export interface GraphCanvas {
  /** The nearest node in this direction of the chosen one. */
  next(dx: number, dy: number): MeshNode | undefined
  stop(): void
}

export const createGraphCanvas = (canvas: HTMLCanvasElement): GraphCanvas | undefined => {
  const context = canvas.getContext('2d')
  if (context === null) return undefined
  const pen = context
  const layout = createLayout()
  const calm = matchMedia('(prefers-reduced-motion: reduce)')
  let palette = readPalette(canvas)
  let view: Viewport = { width: 0, height: 0, scale: 1, x: 0, y: 0 }
  let hasView = false
  let pulses: Pulse[] = []
  let hovered: string | undefined
  let dragged: { id: string; moved: boolean } | undefined
  let frame = 0
  let shown = ''

  /** The view that holds all nodes, and the room that names take. */
  const wanted = (): Viewport => {
    const { width, height } = view
    const bodies = [...layout.bodies.values()].filter(({ leftAt }) => leftAt === undefined)
    if (bodies.length === 0 || width === 0) return { ...view, scale: 1, x: 0, y: 0 }
    const xs = bodies.map(({ x }) => x)
    const ys = bodies.map(({ y }) => y)
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
    const scale = Math.min(
      MAX_SCALE,
      (width - 2 * PADDING.x) / Math.max(1, right - left),
      (height - PADDING.top - PADDING.bottom) / Math.max(1, bottom - top),
    )
    const safe = Math.max(0.12, scale)
    return {
      ...view,
      scale: safe,
      x: (left + right) / 2,
      y: (top + bottom) / 2 + (PADDING.bottom - PADDING.top) / 2 / safe,
    }
  }

  const moveView = (isAtOnce: boolean): boolean => {
    const goal = wanted()
    if (isAtOnce || !hasView) {
      view = goal
      hasView = layout.bodies.size > 0
      return false
    }
    const toward = (from: number, to: number): number => to + (from - to) * DRAG
    const next = {
      ...view,
      scale: toward(view.scale, goal.scale),
      x: toward(view.x, goal.x),
      y: toward(view.y, goal.y),
    }
    view = next
    return (
      Math.abs(next.scale - goal.scale) > 0.002 || Math.abs(next.x - goal.x) > 0.4 || Math.abs(next.y - goal.y) > 0.4
    )
  }

  const draw = (): void => {
    frame = 0
    if (!canvas.isConnected) return
    const now = performance.now()
    const isCalm = calm.matches
    if (isCalm) layout.settle()
    const moves = layout.step(now)
    const pans = dragged === undefined && moveView(isCalm)
    pulses = pulses.filter(({ startedAt }) => now - startedAt < PULSE_MS)
    const names = paintScene(pen, {
      bodies: layout.bodies,
      edges: layout.edges(),
      pulses,
      view,
      palette,
      selected: store.selected.value,
      hovered,
      hasFocus: document.activeElement === canvas,
      isCalm,
      now,
    })
    const text = names.sort().join(' ')
    if (text !== shown) {
      shown = text
      canvas.dataset.drawn = text
    }
    const works = [...layout.bodies.values()].some(
      ({ node }) => node.state === 'working' && node.agent?.activity?.progress === undefined,
    )
    if (moves || pans || pulses.length > 0 || (works && !isCalm)) wake()
  }
  const wake = (): void => {
    // Off the page it has no colours, until it is stopped.
    if (canvas.isConnected) frame ||= requestAnimationFrame(draw)
  }

  const resize = (): void => {
    const { clientWidth: width, clientHeight: height } = canvas
    const ratio = window.devicePixelRatio || 1
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
    view = { ...view, width, height }
    if (width > 0 && height > 0) layout.shape(width / height)
    hasView = false
    wake()
  }
  const observer = new ResizeObserver(resize)
  observer.observe(canvas)

  const stops = [
    effect(() => {
      const nodes = store.nodes.value
      const edges = store.overview.value?.graph.edges ?? []
      layout.update(nodes, labelsOf(nodes), edges, performance.now())
      wake()
    }),
    effect(() => {
      void store.selected.value
      wake()
    }),
    effect(() => {
      void colours.value
      if (canvas.isConnected) palette = readPalette(canvas)
      wake()
    }),
    onDebugEvent((event) => {
      if (calm.matches || document.hidden || pulses.length >= MAX_PULSES) return
      const self = store.overview.value?.self.id
      if (self === undefined) return
      const startedAt = performance.now()
      if (event.type === 'event-received' && event.source !== self)
        pulses.push({ from: event.source, to: self, startedAt })
      else if (event.type === 'event-published') pulses.push({ from: self, to: undefined, startedAt })
      wake()
    }),
  ]

  const place = (event: PointerEvent): { x: number; y: number } => {
    const { left, top } = canvas.getBoundingClientRect()
    return {
      x: (event.clientX - left - view.width / 2) / view.scale + view.x,
      y: (event.clientY - top - view.height / 2) / view.scale + view.y,
    }
  }
  const bodyAt = ({ x, y }: { x: number; y: number }): string | undefined => {
    const now = performance.now()
    let best: { id: string; far: number } | undefined
    for (const body of layout.bodies.values()) {
      const far = Math.hypot(body.x - x, body.y - y)
      if (far > (RADIUS + 10) / Math.min(1, view.scale) || opacityOf(body, now, calm.matches) === 0) continue
      if (best === undefined || far < best.far) best = { id: body.id, far }
    }
    return best?.id
  }
  canvas.onpointerdown = (event) => {
    const id = bodyAt(place(event))
    if (id === undefined) {
      store.selected.value = undefined
      return
    }
    dragged = { id, moved: false }
    canvas.setPointerCapture(event.pointerId)
  }
  canvas.onpointermove = (event) => {
    const at = place(event)
    if (dragged !== undefined) {
      dragged.moved ||= Math.abs(event.movementX) + Math.abs(event.movementY) > 1
      if (dragged.moved) layout.hold(dragged.id, at.x, at.y)
    } else hovered = bodyAt(at)
    canvas.style.cursor = hovered === undefined ? 'default' : 'pointer'
    wake()
  }
  canvas.onpointerup = () => {
    if (dragged === undefined) return
    layout.release(dragged.id)
    if (!dragged.moved) store.selected.value = dragged.id === store.selected.value ? undefined : dragged.id
    if (!dragged.moved && store.selected.value !== undefined) showInspector()
    dragged = undefined
    wake()
  }
  canvas.onpointercancel = () => {
    if (dragged !== undefined) layout.release(dragged.id)
    dragged = undefined
  }
  canvas.onpointerleave = () => {
    hovered = undefined
    wake()
  }
  canvas.onfocus = wake
  canvas.onblur = wake

  return {
    next(dx, dy) {
      const bodies = [...layout.bodies.values()].filter(({ leftAt }) => leftAt === undefined)
      const from = bodies.find(({ id }) => id === store.selected.value)
      if (from === undefined) return (bodies.find(({ node }) => node.self) ?? bodies[0])?.node
      let best: { node: MeshNode; cost: number } | undefined
      for (const { node, id, x, y } of bodies) {
        if (id === from.id) continue
        const along = (x - from.x) * dx + (y - from.y) * dy
        const across = Math.abs((x - from.x) * dy) + Math.abs((y - from.y) * dx)
        if (along <= 0) continue
        const cost = along + 2 * across
        if (best === undefined || cost < best.cost) best = { node, cost }
      }
      return best?.node
    },
    stop() {
      observer.disconnect()
      cancelAnimationFrame(frame)
      for (const stop of stops) stop()
    },
  }
}
