/** Tables of nodes: the agents of the mesh with what they can do, and the peers that this node is connected to. */
import { count, skew, span } from '../data/format.ts'
import { skillsOf } from '../data/mesh-nodes.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import {
  Badge,
  CoordinatorIcon,
  Empty,
  MAX_ROWS,
  Meter,
  MoreRows,
  NodeLink,
  NodeStateBadge,
  Spark,
  Table,
} from '../widgets/widgets.ts'

export const Agents = (): Markup => {
  const nodes = store.nodes.value.filter(({ agent }) => agent !== undefined)
  if (nodes.length === 0) return html`<${Empty} title="No agent is known." />`
  const hasLabels = nodes.some(({ agent }) => Object.keys(agent?.labels ?? {}).length > 0)
  const columns = [
    { title: 'Agent' },
    { title: 'State' },
    { title: 'Skills' },
    { title: 'At work', isFigure: true },
    { title: 'In line', isFigure: true },
    { title: 'Heard', isFigure: true },
    ...(hasLabels ? [{ title: 'Labels' }] : []),
  ]
  return html`<${Table} label="Agents" columns=${columns}>
    ${nodes.slice(0, MAX_ROWS).map((node) => {
      const { id, name, agent, isCoordinator, self } = node
      const { load, queueLength, lastHeardMs, activity, labels = {} } = agent ?? {}
      return html`<tr key=${id} aria-selected=${id === store.selected.value}>
        <th scope="row" class="wrap">${isCoordinator && html`<${CoordinatorIcon} /> `}<${NodeLink} id=${id} name=${name} /></th>
        <td>
          <${NodeStateBadge} node=${node} />
          ${activity?.progress !== undefined && html` <${Meter} share=${activity.progress} label=${`${Math.round(100 * activity.progress)} percent done`} />`}
        </td>
        <td class="wrap">
          ${skillsOf(agent).map(
            ({ name: skill, version, methods }) =>
              html`<span class="skill-chip" title=${methods.map((method) => method.name).join(', ')}>${skill} <span class="muted">${version}</span></span> `,
          )}
        </td>
        <td class="figure">${load === undefined ? '–' : count(load)}</td>
        <td class="figure">${queueLength === undefined ? '–' : count(queueLength)}</td>
        <td class="figure">${self ? 'self' : lastHeardMs === undefined ? '–' : lastHeardMs < 1000 ? 'now' : span(lastHeardMs)}</td>
        ${
          hasLabels &&
          html`<td class="muted wrap">${Object.entries(labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(' ')}</td>`
        }
      </tr>`
    })}
  <//><${MoreRows} all=${nodes.length} command="parley agents" />`
}

export const Peers = (): Markup => {
  const { peers = [], breakers = [] } = store.overview.value ?? {}
  if (peers.length === 0)
    return html`<${Empty} title="This node is connected to nobody.">Others join it by one of its addresses; see the node itself in the graph.<//>`
  const hasSkew = peers.some(({ skewMs }) => skewMs !== undefined)
  const columns = [
    { title: 'Peer' },
    { title: 'Connection' },
    { title: 'Round trip', isFigure: true },
    { title: 'Last two minutes' },
    ...(hasSkew ? [{ title: 'Clock off by', isFigure: true }] : []),
    { title: 'Streams', isFigure: true },
    { title: 'In flight', isFigure: true },
    { title: 'Queued', isFigure: true },
    { title: 'Since', isFigure: true },
    { title: 'Address' },
  ]
  return html`<${Table} label="Peers" columns=${columns}>
    ${peers.slice(0, MAX_ROWS).map((peer) => {
      const {
        id,
        name,
        direction,
        address,
        connectedAt,
        rttMs,
        admitted,
        streams,
        inFlight,
        bytesQueued,
        skewMs,
        skewErrorMs,
      } = peer
      const breaker = breakers.find((one) => one.id === id && one.state !== 'closed')
      return html`<tr key=${`${id} ${connectedAt}`} aria-selected=${id === store.selected.value}>
        <th scope="row" class="wrap"><${NodeLink} id=${id} name=${name} /></th>
        <td class="wrap">
          ${direction}${!admitted && html` <${Badge} tone="suspect">not admitted<//>`}
          ${breaker !== undefined && html` <${Badge} tone="stuck">left alone<//>`}
        </td>
        <td class="figure">${rttMs === undefined ? '–' : span(rttMs)}</td>
        <td class="bare"><${Spark} values=${store.rtts.value.get(id) ?? []} label=${`round trips to ${name}`} /></td>
        ${hasSkew && html`<td class="figure">${skewMs === undefined ? '–' : skew(skewMs, skewErrorMs)}</td>`}
        <td class="figure">${count(streams)}</td>
        <td class="figure">${count(inFlight)}</td>
        <td class="figure">${count(bytesQueued)} B</td>
        <td class="figure">${span(Math.max(0, store.nodeNow.value - connectedAt))}</td>
        <td class="wrap"><code class="small">${address.replace(/\/p2p\/.*/, '')}</code></td>
      </tr>`
    })}
  <//><${MoreRows} all=${peers.length} command="parley peers" />`
}
