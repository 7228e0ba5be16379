/** Durable messages: dead letters, what waits for whom, and the inbox. */
import type { InboxView } from '../../../debug/message-schemas.ts'
import { ago, bytes, count, nameOr, plural } from '../data/format.ts'
import { usePolled } from '../live/use-polled.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, Fact, NodeLink, Table } from '../widgets/widgets.ts'
import { DeadLetters } from './dead-letters-panel.ts'

/** Of a peer that restarts nothing is said. */
const AWAY_MS = 5_000

const Waiting = (): Markup => {
  const { outbox, received, inbox, destinations, counts, problem } = store.overview.value?.delivery ?? {}
  if (outbox === undefined || received === undefined || inbox === undefined) return html`<p class="muted">…</p>`
  const columns = [
    { title: 'Destination' },
    { title: 'State' },
    { title: 'Waiting', isFigure: true },
    { title: 'On the way', isFigure: true },
  ]
  return html`<section aria-labelledby="outbox-title">
    <h3 id="outbox-title">Outbox</h3>
    ${problem !== undefined && html`<p class="bad">${problem}</p>`}
    <dl>
      <${Fact} name="Waits here">${plural(outbox.messages, 'message')}, ${bytes(outbox.bytes)}, ${count(outbox.inFlight)} on the way<//>
      <${Fact} name="Received">${count(received.held)} not processed yet, ${count(received.running)} at work, from ${plural(received.senders, 'sender')}<//>
      <${Fact} name="Inbox">${plural(inbox.messages, 'message')}, ${bytes(inbox.bytes)}; takes ${inbox.types === 'all' ? 'all types' : inbox.types.length === 0 ? 'nothing' : inbox.types.join(', ')}<//>
      ${Object.entries(counts ?? {}).length > 0 && html`<${Fact} name="Since the start">${Object.entries(counts ?? {}).map(([name, value]) => html`<span class="tally">${name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`)} <b>${count(value)}</b></span> `)}<//>`}
    </dl>
    ${
      (destinations?.length ?? 0) > 0 &&
      html`<${Table} label="Destinations of messages" columns=${columns}>
        ${destinations?.slice(0, 100).map(
          ({ id, name, state, awayMs = 0, breaker, waiting, inFlight }) => html`<tr key=${id}>
            <th scope="row" class="wrap"><${NodeLink} id=${id} name=${name} /></th>
            <td class="wrap">
              <${Badge} tone=${state === 'up' ? 'alive' : state === 'refused' ? 'stuck' : 'plain'}>${state}<//>
              ${awayMs >= AWAY_MS && html` <${Badge} tone="stuck">away ${plural(Math.floor(awayMs / 1_000), 'second')}<//>`}
              ${breaker !== 'closed' && html` <${Badge} tone="stuck">left alone<//>`}
            </td>
            <td class="figure">${count(waiting)}</td>
            <td class="figure">${count(inFlight)}</td>
          </tr>`,
        )}
      <//>`
    }
  </section>`
}

const Inbox = (): Markup => {
  const { value } = usePolled<InboxView>('api/inbox?limit=50')
  if (value === undefined || value.entries.length === 0) return html`<span></span>`
  const columns = [
    { title: 'Type' },
    { title: 'From' },
    { title: 'Received', isFigure: true },
    { title: 'Size', isFigure: true },
  ]
  return html`<section aria-labelledby="inbox-title">
    <h3 id="inbox-title">Inbox <span class="muted">${count(value.messages)}</span></h3>
    <${Table} label="Inbox" columns=${columns}>
      ${value.entries.map(
        ({ id, type, source, name, receivedAt, bytes: size }) => html`<tr key=${id}>
          <th scope="row" class="wrap"><code>${type}</code></th>
          <td class="wrap"><${NodeLink} id=${source} name=${nameOr(name, source)} /></td>
          <td class="figure">${ago(receivedAt, store.nodeNow.value)}</td>
          <td class="figure">${bytes(size)}</td>
        </tr>`,
      )}
    <//>
  </section>`
}

export const Messages = (): Markup =>
  html`<div class="columns uneven">
    <${DeadLetters} />
    <div><${Waiting} /><${Inbox} /></div>
  </div>`
