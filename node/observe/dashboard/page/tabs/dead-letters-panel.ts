/**
 * Dead letters: searched and grouped by the node, a page at a time, with what can be done about each. What is typed is
 * searched for once the reader pauses; letters that come or go are shown when the node reports them.
 * State: the open letter, what is searched for, the page, what was asked last.
 */
import { signal } from '@preact/signals'
import type {
  DeadLetterDetailsView,
  DeadLetterGroupsView,
  DeadLettersView,
  DeadLetterView,
} from '../../../debug/message-schemas.ts'
import { ago, bytes, count, dateTime, nameOr, plural } from '../data/format.ts'
import { keyHeaders, type ProblemText, problemTextOf, usePolled } from '../live/use-polled.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { KeyField } from '../widgets/key-field.ts'
import { Badge, Code, Empty, Fact, NodeLink, Switch, Table } from '../widgets/widgets.ts'

type By = DeadLetterGroupsView['by']

const PAGE_LETTERS = 50
const TYPING_MS = 150
const SAID_MS = 8_000
const BY_TEXT: Record<By | 'none', string> = {
  none: 'One by one',
  code: 'By reason',
  type: 'By type',
  destination: 'By receiver',
}

const opened = signal<string | undefined>(undefined)
/** What came of the last change; an error stays, a success is old after a while. */
const said = signal<{ isBad: boolean; text: string } | undefined>(undefined)
/** Purging all is asked twice. */
const isSure = signal(false)
/** What is in the field, and what is searched for. */
const typed = signal('')
const text = signal('')
const grouped = signal<By | 'none'>('none')
/** The group whose letters are shown. */
const within = signal<{ readonly by: By; readonly key: string; readonly title: string } | undefined>(undefined)
/** Where the pages before this one, and this one, begin. */
const pages = signal<readonly string[]>([])

let typing: number | undefined
const search = (words: string, waitMs = TYPING_MS): void => {
  typed.value = words
  clearTimeout(typing)
  typing = setTimeout(() => {
    text.value = words
    pages.value = []
    // Groups are of all letters.
    if (words !== '') grouped.value = 'none'
  }, waitMs)
}

const group = (by: By | 'none'): void => {
  if (by !== 'none') search('', 0)
  grouped.value = by
}

/** Changes where letters came or went. */
const lettersSign = (): string => {
  const { messages = 0, bytes: size = 0 } = store.overview.value?.delivery.deadLetters ?? {}
  return `${messages} ${size}`
}

const enter = (chosen: typeof within.value): void => {
  within.value = chosen
  pages.value = []
  grouped.value = 'none'
}

let saying: number | undefined
const say = (isBad: boolean, answer: string): void => {
  said.value = { isBad, text: answer }
  store.announcement.value = answer
  clearTimeout(saying)
  if (isBad) return
  saying = setTimeout(() => {
    said.value = undefined
  }, SAID_MS)
}

const change = async (method: 'POST' | 'DELETE', path: string, done: string, again: () => void): Promise<void> => {
  isSure.value = false
  let failure: ProblemText | undefined
  try {
    const response = await fetch(path, { method, headers: keyHeaders() })
    if (!response.ok) failure = await problemTextOf(response)
  } catch {
    failure = { detail: 'the node does not answer', hint: 'try again when it is back' }
  }
  const answer = failure === undefined ? done : [failure.detail, failure.hint].filter((part) => part !== '').join(': ')
  say(failure !== undefined, answer)
  again()
}

const Destination = ({ id, name }: { id: string; name: string }): Markup =>
  id === ''
    ? html`<span class="muted">nobody</span>`
    : id.startsWith('capability:')
      ? html`<code>${id}</code>`
      : html`<${NodeLink} id=${id} name=${name} />`

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
        ? html`<p class="muted">What it says is shown with the key of this node: debugKey of node.json in its data directory.</p>`
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

const COLUMNS = [
  { title: 'Message' },
  { title: 'To' },
  { title: 'Code' },
  { title: 'Given up', isFigure: true },
  { title: 'Why' },
]

const Listed = ({ letters, again }: { letters: readonly DeadLetterView[]; again: () => void }): Markup =>
  html`<${Table} label="Dead letters" columns=${COLUMNS}>
    ${letters.map(({ id, type, isCall, destination, name, code, reason, lastFailureAt }) => {
      const isOpen = opened.value === id
      return html`<tr key=${id} class=${isOpen ? 'open' : ''}>
          <th scope="row" class="wrap">
            <button
              type="button"
              class="link"
              aria-expanded=${isOpen}
              onClick=${() => {
                opened.value = isOpen ? undefined : id
              }}
            >
              <span class="turn" aria-hidden="true">▸</span>${type}
            </button>
            ${isCall && html` <${Badge} tone="plain">call<//>`}
          </th>
          <td class="wrap"><${Destination} id=${destination} name=${name} /></td>
          <td class="half"><${Badge} tone="stuck">${code}<//></td>
          <td class="figure">${ago(lastFailureAt, store.nodeNow.value)}</td>
          <td class="wrap">${reason}</td>
        </tr>
        ${isOpen && html`<tr key=${`${id} open`} class="detail"><td colspan="5"><${Letter} id=${id} again=${again} /></td></tr>`}`
    })}
  <//>`

