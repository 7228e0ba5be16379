/** Small parts that several views are made of. Keep no state but what Preact keeps. */
import { useLayoutEffect, useRef } from 'preact/hooks'
import { type MeshNode, NODE_STATE_TEXT } from '../data/mesh-nodes.ts'
import { isMeshOwnOpen, showInspector, toggleMeshOwn } from '../state/folding.ts'
import * as store from '../state/page-state.ts'
import type { Children, Markup } from './html.ts'
import { html } from './html.ts'

/** What a thing is in one word, with a colour that says the same. */
export const Badge = ({ tone, children }: { tone: string; children?: Children }): Markup =>
  html`<span class=${`badge ${tone}`}>${children}</span>`

export const NodeStateBadge = ({ node }: { node: MeshNode }): Markup =>
  html`<${Badge} tone=${node.state}>${NODE_STATE_TEXT[node.state]}<//>`

export const CoordinatorIcon = (): Markup =>
  html`<svg class="crown" viewBox="-12 -13 24 16" width="16" height="11" role="img" aria-label="coordinator">
    <path d="M-9 2-10.5-8-5-3.5 0-11 5-3.5 10.5-8 9 2Z" />
  </svg>`

export const Empty = ({ title, children }: { title: string; children?: Children }): Markup =>
  html`<div class="empty"><p class="empty-title">${title}</p><p>${children}</p></div>`

/** A button that chooses the node in the graph and shows what is known of it. */
export const NodeLink = ({ id, name }: { id: string; name: string }): Markup => {
  const isKnown = store.nodes.value.some((node) => node.id === id)
  const text = name === '' ? `…${id.slice(-8)}` : name
  if (!isKnown) return html`<span class="gone" title=${id}>${text === '…' ? '–' : text}</span>`
  return html`<button
    type="button"
    class="link"
    title=${id}
    onClick=${() => {
      store.selected.value = id
      showInspector()
    }}
  >
    ${text}
  </button>`
}

const SPARK = { width: 84, height: 22 }

/** A line without axes; its last value is written beside it by whoever shows it. */
export const Spark = ({ values, label }: { values: readonly number[]; label: string }): Markup => {
  if (values.length < 2) return html`<span class="spark-empty" aria-hidden="true"></span>`
  const top = 1.25 * Math.max(...values, 1e-9)
  const step = SPARK.width / (values.length - 1)
  const points = values.map(
    (value, at) => `${(at * step).toFixed(1)},${(SPARK.height - 2 - (value / top) * (SPARK.height - 4)).toFixed(1)}`,
  )
  return html`<svg
    class="spark"
    viewBox=${`0 0 ${SPARK.width} ${SPARK.height}`}
    width=${SPARK.width}
    height=${SPARK.height}
    role="img"
    aria-label=${label}
  >
    <polyline points=${points.join(' ')} />
  </svg>`
}

/** 0 to 1. */
export const Meter = ({ share, label }: { share: number; label: string }): Markup =>
  html`<span class="meter" role="img" aria-label=${label}
    ><span style=${{ width: `${Math.round(100 * Math.min(1, Math.max(0, share)))}%` }}></span
  ></span>`

export interface Column {
  readonly title: string
  /** Figures are on the right. */
  readonly isFigure?: boolean
}

/** Rows become cards where the table would be wider than its place. */
const fit = (place: HTMLElement): void => {
  place.classList.remove('cards')
  if (place.scrollWidth > place.clientWidth) place.classList.add('cards')
}

/** A table that fits its place: cells of text wrap (`wrap`), and where that is not enough each row is a card. */
export const Table = ({
  label,
  columns,
  children,
}: {
  label: string
  columns: readonly Column[]
  children?: Children
}): Markup => {
  const place = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    if (place.current !== null) fit(place.current)
  })
  useLayoutEffect(() => {
    const { current: element } = place
    if (element === null) return undefined
    let width = element.clientWidth
    const observer = new ResizeObserver(() => {
      if (element.clientWidth === width) return
      width = element.clientWidth
      fit(element)
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  // What stands in front of each cell of a card.
  const titles = Object.fromEntries(columns.map(({ title }, at) => [`--column-${at + 1}`, JSON.stringify(title)]))
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label} ref=${place}>
    <table style=${titles}>
      <thead>
        <tr>
          ${columns.map(({ title, isFigure }) => html`<th scope="col" class=${isFigure === true ? 'figure' : ''}>${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${children}
      </tbody>
    </table>
  </div>`
}

/** One of a few, side by side. */
export const Switch = <T extends string>({
  label,
  choices,
  chosen,
  choose,
}: {
  label: string
  choices: Readonly<Record<T, string>>
  chosen: T
  choose(choice: T): void
}): Markup =>
  html`<div class="switch" role="group" aria-label=${label}>
    ${(Object.entries(choices) as [T, string][]).map(
      ([choice, text]) =>
        html`<button key=${choice} type="button" aria-pressed=${choice === chosen} onClick=${() => choose(choice)}>${text}</button>`,
    )}
  </div>`

/** What is the mesh's own, below what programs do; folded away unless somebody wants to see it. */
export const OwnGroup = ({ amount, children }: { amount: number; children?: Children }): Markup =>
  amount === 0
    ? html`<span></span>`
    : html`<section class="own">
        <button type="button" class="link" aria-expanded=${isMeshOwnOpen.value} onClick=${toggleMeshOwn}>
          <span class="turn" aria-hidden="true">▸</span>Of the mesh itself <span class="muted">${amount}</span>
        </button>
        ${isMeshOwnOpen.value && children}
      </section>`

export const Fact = ({ name, children }: { name: string; children?: Children }): Markup =>
  html`<div class="fact"><dt>${name}</dt><dd>${children}</dd></div>`

export const Code = ({ value }: { value: unknown }): Markup =>
  html`<pre class="code" tabindex="0">${JSON.stringify(value, undefined, 2)}</pre>`

/** Rows of a table: more would take longer to draw than to read. */
export const MAX_ROWS = 250

export const MoreRows = ({ all, command }: { all: number; command: string }): Markup =>
  html`<div>${all > MAX_ROWS && html`<p class="note">The first ${MAX_ROWS} of ${all}; <code>${command}</code> lists all.</p>`}</div>`
