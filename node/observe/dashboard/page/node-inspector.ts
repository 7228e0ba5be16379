/**
 * Beside the graph: the chosen node with all that is known of it, or, when none is chosen, the mesh at a glance.
 * State: the schemas of the chosen agent's methods, asked for when it is chosen.
 */
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { AgentDetailsView } from '../../debug/debug-schemas.ts'
import { describeEvent, runsOf } from './data/event-text.ts'
import { ago, count, plural, shortId, skew, span, when } from './data/format.ts'
import { linksOf, type MeshNode, skillsOf, takesOf } from './data/mesh-nodes.ts'
import * as store from './state/page-state.ts'
import { EventLine } from './tabs/events-tab.ts'
import { html, type Markup } from './widgets/html.ts'
import { Badge, Code, CoordinatorIcon, Empty, Fact, Meter, NodeLink, NodeStateBadge, Spark } from './widgets/widgets.ts'

const details = signal<AgentDetailsView | undefined>(undefined)

const ask = async (id: string, signal: AbortSignal): Promise<void> => {
  try {
    const response = await fetch(`api/agents/${encodeURIComponent(id)}`, { signal })
    if (response.ok && !signal.aborted) details.value = (await response.json()) as AgentDetailsView
  } catch {
    // Without it the methods are shown without schemas.
  }
}

type Method = AgentDetailsView['protocols'][number]['methods'][number]

