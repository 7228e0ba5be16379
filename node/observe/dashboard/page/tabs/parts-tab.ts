/** The parts of the node: how they are, what they count, and the views that they bring, drawn from data. */
import { useState } from 'preact/hooks'
import type { PartView as Part } from '../../../debug/part-schemas.ts'
import { count } from '../data/format.ts'
import { usePolled } from '../live/use-polled.ts'
import { html, type Markup } from '../widgets/html.ts'
import { PartView } from '../widgets/part-view.ts'
import { Badge, Empty, Table } from '../widgets/widgets.ts'

const TONES: Record<Part['state'], string> = {
  running: 'alive',
  failed: 'stuck',
  starting: 'accent',
  idle: 'plain',
  stopped: 'plain',
}

const Views = ({ part }: { part: Part }): Markup => {
  const whole = part.views.filter(({ of }) => of === undefined)
  const [chosen, choose] = useState(whole[0]?.name)
  return html`<div>
    ${whole.map(({ name, title }) => html`<button key=${name} type="button" aria-pressed=${name === chosen} onClick=${() => choose(name)}>${title}</button> `)}
    ${chosen !== undefined && part.state === 'running' && html`<${PartView} key=${chosen} part=${part.name} view=${chosen} />`}
  </div>`
}

export const Parts = (): Markup => {
  const { value } = usePolled<{ parts: Part[] }>('api/parts')
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
