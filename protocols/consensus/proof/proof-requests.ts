/**
 * Asking others for what they have proven of who coordinates: the beginning, links, the newest epoch.
 *
 * One peer is asked once at a time, a few peers at once, each as seldom as it has shown nothing new: after 250 ms, then twice
 * as long each time, up to 30 s, and 30 s at once after something that was not true. So who only claims to know more costs
 * next to nothing. State: when each peer may be asked again (bounded), and who is being asked.
 */
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { proofProtocol } from './contract.ts'
import { newestConfiguration } from './proof-chain.ts'
import type { ProofVerdict, ProvenChain } from './proven-chain.ts'
import type { Proof } from './statement.ts'

const AT_ONCE = 4
const MAX_PEERS = 256
const LEAST_MS = 250
const MOST_MS = 30_000
/** 4,096 links, 16 at a time. */
const MAX_PAGES = 260

type Outcome = 'proven' | 'nothing' | 'lied' | 'failed'

export interface ProofRequests {
  /** Asks this peer, unless it was asked lately. */
  ask(peer: string): void
  /** Everybody may be asked at once again. */
  clear(): void
  counts(): { asked: number; lied: number; unanswered: number }
}

export interface ProofRequestsDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'to'>
  readonly proven: ProvenChain
  mayPin(proof: Proof): boolean
  /** Somebody answered, or cannot. */
  onAnswer(outcome: Outcome): void
  readonly ended: AbortSignal
}

/** Refusals of what an honest peer, that has proven other things, may show. */
const HONEST: ReadonlySet<ProofVerdict> = new Set<ProofVerdict>([
  'taken',
  'known',
  'lower',
  'not-pinned',
  'busy',
  'too-few',
])

export const createProofRequests = ({ port, proven, mayPin, onAnswer, ended }: ProofRequestsDeps): ProofRequests => {
  const peers = new Map<string, { readonly notBefore: number; readonly delayMs: number }>()
  const open = new Set<string>()
  const counts = { asked: 0, lied: 0, unanswered: 0 }

  /** @throws what the call does */
  const fetch = async (peer: string): Promise<Outcome> => {
    let isNew = false
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const chain = proven.chain()
      if (chain === undefined) return 'nothing'
      const after = newestConfiguration(chain)?.index ?? 0
      const request = { meshId: chain.meshId, after }
      const answer = await port.to(peer, proofProtocol).links(request, { signal: ended })
      if (answer.beginning !== undefined && !proven.setBeginning(answer.beginning)) return 'lied'
      const { pinned, links, epoch, more } = answer
      // In the order of the log: who voted later may not speak for what was before.
      const shown = [pinned, ...links, epoch].filter((proof) => proof !== undefined).sort((a, b) => a.index - b.index)
      for (const proof of shown) {
        const verdict = await proven.submit(proof, mayPin(proof))
        if (!HONEST.has(verdict)) return 'lied'
        isNew ||= verdict === 'taken'
      }
      const now = proven.chain()
      const isFurther = now !== undefined && (newestConfiguration(now)?.index ?? 0) > after
      if (!more || !isFurther) break
    }
    return isNew ? 'proven' : 'nothing'
  }

  const after = (peer: string, outcome: Outcome, delayMs: number): void => {
    const next = outcome === 'proven' ? LEAST_MS : outcome === 'lied' ? MOST_MS : Math.min(MOST_MS, 2 * delayMs)
    peers.delete(peer)
    peers.set(peer, { notBefore: port.clock.monotonic() + next, delayMs: next })
    const [oldest] = peers.keys()
    if (peers.size > MAX_PEERS && oldest !== undefined) peers.delete(oldest)
  }

  const run = async (peer: string, delayMs: number): Promise<void> => {
    let outcome: Outcome
    try {
      outcome = await fetch(peer)
    } catch (error) {
      outcome = isParleyError(error, 'MSG001', 'MSG003') ? 'lied' : 'failed'
    }
    open.delete(peer)
    if (ended.aborted) return
    if (outcome === 'lied') counts.lied += 1
    if (outcome === 'failed') counts.unanswered += 1
    after(peer, outcome, delayMs)
    onAnswer(outcome)
  }

  return {
    ask(peer) {
      const { notBefore = 0, delayMs = LEAST_MS / 2 } = peers.get(peer) ?? {}
      if (peer === port.self.id || open.has(peer) || open.size >= AT_ONCE || ended.aborted) return
      if (port.clock.monotonic() < notBefore) return
      open.add(peer)
      counts.asked += 1
      void run(peer, delayMs)
    },
    clear: () => peers.clear(),
    counts: () => ({ ...counts }),
  }
}
