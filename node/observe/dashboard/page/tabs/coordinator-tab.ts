/** Who coordinates: the leader, the voters with their positions in the log, and who led before. */
import { ago, bytes, count, dateTime, plural, span } from '../data/format.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, CoordinatorIcon, Empty, Fact, Meter, NodeLink, Table } from '../widgets/widgets.ts'

const MAX_HISTORY = 24

const Seats = (): Markup => {
  const { value: view } = store.coordinator
  const last = view?.log?.last ?? 0
  const columns = [
    { title: 'Member' },
    { title: 'Role' },
    { title: 'Log', isFigure: true },
    { title: '' },
    { title: 'Silent', isFigure: true },
  ]
  return html`<${Table} label="Seats" columns=${columns}>
    ${(view?.seats ?? []).map(({ member, peer, name, role, match, silentMs }) => {
      const leads = peer === view?.leader?.id
      const isSelf = peer === store.overview.value?.self.id
      const at = match ?? (isSelf ? view?.log?.last : undefined)
      return html`<tr key=${member}>
        <th scope="row" class="wrap">${leads && html`<${CoordinatorIcon} /> `}<${NodeLink} id=${peer} name=${name} /></th>
        <td><${Badge} tone=${leads ? 'crowned' : role === 'voter' ? 'accent' : 'plain'}>${leads ? 'coordinator' : role}<//></td>
        <td class="figure">${at === undefined ? '–' : count(at)}</td>
        <td class="bare">${at !== undefined && last > 0 && html`<${Meter} share=${at / last} label=${`${Math.round((100 * at) / last)} percent of the log`} />`}</td>
        <td class="figure">${silentMs === undefined || leads ? '–' : silentMs < 1000 ? 'no' : span(silentMs)}</td>
      </tr>`
    })}
  <//>`
}

export const Coordinator = (): Markup => {
  const { value: view } = store.coordinator
  if (view === undefined) return html`<${Empty} title="Asking the node …" />`
  const { leader, epoch, quorum, acting, seat, log, journal, history, problem, meshId, version } = view
  if (meshId === undefined && leader === undefined)
    return html`<${Empty} title="This mesh has no coordinator.">
      ${problem ?? 'It is founded by nodes that are started with --expect, each with a data directory. All else works without.'}
    <//>`
  return html`<div class="columns">
    <div>
      <dl>
        <${Fact} name="Coordinator">
          ${leader === undefined ? html`<${Badge} tone="suspect">nobody is known<//>` : html`<${CoordinatorIcon} /> <${NodeLink} id=${leader.id} name=${leader.name} />`}
          ${acting && html` <${Badge} tone="accent">this node<//>`}
        <//>
        <${Fact} name="Epoch (term)">${count(epoch)}<//>
        <${Fact} name="Quorum"><${Badge} tone=${quorum ? 'alive' : 'stuck'}>${quorum ? 'yes' : 'no'}<//><//>
        <${Fact} name="Seat here">${seat}<//>
        ${
          log !== undefined &&
          html`<${Fact} name="Log here">last ${count(log.last)}, committed ${count(log.commit)}, applied ${count(log.applied)}, from ${count(log.base)}<//>`
        }
        <${Fact} name="Journal">${plural(journal.records, 'record')}, ${bytes(journal.bytes)}, ${plural(journal.sessions, 'session')}, version ${count(version)}<//>
        ${meshId !== undefined && html`<${Fact} name="Mesh id"><code class="break">${meshId}</code><//>`}
        ${problem !== undefined && html`<${Fact} name="Problem"><span class="bad">${problem}</span><//>`}
      </dl>
    </div>
    <div>
      <h3>Seats</h3>
      <${Seats} />
      ${!acting && html`<p class="muted small">How far the others are, only the coordinator knows: see its page.</p>`}
      <h3 class="next">Who led when</h3>
      ${history.length === 0 && html`<p class="muted">Nobody answered.</p>`}
      <ol class="timeline">
        ${history
          .slice(-MAX_HISTORY)
          .reverse()
          .map(
            (
              { epoch: term, leader: id, name, at },
              index,
            ) => html`<li key=${term} class=${index === 0 && leader?.id === id ? 'now' : ''}>
              <span class="term">${term}</span>
              <span><${NodeLink} id=${id} name=${name} /></span>
              <span class="muted small" title=${dateTime(at)}>${ago(at, store.nodeNow.value)}</span>
            </li>`,
          )}
      </ol>
    </div>
  </div>`
}
