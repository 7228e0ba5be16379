/**
 * What is drawn: the nodes and edges of the layout, what passes between them, from where it is seen and in which colours.
 * The colours are the custom properties of page.css, so that light and dark stand in one place.
 */
import type { Body, LayoutEdge } from './force-layout.ts'
import type { Viewport } from './viewport.ts'

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

export interface Scene {
  readonly bodies: ReadonlyMap<string, Body>
  readonly edges: readonly LayoutEdge[]
  readonly pulses: readonly Pulse[]
  readonly view: Viewport
  readonly palette: Palette
  readonly selected: string | undefined
  readonly hovered: string | undefined
  readonly hasFocus: boolean
  readonly isCalm: boolean
  readonly now: number
}

/** Edges that were reported so long ago are dashed. */
export const STALE_MS = 30_000
export const FONT = '"Inter", ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif'

export type Pen = CanvasRenderingContext2D

export const disc = (pen: Pen, x: number, y: number, radius: number): void => {
  pen.beginPath()
  pen.arc(x, y, radius, 0, 2 * Math.PI)
}
