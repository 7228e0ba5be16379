/** `parley leave`: a running node gives its seat up for good, or offers it again. It stays in the mesh. Keeps no state. */
import { coordinatorProtocol } from '../../protocols/coordinator/contract.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { meshOf, runningNode } from './running.ts'
import { type VisitOptions, visit } from './visit.ts'

export interface LeaveOptions extends Omit<VisitOptions, 'join'> {
  dataDir?: string
  undo?: boolean
  timeout: number
  json?: boolean
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

const leftText = (voters: number | undefined): string =>
  voters === undefined ? '' : `; ${voters} ${voters === 1 ? 'voter is' : 'voters are'} left`

export const leave = async (options: LeaveOptions): Promise<void> => {
  const node = await runningNode(options)
  const name = options.mesh ?? (await meshOf(node))
  const mesh = await visit({ ...options, join: node.addresses, ...(name !== undefined && { mesh: name }) })
  try {
    const asked = mesh.to(node.peerId, coordinatorProtocol)
    const timeoutMs = options.timeout
    if (options.undo === true) {
      await asked.takeSeat({}, { timeoutMs })
      if (options.json === true) print(JSON.stringify({ peer: node.peerId, name: node.name, givenUp: false }))
      else print(`${node.name} offers its seat again; it learns first, and votes where a voter is needed`)
      return
    }
    const { voters } = await asked.giveUp({}, { timeoutMs })
    if (options.json === true) print(JSON.stringify({ peer: node.peerId, name: node.name, givenUp: true, voters }))
    else
      print(
        `${node.name} has no seat any more${leftText(voters)}. It stays in the mesh, and offers no seat after a restart either;\n` +
          '`parley leave --undo` takes that back.',
      )
  } catch (error) {
    if (!isParleyError(error, 'COM001') || options.undo === true) throw error
    throw new ParleyError('COM001', `${node.name} did not get rid of its seat within ${options.timeout} ms`, {
      hint: 'it keeps it, as the others could not do without it: see `parley coordinator voters`, or give it more --timeout',
      cause: error,
    })
  } finally {
    await mesh.stop()
  }
}
