/** The event stream: what happens in the mesh, as this node sees it. Filter and pause are in page-state.ts. */
import { matchesFilter } from '../../../debug/text-filter.ts'
import { describeEvent, isOwnEvent, runsOf } from '../data/event-text.ts'
import { clock, count, plural } from '../data/format.ts'
import type { EventRow } from '../state/page-state.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, Empty, Switch } from '../widgets/widgets.ts'

const TONES: Record<string, string> = {
  'peer-joined': 'alive',
  'agent-joined': 'alive',
  'agent-changed': 'working',
  'peer-left': 'unknown',
  'agent-left': 'unknown',
  'event-published': 'plain',
  'event-received': 'plain',
  'dead-letter': 'stuck',
  'stranger-refused': 'suspect',
  dropped: 'suspect',
}

/** @param times that it happened running */
export const EventLine = ({ row, times = 1 }: { row: EventRow; times?: number }): Markup =>
  html`<li>
    <time class="muted">${clock(row.event.at)}</time>
    <${Badge} tone=${TONES[row.event.type] ?? 'plain'}>${row.event.type}<//>
    <span>${describeEvent(row.event, store.nameOf)}${times > 1 && html` <span class="muted small">× ${count(times)}</span>`}</span>
  </li>`

export const togglePause = (): void => {
  store.paused.value = !store.paused.value
  store.unseen.value = 0
  store.announcement.value = store.paused.value ? 'Events are paused.' : 'Events go on.'
}

const SHOWN = 200
const WHOSE_TEXT: Record<store.EventOwner, string> = { all: 'All', programs: 'Of programs', mesh: 'Of the mesh' }

export const Events = (): Markup => {
  const { value: filter } = store.filter
  const { value: whose } = store.eventOwner
  const textOf = ({ event }: EventRow): string => `${event.type} ${describeEvent(event, store.nameOf)}`
  const rows = store.events.value.filter(
    (row) => (whose === 'all' || isOwnEvent(row.event) === (whose === 'mesh')) && matchesFilter(textOf(row), filter),
  )
  return html`<div>
    <div class="tools">
      <label class="grows">
        <span class="visually-hidden">Filter events</span>
        <input
          id="filter"
          type="search"
          placeholder="Filter: words, -without"
          value=${filter}
          onInput=${(event: Event) => {
            if (event.target instanceof HTMLInputElement) store.filter.value = event.target.value
          }}
        />
      </label>
      <${Switch} label="Whose events" choices=${WHOSE_TEXT} chosen=${whose} choose=${(next: store.EventOwner) => {
        store.eventOwner.value = next
      }} />
      <button type="button" aria-pressed=${store.paused.value} onClick=${togglePause}>${store.paused.value ? 'Go on' : 'Pause'}</button>
      <button
        type="button"
        onClick=${() => {
          store.events.value = []
        }}
      >
        Clear
      </button>
      <span class="muted small">${store.paused.value ? `paused, ${count(store.unseen.value)} not shown` : rows.length === store.events.value.length ? plural(rows.length, 'event') : `${rows.length} of ${plural(store.events.value.length, 'event')}`}</span>
    </div>
    ${
      rows.length === 0
        ? html`<${Empty} title=${store.events.value.length === 0 ? 'Nothing happened since this page was opened.' : 'No event fits the filter.'}>
            ${store.events.value.length === 0 ? 'Who comes and goes, topics and dead letters are told here as it happens; what was before is not.' : ''}
          <//>`
        : html`<ol class="feed long" tabindex="0" aria-label="Events, newest first">
            ${runsOf(rows, textOf)
              .slice(0, SHOWN)
              .map(({ row, first, times }) => html`<${EventLine} key=${first.number} row=${row} times=${times} />`)}
          </ol>`
    }
  </div>`
}
