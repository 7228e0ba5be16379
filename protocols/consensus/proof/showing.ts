/**
 * What this node tells others of the proof of coordination: its signature under what it applied itself, and the chain that it
 * has proven, a page at a time.
 *
 * Each peer has a share of questions; signatures that were given are remembered, and given again for nothing. State: the
 * shares, and the last MAX_SIGNED signatures.
 */

import { toString as encodeText } from 'uint8arrays/to-string'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { StateReason } from '../../state-reasons.ts'
import type { Chain } from './chain.ts'
import { PAGE_LINKS, proofProtocol } from './contract.ts'
import type { Ledger } from './ledger.ts'
import { type Statement, signedBytes } from './statement.ts'

/** Signatures that are remembered. */
const MAX_SIGNED = 128
const MAX_PEERS = 1_024
/** Questions of one peer: at once, and each second after that. A chain of 4,096 links is 256 of them. */
const BURST = 64
const EACH_SECOND = 32

export interface Shares {
  /** @returns whether this peer may have one more */
  take(peer: string): boolean
}

/** So many at once for each peer, and so many each second. The peer that asked longest ago is forgotten first. */
export const createShares = (clock: Pick<Port['clock'], 'monotonic'>, burst: number, eachSecond: number): Shares => {
  const left = new Map<string, { readonly count: number; readonly at: number }>()
  return {
    take(peer) {
      const at = clock.monotonic()
      const before = left.get(peer) ?? { count: burst, at }
      const count = Math.min(burst, before.count + ((at - before.at) * eachSecond) / 1_000)
      left.delete(peer)
      left.set(peer, { count: count >= 1 ? count - 1 : count, at })
      const [oldest] = left.keys()
      if (left.size > MAX_PEERS && oldest !== undefined) left.delete(oldest)
      return count >= 1
    },
  }
}

export interface ShowingDeps {
  readonly port: Pick<Port, 'clock' | 'sign' | 'serve'>
  readonly ledger: Ledger
  chain(): Chain | undefined
  /** This node's member id. */
  member(): string | undefined
  /** Every voter knows proofs. */
  maySign(): boolean
  digestOf(voters: readonly string[]): string
}

export interface Showing {
  /** @throws STA003 with `details.reason`: `other-mesh`, `level`, `not-applied` */
  sign(statement: Statement): Promise<{ member: string; signature: string }>
  counts(): { signed: number; limited: number }
  stop(): Promise<void>
}

const refuse = (reason: StateReason, message: string, hint: string): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason } })
const otherMesh = (): ParleyError =>
  refuse('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')

export const createShowing = async (deps: ShowingDeps): Promise<Showing> => {
  const { port, ledger, chain, digestOf } = deps
  const signed = new Map<string, string>()
  const counts = { signed: 0, limited: 0 }
  const shares = createShares(port.clock, BURST, EACH_SECOND)

  const sign = async (statement: Statement): Promise<{ member: string; signature: string }> => {
    if (statement.meshId !== chain()?.meshId) throw otherMesh()
    if (!deps.maySign()) throw refuse('level', 'not every voter knows proofs yet', 'upgrade all voters')
    const member = deps.member()
    const fact = ledger.factOf(statement, digestOf)
    if (fact === undefined || member === undefined || !fact.voters.includes(member))
      throw refuse('not-applied', 'this member did not apply that, or has no vote in it', 'ask again, or another voter')
    const bytes = signedBytes(statement)
    const name = encodeText(bytes)
    const known = signed.get(name)
    if (known !== undefined) return { member, signature: known }
    const signature = encodeText(await port.sign(bytes), 'base64url')
    counts.signed += 1
    signed.set(name, signature)
    const [oldest] = signed.keys()
    if (signed.size > MAX_SIGNED && oldest !== undefined) signed.delete(oldest)
    return { member, signature }
  }

  const limit = (peer: string): void => {
    if (shares.take(peer)) return
    counts.limited += 1
    throw new ParleyError('COM003', 'too many questions about who coordinates', {
      hint: 'ask less often',
      details: { retryAfterMs: 1_000 },
    })
  }

  const stop = await port.serve(proofProtocol, {
    async sign(statement, { peer }) {
      limit(peer)
      return sign(statement)
    },
    links({ meshId, after }, { peer }) {
      limit(peer)
      const one = chain()
      if (one === undefined || one.meshId !== meshId) throw otherMesh()
      const { beginning, pinned, links, epoch } = one
      const from = links.findIndex(({ index }) => index > after)
      const page = from < 0 ? [] : links.slice(from, from + PAGE_LINKS)
      const more = from >= 0 && from + PAGE_LINKS < links.length
      return {
        ...(beginning !== undefined && { beginning }),
        ...(pinned !== undefined && pinned.index > after && { pinned }),
        links: page,
        more,
        ...(epoch !== undefined && (!more || epoch.index <= (page.at(-1)?.index ?? 0)) && { epoch }),
      }
    },
  })

  return { sign, counts: () => ({ ...counts }), stop }
}
