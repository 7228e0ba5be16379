/** The parts of the node: how they are, what they count, and the views that they bring, drawn from data. */
import { useState } from 'preact/hooks'
import type { PartDataView, PartView } from '../../../debug/part-schemas.ts'
import { count, dateTime } from '../data/format.ts'
import { usePolled } from '../live/use-polled.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, Empty, Table } from '../widgets/widgets.ts'

const TONES: Record<PartView['state'], string> = {
  running: 'alive',
  failed: 'stuck',
  starting: 'accent',
  idle: 'plain',
  stopped: 'plain',
}

const Left = ({ left }: { left: number }): Markup =>
  html`<div>${left > 0 && html`<p class="note">and ${count(left)} more</p>`}</div>`

const Drawn = ({ data }: { data: PartDataView }): Markup => {
  if (data.form === 'table')
    return html`<${Table} label=${data.title} columns=${data.columns.map((title) => ({ title }))}>
      ${data.rows.map((row, index) => html`<tr key=${index}>${row.map((cell) => html`<td class=${typeof cell === 'number' ? 'figure' : 'wrap'}>${String(cell ?? '')}</td>`)}</tr>`)}
    <//><${Left} left=${data.left} />`
  if (data.form === 'timeline')
    return html`<ol class="timeline">
      ${data.entries.map(({ at, text }, index) => html`<li key=${index}><span class="term">${dateTime(at)}</span> <span class="break">${text}</span></li>`)}
    </ol><${Left} left=${data.left} />`
  const named = new Map(data.nodes.map(({ id, label }) => [id, label]))
  return html`<${Table} label=${data.title} columns=${[{ title: 'From' }, { title: 'To' }, { title: '' }]}>
    ${data.edges.map(({ from, to, label = '' }, index) => html`<tr key=${index}><td class="wrap">${named.get(from)}</td><td class="wrap">${named.get(to)}</td><td class="muted wrap">${label}</td></tr>`)}
  <//><${Left} left=${data.left} />`
}

const PartData = ({ part, view }: { part: string; view: string }): Markup => {
  const path = `api/parts/view?part=${encodeURIComponent(part)}&view=${encodeURIComponent(view)}`
  const { value, failure } = usePolled<PartDataView>(path)
  if (failure !== undefined) return html`<p class="muted">${failure.detail}</p>`
  return value === undefined ? html`<p class="muted">Asking the node …</p>` : html`<${Drawn} data=${value} />`
}

const Views = ({ part }: { part: PartView }): Markup => {
  const [chosen, choose] = useState(part.views[0]?.name)
  return html`<div>
    ${part.views.map(({ name, title }) => html`<button key=${name} type="button" aria-pressed=${name === chosen} onClick=${() => choose(name)}>${title}</button> `)}
    ${chosen !== undefined && part.state === 'running' && html`<${PartData} key=${chosen} part=${part.name} view=${chosen} />`}
  </div>`
}

export const Parts = (): Markup => {
  const { value } = usePolled<{ parts: PartView[] }>('api/parts')
  if (value === undefined) return html`<${Empty} title="Asking the node …" />`
  const columns = [{ title: 'Part' }, { title: 'State' }, { title: 'What it is' }, { title: 'Figures' }]
  return html`<${Table} label="Parts" columns=${columns}>
      ${value.parts.map(
        (part) => html`<tr key=${part.name}>
          <th scope="row" class="wrap"><code>${part.name}</code></th>
          <td class="wrap"><${Badge} tone=${TONES[part.state]}>${part.state}<//>${part.problem !== undefined && html` <span class="bad">${part.problem}</span>`}</td>
          <td class="muted wrap">${part.description}</td>
          <td class="wrap">${part.figures.map(({ name, help, value: figure }) => html`<span title=${help}>${name} <b>${count(figure)}</b></span> `)}</td>
        </tr>`,
      )}
    <//>
    ${value.parts.filter(({ views }) => views.length > 0).map((part) => html`<section key=${part.name}><h3 class="next">${part.name}</h3><${Views} part=${part} /></section>`)}`
}
