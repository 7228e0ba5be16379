/** The event stream: what happens in the mesh, as this node hears it. Filter and pause are in the store. */
import { clock, count, nameOr, shortId } from './format.ts'
import { html, type Markup } from './html.ts'
import { Badge, Empty } from './parts.ts'
import type { EventRow } from './store.ts'
import * as store from './store.ts'

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

/** @returns one sentence */
export const sentenceOf = ({ event }: EventRow): string => {
  switch (event.type) {
    case 'peer-joined':
      return `${nameOr(event.name, event.id)} is connected`
    case 'peer-left':
      return `${nameOr(event.name, event.id)} is not connected any more`
    case 'agent-joined':
      return `${nameOr(event.name, event.id)} came${offers(event.protocols)}`
    case 'agent-changed':
      return `${nameOr(event.name, event.id)} ${event.stuck === true ? 'is stuck' : event.state === 'suspect' ? 'is suspect' : `changed${offers(event.protocols)}`}`
    case 'agent-left':
      return `${nameOr(event.name, event.id)} left${event.reason === undefined ? '' : ` (${event.reason})`}`
    case 'event-published':
      return `${event.topic} published, ${count(event.bytes)} bytes`
    case 'event-received':
      return `${event.topic} from ${nameOr(store.nameOf(event.source), event.source)}, ${count(event.bytes)} bytes`
    case 'dead-letter':
      return `${event.messageType} to ${nameOr(store.nameOf(event.destination), event.destination)} was given up: ${event.code}`
    case 'stranger-refused':
      return `${event.id === undefined ? 'somebody' : shortId(event.id)} was refused: ${event.reason}`
    case 'dropped':
      return event.count === null ? 'events were missed, how many is not known' : `${event.count} events were missed`
    default:
      return 'something else happened'
  }
}

const offers = (protocols: readonly string[]): string => {
  const skills = protocols.filter((name) => !name.startsWith('message/'))
  return skills.length === 0 ? '' : ` with ${skills.join(', ')}`
}

export const EventLine = ({ row }: { row: EventRow }): Markup =>
  html`<li>
    <time class="muted">${clock(row.event.at)}</time>
    <${Badge} tone=${TONES[row.event.type] ?? 'plain'}>${row.event.type}<//>
    <span>${sentenceOf(row)}</span>
  </li>`

/** Every word must be somewhere in the line; `-word` must not. */
export const matches = (row: EventRow, filter: string): boolean => {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '-')
  if (words.length === 0) return true
  const text = `${row.event.type} ${sentenceOf(row)}`.toLowerCase()
  return words.every((word) => (word.startsWith('-') ? !text.includes(word.slice(1)) : text.includes(word)))
}

export const togglePause = (): void => {
  store.paused.value = !store.paused.value
  store.unseen.value = 0
  store.spoken.value = store.paused.value ? 'Events are paused.' : 'Events go on.'
}

const SHOWN = 200

export const Events = (): Markup => {
  const { value: filter } = store.filter
  const rows = store.events.value.filter((row) => matches(row, filter))
  return html`<div>
    <div class="tools">
      <label>
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
      <button type="button" aria-pressed=${store.paused.value} onClick=${togglePause}>${store.paused.value ? 'Go on' : 'Pause'}</button>
      <button
        type="button"
        onClick=${() => {
          store.events.value = []
        }}
      >
        Clear
      </button>
      <span class="muted small">${store.paused.value ? `paused, ${count(store.unseen.value)} not shown` : `${rows.length} of the last ${store.events.value.length}`}</span>
    </div>
    ${
      rows.length === 0
        ? html`<${Empty} title=${store.events.value.length === 0 ? 'Nothing has happened yet.' : 'No event fits the filter.'}>
            ${store.events.value.length === 0 ? 'Who comes and goes, topics and dead letters are told here as it happens.' : ''}
          <//>`
        : html`<ol class="feed long" tabindex="0" aria-label="Events, newest first">
            ${rows
              .slice(-SHOWN)
              .reverse()
              .map((row) => html`<${EventLine} key=${row.number} row=${row} />`)}
          </ol>`
    }
  </div>`
}
