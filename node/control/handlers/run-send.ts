/**
 * What the control socket has a node do for `parley send`. Whether anybody receives a type of message is looked up in the
 * directory before a message is kept for somebody who may never come.
 */
import * as z from 'zod'
import { defineMessage } from '../../../protocols/delivery/define-message.ts'
import { MESSAGE_OFFER_PREFIX } from '../../../protocols/delivery/receive/received-types.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import type { Mesh } from '../../api.ts'
import type * as schemas from '../control-schemas.ts'
import { findPeer } from './run-call.ts'

type Agents = ReturnType<Mesh['directory']['agents']>

const MAX_NAMES = 20

/** Types of messages, and protocols, by which an agent can be chosen. */
const takenBy = (agents: Agents): string[] => {
  const names = agents.flatMap(({ record }) => record.protocols.map(({ name }) => name))
  return [
    ...new Set(
      names.map((name) => (name.startsWith(MESSAGE_OFFER_PREFIX) ? name.slice(MESSAGE_OFFER_PREFIX.length) : name)),
    ),
  ]
}

const hintOf = (name: string, known: readonly string[]): string => {
  const guess = nearestName(name, known)
  const there = known.length === 0 ? 'nobody offers anything' : `offered are ${known.slice(0, MAX_NAMES).join(', ')}`
  return `${guess === undefined ? `${there};` : `did you mean ${guess}?`} with --keep it waits here until somebody does`
}

/** @throws COM004 where nobody is there whom the message could go to */
export const checkHasReceiver = (agents: Agents, capability: string): void => {
  const known = takenBy(agents)
  if (known.includes(capability)) return
  throw new ParleyError(
    'COM004',
    `nobody receives messages of the type ${capability}, or serves a protocol of that name`,
    {
      hint: hintOf(capability, known),
    },
  )
}

/** Of these peers, the names of those that do not say that they receive this type. */
export const notReceiving = (agents: Agents, peers: readonly string[], type: string): string[] =>
  agents
    .filter(({ peer }) => peers.includes(peer))
    .filter(({ record }) => !record.protocols.some(({ name }) => name === MESSAGE_OFFER_PREFIX + type))
    .map(({ name, peer }) => name || peer)

export const send = async (
  mesh: Pick<Mesh, 'messages' | 'directory'>,
  { type, data, to, capability, version, waitMs, keep, ...rest }: z.output<typeof schemas.SendSchema>,
): Promise<z.output<typeof schemas.SentSchema>> => {
  const { guarantee, rebind, conversationId, headers, ttlMs } = rest
  if (to !== undefined && capability !== undefined) {
    throw new ParleyError('MSG001', 'a message goes to peers or to a capability', { hint: 'leave out one of them' })
  }
  const message = defineMessage({ type, version, schema: z.unknown() })
  const peers = to?.map((one) => findPeer(mesh, one))
  const agents = mesh.directory.agents()
  if (peers === undefined && keep !== true) checkHasReceiver(agents, capability ?? type)
  const whom = peers ?? { capability: capability ?? type }
  const receipt = await mesh.messages.send(whom, message, data, {
    ...(guarantee !== undefined && { guarantee }),
    ...(rebind !== undefined && { rebind }),
    ...(conversationId !== undefined && { conversationId }),
    ...(headers !== undefined && { headers }),
    ...(ttlMs !== undefined && { ttlMs }),
  })
  const without = notReceiving(agents, receipt.destinations, type)
  const sent = {
    id: receipt.id,
    destinations: [...receipt.destinations],
    ...(peers !== undefined && without.length > 0 && { notReceiving: without }),
  }
  if (waitMs === undefined) return sent
  const signal = AbortSignal.timeout(waitMs)
  try {
    await receipt.delivered({ signal })
    return { ...sent, delivered: true }
  } catch (error) {
    // It is still on its way: that is no failure of the message.
    if (signal.aborted) return { ...sent, delivered: false }
    throw error
  }
}