const MethodRow = ({ method }: { method: Method }): Markup => {
  const { name, kind, capability, description, request, response, timeoutMs, idempotent } = method
  const facts = [
    kind,
    ...(timeoutMs === undefined ? [] : [`up to ${span(timeoutMs)}`]),
    ...(idempotent === true ? ['idempotent'] : []),
  ]
  return html`<details class="method">
    <summary>
      <code>${name}</code> <span class="muted small">${facts.join(' · ')}</span>
      ${capability !== undefined && html`<${Badge} tone="plain">${capability}<//>`}
    </summary>
    ${description !== undefined && html`<p>${description}</p>`}
    ${request !== undefined && html`<h5>Request</h5><${Code} value=${request} />`}
    ${response !== undefined && html`<h5>${kind === 'stream' ? 'Item' : 'Response'}</h5><${Code} value=${response} />`}
  </details>`
}

const Skills = ({ node }: { node: MeshNode }): Markup => {
  const skills = skillsOf(details.value?.id === node.id ? details.value : node.agent)
  const takes = takesOf(node.agent)
  return html`
    <h4>Skills</h4>
    ${skills.length === 0 && html`<p class="muted">It offers none.</p>`}
    ${skills.map(
      ({ name, version, methods }) => html`<div class="skill" key=${name}>
        <p><b>${name}</b> <span class="muted">${version}</span></p>
        ${(methods as Method[]).map((method) => html`<${MethodRow} key=${method.name} method=${method} />`)}
      </div>`,
    )}
    ${takes.length > 0 && html`<p class="muted small">Takes messages ${takes.map((type) => html`<code>${type}</code> `)}</p>`}
  `
}

const Connections = ({ node }: { node: MeshNode }): Markup => {
  const graph = store.overview.value?.graph
  const links = graph === undefined ? [] : linksOf(graph, node.id)
  const heading = node.reportedMs === undefined && !node.self ? 'Connections (as others tell)' : 'Connections'
  return html`
    <h4>${heading} <span class="muted">${links.length}</span></h4>
    <ul class="chips">
      ${links
        .map(({ id, rttMs }) => ({ id, name: store.nameOf(id), rttMs }))
        .sort((a, b) => a.name.localeCompare(b.name))
        .slice(0, 64)
        .map(
          ({ id, name, rttMs }) =>
            html`<li key=${id}><${NodeLink} id=${id} name=${name} />${rttMs !== undefined && html` <span class="muted small">${span(rttMs)}</span>`}</li>`,
        )}
    </ul>
  `
}

const Chosen = ({ node }: { node: MeshNode }): Markup => {
  const { id, name, self, isCoordinator, raftRole, peer, agent, reportedMs } = node
  useEffect(() => {
    const stop = new AbortController()
    void ask(id, stop.signal)
    return () => stop.abort()
  }, [id, agent?.protocols.length])
  const { activity, labels = {}, addresses = [], load, queueLength, lastHeardMs } = agent ?? {}
  const rtts = store.rtts.value.get(id) ?? []
  return html`<div class="chosen">
    <header>
      <h2 id="inspector-title">${isCoordinator && html`<${CoordinatorIcon} /> `}${name}</h2>
      <button
        type="button"
        class="quiet"
        aria-label="Let go of this node"
        onClick=${() => {
          store.selected.value = undefined
        }}
      >
        ✕
      </button>
    </header>
    <p class="badges">
      <${NodeStateBadge} node=${node} />
      ${self && html`<${Badge} tone="accent">this node<//>`}
      ${isCoordinator && html`<${Badge} tone="crowned">coordinator<//>`}
      ${!isCoordinator && raftRole !== undefined && html`<${Badge} tone="plain">${raftRole}<//>`}
    </p>
    <p class="id" title="peer id"><code>${id}</code></p>
    <dl>
      ${
        activity !== undefined &&
        html`<${Fact} name="Activity">
          ${activity.state}${activity.sinceMs !== undefined && ` for ${span(activity.sinceMs)}`}
          ${activity.progress !== undefined && html` <${Meter} share=${activity.progress} label=${`${Math.round(100 * activity.progress)} percent done`} />`}
        <//>`
      }
      ${load !== undefined && html`<${Fact} name="At work">${count(load)}${queueLength ? `, ${count(queueLength)} in line` : ''}<//>`}
      ${
        peer !== undefined &&
        html`<${Fact} name="Round trip"
          >${peer.rttMs === undefined ? 'not measured yet' : span(peer.rttMs)} <${Spark} values=${rtts} label="round trips of the last two minutes"
        /><//>`
      }
      ${peer?.skewMs !== undefined && html`<${Fact} name="Clock">${skew(peer.skewMs, peer.skewErrorMs)} <span class="muted small">beside this node</span><//>`}
      ${!self && lastHeardMs !== undefined && html`<${Fact} name="Heard">${lastHeardMs < 1000 ? 'now' : `${span(lastHeardMs)} ago`}<//>`}
      ${!self && peer === undefined && html`<${Fact} name="Connection">not connected to this node<//>`}
      ${!self && html`<${Fact} name="Its connections">${reportedMs === undefined ? 'not known' : `told ${reportedMs < 1000 ? 'now' : `${span(reportedMs)} ago`}`}<//>`}
      ${Object.entries(labels).map(([label, value]) => html`<${Fact} name=${label}>${value}<//>`)}
    </dl>
    ${agent !== undefined && html`<${Skills} node=${node} />`}
    <${Connections} node=${node} />
    ${addresses.length > 0 && html`<h4>Addresses</h4><ul class="stack">${addresses.map((address) => html`<li><code class="break">${address}</code></li>`)}</ul>`}
  </div>`
}

const Glance = (): Markup => {
  const { value: overview } = store.overview
  const { value: coordinator } = store.coordinator
  if (overview === undefined) return html`<${Empty} title="Asking the node …" />`
  const { self, breakers, delivery, agents } = overview
  const open = breakers.filter(({ state }) => state !== 'closed')
  const leader = coordinator?.leader
  const seen = store.events.value.filter(
    ({ event: { type } }) => type !== 'event-received' && type !== 'event-published',
  )
  const last = runsOf(seen, ({ event }) => `${event.type} ${describeEvent(event, store.nameOf)}`).slice(0, 7)
  return html`<div>
    <header><h2 id="inspector-title">At a glance</h2></header>
    <dl>
      <${Fact} name="This node">${self.name} <span class="muted">${self.version}</span><//>
      <${Fact} name="Up">${ago(self.startedAt, store.nodeNow.value).replace(' ago', '')} <span class="muted small">since ${when(self.startedAt, store.nodeNow.value)}</span><//>
      <${Fact} name="Trust">${self.trust ?? '–'}<//>
      <${Fact} name="Coordinator">
        ${leader === undefined ? html`<span class="muted">nobody</span>` : html`<${CoordinatorIcon} /> <${NodeLink} id=${leader.id} name=${leader.name} />`}
        ${coordinator !== undefined && html` <span class="muted small">epoch ${coordinator.epoch}</span>`}
      <//>
      <${Fact} name="Voters"
        >${coordinator?.seats.filter(({ role }) => role === 'voter').length ?? 0}
        ${' '}${coordinator !== undefined && html`<${Badge} tone=${coordinator.quorum ? 'alive' : 'suspect'}>${coordinator.quorum ? 'quorum' : 'no quorum'}<//>`}<//>
      <${Fact} name="Agents">${plural(agents.length, 'agent')}, ${plural(new Set(agents.flatMap((agent) => skillsOf(agent).map(({ name }) => name))).size, 'skill')}<//>
      <${Fact} name="Outbox">${plural(delivery.outbox.messages, 'message')}<//>
      <${Fact} name="Dead letters"
        >${delivery.deadLetters.messages === 0 ? 'none' : html`<${Badge} tone="suspect">${count(delivery.deadLetters.messages)}<//>`}<//>
      <${Fact} name="Left alone"
        >${open.length === 0 ? 'nobody' : open.map(({ id, name, state }) => html`<${NodeLink} id=${id} name=${name} /> <${Badge} tone="stuck">${state}<//> `)}<//>
    </dl>
    <h4>Lately</h4>
    ${last.length === 0 && html`<p class="muted">Nobody came or left since this page was opened.</p>`}
    <ol class="feed">${last.map(({ row, first, times }) => html`<${EventLine} key=${first.number} row=${row} times=${times} />`)}</ol>
  </div>`
}

export const Inspector = (): Markup => {
  const { value: node } = store.selectedNode
  const { value: id } = store.selected
  return html`<section class="panel inspector" aria-labelledby="inspector-title">
    ${
      node !== undefined
        ? html`<${Chosen} key=${node.id} node=${node} />`
        : id === undefined
          ? html`<${Glance} />`
          : html`<h2 id="inspector-title">${shortId(id)}</h2><${Empty} title="This node has left.">It is shown again when it comes back. Escape lets go of it.<//>`
    }
  </section>`
}
