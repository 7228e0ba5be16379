/** The views below the graph, as tabs: arrow keys go from one to the next. Source: WAI-ARIA Authoring Practices, tabs. */

import { count } from './data/format.ts'
import * as store from './state/page-state.ts'
import { Calls } from './tabs/calls-tab.ts'
import { Conversations } from './tabs/conversations-tab.ts'
import { Coordinator } from './tabs/coordinator-tab.ts'
import { Events } from './tabs/events-tab.ts'
import { Messages } from './tabs/messages-tab.ts'
import { Metrics } from './tabs/metrics-tab.ts'
import { Agents, Peers } from './tabs/node-tabs.ts'
import { Parts } from './tabs/parts-tab.ts'
import { Topics } from './tabs/topics-tab.ts'
import { html, type Markup } from './widgets/html.ts'
import { PartView } from './widgets/part-view.ts'

/** A board by state, and the timeline of the one that is chosen. */
const Tasks = (): Markup => html`<${PartView} part="tasks" view="board" />`

const VIEWS: Record<store.TabId, () => Markup> = {
  agents: Agents,
  peers: Peers,
  topics: Topics,
  calls: Calls,
  conversations: Conversations,
  messages: Messages,
  tasks: Tasks,
  coordinator: Coordinator,
  events: Events,
  metrics: Metrics,
  parts: Parts,
}

const countOf = (id: store.TabId): number | undefined => {
  const { agents, peers, topics, delivery } = store.overview.value ?? {}
  if (id === 'agents') return agents?.length
  if (id === 'peers') return peers?.length
  if (id === 'topics') return topics?.filter(({ own }) => own !== true).length
  if (id === 'calls') return store.calls.value.rows.filter(({ own }) => !own).length
  if (id === 'conversations') return delivery?.conversations.count
  if (id === 'messages') return delivery?.deadLetters.messages
  return undefined
}

export const openTab = (id: store.TabId, hasFocus = false): void => {
  store.tab.value = id
  // A reload, or who gets the address, comes back to it.
  history.replaceState(null, '', `#${id}`)
  if (hasFocus) document.getElementById(`tab-${id}`)?.focus()
}

/** The view that the address names. */
export const followAddress = (): void => {
  const follow = (): void => {
    const found = store.TABS.find(({ id }) => `#${id}` === location.hash)
    if (found !== undefined) store.tab.value = found.id
  }
  addEventListener('hashchange', follow)
  follow()
}

const onKeyDown = (event: KeyboardEvent): void => {
  const at = store.TABS.findIndex(({ id }) => id === store.tab.value)
  const last = store.TABS.length - 1
  const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[
    event.key
  ]
  const tab = next === undefined ? undefined : store.TABS[next]
  if (tab === undefined) return
  event.preventDefault()
  openTab(tab.id, true)
}

export const Tabs = (): Markup => {
  const { value: chosen } = store.tab
  return html`<section class="panel tabs" aria-label="Details">
    <div role="tablist" aria-label="Details" onKeyDown=${onKeyDown}>
      ${store.TABS.map(({ id, title }) => {
        const amount = countOf(id)
        const dead = id === 'messages' && (store.overview.value?.delivery.deadLetters.messages ?? 0) > 0
        return html`<button
          key=${id}
          type="button"
          role="tab"
          id=${`tab-${id}`}
          aria-selected=${id === chosen}
          aria-controls="tab-panel"
          tabindex=${id === chosen ? 0 : -1}
          onClick=${() => openTab(id)}
        >
          ${title}${amount !== undefined && amount > 0 && html` <span class=${`amount ${dead ? 'bad-amount' : ''}`} title=${id === 'messages' ? 'dead letters' : undefined}>${count(amount)}</span>`}
        </button>`
      })}
    </div>
    <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${chosen}`}>
      <${VIEWS[chosen]} key=${chosen} />
    </div>
  </section>`
}
