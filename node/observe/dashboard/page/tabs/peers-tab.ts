/** The peers that this node is connected to, as a table. */
import { count, skew, span } from '../data/format.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { Badge, Empty, MAX_ROWS, MoreRows, NodeLink, Spark, Table } from '../widgets/widgets.ts'

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
