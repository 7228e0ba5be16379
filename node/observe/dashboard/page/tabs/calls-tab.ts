/** Calls of each method, by this node and at it: those of programs, and those of the mesh itself. */
import type { CallRow } from '../data/call-rows.ts'
import { count, span } from '../data/format.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, Empty, OwnGroup, Table } from '../widgets/widgets.ts'

const COLUMNS = [
  { title: 'Method' },
  { title: 'Now', isFigure: true },
  { title: 'Made', isFigure: true },
  { title: 'Made, failed', isFigure: true },
  { title: 'Made, took', isFigure: true },
  { title: 'Answered', isFigure: true },
  { title: 'Answered, failed', isFigure: true },
  { title: 'Answered, took', isFigure: true },
]

const Failed = ({ amount }: { amount: number }): Markup =>
  amount === 0 ? html`<span class="muted">0</span>` : html`<${Badge} tone="stuck">${count(amount)}<//>`

const took = (ms: number | undefined): string => (ms === undefined ? '–' : span(ms))

const Rows = ({ rows, label }: { rows: readonly CallRow[]; label: string }): Markup =>
  html`<${Table} label=${label} columns=${COLUMNS}>
    ${rows.map(
      ({ protocol, method, perSecond, made, madeFailed, madeMs, answered, answeredFailed, answeredMs }) => html`<tr
        key=${`${protocol} ${method}`}
      >
        <th scope="row" class="wrap"><code>${protocol}.${method}</code></th>
        <td class="figure">${perSecond === 0 ? html`<span class="muted">–</span>` : `${count(perSecond)}/s`}</td>
        <td class="figure">${count(made)}</td>
        <td class="figure"><${Failed} amount=${madeFailed} /></td>
        <td class="figure">${took(madeMs)}</td>
        <td class="figure">${count(answered)}</td>
        <td class="figure"><${Failed} amount=${answeredFailed} /></td>
        <td class="figure">${took(answeredMs)}</td>
      </tr>`,
    )}
  <//>`

export const Calls = (): Markup => {
  const { rows } = store.calls.value
  const own = rows.filter((row) => row.own)
  const others = rows.filter((row) => !row.own)
  return html`<div>
    ${
      others.length === 0
        ? html`<${Empty} title="No program called anything yet.">What is called from this node and at it is counted here, since its start.<//>`
        : html`<${Rows} rows=${others} label="Calls of programs" />`
    }
    <${OwnGroup} amount=${own.length}><${Rows} rows=${own} label="Calls of the mesh itself" /><//>
  </div>`
}
