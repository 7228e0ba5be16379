/**
 * The time series of one metric: one cell per combination of label values, with bounds.
 *
 * State: the cells, in a tree with one level per label. Guarantees: at most MAX_LABEL_VALUES distinct values per label
 * and MAX_SERIES cells; what comes later counts under `other`, so that no peer can grow the metrics by inventing names.
 * A known combination is found without making a string or an array, since this runs once per message.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { Labels } from '../../../protocols/port.ts'

/** Distinct values of one label of one metric; `other` is not counted. */
export const MAX_LABEL_VALUES = 50
/** Cells of one metric; without it three full labels would make 132,651. */
export const MAX_SERIES = 1000
/** Characters of a label value; the rest is cut. */
export const MAX_VALUE_CHARS = 128
export const OTHER_VALUE = 'other'

/** `value`: a label had too many distinct values. `series`: the metric had too many cells. */
export type SeriesOverflow = 'value' | 'series'

interface Branch<C> {
  cell: C | undefined
  readonly next: Map<string, Branch<C>>
}

export interface MetricCell<C> {
  readonly labels: Labels
  readonly cell: C
}

export interface MetricSeries<C> {
  /**
   * The cell of these labels.
   * @throws MSG001 where a declared label is missing or another one is given; an unknown combination only is checked
   */
  of(labels: Labels | undefined): C
  cells(): readonly MetricCell<C>[]
}

export interface MetricSeriesOptions<C> {
  metric: string
  labelNames: readonly string[]
  fresh(): C
  onOverflow(why: SeriesOverflow): void
}

const NONE: Labels = {}

/** The values that one label may have: the first MAX_LABEL_VALUES that come. */
export const createBoundedValues = (): ((value: string) => string) => {
  const admitted = new Set<string>()
  return (value) => {
    const cut = value.length > MAX_VALUE_CHARS ? value.slice(0, MAX_VALUE_CHARS) : value
    if (admitted.has(cut) || cut === OTHER_VALUE) return cut
    if (admitted.size >= MAX_LABEL_VALUES) return OTHER_VALUE
    admitted.add(cut)
    return cut
  }
}

export const createMetricSeries = <C>({
  metric,
  labelNames,
  fresh,
  onOverflow,
}: MetricSeriesOptions<C>): MetricSeries<C> => {
  const root: Branch<C> = { cell: undefined, next: new Map() }
  const admit = labelNames.map(createBoundedValues)
  const all: MetricCell<C>[] = []

  const plant = (values: readonly string[]): C => {
    let branch = root
    for (const value of values) {
      let next = branch.next.get(value)
      if (next === undefined) {
        next = { cell: undefined, next: new Map() }
        branch.next.set(value, next)
      }
      branch = next
    }
    if (branch.cell === undefined) {
      branch.cell = fresh()
      all.push({ labels: Object.fromEntries(labelNames.map((name, i) => [name, values[i] ?? ''])), cell: branch.cell })
    }
    return branch.cell
  }

  const find = (values: readonly string[]): C | undefined =>
    values.reduce<Branch<C> | undefined>((branch, value) => branch?.next.get(value), root)?.cell

  const check = (labels: Labels): void => {
    const given = Object.keys(labels)
    const bad =
      labelNames.find((name) => typeof labels[name] !== 'string') ?? given.find((name) => !labelNames.includes(name))
    if (bad === undefined) return
    throw new ParleyError('MSG001', `metric ${metric} was given the labels {${given}} and has {${labelNames}}`, {
      hint: `give each label of ${metric} a string, and no other label; "${bad}" is wrong`,
    })
  }

  const unknown = (labels: Labels): C => {
    check(labels)
    const values = labelNames.map((name, i) => {
      const value = labels[name] ?? ''
      const admitted = admit[i]?.(value) ?? OTHER_VALUE
      if (admitted === OTHER_VALUE && value !== OTHER_VALUE) onOverflow('value')
      return admitted
    })
    const found = find(values)
    if (found !== undefined) return found
    const rest = labelNames.map(() => OTHER_VALUE)
    // One place is kept for the combination in which everything is `other`.
    if (all.length < MAX_SERIES - 1 || values.every((value) => value === OTHER_VALUE)) return plant(values)
    onOverflow('series')
    return plant(rest)
  }

  return {
    of(labels = NONE) {
      let branch: Branch<C> | undefined = root
      for (const name of labelNames) {
        const value: string | undefined = labels[name]
        branch = value === undefined ? undefined : branch.next.get(value)
        if (branch === undefined) return unknown(labels)
      }
      return branch.cell ?? unknown(labels)
    },
    cells: () => all,
  }
}
