/** The figures of this node over time: a strip of small charts on top, and larger ones with axes. Keep no state. */

import { bytes, count, span } from '../data/format.ts'
import type { MetricPoint } from '../data/metric-points.ts'
import * as store from '../state/page-state.ts'
import { Chart, type Line } from '../widgets/chart.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Empty } from '../widgets/widgets.ts'

type Read = (point: MetricPoint) => number | undefined

interface Figure {
  readonly title: string
  readonly lines: readonly (Line & { readonly read: Read })[]
  readonly isBinary?: boolean
  readonly write: (value: number) => string
  readonly help: string
  /** Why there is no value. */
  readonly none?: string
}

const perSecond = (value: number): string => `${count(value)}/s`

const FIGURES: Record<string, Figure> = {
  calls: {
    title: 'Calls',
    help: 'Requests of programs that this node made and answered',
    write: perSecond,
    lines: [
      { label: 'made', color: 'accent', read: ({ calls }) => calls },
      { label: 'answered', color: 'alive', isFilled: false, read: ({ answers }) => answers },
    ],
  },
  own: {
    title: 'Calls of the mesh',
    help: 'Requests of the mesh itself that this node made and answered',
    write: perSecond,
    lines: [{ label: 'made and answered', color: 'unknown', read: ({ own }) => own }],
  },
  events: {
    title: 'Events',
    help: 'Events of programs that this node heard and published',
    write: perSecond,
    lines: [
      { label: 'heard', color: 'accent', read: ({ received }) => received },
      { label: 'published', color: 'alive', isFilled: false, read: ({ published }) => published },
    ],
  },
  latency: {
    title: 'Latency p99',
    none: 'no calls',
    help: 'Of calls that programs made on this node, from their buckets; the lower line is the median',
    write: span,
    lines: [
      { label: 'p99', color: 'accent', read: ({ p99Ms }) => p99Ms },
      { label: 'median', color: 'alive', isFilled: false, read: ({ p50Ms }) => p50Ms },
    ],
  },
  memory: {
    title: 'Memory',
    help: 'Of the process in RAM; the lower line is the JavaScript heap in use',
    isBinary: true,
    write: bytes,
    lines: [
      { label: 'resident', color: 'accent', read: ({ memory }) => memory },
      { label: 'heap', color: 'alive', isFilled: false, read: ({ heap }) => heap },
    ],
  },
  traffic: {
    title: 'Traffic',
    help: 'Bytes that links read and wrote, without gossip',
    isBinary: true,
    write: (value) => `${bytes(value)}/s`,
    lines: [
      { label: 'in', color: 'accent', read: ({ bytesIn }) => bytesIn },
      { label: 'out', color: 'alive', isFilled: false, read: ({ bytesOut }) => bytesOut },
    ],
  },
  cpu: {
    title: 'CPU',
    help: 'Of one core, all threads of the process together',
    write: (value) => `${count(100 * value)} %`,
    lines: [{ label: 'in use', color: 'accent', read: ({ cpu }) => cpu }],
  },
  lag: {
    title: 'Event loop delay p99',
    help: 'How late the event loop came to its timers',
    write: span,
    lines: [{ label: 'p99', color: 'accent', read: ({ lagMs }) => lagMs }],
  },
}

const STRIP = ['calls', 'events', 'latency', 'memory'] as const

const dataOf =
  ({ lines }: Figure, last: number) =>
  (): (number | null)[][] => {
    const points = store.points.value.slice(-last)
    return [points.map(({ at }) => at / 1_000), ...lines.map(({ read }) => points.map((point) => read(point) ?? null))]
  }

interface Last {
  readonly value: number
  /** Milliseconds that it is older than what was measured last. */
  readonly ageMs: number
}

const lastOf = (read: Read): Last | undefined => {
  const { value: points } = store.points
  const now = points.at(-1)?.at ?? 0
  for (const point of points.toReversed()) {
    const value = read(point)
    if (value !== undefined) return { value, ageMs: now - point.at }
  }
  return undefined
}

/** Of a figure that is not measured all the time. */
const OLD_MS = 10_000

const Tile = ({ figure }: { figure: Figure }): Markup => {
  const [first, second] = figure.lines
  const last = first === undefined ? undefined : lastOf(first.read)
  const other = second === undefined ? undefined : lastOf(second.read)
  const isOld = last !== undefined && last.ageMs > OLD_MS
  const none = store.points.value.length === 0 ? 'gathering' : (figure.none ?? '–')
  return html`<article class="tile" title=${figure.help}>
    <h3>${figure.title}</h3>
    <p class=${last === undefined ? 'value none' : 'value'}>${last === undefined ? none : figure.write(last.value)}</p>
    <p class="muted small">
      ${other === undefined ? '\u00a0' : `${second?.label} ${figure.write(other.value)}`}${isOld && `, ${span(last.ageMs)} ago`}
    </p>
    <${Chart} lines=${figure.lines} data=${dataOf(figure, 90)} height=${44} write=${figure.write} label=${`${figure.title} of the last minutes`} />
  </article>`
}

export const Strip = (): Markup =>
  html`<section class="strip" aria-label="Figures of this node">
    ${STRIP.map((id) => html`<${Tile} key=${id} figure=${FIGURES[id]} />`)}
  </section>`

export const Metrics = (): Markup => {
  if (store.points.value.length === 0)
    return html`<${Empty} title="Gathering …">Figures are taken each two seconds while this page is open.<//>`
  return html`<div class="charts">
    ${Object.entries(FIGURES).map(
      ([id, figure]) => html`<article key=${id}>
        <h3>${figure.title}</h3>
        <p class="muted small">${figure.help}</p>
        <p class="keys">
          ${figure.lines.map(({ label, color, read }) => {
            const last = lastOf(read)
            return html`<span><span class=${`swatch ${color}`}></span>${label} <b>${last === undefined ? (figure.none ?? '–') : figure.write(last.value)}</b></span>`
          })}
        </p>
        <${Chart} lines=${figure.lines} data=${dataOf(figure, 300)} height=${130} hasAxes=${true} isBinary=${figure.isBinary === true} write=${figure.write} label=${`${figure.title} over time`} />
      </article>`,
    )}
  </div>`
}