/** A page of those that were searched for. */
const Found = ({ isNarrowed }: { isNarrowed: boolean }): Markup => {
  const { by, key } = within.value ?? {}
  const query = new URLSearchParams({ limit: String(PAGE_LETTERS), text: text.value })
  if (by !== undefined && key !== undefined) query.set(by, key)
  const after = pages.value.at(-1)
  if (after !== undefined) query.set('after', after)
  const { value, failure, isOld, again } = usePolled<DeadLettersView>(`api/dlq?${query}`, lettersSign())
  if (failure !== undefined) return html`<p class="bad">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">…</p>`
  const { letters, next, messages } = value
  const purgeAll = (): void => {
    if (isSure.value) void change('DELETE', 'api/dlq', 'All dead letters are purged.', again)
    else isSure.value = true
  }
  return html`<div class=${isOld ? 'searching' : ''} aria-busy=${isOld}>
    ${
      letters.length > 0
        ? html`<${Listed} letters=${letters} again=${again} />`
        : isOld
          ? html`<p class="muted">Searching …</p>`
          : isNarrowed || after !== undefined
            ? html`<p class="muted">${next === undefined ? 'No letter fits.' : 'None here fits; there are more to look through.'}</p>`
            : html`<${Empty} title="No message was given up.">What cannot be delivered or processed ends here, with the reason.<//>`
    }
    <p class="tools">
      ${
        after !== undefined &&
        html`<button type="button" onClick=${() => {
          pages.value = pages.value.slice(0, -1)
        }}>Back</button>`
      }
      ${
        next !== undefined &&
        html`<button type="button" onClick=${() => {
          pages.value = [...pages.value, next]
        }}>Further</button>`
      }
      ${
        letters.length > 0 &&
        !isNarrowed &&
        html`<button type="button" class="danger" disabled=${store.key.value === ''} onClick=${purgeAll}>
          ${isSure.value ? `Purge all ${count(messages)}, really` : 'Purge all'}
        </button>
        ${store.key.value === '' && html`<span class="muted small">That needs the key.</span>`}`
      }
    </p>
  </div>`
}

const Groups = ({ by }: { by: By }): Markup => {
  const { value, failure } = usePolled<DeadLetterGroupsView>(`api/dlq/groups?by=${by}`, lettersSign())
  if (failure !== undefined) return html`<p class="bad">${failure.detail}</p>`
  if (value === undefined) return html`<p class="muted">…</p>`
  if (value.groups.length === 0) return html`<${Empty} title="No message was given up." />`
  const columns = [
    { title: { code: 'Code', type: 'Type', destination: 'To' }[by] },
    { title: 'Letters', isFigure: true },
    { title: 'Size', isFigure: true },
    { title: 'Last', isFigure: true },
    { title: 'Why the last one' },
  ]
  return html`<${Table} label=${`Dead letters ${BY_TEXT[by].toLowerCase()}`} columns=${columns}>
      ${value.groups.map(({ key, name, letters, bytes: size, reason, lastFailureAt }) => {
        const title = by === 'destination' && key !== '' ? nameOr(name, key) : key || 'nobody'
        return html`<tr key=${key}>
          <th scope="row" class="wrap"><button type="button" class="link" title=${key} onClick=${() => enter({ by, key, title })}>${title}</button></th>
          <td class="figure">${count(letters)}</td>
          <td class="figure">${bytes(size)}</td>
          <td class="figure">${lastFailureAt === 0 ? '–' : ago(lastFailureAt, store.nodeNow.value)}</td>
          <td class="wrap">${reason}</td>
        </tr>`
      })}
    <//>
    ${value.others > 0 && html`<p class="muted small">${plural(value.others, 'letter')} in smaller groups.</p>`}`
}

export const DeadLetters = (): Markup => {
  const all = store.overview.value?.delivery.deadLetters.messages
  const { value: by } = grouped
  const { value: chosen } = within
  return html`<section aria-labelledby="letters-title">
    <div class="tools">
      <h3 id="letters-title">Dead letters <span class="muted">${all === undefined ? '' : count(all)}</span></h3>
      ${said.value !== undefined && html`<span class=${said.value.isBad ? 'bad' : 'good'}>${said.value.text}</span>`}
      <${KeyField} />
    </div>
    <div class="tools">
      <label class="grows">
        <span class="visually-hidden">Search dead letters</span>
        <input
          id="letters-filter"
          type="search"
          placeholder="Search: words, -without"
          maxlength="200"
          value=${typed.value}
          onInput=${(event: Event) => {
            if (event.target instanceof HTMLInputElement) search(event.target.value)
          }}
        />
      </label>
      <${Switch} label="Group dead letters" choices=${BY_TEXT} chosen=${by} choose=${group} />
      ${
        chosen !== undefined &&
        html`<button type="button" onClick=${() => enter(undefined)}>
          ${chosen.title} <span aria-hidden="true">✕</span><span class="visually-hidden">, show all again</span>
        </button>`
      }
    </div>
    ${by === 'none' ? html`<${Found} isNarrowed=${chosen !== undefined || text.value !== ''} />` : html`<${Groups} key=${by} by=${by} />`}
  </section>`
}
