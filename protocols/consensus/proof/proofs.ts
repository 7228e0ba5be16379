/**
 * The proof of coordination of one node: what it has proven, what it signs, whom it asks, and whose word counts meanwhile.
 *
 * What counts before it is proven: proof-enforcement.ts.
 * An older voter could lead and prove nothing: so before the level, or a proof, says that all of them know proofs, all have to
 * sign the first one, and they do so for whom they follow alone.
 *
 * State: the chain (kept), and what the parts have. Wire id `/parley/proof/1`.
 */
import type { Port } from '../../port.ts'
import type { ProvenVoters } from '../group/group-api.ts'
import { createAppliedFacts } from './applied-facts.ts'
import { ClaimJudgement } from './claim-judgement.ts'
import type { ProofFacts, Proofs, ProofsDeps, ShownProof } from './proof-api.ts'
import { newestConfiguration, type ProofChain, sameVoters } from './proof-chain.ts'
import { createProofEnforcement, PROOF_LEVEL, type ProofEnforcement, type ProofMode } from './proof-enforcement.ts'
import { createProofRequests } from './proof-requests.ts'
import { createProofServer } from './proof-server.ts'
import { ProvenChain } from './proven-chain.ts'
import { createSignatureCollector } from './signature-collector.ts'
import { proofDigest, votersDigest } from './statement.ts'

/** Another change of voters waits for the proof of the last one, and no longer than this. */
const SETTLE_MS = 30_000

/** What was not believed, by reason. */
const createRefusals = (metrics: Port['metrics']) => {
  const refused: Record<string, number> = {}
  const counter = metrics.counter(
    'coordination_refused_total',
    'Claims, fences and proofs of who coordinates that were not believed, by reason; mode observe: they were, all the same',
    ['reason', 'mode'],
  )
  return {
    count(reason: string, mode: ProofMode): void {
      refused[reason] = (refused[reason] ?? 0) + 1
      counter({ reason, mode })
    },
    counts: () => ({ ...refused }),
  }
}

/** Whether the next change of voters may come, by whether the last one is proven. */
const createChangePause = (now: () => number) => {
  let since: number | undefined
  return (isProven: boolean): boolean => {
    if (isProven) {
      since = undefined
      return true
    }
    since ??= now()
    return now() - since >= SETTLE_MS
  }
}

const provenVoters = (proven: ProvenChain, enforcement: ProofEnforcement): ProvenVoters => ({
  isVoter: (member) => proven.head()?.voters.includes(member) ?? false,
  term: () => proven.term(),
  requestProof: (member) => enforcement.requestProof(member.split('.')[0] ?? member),
  isEnforced: enforcement.isEnforced,
})

/** What to show with the announcement of this epoch. */
const shownProofOf = (
  hash: Port['hash'],
  chain: ProofChain | undefined,
  term: number,
  isFull: boolean,
): ShownProof | undefined => {
  if (chain?.epoch === undefined || chain.epoch.term !== term) return undefined
  const last = chain.links.at(-1)
  const proofs = last === undefined || last === chain.epoch ? [chain.epoch] : [last, chain.epoch]
  return {
    digest: proofDigest(hash, chain.epoch),
    head: newestConfiguration(chain)?.index ?? 0,
    ...(isFull && { proofs }),
  }
}

const factsOf = (proven: ProvenChain, mode: ProofMode, refused: Readonly<Record<string, number>>): ProofFacts => {
  const [chain, epoch, head] = [proven.chain(), proven.epoch(), proven.head()]
  return {
    mode,
    epoch: epoch?.epoch ?? 0,
    leader: epoch?.leader,
    links: chain?.links.length ?? 0,
    head: head?.index ?? 0,
    voters: head?.voters ?? [],
    base: chain?.pinned !== undefined ? 'pinned' : chain?.beginning?.type,
    refused,
  }
}

export const createProofs = async (deps: ProofsDeps): Promise<Proofs> => {
  const { port, mode, level, member, leader } = deps
  const now = (): number => port.clock.monotonic()
  const ending = new AbortController()
  const listeners = new Set<() => void>()
  const appliedFacts = createAppliedFacts()
  const refusals = createRefusals(port.metrics)
  const proven = new ProvenChain(port, deps.store, (reason) => refusals.count(reason, enforcement.mode()))
  const highest = (): number => Math.max(proven.term(), appliedFacts.term())
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
  const enforcement = createProofEnforcement({
    port,
    mode,
    level,
    hasProof: () => proven.hasProof(),
    term: highest,
    ask: requests.ask,
    count: refusals.count,
    onRelaxed: changed,
  })
  const areAllAble = (): boolean => proven.hasProof() || (level() ?? 0) >= PROOF_LEVEL
  const chain = (): ProofChain | undefined => proven.chain()
  const server = await createProofServer({ port, appliedFacts, chain, member, leader, areAllAble, digestOf })
  const collector = createSignatureCollector({
    port,
    proven,
    appliedFacts,
    sign: (statement) => server.sign(statement, port.self.id),
    areAllAble,
    askOthers: enforcement.askOthers,
  })
  const claims = new ClaimJudgement({ port, proven, enforcement, count: refusals.count })
  const mayChange = createChangePause(now)
  const stopListening = proven.onProven(() => {
    enforcement.onProven()
    changed()
  })

  return {
    appliedFacts,
    voters: provenVoters(proven, enforcement),
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
    judgeClaim: (claim, source, shown) => claims.judge(claim, source, shown),
    epoch: () => proven.epoch(),
    term: highest,
    hasBegun: (term) => (chain() === undefined ? true : enforcement.hasBegun(term)),
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    collectSignatures: collector.tick,
    stopCollecting: collector.stop,
    shown: (epoch, isFull) => shownProofOf(port.hash, chain(), epoch, isFull),
    minLevel: () => (proven.hasProof() ? PROOF_LEVEL : 1),
    isChangeProven(voters) {
      const isProven = sameVoters(proven.head()?.voters ?? [], [...voters].sort())
      return mayChange(chain() === undefined || !areAllAble() || isProven)
    },
    facts: () => factsOf(proven, enforcement.mode(), refusals.counts()),
    counts: () => ({ ...proven.counts(), ...server.counts(), ...requests.counts() }),
    async stop() {
      ending.abort()
      enforcement.stop()
      stopListening()
      listeners.clear()
      collector.stop()
      await server.stop()
      await proven.flushed()
    },
  }
}
