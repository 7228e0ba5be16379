/** Where the key of the node is typed. It stays in the memory of this page, and goes to this endpoint only. */

import * as store from '../state/page-state.ts'
import { html, type Markup } from './html.ts'

export const KeyField = (): Markup =>
  html`<form class="key" onSubmit=${(event: Event) => event.preventDefault()}>
    <label for="key">Key</label>
    <input
      id="key"
      type="password"
      autocomplete="off"
      spellcheck=${false}
      placeholder="debugKey of node.json"
      title="Shows what messages say, and lets you send and purge dead letters"
      aria-describedby="key-help"
      value=${store.key.value}
      onInput=${(event: Event) => {
        if (event.target instanceof HTMLInputElement) store.key.value = event.target.value.trim()
      }}
    />
    <span id="key-help" class="muted small"
      >shows what messages say, and lets you send and purge dead letters; it is in node.json in the data directory, and forgotten with
      this page</span
    >
  </form>`
