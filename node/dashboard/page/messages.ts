/**
 * Durable messages: what waits for whom, the inbox, and dead letters with what can be done about them.
 * State: the open letter, what was asked last.
 */
import { signal } from '@preact/signals'
import type { DeadLetterDetailsView, DeadLetterView, InboxView } from '../../debug/message-views.ts'
import { ago, bytes, count, dateTime, nameOr, plural } from './format.ts'
import { html, type Markup } from './html.ts'
import { KeyField } from './key-field.ts'
import { Badge, Code, Empty, Fact, NodeLink, Table } from './parts.ts'
import { type Failure, failureOf, usePolled, withKey } from './polled.ts'
import * as store from './store.ts'

const opened = signal<string | undefined>(undefined)
const said = signal<{ isBad: boolean; text: string } | undefined>(undefined)
/** Purging all is asked twice. */
const isSure = signal(false)

const change = async (method: 'POST' | 'DELETE', path: string, done: string, again: () => void): Promise<void> => {
  isSure.value = false
  let failure: Failure | undefined
  try {
    const response = await fetch(path, { method, headers: withKey() })
    if (!response.ok) failure = await failureOf(response)
  } catch {
    failure = { detail: 'the node does not answer', hint: 'try again when it is back' }
  }
  const text = failure === undefined ? done : [failure.detail, failure.hint].filter((part) => part !== '').join(': ')
  said.value = { isBad: failure !== undefined, text }
  store.spoken.value = text
  again()
}

const Destination = ({ letter }: { letter: Pick<DeadLetterView, 'destination' | 'name'> }): Markup =>
  letter.destination === ''
    ? html`<span class="muted">nobody</span>`
    : letter.destination.startsWith('capability:')
      ? html`<code>${letter.destination}</code>`
      : html`<${NodeLink} id=${letter.destination} name=${letter.name} />`

const Letter = ({ id, again }: { id: string; again: () => void }): Markup => {
  const { value, failure } = usePolled<DeadLetterDetailsView>(`api/dlq/${encodeURIComponent(id)}`)
  if (failure !== undefined) return html`<p class="bad">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">…</p>`
  const hasKey = store.key.value !== ''
  return html`<div class="letter">
    <dl>
      <${Fact} name="Why">${value.reason}${value.hint !== undefined && html` <span class="muted">${value.hint}</span>`}<//>
      <${Fact} name="Sent">${dateTime(value.sentAt)}, ${plural(value.attempts, 'attempt')}, last ${ago(value.lastFailureAt, store.nodeNow.value)}<//>
      <${Fact} name="Guarantee">${value.guarantee}<//>
      ${value.conversationId !== undefined && html`<${Fact} name="Conversation"><code>${value.conversationId}</code><//>`}
      <${Fact} name="Message id"><code class="break">${value.messageId}</code><//>
    </dl>
    ${
      value.isHidden === true
        ? html`<p class="muted">What it says is shown with the key.</p>`
        : html`<h5>Content</h5><${Code} value=${value.data} />${value.headers !== undefined && Object.keys(value.headers).length > 0 && html`<h5>Headers</h5><${Code} value=${value.headers} />`}`
    }
    <p class="tools">
      ${
        !value.isCall &&
        html`<button type="button" disabled=${!hasKey} onClick=${() => change('POST', `api/dlq/${encodeURIComponent(id)}/retry`, 'It is sent again.', again)}>
          Send again
        </button>`
      }
      <button type="button" class="danger" disabled=${!hasKey} onClick=${() => change('DELETE', `api/dlq/${encodeURIComponent(id)}`, 'It is purged.', again)}>
        Purge
      </button>
      ${!hasKey && html`<span class="muted small">Both need the key.</span>`}
    </p>
  </div>`
}

const Letters = (): Markup => {
  const { value, failure, again } = usePolled<{ messages: number; bytes: number; letters: DeadLetterView[] }>(
    'api/dlq?limit=100',
  )
  const letters = value?.letters ?? []
  const columns = [
    { title: 'Message' },
    { title: 'To' },
    { title: 'Code' },
    { title: 'Why' },
    { title: 'Given up', isFigure: true },
  ]
  const purgeAll = (): void => {
    if (isSure.value) void change('DELETE', 'api/dlq', 'All dead letters are purged.', again)
    else isSure.value = true
  }
  return html`<section aria-labelledby="letters-title">
    <div class="tools">
      <h3 id="letters-title">Dead letters <span class="muted">${value === undefined ? '' : count(value.messages)}</span></h3>
      ${
        letters.length > 0 &&
        html`<button type="button" class="danger" disabled=${store.key.value === ''} onClick=${purgeAll}>
          ${isSure.value ? `Purge all ${count(value?.messages ?? 0)}, really` : 'Purge all'}
        </button>`
      }
      ${said.value !== undefined && html`<span class=${said.value.isBad ? 'bad' : 'good'}>${said.value.text}</span>`}
    </div>
    ${failure !== undefined && html`<p class="bad">${failure.detail}</p>`}
    ${value !== undefined && letters.length === 0 && html`<${Empty} title="No message was given up.">What cannot be delivered or processed ends here, with the reason.<//>`}
    ${
      letters.length > 0 &&
      html`<${Table} label="Dead letters" columns=${columns}>
        ${letters.map((letter) => {
          const isOpen = opened.value === letter.id
          return html`<tr key=${letter.id} class=${isOpen ? 'open' : ''}>
              <th scope="row">
                <button
                  type="button"
                  class="link"
                  aria-expanded=${isOpen}
                  onClick=${() => {
                    opened.value = isOpen ? undefined : letter.id
                  }}
                >
                  <span class="turn" aria-hidden="true">▸</span> ${letter.type}
                </button>
                ${letter.isCall && html` <${Badge} tone="plain">call<//>`}
              </th>
              <td><${Destination} letter=${letter} /></td>
              <td><${Badge} tone="stuck">${letter.code}<//></td>
              <td class="cut" title=${letter.reason}>${letter.reason}</td>
              <td class="figure">${ago(letter.lastFailureAt, store.nodeNow.value)}</td>
            </tr>
            ${isOpen && html`<tr key=${`${letter.id} open`} class="detail"><td colspan="5"><${Letter} id=${letter.id} again=${again} /></td></tr>`}`
        })}
      <//>`
    }
    ${value !== undefined && value.messages > letters.length && html`<p class="muted small">The first ${letters.length} of ${count(value.messages)}; <code>parley dlq list</code> has all.</p>`}
  </section>`
}

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
            <th scope="row"><${NodeLink} id=${id} name=${name} /></th>
            <td>
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
          <th scope="row"><code>${type}</code></th>
          <td><${NodeLink} id=${source} name=${nameOr(name, source)} /></td>
          <td class="figure">${ago(receivedAt, store.nodeNow.value)}</td>
          <td class="figure">${bytes(size)}</td>
        </tr>`,
      )}
    <//>
  </section>`
}

export const Messages = (): Markup =>
  html`<div>
    <${KeyField} />
    <div class="columns">
      <${Letters} />
      <div><${Waiting} /><${Inbox} /></div>
    </div>
  </div>`
