/** `parley parts`: the parts of a running node, their figures, and what they show. */
import * as z from 'zod'
import { PartDataSchema, type PartDataView, PartSchema, type PartView } from '../../../observe/debug/part-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { findControlledNode, requestNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { table, tableWidth } from '../../output/table.ts'

export interface PartsArguments extends Omit<NodeSelector, 'url'> {
  wide?: boolean
  json?: boolean
}

const Parts = z.object({ parts: z.array(PartSchema) })
const Figure = new Intl.NumberFormat('en', { maximumFractionDigits: 3, useGrouping: false })

const figuresText = ({ figures }: PartView): string =>
  figures
    .flatMap(({ name, value, rows = [] }) => [
      `${name} ${Figure.format(value)}`,
      ...rows.map(({ of, value: row }) => `  ${of} ${Figure.format(row)}`),
    ])
    .join('\n')

const listText = (parts: readonly PartView[], room: number): string =>
  table(
    ['part', 'state', 'figures', 'views', 'serves'],
    parts.map((part) => [
      part.offer ?? part.name,
      part.problem === undefined ? part.state : `${part.state}\n${part.problem}`,
      figuresText(part),
      part.views.map(({ name }) => name).join('\n'),
      part.protocols.join('\n'),
    ]),
    room,
  )

const boardText = (columns: Extract<PartDataView, { form: 'board' }>['columns'], room: number): string =>
  table(
    ['column', 'id', 'what', 'since'],
    columns.flatMap(({ title, all, cards }) =>
      cards.map(({ id, title: what, facts, at }) => [
        `${title} (${all})`,
        id,
        [what, ...facts].join(', '),
        at === undefined ? '' : new Date(at).toISOString(),
      ]),
    ),
    room,
  )

/** A view as text: a table, or lines. */
export const dataText = (data: PartDataView, room: number): string => {
  const more = data.left > 0 ? [`and ${data.left} more`] : []
  if (data.form === 'table')
    return [
      table(
        [...data.columns],
        data.rows.map((row) => row.map((cell) => String(cell ?? ''))),
        room,
      ),
      ...more,
    ].join('\n')
  if (data.form === 'timeline')
    return [...data.entries.map(({ at, text }) => escapeText(`${new Date(at).toISOString()} ${text}`)), ...more].join(
      '\n',
    )
  if (data.form === 'board') return [boardText(data.columns, room), ...more].join('\n')
  const named = new Map(data.nodes.map(({ id, label }) => [id, label]))
  const edges = data.edges.map(
    ({ from, to, label = '' }) => `${named.get(from)} -> ${named.get(to)}${label === '' ? '' : `: ${label}`}`,
  )
  return [...data.nodes.map(({ label }) => label), ...edges, ...more].join('\n')
}

/** @param part all of them unless told @param view its figures unless told @param id of what the view shows one of */
export const showParts = async (
  part: string | undefined,
  view: string | undefined,
  id: string | undefined,
  { wide, json = false, ...which }: PartsArguments,
): Promise<void> => {
  const print = (text: string): void => void process.stdout.write(`${text}\n`)
  const place = await findControlledNode(which)
  if (part !== undefined && view !== undefined) {
    const path = `/api/parts/view?${new URLSearchParams({ part, view, ...(id !== undefined && { id }) })}`
    const data = await requestNode(place, 'GET', path, PartDataSchema)
    return print(json ? JSON.stringify(data) : dataText(data, tableWidth(wide)))
  }
  const { parts } = await requestNode(place, 'GET', '/api/parts', Parts)
  const shown = parts.filter(({ name }) => part === undefined || name === part)
  if (json) return print(JSON.stringify(shown))
  print(shown.length === 0 ? `no part ${part ?? ''} is there` : listText(shown, tableWidth(wide)))
}
