/** `parley coordinator`: who coordinates, who votes, who did before, and handing over. */

import type * as z from 'zod'
import { TransferredSchema } from '../../../control/control-schemas.ts'
import { CoordinatorSchema, type CoordinatorView } from '../../../observe/debug/debug-schemas.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { controlClientOf, findNodeEndpoint, requestNode } from '../../connect/node-endpoint.ts'
import { BY_SOCKET, type NodeSelector, runningNode } from '../../connect/running-nodes.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import type { EphemeralNodeOptions } from '../../start/ephemeral-node.ts'

export interface CoordinatorCommandOptions extends NodeSelector {
  /** Whole ids, however long the lines get. */
  wide?: boolean
  json?: boolean
}

const look = async (options: NodeSelector): Promise<CoordinatorView> =>
  requestNode(await findNodeEndpoint(await nodeOfOneMesh(options)), 'GET', '/api/coordinator', CoordinatorSchema)

/** @returns nothing for a node of a version that knows no proofs */
const provenText = ({ proof, epoch }: CoordinatorView): [string, string][] => {
  if (proof === undefined) return []
  if (proof.epoch === 0 && proof.mode === 'observe') return [['proven', 'nothing: voters of an older version']]
  if (proof.epoch === 0) return [['proven', 'nothing yet']]
  const refused = proof.refused === 0 ? '' : `, ${proof.refused} refused`
  return [
    [
      'proven',
      `${proof.epoch === epoch ? 'this epoch' : `epoch ${proof.epoch}`}, ${proof.links} changes of voters${refused}`,
    ],
  ]
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

export const showStatus = async (options: CoordinatorCommandOptions): Promise<void> => {
  const which = await nodeOfOneMesh(options)
  const view = await look(which)
  if (options.json === true) return print(JSON.stringify(view))
  const { leader, log, seats, journal } = view
  const chosen = 'name' in which ? `${which.name} ` : ''
  const voters = seats.filter(({ role }) => role === 'voter').length
  const rows: [string, string][] = [
    ['mesh id', view.meshId ?? 'not founded'],
    ['coordinator', leader === undefined ? 'nobody is known' : `${leader.name} ${leader.id}`.trim()],
    ['epoch', String(view.epoch)],
    ...provenText(view),
    ['decisions', view.quorum ? 'are made' : 'are not made: there is no quorum'],
    ['voters', `${voters}, ${seats.length - voters} learn`],
    ['this node', chosen + (view.acting ? 'coordinates' : view.seat === 'none' ? 'has no seat' : `is a ${view.seat}`)],
    ['journal', `version ${view.version}, ${journal.records} records, ${journal.bytes} bytes`],
    ...(log === undefined
      ? []
      : [
          ['log', `last ${log.last}, committed ${log.commit}, applied ${log.applied}, snapshot ${log.base}`] as [
            string,
            string,
          ],
        ]),
    ...(view.problem === undefined ? [] : [['problem', view.problem] as [string, string]]),
  ]
  print(rows.map(([what, is]) => `${what.padEnd(13)}${is}`).join('\n'))
}

export const showVoters = async (options: CoordinatorCommandOptions): Promise<void> => {
  const { seats, leader } = await look(options)
  if (options.json === true) return print(JSON.stringify(seats))
  if (seats.length === 0) return print('nobody has a seat: the mesh is not founded, or no coordinator was heard of yet')
  print(
    table(
      ['name', 'peer!', 'role', 'log up to', 'heard', 'storage'],
      seats.map(({ name, peer, member, role, match, silentMs }) => [
        name,
        shownId(peer, options.wide),
        peer === leader?.id ? `${role}, coordinates` : role,
        match === undefined ? '' : String(match),
        silentMs === undefined ? '' : `${seconds(silentMs)} ago`,
        member.split('.')[1]?.slice(0, 8) ?? '',
      ]),
      tableWidth(options.wide),
    ),
  )
}

export const showHistory = async (options: CoordinatorCommandOptions): Promise<void> => {
  const { history } = await look(options)
  if (options.json === true) return print(JSON.stringify(history))
  if (history.length === 0) return print('no history: the mesh is not founded, or no coordinator answers')
  print(
    table(
      ['epoch', 'name', 'peer!', 'since'],
      history.map(({ epoch, name, leader, at }) => [
        String(epoch),
        name,
        shownId(leader, options.wide),
        new Date(at).toISOString(),
      ]),
      tableWidth(options.wide),
    ),
  )
}

export interface TransferCommandOptions extends EphemeralNodeOptions {
  dataDir?: string
  to?: string
  timeout: number
  json?: boolean
}

/** Answers wait for the node's own limit. */
const GRACE_MS = 2_000

type Transferred = z.output<typeof TransferredSchema>

/** By the running node where it can be asked, else as a visitor. */
const handOver = async (options: TransferCommandOptions): Promise<Transferred> => {
  const { to, timeout: timeoutMs } = options
  const request = { timeoutMs, ...(to !== undefined && { to }) }
  const node =
    options.join === undefined
      ? await runningNode(await nodeOfOneMesh(options), `${BY_SOCKET}, or a member with --join`)
      : undefined
  const control = node === undefined ? undefined : controlClientOf(node)
  if (control !== undefined) {
    const limit = { body: request, timeoutMs: timeoutMs + GRACE_MS }
    return control.ask('POST', '/api/coordinator/transfer', TransferredSchema, limit)
  }
  const [{ startEphemeralNode }, { transfer: transferBy }] = await Promise.all([
    import('../../start/ephemeral-node.ts'),
    import('../../../control/handlers/run-commands.ts'),
  ])
  const mesh = await startEphemeralNode(options)
  try {
    return await transferBy(mesh, request)
  } finally {
    await mesh.stop()
  }
}

export const transfer = async (options: TransferCommandOptions): Promise<void> => {
  const { epoch, leader, before, leaderName, beforeName } = await handOver(options)
  if (options.json === true) print(JSON.stringify({ epoch, leader, before }))
  else print(`${leaderName} coordinates now, in epoch ${epoch}; before it was ${beforeName}`)
}
