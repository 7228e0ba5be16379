/**
 * `parley leave`: a running node gives its seat up for good, or offers it again. It stays in the mesh.
 */

import * as z from 'zod'
import { coordinatorProtocol } from '../../../../protocols/coordinator/contract.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { RaftMemberWithdrawnSchema } from '../../../control/control-schemas.ts'
import type { FoundNode } from '../../../store/data-directory.ts'
import { controlClientOf, meshNameOf } from '../../connect/node-endpoint.ts'
import { BY_SOCKET, runningNode } from '../../connect/running-nodes.ts'
import { print } from '../../output/print.ts'
import type { EphemeralNodeOptions } from '../../start/ephemeral-node.ts'

export interface LeaveOptions extends Omit<EphemeralNodeOptions, 'join'> {
  dataDir?: string
  undo?: boolean
  timeout: number
  json?: boolean
}

/** Answers wait for the node's own limit. */
const GRACE_MS = 2_000

const leftText = (voters: number | undefined): string =>
  voters === undefined ? '' : `; ${voters} ${voters === 1 ? 'voter is' : 'voters are'} left`

/** What can be done with the seat of the node. */
interface SeatHand {
  giveUp(): Promise<{ voters?: number | undefined }>
  take(): Promise<unknown>
  end(): Promise<void>
}

/** By its control socket where it has one, else as a visitor. */
const handOf = async (node: FoundNode, options: LeaveOptions): Promise<SeatHand> => {
  const timeoutMs = options.timeout
  const control = controlClientOf(node)
  if (control !== undefined) {
    const limit = { body: { timeoutMs }, timeoutMs: timeoutMs + GRACE_MS }
    return {
      giveUp: () => control.ask('POST', '/api/seat/give-up', RaftMemberWithdrawnSchema, limit),
      take: () => control.ask('POST', '/api/seat/take', z.object({}), limit),
      end: async () => {},
    }
  }
  const { startEphemeralNode } = await import('../../start/ephemeral-node.ts')
  const name = options.mesh ?? (await meshNameOf(node))
  const mesh = await startEphemeralNode({ ...options, join: node.addresses, ...(name !== undefined && { mesh: name }) })
  const asked = mesh.to(node.peerId, coordinatorProtocol)
  return {
    giveUp: () => asked.giveUp({}, { timeoutMs }),
    take: () => asked.takeSeat({}, { timeoutMs }),
    end: () => mesh.stop(),
  }
}

export const leave = async (options: LeaveOptions): Promise<void> => {
  const node = await runningNode(options, BY_SOCKET)
  const hand = await handOf(node, options)
  try {
    if (options.undo === true) {
      await hand.take()
      if (options.json === true) print(JSON.stringify({ peer: node.peerId, name: node.name, givenUp: false }))
      else print(`${node.name} offers its seat again; it learns first, and votes where a voter is needed`)
      return
    }
    const { voters } = await hand.giveUp()
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
    await hand.end()
  }
}
