/** The agents of the mesh and what they can do, as a table. */
import { count, span } from '../data/format.ts'
import { skillsOf } from '../data/mesh-nodes.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import {
  CoordinatorIcon,
  Empty,
  MAX_ROWS,
  Meter,
  MoreRows,
  NodeLink,
  NodeStateBadge,
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
