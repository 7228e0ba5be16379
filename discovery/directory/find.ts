/** One agent by peer id or by name. Pure. */
import { ParleyError } from '../../protocols/errors.ts'
import type { Agent } from '../directory-state.ts'

/** An agent that came back with a new identity has its old record beside the new one for a while. */
const rank = ({ self, connected, state }: Agent): number => (state === 'suspect' ? 0 : 2) + (self || connected ? 1 : 0)

/**
 * @returns undefined when nobody has this peer id or name
 * @throws STA003 when several agents have this name and none stands out: alive before suspect, connected before not
 */
export const findAgent = (agents: readonly Agent[], nameOrId: string): Agent | undefined => {
  const exact = agents.find(({ peer }) => peer === nameOrId)
  if (exact) return exact
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
