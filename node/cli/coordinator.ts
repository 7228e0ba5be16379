/** `parley coordinator`: who coordinates, who votes, who did before, and handing over. Keeps no state. */
import { ParleyError } from '../../protocols/errors.ts'
import { CoordinatorSchema, type CoordinatorView } from '../debug/source.ts'
import { ask, debugUrlOf, type Which } from './running.ts'
import { table } from './table.ts'
import { type VisitOptions, visit } from './visit.ts'

export interface CoordinatorOptions extends Which {
  json?: boolean
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

const look = async (options: CoordinatorOptions): Promise<CoordinatorView> =>
  ask(await debugUrlOf(options), '/api/coordinator', CoordinatorSchema)

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

export const showStatus = async (options: CoordinatorOptions): Promise<void> => {
  const view = await look(options)
  if (options.json === true) return print(JSON.stringify(view))
  const { leader, log, seats, journal } = view
  const voters = seats.filter(({ role }) => role === 'voter').length
  const rows: [string, string][] = [
    ['mesh id', view.meshId ?? 'not founded'],
    ['coordinator', leader === undefined ? 'nobody is known' : `${leader.name} ${leader.id}`.trim()],
    ['epoch', String(view.epoch)],
    ['decisions', view.quorum ? 'are made' : 'are not made: there is no quorum'],
    ['voters', `${voters}, ${seats.length - voters} learn`],
    ['this node', view.acting ? 'coordinates' : view.seat === 'none' ? 'has no seat' : `is a ${view.seat}`],
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

export const showVoters = async (options: CoordinatorOptions): Promise<void> => {
  const { seats, leader } = await look(options)
  if (options.json === true) return print(JSON.stringify(seats))
  if (seats.length === 0) return print('nobody has a seat: the mesh is not founded, or no coordinator was heard of yet')
  print(
    table(
      ['name', 'peer', 'role', 'log up to', 'heard', 'storage'],
      seats.map(({ name, peer, member, role, match, silentMs }) => [
        name,
        peer,
        peer === leader?.id ? `${role}, coordinates` : role,
        match === undefined ? '' : String(match),
        silentMs === undefined ? '' : `${seconds(silentMs)} ago`,
        member.split('.')[1]?.slice(0, 8) ?? '',
      ]),
    ),
  )
}

export const showHistory = async (options: CoordinatorOptions): Promise<void> => {
  const { history } = await look(options)
  if (options.json === true) return print(JSON.stringify(history))
  if (history.length === 0) return print('no history: the mesh is not founded, or no coordinator answers')
  print(
    table(
      ['epoch', 'name', 'peer', 'since'],
      history.map(({ epoch, name, leader, at }) => [String(epoch), name, leader, new Date(at).toISOString()]),
    ),
  )
}

export interface TransferOptions extends VisitOptions {
  to?: string
  timeout: number
  json?: boolean
}

export const transfer = async (options: TransferOptions): Promise<void> => {
  const mesh = await visit(options)
  try {
    const signal = AbortSignal.timeout(options.timeout)
    const noBody = new ParleyError('COM001', `no coordinator was found within ${options.timeout} ms`, {
      hint: 'see `parley coordinator status`',
    })
    const before = await mesh.coordinator.found({ signal }).catch(() => {
      throw noBody
    })
    const to = options.to === undefined ? undefined : (mesh.directory.find(options.to)?.peer ?? options.to)
    const { epoch, leader } = await mesh.coordinator.transfer(to, { signal })
    const nameOf = (peer: string): string => mesh.directory.get(peer)?.name ?? peer
    if (options.json === true) print(JSON.stringify({ epoch, leader, before: before.leader }))
    else print(`${nameOf(leader)} coordinates now, in epoch ${epoch}; before it was ${nameOf(before.leader)}`)
  } finally {
    await mesh.stop()
  }
}
