/**
 * The delegation chain of a request: through whom it came, first the one that asked. A handler that calls on behalf of its
 * request passes the chain on, with itself at the end. Pure.
 *
 * A hop is a peer and what it was asked for, `<peer>/<protocol>.<method>` or `<peer>/message:<type>`; the one that asked first
 * is its peer alone. It is a cycle where a peer is asked for what it was asked for in the chain already. The same peer asked for
 * something else is none: that is how one calls back.
 *
 * Each node proves the last hop only: it must be the peer that Noise proved. Those before it are what that peer says.
 */
import { ParleyError, stateError } from '../errors.ts'

export type DelegationChain = readonly string[]

export const MAX_HOPS = 32
export const MAX_HOP_CHARS = 256
/** In errors, which travel. */
const SHOWN_CHARS = 200

const HOP = /^[A-Za-z0-9]{1,128}(\/[!-~]{1,127})?$/

/** @param label `<protocol>.<method>`, or what else was asked for */
export const hopOf = (peer: string, label: string): string => `${peer}/${label}`

const peerOf = (hop: string): string => {
  const at = hop.indexOf('/')
  return at < 0 ? hop : hop.slice(0, at)
}

/** What a handler passes on. @param before what its request came with @param caller who sent it @param hop this node's own */
export const chainThrough = (before: DelegationChain | undefined, caller: string, hop: string): DelegationChain => [
  ...(before === undefined || before.length === 0 ? [caller] : before),
  hop,
]

const cycleError = (chain: DelegationChain, hop: string): ParleyError =>
  stateError(
    'delegation-cycle',
    `${hop.slice(0, SHOWN_CHARS)} was asked for the same thing before, on behalf of the same request`,
    'details.chain shows its way; ask another agent, or for something else; what begins anew is called without parent',
    { chain: [...chain, hop] },
  )

const depthError = (chain: DelegationChain): ParleyError =>
  stateError(
    'delegation-depth',
    `a request was passed on ${chain.length} times, at most ${MAX_HOPS} hops are taken`,
    'details.chain shows its way; do the work nearer to the one that asked',
    { chain: chain.slice(0, MAX_HOPS), limit: MAX_HOPS },
  )

/** Those that were asked for this in the chain already. */
export const askedFor = (chain: DelegationChain, label: string): string[] =>
  chain.filter((hop) => hop.endsWith(`/${label}`)).map(peerOf)

/** Whether this peer was asked for the same thing in the chain already. */
export const wouldCycle = (chain: DelegationChain, peer: string, label: string): boolean =>
  chain.includes(hopOf(peer, label))

/** @throws STA003 `delegation-cycle` with `details.chain` */
export const requireNoCycle = (chain: DelegationChain, peer: string, label: string): void => {
  if (wouldCycle(chain, peer, label)) throw cycleError(chain, hopOf(peer, label))
}

/** Before it is sent. @throws STA003 `delegation-depth` */
export const requireDepth = (chain: DelegationChain): void => {
  if (chain.length > MAX_HOPS) throw depthError(chain)
}

/**
 * What came with a request. @param caller proven by Noise @param peer this node
 * @throws MSG001 for what is no chain; SEC003 where the last hop is another peer; STA003 `delegation-depth`, `delegation-cycle`
 */
export const requireChain = (chain: DelegationChain, caller: string, peer: string, label: string): void => {
  requireDepth(chain)
  const wrong = chain.find((hop) => hop.length > MAX_HOP_CHARS || !HOP.test(hop))
  if (wrong !== undefined)
    throw new ParleyError('MSG001', `a delegation chain has the hop ${JSON.stringify(wrong.slice(0, SHOWN_CHARS))}`, {
      hint: 'a hop is <peer>/<what it was asked for>',
    })
  const last = peerOf(chain.at(-1) ?? '')
  if (last !== caller)
    throw new ParleyError('SEC003', `${caller} sent a delegation chain that ends with ${JSON.stringify(last)}`, {
      hint: 'its last hop is the node that sends it',
      details: { reason: 'delegation-chain' },
    })
  requireNoCycle(chain, peer, label)
}
