/** A uPlot chart that follows its data, its width and the colours. State: the chart, while it is on the page. */
import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import { clock } from '../data/format.ts'
import { colours } from '../state/theme.ts'
import { html, type Markup } from './html.ts'

export interface Line {
  readonly label: string
  /** Name of a custom property, such as `accent`. */
  readonly color: string
  readonly isFilled?: boolean
}

export interface ChartProps {
  readonly lines: readonly Line[]
  /** Seconds since 1970, then one list for each line; null where there is no value. */
  readonly data: () => (number | null)[][]
  readonly height: number
  /** Axes and a grid; without them it is a sparkline. */
  readonly hasAxes?: boolean
  /** Bytes: the axis goes by powers of two. */
  readonly isBinary?: boolean
  readonly write: (value: number) => string
  readonly label: string
}

const POWERS = Array.from({ length: 44 }, (_, power) => 2 ** power)
const FONT = '11px ui-sans-serif, system-ui, sans-serif'

/** A line of one point is none. */
const isLonely = ({ data }: UPlot, series: number): boolean =>
  [...(data[series] ?? [])].filter((value) => value !== null).length === 1

const optionsOf = (
  element: HTMLElement,
  { lines, height, hasAxes = false, isBinary = false, write }: ChartProps,
): UPlot.Options => {
  const style = getComputedStyle(element)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const axis = { stroke: of('muted'), font: FONT, grid: { stroke: of('line'), width: 1 }, ticks: { show: false } }
  return {
    width: Math.max(10, element.clientWidth),
    height,
    // Half of the last time on its axis reaches to the right.
    padding: hasAxes ? [8, 30, 0, 0] : [3, 0, 0, 0],
    legend: { show: false },
    cursor: { show: hasAxes, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (_, __, top) => [0, top > 0 ? top * 1.15 : 1] } },
    axes: hasAxes
      ? [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            space: 80,
            values: (_, values) => values.map((at) => clock(at * 1_000)),
          },
          {
            ...axis,
            size: 64,
            space: 34,
            values: (_, values) => values.map(write),
            ...(isBinary && { incrs: POWERS }),
          },
        ]
      : [{ show: false }, { show: false }],
    series: [
      {},
      ...lines.map(({ label, color, isFilled = true }) => ({
        label,
        stroke: of(color),
        width: 1.75,
        spanGaps: true,
        points: { show: hasAxes && isLonely, size: 6 },
        ...(isFilled && { fill: `color-mix(in srgb, ${of(color)} 14%, transparent)` }),
      })),
    ],
  }
}

export const Chart = (props: ChartProps): Markup => {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const { current: element } = place
    if (element === null) return undefined
    let chart: UPlot | undefined
    const data = (): UPlot.AlignedData => props.data() as UPlot.AlignedData
    const stopColours = effect(() => {
      void colours.value
      chart?.destroy()
      chart = new UPlot(optionsOf(element, props), data(), element)
    })
    const stopData = effect(() => {
      const next = data()
      chart?.setData(next)
    })
    const observer = new ResizeObserver(() =>
      chart?.setSize({ width: Math.max(10, element.clientWidth), height: props.height }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      stopColours()
      stopData()
      chart?.destroy()
    }
  }, [])
  return html`<div class="chart" ref=${place} role="img" aria-label=${props.label} style=${{ height: `${props.height}px` }}></div>`
}
