/** What parts show, read from those that run when somebody looks: views, cut to what can be shown, and figures among the metrics. */
import { wireId } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { offerOf } from '../../protocols/journal/part-kinds.ts'
import type {
  BoardCard,
  BoardData,
  FigureValue,
  GraphData,
  TableData,
  TimelineData,
  ViewData,
} from '../../protocols/part.ts'
import type { PartDataView, PartSource, PartView } from '../observe/debug/part-schemas.ts'
import type { NamedMetrics, NodeMetrics } from '../observe/metrics/metrics.ts'
import type { PartFacts, PartRunner } from './runner.ts'

export const MAX_ROWS = 1_000
export const MAX_COLUMNS = 32
export const MAX_CHARS = 1_024
/** Cards of a board, in all of its columns. */
export const MAX_CARDS = 200
const MAX_BOARD_COLUMNS = 8
const MAX_FACTS = 8
const MAX_FIGURE_ROWS = 50

const short = (text: string): string => (text.length <= MAX_CHARS ? text : `${text.slice(0, MAX_CHARS - 1)}…`)
const finite = (figure: number): number => (Number.isFinite(figure) ? figure : 0)

const figureOf = (name: string, help: string, value: FigureValue): PartView['figures'][number] => {
  if (typeof value === 'number') return { name, help, value: finite(value) }
  const all = [...value].map(([of, figure]) => ({ of: short(of), value: finite(figure) }))
  return {
    name,
    help,
    value: all.reduce((sum, row) => sum + row.value, 0),
    rows: all.slice(0, MAX_FIGURE_ROWS),
  }
}

const viewOf = ({ part, state, problem, started }: PartFacts): PartView => {
  const figures: Readonly<Record<string, FigureValue>> = started?.figures?.() ?? {}
  const { name, description, protocols = [], journal, views = {} } = part
  return {
    name,
    description,
    state,
    ...(problem !== undefined && { problem: short(problem) }),
    protocols: protocols.map(wireId),
    ...(journal !== undefined && { offer: offerOf({ ...journal, name }) }),
    figures: Object.entries(part.figures ?? {}).map(([figure, { help }]) =>
      figureOf(figure, help, figures[figure] ?? 0),
    ),
    views: Object.entries(views).map(([view, { title, form, of }]) => ({
      ...{ name: view, title, form },
      ...(of !== undefined && { of }),
    })),
  }
}

const left = (all: readonly unknown[]): number => Math.max(0, all.length - MAX_ROWS)

const cardOf = ({ id, title, facts = [], tone, at, peer }: BoardCard) => ({
  ...{ id: short(id), title: short(title), facts: facts.slice(0, MAX_FACTS).map(short) },
  ...(tone !== undefined && { tone }),
  ...(at !== undefined && { at: finite(at) }),
  ...(peer !== undefined && { peer: short(peer) }),
})

const FORMS = {
  table(title: string, { columns, rows }: TableData): PartDataView {
    const cut = rows.slice(0, MAX_ROWS).map((row) => row.slice(0, MAX_COLUMNS))
    const cells = cut.map((row) => row.map((cell) => (typeof cell === 'string' ? short(cell) : cell)))
    return { form: 'table', title, left: left(rows), columns: columns.slice(0, MAX_COLUMNS).map(short), rows: cells }
  },
  timeline(title: string, { entries }: TimelineData): PartDataView {
    const cut = entries.slice(0, MAX_ROWS).map(({ at, text, lane, peer, id }) => ({
      ...{ at: finite(at), text: short(text) },
      ...(lane !== undefined && { lane: short(lane) }),
      ...(peer !== undefined && { peer: short(peer) }),
      ...(id !== undefined && { id: short(id) }),
    }))
    return { form: 'timeline', title, left: left(entries), entries: cut }
  },
  graph(title: string, { nodes, edges }: GraphData): PartDataView {
    const shown = nodes.slice(0, MAX_ROWS).map(({ id, label }) => ({ id: short(id), label: short(label) }))
    const ids = new Set(shown.map(({ id }) => id))
    // An edge to what is not shown leads nowhere.
    const drawn = edges.filter(({ from, to }) => ids.has(from) && ids.has(to)).slice(0, MAX_ROWS)
    const lines = drawn.map(({ from, to, label }) => ({
      from,
      to,
      ...(label !== undefined && { label: short(label) }),
    }))
    return { form: 'graph', title, left: left(nodes), nodes: shown, edges: lines }
  },
  board(title: string, { columns }: BoardData): PartDataView {
    const shown = columns.slice(0, MAX_BOARD_COLUMNS)
    const most = Math.floor(MAX_CARDS / Math.max(1, shown.length))
    const cut = shown.map(({ title: column, cards, all = 0 }) => ({
      ...{ title: short(column), all: Math.max(cards.length, finite(all)) },
      cards: cards.slice(0, most).map(cardOf),
    }))
    const more = cut.reduce((sum, { all, cards }) => sum + all - cards.length, 0)
    return { form: 'board', title, left: more, columns: cut }
  },
} as const

export const createPartViews = (parts: Pick<PartRunner, 'facts'>): PartSource => ({
  list: () => parts.facts().map(viewOf),
  async data(name, view, id) {
    const found = parts.facts().find(({ part }) => part.name === name)
    const spec = found?.part.views?.[view]
    const reads: Readonly<Record<string, ((id: string) => ViewData | Promise<ViewData>) | undefined>> =
      found?.started?.views ?? {}
    const read = Object.hasOwn(reads, view) ? reads[view] : undefined
    if (spec === undefined || read === undefined) return undefined
    if (spec.of !== undefined && id === undefined)
      throw new ParleyError('MSG001', `the view ${view} of ${name} shows one ${spec.of}`, {
        hint: 'give its id too',
      })
    // `implementPart` checks that a view gives the data of its form.
    const data: PartDataView = FORMS[spec.form](spec.title, (await read(id ?? '')) as never)
    return spec.opens === undefined ? data : { ...data, opens: spec.opens }
  },
})

/** `acme_tally_counted_total`; those of the mesh itself have its prefix. */
export const metricName = (part: string, figure: string): string => `${part.replaceAll(/[/-]/g, '_')}_${figure}`

const rowsOf = (value: FigureValue): Iterable<readonly [string, number]> =>
  typeof value === 'number' ? [['', value]] : value
const sumOf = (value: FigureValue): number =>
  typeof value === 'number' ? value : [...value].reduce((sum, [, figure]) => sum + figure, 0)

export const exposeParts = (metrics: NodeMetrics, parts: Pick<PartRunner, 'facts'>): void => {
  for (const { part } of parts.facts()) {
    const registry: NamedMetrics = part.name.includes('/') ? metrics.asNamed : metrics
    /** 0 until it runs. */
    const read = (figure: string): FigureValue => {
      const { started } = parts.facts().find((one) => one.part === part) ?? {}
      const figures: Readonly<Record<string, FigureValue>> = started?.figures?.() ?? {}
      return figures[figure] ?? 0
    }
    for (const [figure, { kind, help, label }] of Object.entries(part.figures ?? {})) {
      const name = metricName(part.name, figure)
      if (label !== undefined) registry.gauges(name, help, label, () => rowsOf(read(figure)))
      else if (kind === 'counter') registry.total(name, help, () => sumOf(read(figure)))
      else registry.gauge(name, help, () => sumOf(read(figure)))
    }
  }
}
