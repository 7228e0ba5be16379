/** Conversations: durable messages and calls that belong together, and what became of each. State: the one that is open. */
import { signal } from '@preact/signals'
import type { ConversationsView, ConversationView } from '../../../debug/message-schemas.ts'
import { ago, bytes, clock, count } from '../data/format.ts'
import { usePolled } from '../live/use-polled.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { KeyField } from '../widgets/key-field.ts'
import { Badge, Code, Empty, NodeLink, Table } from '../widgets/widgets.ts'

const opened = signal<string | undefined>(undefined)

const TONES: Record<ConversationView['messages'][number]['status'], string> = {
  sent: 'working',
  delivered: 'alive',
  moved: 'plain',
  processed: 'alive',
  received: 'working',
  failed: 'suspect',
  dead: 'stuck',
  answered: 'alive',
}

/** Where the page is one column it lies below. */
const showBeside = (): void => {
  requestAnimationFrame(() => document.querySelector('.beside')?.scrollIntoView({ block: 'nearest' }))
}

const Conversation = ({ id }: { id: string }): Markup => {
  const { value, failure } = usePolled<ConversationView>(`api/conversations/${encodeURIComponent(id)}`)
  if (failure !== undefined) return html`<p class="muted">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">…</p>`
  return html`<ol class="talk" aria-label="Messages and calls of the conversation">
      ${value.messages.map(
        ({
          id: message,
          direction,
          type,
          isCall,
          peer,
          name,
          status,
          code,
          attempts,
          at,
          bytes: size,
          isCut,
          data,
        }) => html`<li key=${message} class=${direction}>
          <p>
            <time class="muted">${clock(at)}</time> <b>${isCall ? type.replace(/^call\./, '') : type}</b>${isCall && html` <${Badge} tone="plain">call<//>`} ${direction === 'sent' ? 'to' : 'from'} <${NodeLink} id=${peer} name=${name} />
            ${' '}<${Badge} tone=${TONES[status]}>${status}${code !== undefined && ` ${code}`}<//>
            <span class="muted small"> ${bytes(size)}${attempts > 1 ? `, ${attempts} attempts` : ''}</span>
          </p>
          ${data !== undefined && html`<${Code} value=${data} />`}${isCut && html`<p class="muted small">The rest was not kept.</p>`}
        </li>`,
      )}
    </ol>
    ${value.isHidden === true && html`<${KeyField} />`}`
}

export const Conversations = (): Markup => {
  const { value, failure } = usePolled<ConversationsView>('api/conversations?limit=100')
  if (failure !== undefined) return html`<p class="bad">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">…</p>`
  if (value.conversations.length === 0)
    return html`<${Empty} title="No conversation is remembered.">Messages that are sent, and calls that are made, with a conversationId are gathered here.<//>`
  const columns = [
    { title: 'Conversation' },
    { title: 'With' },
    { title: 'Messages and calls', isFigure: true },
    { title: 'Last', isFigure: true },
  ]
  return html`<div class="columns">
    <${Table} label="Conversations" columns=${columns}>
      ${value.conversations.map(
        ({ id, messages, forgotten, peers, lastAt }) => html`<tr key=${id} aria-selected=${opened.value === id}>
          <th scope="row" class="wrap">
            <button
              type="button"
              class="link"
              aria-pressed=${opened.value === id}
              onClick=${() => {
                opened.value = opened.value === id ? undefined : id
                showBeside()
              }}
            >
              ${id}
            </button>
          </th>
          <td class="wrap">${peers.slice(0, 6).map((peer) => html`<${NodeLink} id=${peer} name=${store.nameOf(peer)} /> `)}</td>
          <td class="figure">${count(messages)}${forgotten > 0 && html` <span class="muted small">+${count(forgotten)} forgotten</span>`}</td>
          <td class="figure">${ago(lastAt, store.nodeNow.value)}</td>
        </tr>`,
      )}
    <//>
    <div class="beside">
      ${opened.value === undefined ? html`<${Empty} title="Choose a conversation">to see its messages and calls in order.<//>` : html`<${Conversation} key=${opened.value} id=${opened.value} />`}
    </div>
  </div>`
}
