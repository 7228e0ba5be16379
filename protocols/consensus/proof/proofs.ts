/**
 * The proof of coordination of one node: what it has proven, what it signs, whom it asks, and whose word counts meanwhile.
 *
 * What counts before it is proven: proof-enforcement.ts.
 * An older voter could lead and prove nothing: so before the level, or a proof, says that all of them know proofs, all have to
 * sign the first one, and they do so for whom they follow alone.
 *
 * State: the chain (kept), and what the parts have. Wire id `/parley/proof/1`.
 */
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Port, Stop } from '../../port.ts'
import type { ProvenVoters } from '../group/group-api.ts'
import { peerOf } from '../member-id.ts'
import { type AppliedFacts, createAppliedFacts } from './applied-facts.ts'
import type { ChainBeginning } from './chain-beginning.ts'
import { hasNoProof, newestConfiguration, type ProofChain, provenTermOf, sameVoters } from './proof-chain.ts'
import { createProofEnforcement, PROOF_LEVEL, type ProofMode } from './proof-enforcement.ts'
import { createProofRequests } from './proof-requests.ts'
import { createProofServer } from './proof-server.ts'
import { createProvenChain, type ProofStore } from './proven-chain.ts'
import { createSignatureCollector } from './signature-collector.ts'
import { type Proof, proofDigest, votersDigest } from './statement.ts'

/** Peers whose announcements are counted. */
const MAX_PEERS = 256
/** Another change of voters waits for the proof of the last one, and no longer than this. */
const SETTLE_MS = 30_000

export { PROOF_LEVEL, type ProofMode }

/** What travels beside an announcement. */
export interface ShownProof {
  /** Of the epoch. */
  readonly digest: string
  /** Index of the newest link. */
  readonly head: number
  readonly proofs?: readonly Proof[] | undefined
}

export interface LeaderClaim {
  readonly epoch: number
  /** Peer id. */
  readonly leader: string
}

export interface ProofsDeps {
  readonly port: Pick<
    Port,
    'self' | 'clock' | 'timers' | 'log' | 'hash' | 'sign' | 'verify' | 'random' | 'members' | 'to' | 'serve' | 'metrics'
  >
  readonly store?: ProofStore | undefined
  /** This node's member id, where it has a store. */
  member(): string | undefined
  /** The feature level of this node's own journal; undefined: it has none. */
  level(): number | undefined
  /** Peer id of whom this node's own member follows, or this node where it leads. */
  leader(): string | undefined
  /** As a test wants it. */
  readonly mode?: ProofMode | undefined
}

export interface ProofFacts {
  readonly mode: ProofMode
  /** The newest proven epoch; 0 before. */
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** Links that are kept. */
  readonly links: number
  /** Index of the newest proven configuration. */
  readonly head: number
  readonly voters: readonly string[]
  /** Beginning of the chain; undefined: none is known. */
  readonly base: 'founded' | 'recovered' | 'pinned' | undefined
  readonly refused: Readonly<Record<string, number>>
}

export interface Proofs {
  /** For the group: whose messages may count. */
  readonly voters: ProvenVoters
  /** What this member applies. */
  readonly appliedFacts: AppliedFacts
  setMesh(meshId: string, beginning: ChainBeginning | undefined): Promise<void>
  isEnforced(): boolean
  /** Whether a claim counts now; where it may come to be proven, that is asked for. @param source who made it */
  judgeClaim(claim: LeaderClaim, source: string, proofOf?: ShownProof): boolean
  /** The newest proven epoch. */
  epoch(): (LeaderClaim & { readonly voters: readonly string[] }) | undefined
  /** The highest term that was proven, or that this node's own journal began. */
  term(): number
  /**
   * Whether this term began: it is not above the highest that was proven. Otherwise others are asked, and it resolves once one
   * of them shows that, or after 3 s.
   */
  hasBegun(term: number): true | Promise<boolean>
  /** Something was proven, or the mode is another one: what was in doubt may be looked at again. */
  onChange(fn: () => void): Stop
  /** Of a leader whose epoch has begun, each tick: collects what is missing. */
  collectSignatures(term: number, restate: () => void): void
  /** It leads no more. */
  stopCollecting(): void
  /** What to show with the announcement of this epoch; undefined: it is not proven yet. */
  shown(epoch: number, isFull: boolean): ShownProof | undefined
  /** The feature level that a voter to come has to know. */
  minLevel(): number
  /** A statement of these voters, or a newer one, is proven: the next change may come. */
  isChangeProven(voters: readonly string[]): boolean
  facts(): ProofFacts
  counts(): Record<string, number>
  stop(): Promise<void>
}

