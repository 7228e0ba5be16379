/**
 * What this node tells others of the proof of coordination: its signature under what it applied itself, and the chain that it
 * has proven, a page at a time.
 *
 * Each peer may ask so often; signatures that were given are remembered, and given again for nothing. State: the
 * rates, and the last MAX_SIGNED signatures.
 */

import { toString as encodeText } from 'uint8arrays/to-string'
import { ParleyError, stateError } from '../../errors.ts'
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Port } from '../../port.ts'
import type { AppliedFact, AppliedFacts } from './applied-facts.ts'
import { PAGE_LINKS, proofProtocol } from './contract.ts'
import type { ProofChain } from './proof-chain.ts'
import { type Statement, signedBytes } from './statement.ts'

/** Signatures that are remembered. */
const MAX_SIGNED = 128
const MAX_PEERS = 1_024
/** Questions of one peer: at once, and each second after that. A chain of 4,096 links is 256 of them. */
const BURST = 64
const EACH_SECOND = 32
/** Whoever leads knows first what is committed: a question waits for so long until it is applied here, and so many of them. */
const APPLY_MS = 500
const MAX_WAITING = 16

export interface ProofServerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'sign' | 'serve'>
  readonly appliedFacts: AppliedFacts
  chain(): ProofChain | undefined
  /** This node's member id. */
  member(): string | undefined
  /** Every voter knows proofs. Before, only whom this member follows may ask, who sees whether all of them sign. */
  areAllAble(): boolean
  /** Peer id of whom this member follows. */
  leader(): string | undefined
  digestOf(voters: readonly string[]): string
}

export interface ProofServer {
  /** @throws STA003 with `details.reason`: `other-mesh`, `level`, `not-applied` */
  sign(statement: Statement, peer: string): Promise<{ member: string; signature: string }>
  counts(): { signed: number; limited: number }
  stop(): Promise<void>
}

const otherMesh = (): ParleyError =>
  stateError('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')

export const createProofServer = async (deps: ProofServerDeps): Promise<ProofServer> => {
  const { port, appliedFacts, chain, digestOf } = deps
  const signed = new Map<string, string>()
  const counts = { signed: 0 }
  const rates = createRateLimiter({ perSecond: EACH_SECOND, burst: BURST, maxKeys: MAX_PEERS })

  let waiting = 0
  const applied = (statement: Statement): Promise<AppliedFact | undefined> => {
    if (waiting >= MAX_WAITING || statement.index <= appliedFacts.index()) return Promise.resolve(undefined)
    waiting += 1
    return new Promise((resolve) => {
      const end = (fact: AppliedFact | undefined): void => {
        waiting -= 1
        stopHearing()
        stopWaiting()
        resolve(fact)
      }
      const stopHearing = appliedFacts.onFact(() => {
        if (statement.index <= appliedFacts.index()) end(appliedFacts.factOf(statement, digestOf))
      })
      const stopWaiting = port.timers.after(APPLY_MS, () => end(undefined))
    })
  }

  const sign = async (statement: Statement, peer: string): Promise<{ member: string; signature: string }> => {
    if (statement.meshId !== chain()?.meshId) throw otherMesh()
    if (!deps.areAllAble() && peer !== deps.leader())
      throw stateError('level', 'not every voter is known to know proofs yet', 'upgrade all voters')
    const member = deps.member()
    const isLed = peer === deps.leader()
    const fact = appliedFacts.factOf(statement, digestOf) ?? (isLed ? await applied(statement) : undefined)
    if (fact === undefined || member === undefined || !fact.voters.includes(member))
      throw stateError(
        'not-applied',
        'this member did not apply that, or has no vote in it',
        'ask again, or another voter',
      )
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
    if (rates.take(peer, port.clock.monotonic())) return
    throw new ParleyError('COM003', 'too many questions about who coordinates', {
      hint: 'ask less often',
      details: { retryAfterMs: 1_000 },
    })
  }

  const stop = await port.serve(proofProtocol, {
    async sign(statement, { peer }) {
      limit(peer)
      return sign(statement, peer)
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

  return { sign, counts: () => ({ ...counts, limited: rates.refused() }), stop }
}
