/**
 * The canvas with the mesh on it: keeps the layout, follows what the page knows, draws while something moves and rests
 * otherwise. One for each canvas; stop() ends it.
 */
import { effect } from '@preact/signals'
import type { DebugEvent } from '../../../debug/debug-schemas.ts'
import { labelsOf, type MeshNode } from '../data/mesh-nodes.ts'
import { onDebugEvent } from '../live/live-updates.ts'
import { showInspector } from '../state/folding.ts'
import * as store from '../state/page-state.ts'
import { colours } from '../state/theme.ts'
import { ForceLayout } from './force-layout.ts'
import { type Palette, type Pen, PULSE_MS, type Pulse, readPalette } from './graph-scene.ts'
import { paintScene } from './paint-scene.ts'
import { bodyAt, nearestInDirection, type Point, stepToward, toPlane, type Viewport, viewportFor } from './viewport.ts'

const MAX_PULSES = 24

export class GraphCanvas {
  readonly #canvas: HTMLCanvasElement
  readonly #pen: Pen
  readonly #layout = new ForceLayout()
  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)')
  readonly #observer = new ResizeObserver(() => this.#resize())
  readonly #stops: (() => void)[]
  #palette: Palette
  #view: Viewport = { width: 0, height: 0, scale: 1, x: 0, y: 0 }
  #hasView = false
  #pulses: Pulse[] = []
  #hovered: string | undefined
  #dragged: { id: string; moved: boolean } | undefined
  #frame = 0
  #drawnNames = ''

  constructor(canvas: HTMLCanvasElement, pen: Pen) {
    this.#canvas = canvas
    this.#pen = pen
    this.#palette = readPalette(canvas)
    this.#observer.observe(canvas)
    this.#stops = this.#follow()
    canvas.onpointerdown = (event) => this.#onPointerDown(event)
    canvas.onpointermove = (event) => this.#onPointerMove(event)
    canvas.onpointerup = () => this.#onPointerUp()
    canvas.onpointercancel = () => this.#onPointerCancel()
    canvas.onpointerleave = () => this.#onPointerLeave()
    canvas.onfocus = () => this.#wake()
    canvas.onblur = () => this.#wake()
  }

  /** The nearest node in this direction of the selected one. */
  next(dx: number, dy: number): MeshNode | undefined {
    return nearestInDirection(this.#layout.bodies.values(), store.selected.value, dx, dy)?.node
  }

  stop(): void {
    this.#observer.disconnect()
    cancelAnimationFrame(this.#frame)
    for (const stop of this.#stops) stop()
  }

  #follow(): (() => void)[] {
    return [
      effect(() => {
        const nodes = store.nodes.value
        const edges = store.overview.value?.graph.edges ?? []
        this.#layout.update(nodes, labelsOf(nodes), edges, performance.now())
        this.#wake()
      }),
      effect(() => {
        void store.selected.value
        this.#wake()
      }),
      effect(() => {
        void colours.value
        if (this.#canvas.isConnected) this.#palette = readPalette(this.#canvas)
        this.#wake()
      }),
      onDebugEvent((event) => this.#addPulse(event)),
    ]
  }

  #addPulse(event: DebugEvent): void {
    if (this.#calm.matches || document.hidden || this.#pulses.length >= MAX_PULSES) return
    const self = store.overview.value?.self.id
    if (self === undefined) return
    const startedAt = performance.now()
    if (event.type === 'event-received' && event.source !== self)
      this.#pulses.push({ from: event.source, to: self, startedAt })
    else if (event.type === 'event-published') this.#pulses.push({ from: self, to: undefined, startedAt })
    this.#wake()
  }

  #wake(): void {
    // Off the page it has no colours, until it is stopped.
    if (this.#canvas.isConnected) this.#frame ||= requestAnimationFrame(() => this.#draw())
  }

  #draw(): void {
    this.#frame = 0
    if (!this.#canvas.isConnected) return
    const now = performance.now()
    const isCalm = this.#calm.matches
    if (isCalm) this.#layout.settle()
    const isMoving = this.#layout.step(now)
    const isPanning = this.#dragged === undefined && this.#moveView(isCalm)
    this.#pulses = this.#pulses.filter(({ startedAt }) => now - startedAt < PULSE_MS)
    this.#paint(now, isCalm)
    const isBlinking = !isCalm && this.#layout.hasEndlessWork()
    if (isMoving || isPanning || this.#pulses.length > 0 || isBlinking) this.#wake()
  }

  #moveView(isAtOnce: boolean): boolean {
    const goal = viewportFor(this.#layout.bodies.values(), this.#view)
    if (isAtOnce || !this.#hasView) {
      this.#view = goal
      this.#hasView = this.#layout.bodies.size > 0
      return false
    }
    const { view, isMoving } = stepToward(this.#view, goal)
    this.#view = view
    return isMoving
  }

  #paint(now: number, isCalm: boolean): void {
    const names = paintScene(this.#pen, {
      bodies: this.#layout.bodies,
      edges: this.#layout.edges(),
      pulses: this.#pulses,
      view: this.#view,
      palette: this.#palette,
      selected: store.selected.value,
      hovered: this.#hovered,
      hasFocus: document.activeElement === this.#canvas,
      isCalm,
      now,
    })
    const text = names.sort().join(' ')
    if (text === this.#drawnNames) return
    this.#drawnNames = text
    this.#canvas.dataset.drawn = text
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas
    const ratio = window.devicePixelRatio || 1
    this.#canvas.width = Math.round(width * ratio)
    this.#canvas.height = Math.round(height * ratio)
    this.#view = { ...this.#view, width, height }
    if (width > 0 && height > 0) this.#layout.shape(width / height)
    this.#hasView = false
    this.#wake()
  }

  #pointOf(event: PointerEvent): Point {
    const { left, top } = this.#canvas.getBoundingClientRect()
    return toPlane({ x: event.clientX - left, y: event.clientY - top }, this.#view)
  }

  #bodyAt(point: Point): string | undefined {
    const { scale } = this.#view
    const isCalm = this.#calm.matches
    return bodyAt(this.#layout.bodies.values(), point, { scale, now: performance.now(), isCalm })
  }

  #onPointerDown(event: PointerEvent): void {
    const id = this.#bodyAt(this.#pointOf(event))
    if (id === undefined) {
      store.selected.value = undefined
      return
    }
    this.#dragged = { id, moved: false }
    this.#canvas.setPointerCapture(event.pointerId)
  }

  #onPointerMove(event: PointerEvent): void {
    const at = this.#pointOf(event)
    const dragged = this.#dragged
    if (dragged !== undefined) {
      dragged.moved ||= Math.abs(event.movementX) + Math.abs(event.movementY) > 1
      if (dragged.moved) this.#layout.hold(dragged.id, at.x, at.y)
    } else this.#hovered = this.#bodyAt(at)
    this.#canvas.style.cursor = this.#hovered === undefined ? 'default' : 'pointer'
    this.#wake()
  }

  #onPointerUp(): void {
    const dragged = this.#dragged
    if (dragged === undefined) return
    this.#layout.release(dragged.id)
    if (!dragged.moved) store.selected.value = dragged.id === store.selected.value ? undefined : dragged.id
    if (!dragged.moved && store.selected.value !== undefined) showInspector()
    this.#dragged = undefined
    this.#wake()
  }

  #onPointerCancel(): void {
    if (this.#dragged !== undefined) this.#layout.release(this.#dragged.id)
    this.#dragged = undefined
  }

  #onPointerLeave(): void {
    this.#hovered = undefined
    this.#wake()
  }
}
