/** The shortcuts of the page and the list of them. State: whether the list is open (store). */
import { useEffect, useRef } from 'preact/hooks'
import { goToGraph, toggleTable } from './graph/mesh-graph.ts'
import { foldGraph, isGraphFolded } from './state/folding.ts'
import * as store from './state/page-state.ts'
import { nextChoice } from './state/theme.ts'
import { openTab } from './tab-bar.ts'
import { togglePause } from './tabs/events-tab.ts'
import { html, type Markup } from './widgets/html.ts'

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ['g', 'go to the graph; arrow keys choose a node, Home this node'],
  ['l', 'graph as a table, and back'],
  ['f', 'fold the graph, and unfold it'],
  ['1 … 9, 0', 'open a view'],
  ['/', 'filter events, or dead letters where they are shown'],
  ['p', 'pause events, and go on'],
  ['t', 'colours: system, light, dark'],
  ['Esc', 'let go of the chosen node, close this'],
  ['?', 'this list'],
]

const isTyping = ({ target }: KeyboardEvent): boolean =>
  target instanceof HTMLElement && (target.matches('input, textarea, select') || target.isContentEditable)

const focusLater = (id: string): void => {
  requestAnimationFrame(() => document.getElementById(id)?.focus())
}

const onKey = (event: KeyboardEvent): void => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape') {
    if (store.helpOpen.value) store.helpOpen.value = false
    else if (isTyping(event) && event.target instanceof HTMLElement) event.target.blur()
    else store.selected.value = undefined
    return
  }
  if (isTyping(event) || store.helpOpen.value) return
  const tab = store.TABS[(event.key === '0' ? 10 : Number(event.key)) - 1]
  if (event.key === '?') store.helpOpen.value = true
  else if (event.key === 'g') goToGraph()
  else if (event.key === 'f') foldGraph(!isGraphFolded.value)
  else if (event.key === 'l') toggleTable()
  else if (event.key === 't') nextChoice()
  else if (event.key === 'p') togglePause()
  else if (event.key === '/') {
    const isOfLetters = store.tab.value === 'messages'
    if (!isOfLetters) openTab('events')
    focusLater(isOfLetters ? 'letters-filter' : 'filter')
  } else if (tab !== undefined) {
    openTab(tab.id)
    focusLater(`tab-${tab.id}`)
  } else return
  event.preventDefault()
}

export const listenToKeys = (): void => document.addEventListener('keydown', onKey)

export const Help = (): Markup => {
  const dialog = useRef<HTMLDialogElement>(null)
  const { value: isOpen } = store.helpOpen
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  return html`<dialog
    ref=${dialog}
    aria-labelledby="help-title"
    onClose=${() => {
      store.helpOpen.value = false
    }}
  >
    <header>
      <h2 id="help-title">Keys</h2>
      <button
        type="button"
        class="quiet"
        aria-label="Close"
        onClick=${() => {
          store.helpOpen.value = false
        }}
      >
        ✕
      </button>
    </header>
    <dl class="keys-list">
      ${KEYS.map(([keys, what]) => html`<div><dt><kbd>${keys}</kbd></dt><dd>${what}</dd></div>`)}
    </dl>
    <p class="muted small">
      This page reads one node. All that it shows is at <a href="api/overview">api/overview</a>, described by <a href="openapi.json">openapi.json</a>, with
      figures at <a href="metrics">metrics</a>.
    </p>
  </dialog>`
}
