/** Who takes a type of message, as the directory tells: asked before a message is kept for somebody who may never come. Pure. */
import { MESSAGE_OFFER_PREFIX } from '../../../protocols/delivery/receive/received-types.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import type { Mesh } from '../../api.ts'

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
