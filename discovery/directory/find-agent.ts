/** One agent by peer id or by name. A name proves nothing: who has to be sure goes by the peer id. Pure. */
import { ParleyError } from '../../protocols/errors.ts'
import { nearestName } from '../../protocols/unknown-keys.ts'
import type { Agent } from './tables/agent-change.ts'

/** An agent that came back with a new identity has its old record beside the new one for a while. */
const rank = ({ self, connected, state }: Agent): number => (state === 'suspect' ? 0 : 2) + (self || connected ? 1 : 0)

/** Base58 of the hash of a public key, or of the key itself where that is short (libp2p's peer ids). */
const PEER_ID = /^(12D3KooW[1-9A-HJ-NP-Za-km-z]{44}|16Uiu2HA[1-9A-HJ-NP-Za-km-z]{45}|Qm[1-9A-HJ-NP-Za-km-z]{44})$/
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** Names that an error lists. */
const MAX_NAMES = 8

export const isPeerId = (text: string): boolean => PEER_ID.test(text)

/**
 * @param where what was asked to whom, as it stands in the error: `to()`
 * @returns what was given
 * @throws MSG001 for what is neither a peer id nor the name of an agent
 */
export const checkTarget = (given: unknown, where: string): string => {
  if (typeof given === 'string' && (isPeerId(given) || NAME.test(given))) return given
  const shown = typeof given === 'string' ? JSON.stringify(given.slice(0, 80)) : given === null ? 'null' : typeof given
  const isAddress = typeof given === 'string' && given.startsWith('/')
  throw new ParleyError('MSG001', `${where} takes a peer id or the name of an agent, and was given ${shown}`, {
    hint: isAddress
      ? 'an address is for join; the peer id is what stands behind /p2p/'
      : 'peer ids and names are in mesh.directory.agents() and in the list of parley peers',
  })
}

/**
 * The peer id that a name stands for now; a peer id stands for itself, whether it is known or not.
 * @throws COM002 where nobody has this name, STA003 where several have it
 */
export const peerIdOf = (agents: () => readonly Agent[], nameOrId: string): string => {
  if (isPeerId(nameOrId)) return nameOrId
  const all = agents()
  const agent = findAgent(all, nameOrId)
  if (agent !== undefined) return agent.peer
  const names = [...new Set(all.filter(({ self }) => !self).map(({ name }) => name))]
  const meant = nearestName(nameOrId, names)
  const known = names.slice(0, MAX_NAMES).join(', ')
  const others =
    names.length === 0 ? 'no other agent is known' : meant ? `did you mean ${meant}?` : `known are ${known}`
  throw new ParleyError('COM002', `no agent is called ${JSON.stringify(nameOrId)}, and no peer has this id`, {
    hint: `${others}; parley peers lists who is connected, parley agents all that are known`,
    details: { sent: false, reason: 'unknown-name' },
  })
}

/**
 * Whom a program means: a peer id as it is, a name as `peerOf`.
 * @throws MSG001, COM002, STA003
 */
export const resolveTarget = (agents: () => readonly Agent[], given: unknown, where: string): string =>
  typeof given === 'string' && isPeerId(given) ? given : peerIdOf(agents, checkTarget(given, where))

/**
 * @returns undefined when nobody has this peer id or name
 * @throws STA003 when several agents have this name and none stands out: alive before suspect, connected before not
 */
export const findAgent = (agents: readonly Agent[], nameOrId: string): Agent | undefined => {
  const exact = agents.find(({ peer }) => peer === nameOrId)
  // Who calls itself by the id of another one is not that one.
  if (exact !== undefined || isPeerId(nameOrId)) return exact
  const named = agents.filter(({ name }) => name === nameOrId)
  const best = Math.max(...named.map(rank))
  const [first, ...others] = named.filter((agent) => rank(agent) === best)
  if (first === undefined || others.length === 0) return first
  const peers = [first, ...others].map(({ peer }) => peer)
  throw new ParleyError('STA003', `${peers.length} agents are called ${JSON.stringify(nameOrId)}`, {
    hint: `use a peer id: ${peers.slice(0, 4).join(', ')}${peers.length > 4 ? ', …' : ''}`,
    details: { reason: 'ambiguous', peers: peers.slice(0, 16) },
  })
}
