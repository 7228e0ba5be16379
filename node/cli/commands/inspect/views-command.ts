/** `parley id`, `peers` and `agents`: who a running node is and whom it knows, as a table or as JSON. */

import * as z from 'zod'
import { ProcessSchema } from '../../../control/control-schemas.ts'
import { AgentSchema, PeerSchema, SelfSchema } from '../../../observe/debug/debug-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { findNodeEndpoint, requestNode } from '../../connect/node-endpoint.ts'
import { type NodeSelector, runningNode } from '../../connect/running-nodes.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'

export interface ViewCommandOptions extends NodeSelector {
  /** Whole ids, however long the lines get. */
  wide?: boolean
  json?: boolean
}

const Peers = z.object({ peers: z.array(PeerSchema) })
const Agents = z.object({ agents: z.array(AgentSchema) })

export interface IdOptions extends NodeSelector {
  json?: boolean
}

export const showId = async (options: IdOptions): Promise<void> => {
  const endpoint = await findNodeEndpoint(options)
  const node = options.url === undefined ? await runningNode(options) : undefined
  const self = await requestNode(endpoint, 'GET', '/api/self', SelfSchema)
  const more = 'control' in endpoint ? await requestNode(endpoint, 'GET', '/api/process', ProcessSchema) : undefined
  const debugUrl = more?.debugUrl ?? node?.debugUrl ?? ('url' in endpoint ? endpoint.url : undefined)
  if (options.json === true) {
    const facts = { ...self, debugUrl, pid: node?.pid, control: node?.control, dataDir: node?.directory }
    return print(JSON.stringify(facts))
  }
  const rows: [string, string | undefined][] = [
    ['name', self.name],
    ['id', self.id],
    ['mesh', self.mesh],
    ['trust', self.trust],
    ...self.addresses.map((address, at): [string, string] => [at === 0 ? 'listens on' : '', address]),
    ['debug', debugUrl ?? 'off'],
    ['control', node?.control],
    ['data', node?.directory],
    ['process', node === undefined ? undefined : String(node.pid)],
    ['version', self.version],
    ['started', new Date(self.startedAt).toISOString()],
  ]
  print(rows.flatMap(([what, is]) => (is === undefined ? [] : [`${what.padEnd(12)}${escapeText(is)}`])).join('\n'))
}

/** How far its clock is from the node's, as far as that is known. */
const clockText = ({ skewMs, skewErrorMs = 0 }: z.output<typeof PeerSchema>): string => {
  if (skewMs === undefined) return ''
  if (Math.abs(skewMs) <= skewErrorMs) return 'same'
  return `${skewMs < 0 ? '-' : '+'}${(Math.abs(skewMs) / 1000).toFixed(3)} s`
}

export const showPeers = async (options: ViewCommandOptions): Promise<void> => {
  const { peers } = await requestNode(await findNodeEndpoint(options), 'GET', '/api/peers', Peers)
  if (options.json === true) return print(JSON.stringify(peers))
  if (peers.length === 0) return print('no peer is connected')
  const { wide } = options
  print(
    table(
      ['name', 'id!', 'address', 'way', 'ping', 'clock', 'in flight'],
      peers.map((peer) => [
        peer.admitted ? peer.name : '(not admitted)',
        shownId(peer.id, wide),
        wide === true ? peer.address : peer.address.replace(/\/p2p\/[^/]+$/, ''),
        peer.direction === 'outbound' ? 'out' : 'in',
        peer.rttMs === undefined ? '' : `${peer.rttMs.toFixed(1)} ms`,
        clockText(peer),
        String(peer.inFlight),
      ]),
      tableWidth(wide),
    ),
  )
}

type AgentView = z.output<typeof AgentSchema>

const offers = ({ protocols }: AgentView): string =>
  protocols
    .flatMap(({ name, version, methods }) => [
      `${name} ${version}`,
      ...methods.map((method) => `  .${method.name}${method.kind === 'unary' ? '' : ` (${method.kind})`}`),
    ])
    .join('\n')

const labels = ({ labels: all }: AgentView): string =>
  Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')

/** Whether it is there, and where it is, how it gets on with its work. */
const doing = ({ state, activity }: AgentView): string => {
  if (state === 'suspect' || activity === undefined) return state
  const { sinceMs, progress } = activity
  const details = [
    ...(progress === undefined ? [] : [`${Math.round(progress * 100)} %`]),
    ...(sinceMs === undefined || activity.state === 'alive' ? [] : [`for ${Math.round(sinceMs / 1000)} s`]),
  ]
  return [activity.state, ...details].join('\n')
}

export const showAgents = async (options: ViewCommandOptions): Promise<void> => {
  const { agents } = await requestNode(
    await findNodeEndpoint(await nodeOfOneMesh(options)),
    'GET',
    '/api/agents',
    Agents,
  )
  if (options.json === true) return print(JSON.stringify(agents))
  print(
    table(
      ['name', 'id!', 'state', 'offers', 'labels'],
      agents.map((agent) => [agent.name, shownId(agent.id, options.wide), doing(agent), offers(agent), labels(agent)]),
      tableWidth(options.wide),
    ),
  )
}
