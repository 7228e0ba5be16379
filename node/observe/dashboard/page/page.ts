/** The debug page: one node's view of its mesh. This file puts the parts on the page and starts what keeps them live. */
import { effect } from '@preact/signals'
import { render } from 'preact'
import { span } from './data/format.ts'
import { MeshGraph } from './graph/mesh-graph.ts'
import { Help, listenToKeys } from './help.ts'
import { startLive } from './live/live-updates.ts'
import { Inspector } from './node-inspector.ts'
import * as store from './state/page-state.ts'
import { choice, nextChoice } from './state/theme.ts'
import { followAddress, Tabs } from './tab-bar.ts'
import { Strip } from './tabs/metrics-tab.ts'
import { html, type Markup } from './widgets/html.ts'

const Mark = (): Markup =>
  html`<svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
    <path d="M16 6 6 24h20Z" />
    <circle class="one" cx="16" cy="6" r="4.5" />
    <circle class="two" cx="6" cy="24" r="4.5" />
    <circle class="three" cx="26" cy="24" r="4.5" />
  </svg>`

const Readiness = (): Markup => {
  const { readiness } = store.overview.value ?? {}
  if (readiness === undefined || store.endpointState.value === 'lost') return html`<span></span>`
  const isDegraded = (readiness.degraded?.length ?? 0) > 0
  const [tone, text] = !readiness.ready
    ? ['stuck', 'not ready']
    : isDegraded
      ? ['suspect', 'degraded']
      : ['alive', 'ready']
  return html`<span class=${`pill ${tone}`}><span class="dot"></span>${text}</span>`
}

const Liveness = (): Markup => {
  const { value: link } = store.endpointState
  const text = link === 'live' ? 'live' : link === 'lost' ? 'no answer' : 'connecting'
  return html`<span class=${`pill ${link === 'live' ? 'live' : link === 'lost' ? 'stuck' : 'plain'}`}><span class="dot"></span>${text}</span>`
}

const Header = (): Markup => {
  const { self } = store.overview.value ?? {}
  const names = { system: 'as the system', light: 'light', dark: 'dark' }
  return html`<header class="top">
    <div class="brand"><${Mark} /><h1>Parley</h1></div>
    ${
      self !== undefined &&
      html`<p class="where"><span class="muted">mesh</span> <b>${self.mesh}</b> <span class="muted sep">node</span> <b>${self.name}</b></p>`
    }
    <div class="states"><${Readiness} /><${Liveness} /></div>
    <div class="switches">
      <button type="button" class="quiet" onClick=${nextChoice} title="Colours (t)">
        <span aria-hidden="true">${choice.value === 'light' ? '☀' : choice.value === 'dark' ? '☾' : '◐'}</span>
        <span class="visually-hidden">Colours: ${names[choice.value]}</span>
      </button>
      <button
        type="button"
        class="quiet"
        title="Keys (?)"
        onClick=${() => {
          store.helpOpen.value = true
        }}
      >
        <span aria-hidden="true">?</span><span class="visually-hidden">Keys</span>
      </button>
    </div>
  </header>`
}

const Notices = (): Markup => {
  const { readiness } = store.overview.value ?? {}
  const isLost = store.endpointState.value === 'lost'
  const age = store.answeredAt.value === 0 ? undefined : Math.max(0, store.nowMs.value - store.answeredAt.value)
  return html`<div class="notices" role="status">
    ${
      isLost &&
      html`<p class="notice bad-notice">
        <b>The node does not answer.</b> This page tries again, and goes on by itself.
        ${age !== undefined && html`<span aria-hidden="true">What is shown is ${span(Math.round(age / 1_000) * 1_000)} old.</span>`}
      </p>`
    }
    ${!isLost && readiness?.reasons.map((reason) => html`<p class="notice bad-notice" key=${reason}><b>Not ready:</b> ${reason}</p>`)}
    ${!isLost && readiness?.degraded?.map((reason) => html`<p class="notice" key=${reason}><b>Degraded:</b> ${reason}</p>`)}
  </div>`
}

const Page = (): Markup =>
  html`<a class="skip" href="#main">Skip to the mesh</a>
    <${Header} />
    <main id="main" tabindex="-1" class=${store.endpointState.value === 'lost' ? 'old' : ''}>
      <${Notices} />
      <div class="board"><${MeshGraph} /><${Strip} /><${Tabs} /><${Inspector} /></div>
    </main>
    <${Help} />
    <div class="visually-hidden" role="status" aria-live="polite">${store.announcement.value}</div>`

effect(() => {
  const { self } = store.overview.value ?? {}
  const name = self === undefined ? 'Parley' : `${self.name} in ${self.mesh} – Parley`
  document.title = store.endpointState.value === 'lost' ? `(no answer) ${name}` : name
})

followAddress()
const place = document.getElementById('page')
if (place !== null) render(html`<${Page} />`, place)
listenToKeys()
startLive()
