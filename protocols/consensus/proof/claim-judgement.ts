/**
 * Whether somebody's claim of who coordinates counts: it has to agree with what was proven; a newer one counts as
 * proof-enforcement.ts says, and whoever made it is asked for the proof.
 *
 * State: how often each peer may show proofs beside its claims (bounded).
 */
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Port } from '../../port.ts'
import type { LeaderClaim, ShownProof } from './proof-api.ts'
import type { ProofEnforcement, ProofMode } from './proof-enforcement.ts'
import type { ProvenChain } from './proven-chain.ts'
import { type Proof, proofDigest } from './statement.ts'

/** Proofs that come with an announcement are few: two when something is new. */
const SHOWN_RATE = { perSecond: 2, burst: 8, maxKeys: 256 }

export interface ClaimJudgementDeps {
  readonly port: Pick<Port, 'clock' | 'hash' | 'log'>
  readonly proven: ProvenChain
  readonly enforcement: Pick<ProofEnforcement, 'isEnforced' | 'mode' | 'requestProof' | 'admitClaim'>
  /** Counts what does not count, or would not. */
  count(reason: string, mode: ProofMode): void
}

export class ClaimJudgement {
  readonly #deps: ClaimJudgementDeps
  readonly #rates = createRateLimiter(SHOWN_RATE)

  constructor(deps: ClaimJudgementDeps) {
    this.#deps = deps
  }

  /** @param source who made the claim @returns whether it counts now; where it may come to be proven, that is asked for */
  judge(claim: LeaderClaim, source: string, shown: ShownProof | undefined): boolean {
    const { proven, enforcement } = this.#deps
    const known = proven.epoch()
    if (known === undefined || claim.epoch > known.epoch) {
      this.#catchUp(source, shown)
      return enforcement.admitClaim(source, claim.epoch)
    }
    // Who is late says what was.
    if (claim.epoch < known.epoch) return !enforcement.isEnforced()
    if (claim.leader !== known.leader) {
      this.#deps.count('other-leader', enforcement.mode())
      return !enforcement.isEnforced()
    }
    // The links of this epoch, which came later than its beginning.
    if (shown !== undefined && shown.head > this.#headIndex()) this.#catchUp(source, shown)
    return true
  }

  #headIndex(): number {
    return this.#deps.proven.head()?.index ?? 0
  }

  /** Takes what came with a claim; where that does not prove it, whoever made it may have the links before. */
  #catchUp(source: string, shown: ShownProof | undefined): void {
    const { port, enforcement } = this.#deps
    if (shown?.proofs === undefined || !this.#rates.take(source, port.clock.monotonic())) {
      enforcement.requestProof(source)
      return
    }
    this.#submit(source, shown, shown.proofs).catch((error: unknown) =>
      port.log.error('a proof could not be looked at', { error }),
    )
  }

  async #submit(source: string, { digest, head }: ShownProof, proofs: readonly Proof[]): Promise<void> {
    const { port, proven, enforcement } = this.#deps
    for (const proof of proofs) await proven.submit(proof, false)
    const epoch = proven.chain()?.epoch
    const isShown = epoch !== undefined && proofDigest(port.hash, epoch) === digest
    if (!isShown || this.#headIndex() < head) enforcement.requestProof(source)
  }
}
