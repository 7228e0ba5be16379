/**
 * A view of a part, drawn from data, and beside it what was opened from it: all of it is text, whoever wrote it. State: what is
 * opened, while the view is on the page.
 */
import { useState } from 'preact/hooks'
import type { PartDataView } from '../../../debug/part-schemas.ts'
import { ago, count, dateTime, when } from '../data/format.ts'
import { usePolled } from '../live/use-polled.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from './html.ts'
import { Badge, Empty, NodeLink, Table } from './widgets.ts'

type Of<Form extends PartDataView['form']> = Extract<PartDataView, { form: Form }>
type Entry = Of<'timeline'>['entries'][number]
type Card = Of<'board'>['columns'][number]['cards'][number]
/** Undefined: nothing can be opened. */
type Open = ((id: string) => void) | undefined

const TONES = { good: 'alive', busy: 'working', held: 'suspect', bad: 'stuck' } as const

const Left = ({ left }: { left: number }): Markup =>
  html`<div>${left > 0 && html`<p class="note">and ${count(left)} more</p>`}</div>`

const Opener = ({ id, open, opened }: { id: string; open: Open; opened?: string | undefined }): Markup =>
  open === undefined
    ? html`<code class="break">${id}</code>`
    : html`<button type="button" class="link break" aria-pressed=${id === opened} onClick=${() => open(id)}>${id}</button>`

interface Lane {
  /** Empty: of none. */
  readonly name: string
  readonly entries: readonly Entry[]
}

/** Entries below the names of their lanes, as they follow each other. */
const lanesOf = (entries: readonly Entry[]): Lane[] => {
  const lanes: { name: string; entries: Entry[] }[] = []
  for (const entry of entries) {
    const { lane: name = '' } = entry
    const last = lanes.at(-1)
    if (last?.name === name) last.entries.push(entry)
    else lanes.push({ name, entries: [entry] })
  }
  return lanes
}

const Graph = ({ data }: { data: Of<'graph'> }): Markup => {
  const named = new Map(data.nodes.map(({ id, label }) => [id, label]))
  return html`<${Table} label=${data.title} columns=${[{ title: 'From' }, { title: 'To' }, { title: '' }]}>
    ${data.edges.map(({ from, to, label = '' }, index) => html`<tr key=${index}><td class="wrap">${named.get(from)}</td><td class="wrap">${named.get(to)}</td><td class="muted wrap">${label}</td></tr>`)}
  <//>`
}

const TimelineLane = ({ lane: { name, entries }, open }: { lane: Lane; open: Open }): Markup =>
  html`<section>
    ${name !== '' && html`<h4>${name}</h4>`}
    <ol class="feed">
      ${entries.map(
        ({ at, text, peer, id }, index) => html`<li key=${index}>
          <time class="muted" title=${dateTime(at)}>${when(at, store.nodeNow.value)}</time>
          <span class="break">${text}</span>
          ${peer !== undefined && html`<span><${NodeLink} id=${peer} name=${store.nameOf(peer)} /></span>`}
          ${id !== undefined && html`<${Opener} id=${id} open=${open} />`}
        </li>`,
      )}
    </ol>
  </section>`

const Stacked = ({ card, open, opened }: { card: Card; open: Open; opened: string | undefined }): Markup => {
  const { id, title, facts, tone, at, peer } = card
  const [first, ...rest] = facts
  return html`<li class="card">
    <p><${Opener} id=${id} open=${open} opened=${opened} /></p>
    <p class="break"><b>${title}</b>${first !== undefined && html` <${Badge} tone=${tone === undefined ? 'plain' : TONES[tone]}>${first}<//>`}</p>
    ${rest.length > 0 && html`<p class="small break">${rest.join(', ')}</p>`}
    <p class="muted small">
      ${at !== undefined && html`<time title=${dateTime(at)}>${ago(at, store.nodeNow.value)}</time>`}
      ${peer !== undefined && html` at <${NodeLink} id=${peer} name=${store.nameOf(peer)} />`}
    </p>
  </li>`
}

const Board = ({ data, open, opened }: { data: Of<'board'>; open: Open; opened: string | undefined }): Markup =>
  data.columns.every(({ cards }) => cards.length === 0)
    ? html`<${Empty} title="Nothing is here." />`
    : html`<div class="stacks">
        ${data.columns.map(
          ({ title, all, cards }) => html`<section key=${title} class="stack" aria-label=${title}>
            <h3>${title} <span class="amount">${count(all)}</span></h3>
            <ul>${cards.map((card) => html`<${Stacked} key=${card.id} card=${card} open=${open} opened=${opened} />`)}</ul>
            <${Left} left=${all - cards.length} />
          </section>`,
        )}
      </div>`

const Drawn = ({ data, open, opened }: { data: PartDataView; open: Open; opened?: string | undefined }): Markup => {
  if (data.form === 'board') return html`<${Board} data=${data} open=${open} opened=${opened} />`
  if (data.form === 'table')
    return html`<${Table} label=${data.title} columns=${data.columns.map((title) => ({ title }))}>
      ${data.rows.map((row, index) => html`<tr key=${index}>${row.map((cell) => html`<td class=${typeof cell === 'number' ? 'figure' : 'wrap'}>${String(cell ?? '')}</td>`)}</tr>`)}
    <//><${Left} left=${data.left} />`
  if (data.form === 'graph') return html`<${Graph} data=${data} /><${Left} left=${data.left} />`
  return html`<div class="past">${lanesOf(data.entries).map((lane, index) => html`<${TimelineLane} key=${index} lane=${lane} open=${open} />`)}</div><${Left} left=${data.left} />`
}

const usePartData = (part: string, view: string, id?: string) =>
  usePolled<PartDataView>(`api/parts/view?${new URLSearchParams({ part, view, ...(id !== undefined && { id }) })}`)

/** Where the page is one column it lies below. */
const showBeside = (): void => {
  requestAnimationFrame(() => document.querySelector('.beside')?.scrollIntoView({ block: 'nearest' }))
}

interface OneProps {
  readonly part: string
  readonly view: string
  readonly id: string
  open(id: string | undefined): void
}

/** One thing of a part: its timeline, or what its view shows. */
const One = ({ part, view, id, open }: OneProps): Markup => {
  const { value, failure } = usePartData(part, view, id)
  return html`<section aria-label=${id}>
    <header class="tools">
      <h3 class="break">${id}</h3>
      <button type="button" onClick=${() => open(undefined)}><span aria-hidden="true">✕</span><span class="visually-hidden">Close ${id}</span></button>
    </header>
    ${
      failure !== undefined
        ? html`<p class="muted">${failure.detail}</p>`
        : value === undefined
          ? html`<p class="muted">Asking the node …</p>`
          : html`<${Drawn} data=${value} open=${value.opens === undefined ? undefined : open} />`
    }
  </section>`
}

export const PartView = ({ part, view }: { part: string; view: string }): Markup => {
  const [opened, setOpened] = useState<string | undefined>(undefined)
  const { value, failure } = usePartData(part, view)
  if (failure !== undefined) return html`<p class="muted">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">Asking the node …</p>`
  const { opens } = value
  const open = (id: string | undefined): void => {
    setOpened(id)
    if (id !== undefined) showBeside()
  }
  const drawn = html`<${Drawn} data=${value} open=${opens === undefined ? undefined : open} opened=${opened} />`
  if (opens === undefined || opened === undefined) return html`<div>${drawn}</div>`
  return html`<div class="columns uneven">
    <div>${drawn}</div>
    <div class="beside"><${One} key=${opened} part=${part} view=${opens} id=${opened} open=${open} /></div>
  </div>`
}
