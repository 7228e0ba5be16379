/** Topics and who listens to them, as far as it is known; what is not known is said. */
import type { TopicView } from '../../../debug/debug-schemas.ts'
import { count, plural } from '../data/format.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Empty, Meter, NodeLink, OwnGroup, Table } from '../widgets/widgets.ts'

/** More would take longer to draw than to read. */
const MAX_ROWS = 250
const MAX_NAMES = 6

const COLUMNS = [
  { title: 'Topic' },
  { title: 'Rate', isFigure: true },
  { title: '' },
  { title: 'Published', isFigure: true },
  { title: 'Heard', isFigure: true },
  { title: 'Listeners here', isFigure: true },
  { title: 'Neighbours that listen' },
]

const Names = ({ ids }: { ids: readonly string[] }): Markup =>
  html`<span>
    ${ids.slice(0, MAX_NAMES).map((id) => html`<${NodeLink} id=${id} name=${store.nameOf(id)} /> `)}
    ${ids.length > MAX_NAMES && `and ${count(ids.length - MAX_NAMES)} more`}
  </span>`

const Listeners = ({ topic }: { topic: TopicView }): Markup => {
  const { listeners = [], unknown = [], peers } = topic
  const known = new Set([...unknown, ...listeners.map(({ id }) => id)])
  const others = peers.filter((id) => !known.has(id))
  return html`<div>
    ${listeners.length > 0 && html`<${Names} ids=${listeners.map(({ id }) => id)} />`}
    ${listeners.length === 0 && unknown.length === 0 && html`<span class="muted">none</span>`}
    ${unknown.length > 0 && html`<p class="muted small">not known: <${Names} ids=${unknown} /></p>`}
    ${
      others.length > 0 &&
      html`<p class="muted small" title="They publish to other topics of this first word, or listen to those">
        pass it on, do not listen: <${Names} ids=${others} />
      </p>`
    }
  </div>`
}

const Rows = ({ topics, label }: { topics: readonly TopicView[]; label: string }): Markup => {
  const isPartly = topics.some(({ rate }) => rate === undefined)
  const top = Math.max(...topics.map(({ rate = 0 }) => rate), 1e-9)
  return html`<${Table} label=${label} columns=${COLUMNS}>
    ${[...topics]
      .sort((a, b) => a.name.localeCompare(b.name))
      .slice(0, MAX_ROWS)
      .map((topic) => {
        const { name, local, published, received, rate } = topic
        return html`<tr key=${name}>
          <th scope="row" class="wrap"><code>${name}</code></th>
          <td class="figure">${rate === undefined ? '–' : `${count(rate)}/s`}</td>
          <td class="bare">${rate !== undefined && html`<${Meter} share=${rate / top} label=${`${Math.round((100 * rate) / top)} percent of the busiest topic`} />`}</td>
          <td class="figure">${published === undefined ? '–' : count(published)}</td>
          <td class="figure">${received === undefined ? '–' : count(received)}</td>
          <td class="figure">${local}</td>
          <td class="wrap"><${Listeners} topic=${topic} /></td>
        </tr>`
      })}
  <//>${isPartly && html`<p class="muted small">–: this node neither publishes nor listens there, so it counts nothing.</p>`}${topics.length > MAX_ROWS && html`<p class="note">The first ${MAX_ROWS} of ${topics.length}; the others are at <a href="api/topics">api/topics</a>.</p>`}`
}

/** Gossip goes from neighbour to neighbour: what those behind them take is not known here. */
const Beyond = (): Markup => {
  const far = store.nodes.value.filter(({ self, peer }) => !self && peer === undefined).length
  return html`<div>
    ${
      far > 0 &&
      html`<p class="muted small">
        ${plural(far, 'agent is', 'agents are')} not connected to this node: what they listen to is not known here.
      </p>`
    }
  </div>`
}

export const Topics = (): Markup => {
  const topics: readonly TopicView[] = store.overview.value?.topics ?? []
  const own = topics.filter((topic) => topic.own === true)
  const others = topics.filter((topic) => topic.own !== true)
  return html`<div>
    ${
      others.length === 0
        ? html`<${Empty} title="No topic is known.">A topic is there once somebody publishes to it or subscribes.<//>`
        : html`<${Rows} topics=${others} label="Topics" /><${Beyond} />`
    }
    <${OwnGroup} amount=${own.length}><${Rows} topics=${own} label="Topics of the mesh itself" /><//>
  </div>`
}