export const createProofs = async (deps: ProofsDeps): Promise<Proofs> => {
  const { port } = deps
  const now = (): number => port.clock.monotonic()
  const ending = new AbortController()
  const listeners = new Set<() => void>()
  const appliedFacts = createAppliedFacts()
  const refused: Record<string, number> = {}
  const counter = port.metrics.counter(
    'coordination_refused_total',
    'Claims, fences and proofs of who coordinates that were not believed, by reason; mode observe: they were, all the same',
    ['reason', 'mode'],
  )
  let unsettledAt: number | undefined

  const count = (reason: string, mode: ProofMode): void => {
    refused[reason] = (refused[reason] ?? 0) + 1
    counter({ reason, mode })
  }
  const proven = createProvenChain(port, deps.store, (reason) => count(reason, enforcement.mode()))
  const chain = (): ProofChain | undefined => proven.chain()
  const hasProof = (): boolean => {
    const one = chain()
    return one !== undefined && !hasNoProof(one)
  }
  const provenTerm = (): number => {
    const one = chain()
    return one === undefined ? 0 : provenTermOf(one)
  }
  const highest = (): number => Math.max(provenTerm(), appliedFacts.term())
  const changed = (): void => {
    for (const fn of [...listeners]) fn()
  }
  const digestOf = (voters: readonly string[]): string => votersDigest(port.hash, voters)
  const requests = createProofRequests({
    port,
    proven,
    ended: ending.signal,
    // What its own log says needs no trust; anything else only where nobody had more to show.
    mayPin: (proof) =>
      appliedFacts.factOf({ ...proof, voters: digestOf(proof.voters) }, digestOf) !== undefined ||
      enforcement.isOverdue(),
    onAnswer: () => enforcement.onAnswer(),
  })
  const { mode, level } = deps
  const { ask } = requests
  const enforcement = createProofEnforcement({
    port,
    mode,
    level,
    hasProof,
    term: highest,
    ask,
    count,
    onRelaxed: changed,
  })

  const areAllAble = (): boolean => hasProof() || (level() ?? 0) >= PROOF_LEVEL
  const { member, leader } = deps
  const server = await createProofServer({ port, appliedFacts, chain, member, leader, areAllAble, digestOf })
  const collector = createSignatureCollector({
    port,
    proven,
    appliedFacts,
    sign: (statement) => server.sign(statement, port.self.id),
    areAllAble,
    askOthers: enforcement.askOthers,
  })
  /** Proofs that come with an announcement are few: two when something is new. */
  const rates = createRateLimiter({ perSecond: 2, burst: 8, maxKeys: MAX_PEERS })
  const stops = [
    enforcement.stop,
    proven.onProven(() => {
      enforcement.onProven()
      changed()
    }),
  ]

  const epoch = () => {
    const one = chain()
    if (one?.epoch === undefined) return undefined
    return { epoch: one.epoch.term, leader: peerOf(one.epoch.leader), voters: newestConfiguration(one)?.voters ?? [] }
  }

  const headIndex = (): number => {
    const one = chain()
    return (one && newestConfiguration(one)?.index) ?? 0
  }
  /** Takes what came with a claim; where that does not prove it, whoever made it may have the links before. */
  const catchUp = (source: string, shown: ShownProof | undefined): void => {
    if (shown?.proofs === undefined || !rates.take(source, now())) {
      enforcement.requestProof(source)
      return
    }
    const offer = async (proofs: readonly Proof[]): Promise<void> => {
      for (const proof of proofs) await proven.submit(proof, false)
      const one = chain()
      const digest = one?.epoch && proofDigest(port.hash, one.epoch)
      if (digest !== shown.digest || headIndex() < shown.head) enforcement.requestProof(source)
    }
    offer(shown.proofs).catch((error: unknown) => port.log.error('a proof could not be looked at', { error }))
  }

  return {
    appliedFacts,
    voters: {
      isVoter(member) {
        const one = chain()
        return one !== undefined && (newestConfiguration(one)?.voters.includes(member) ?? false)
      },
      term: provenTerm,
      requestProof(member) {
        enforcement.requestProof(member.split('.')[0] ?? member)
      },
      isEnforced: enforcement.isEnforced,
    },
    async setMesh(meshId, beginning) {
      if (chain()?.meshId !== meshId) {
        appliedFacts.clear()
        requests.clear()
        collector.stop()
        enforcement.clear()
      }
      await proven.setMesh(meshId, beginning)
    },
    isEnforced: enforcement.isEnforced,
    judgeClaim(claim, source, shown) {
      const known = epoch()
      if (known === undefined || claim.epoch > known.epoch) {
        catchUp(source, shown)
        return enforcement.admitClaim(source, claim.epoch)
      }
      // Who is late says what was.
      if (claim.epoch < known.epoch) return !enforcement.isEnforced()
      if (claim.leader !== known.leader) {
        count('other-leader', enforcement.mode())
        return !enforcement.isEnforced()
      }
      // The links of this epoch, which came later than its beginning.
      if (shown !== undefined && shown.head > headIndex()) catchUp(source, shown)
      return true
    },
    epoch,
    term: highest,
    hasBegun: (term) => (chain() === undefined ? true : enforcement.hasBegun(term)),
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    collectSignatures: (term, restate) => collector.tick(term, restate),
    stopCollecting: collector.stop,
    shown(term, isFull) {
      const one = chain()
      if (one?.epoch === undefined || one.epoch.term !== term) return undefined
      const digest = proofDigest(port.hash, one.epoch)
      const last = one.links.at(-1)
      const proofs = last === undefined || last === one.epoch ? [one.epoch] : [last, one.epoch]
      return { digest, head: newestConfiguration(one)?.index ?? 0, ...(isFull && { proofs }) }
    },
    minLevel: () => (hasProof() ? PROOF_LEVEL : 1),
    isChangeProven(voters) {
      const one = chain()
      if (
        one === undefined ||
        !areAllAble() ||
        sameVoters(newestConfiguration(one)?.voters ?? [], [...voters].sort())
      ) {
        unsettledAt = undefined
        return true
      }
      unsettledAt ??= now()
      return now() - unsettledAt >= SETTLE_MS
    },
    facts() {
      const one = chain()
      return {
        mode: enforcement.mode(),
        epoch: epoch()?.epoch ?? 0,
        leader: epoch()?.leader,
        links: one?.links.length ?? 0,
        head: headIndex(),
        voters: (one && newestConfiguration(one)?.voters) ?? [],
        base: one?.pinned !== undefined ? 'pinned' : one?.beginning?.type,
        refused: { ...refused },
      }
    },
    counts: () => {
      const { verified, unsaved } = proven.counts()
      return { verified, unsaved, ...server.counts(), ...requests.counts() }
    },
    async stop() {
      ending.abort()
      for (const stop of stops) stop()
      listeners.clear()
      collector.stop()
      await server.stop()
      await proven.flushed()
    },
  }
}
