/**
 * The proof of coordination of one node: what it has proven, what it signs, whom it asks, and whose word counts meanwhile.
 *
 * *Enforced*: who coordinates is believed only where it was proven, or where this node's own member of the group says so.
 * *Observed*: as before there were proofs, and what would be refused is counted. It is enforced from the start, and observed
 * only in a mesh of older voters: where nothing was proven, the journal's level (as far as this node has a journal) does not
 * say that every voter knows proofs, and nobody who was asked showed any for GRACE_MS. The first proof ends that for good.
 * Voters sign once the level says so, and no sooner: an older one among them could lead and prove nothing.
 *
 * State: the chain (kept), what was applied, since when something was in doubt. Wire id `/parley/proof/1`.
 */
import type { Port, Stop } from '../../port.ts'
import type { ProvenVoters } from '../group-api.ts'
import { peerOf } from '../member-id.ts'
import { createAsking } from './asking.ts'
import type { Beginning } from './beginning.ts'
import { type Chain, headOf, isBare, sameVoters, termOf } from './chain.ts'
import { createCollecting } from './collecting.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { createProvenChain, type ProofStore } from './proven-chain.ts'
import { createShares, createShowing } from './showing.ts'
import { type Proof, proofDigest, votersDigest } from './statement.ts'

/** The feature level from which on every voter signs. */
export const PROOF_LEVEL = 2
/** So long nobody has to show anything before the mesh counts as one of older voters, milliseconds. */
export const GRACE_MS = 2_000
/** Others that are asked beside who made a claim. */
const ASK_OTHERS = 3
/** Another change of voters waits for the proof of the last one, and no longer than this. */
const SETTLE_MS = 30_000

export type Mode = 'observe' | 'enforce'

/** What travels beside an announcement. */
export interface Shown {
  /** Of the epoch. */
  readonly digest: string
  /** Index of the newest link. */
  readonly head: number
  readonly proofs?: readonly Proof[] | undefined
}

export interface Claim {
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
  /** As a test wants it. */
  readonly mode?: Mode | undefined
}

export interface ProofFacts {
  readonly mode: Mode
  /** The newest proven epoch; 0 before. */
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  readonly term: number
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
  readonly ledger: Ledger
  enter(meshId: string, beginning: Beginning | undefined): Promise<void>
  isEnforced(): boolean
  /** Whether a claim counts now; where it may come to be proven, that is asked for. @param source who made it */
  judge(claim: Claim, source: string, shown?: Shown): boolean
  /** The newest proven epoch. */
  epoch(): (Claim & { readonly voters: readonly string[] }) | undefined
  /** The highest term that was proven, or that this node's own journal began. */
  term(): number
  /** Something was proven, or the mode is another one: what was in doubt may be looked at again. */
  onChange(fn: () => void): Stop
  /** Of a leader whose epoch has begun, each tick: collects what is missing. */
  lead(term: number, restate: () => void): void
  /** It leads no more. */
  resign(): void
  /** What to show with the announcement of this epoch; undefined: it is not proven yet. */
  shown(epoch: number, isFull: boolean): Shown | undefined
  /** A statement of these voters, or a newer one, is proven: the next change may come. */
  isSettled(voters: readonly string[]): boolean
  facts(): ProofFacts
  counts(): Record<string, number>
  stop(): Promise<void>
}

export const createProofs = async (deps: ProofsDeps): Promise<Proofs> => {
  const { port } = deps
  const now = (): number => port.clock.monotonic()
  const ending = new AbortController()
  const listeners = new Set<() => void>()
  const ledger = createLedger()
  const counts = { unproven: 0, observed: 0 }
  const count = port.metrics.counter(
    'coordination_refused_total',
    'Claims and proofs of who coordinates that were not believed, by reason; mode observe: they were, all the same',
    ['reason', 'mode'],
  )
  /** Since when something is in doubt that nobody has proven; undefined: nothing is. */
  let doubtedAt: number | undefined
  let isAnswered = false
  let isExcused = false
  let next = 0
  let collecting: ReturnType<typeof createCollecting> | undefined
  let restate = (): void => {}
  let unsettledAt: number | undefined

  const proven = createProvenChain(port, deps.store, (reason) => count({ reason, mode: mode() }))
  const chain = (): Chain | undefined => proven.chain()
  const hasProof = (): boolean => {
    const one = chain()
    return one !== undefined && !isBare(one)
  }
  const provenTerm = (): number => {
    const one = chain()
    return one === undefined ? 0 : termOf(one)
  }
  const isEnforced = (): boolean => {
    if (deps.mode !== undefined) return deps.mode === 'enforce'
    return hasProof() || (deps.level() ?? 0) >= PROOF_LEVEL || !isExcused
  }
  const mode = (): Mode => (isEnforced() ? 'enforce' : 'observe')
  const changed = (): void => {
    for (const fn of [...listeners]) fn()
  }
  const isLate = (): boolean => doubtedAt !== undefined && now() - doubtedAt >= GRACE_MS
  const look = (): void => {
    if (isExcused || hasProof() || !isLate() || !isAnswered) return
    isExcused = true
    if (mode() === 'observe')
      port.log.info('nobody proves who coordinates: voters of an older version are taken at their word', {})
    changed()
  }
  const asking = createAsking({
    port,
    proven,
    ended: ending.signal,
    // What its own log says needs no trust; anything else only where nobody had more to show.
    mayPin: (proof) => ledger.factOf({ ...proof, voters: digestOf(proof.voters) }, digestOf) !== undefined || isLate(),
    onAnswer() {
      isAnswered = true
      look()
    },
  })
  const digestOf = (voters: readonly string[]): string => votersDigest(port.hash, voters)

  /** Somebody says what is not proven: who said so, and some others, may show it. */
  const doubt = (source: string): void => {
    doubtedAt ??= now()
    asking.ask(source)
    if (hasProof()) return
    const others = port.members().filter(({ id }) => id !== source && id !== port.self.id)
    for (let i = 0; i < Math.min(ASK_OTHERS, others.length); i += 1) {
      const other = others[next % others.length]
      next += 1
      if (other !== undefined) asking.ask(other.id)
    }
  }

  const maySign = (): boolean => deps.mode !== undefined || (deps.level() ?? 0) >= PROOF_LEVEL
  const showing = await createShowing({ port, ledger, chain, member: deps.member, maySign, digestOf })
  /** Proofs that come with an announcement are few: two when something is new. */
  const shares = createShares(port.clock, 8, 2)
  const stops = [
    port.timers.every(GRACE_MS / 4, look),
    proven.onProven(() => {
      doubtedAt = undefined
      changed()
    }),
  ]

  const epoch = () => {
    const one = chain()
    if (one?.epoch === undefined) return undefined
    return { epoch: one.epoch.term, leader: peerOf(one.epoch.leader), voters: headOf(one)?.voters ?? [] }
  }

  /** Not believed; in the mode of before, counted alone. */
  const refusal = (reason: string): boolean => {
    counts.unproven += 1
    const isOver = !isEnforced()
    if (isOver) counts.observed += 1
    count({ reason, mode: mode() })
    return isOver
  }

  const headIndex = (): number => {
    const one = chain()
    return (one && headOf(one)?.index) ?? 0
  }
  /** Takes what came with a claim; where that does not prove it, whoever made it may have the links before. */
  const catchUp = (source: string, shown: Shown | undefined): void => {
    if (shown?.proofs === undefined || !shares.take(source)) {
      doubt(source)
      return
    }
    const offer = async (proofs: readonly Proof[]): Promise<void> => {
      for (const proof of proofs) await proven.offer(proof, false)
      const one = chain()
      const digest = one?.epoch && proofDigest(port.hash, one.epoch)
      if (digest !== shown.digest || headIndex() < shown.head) doubt(source)
    }
    offer(shown.proofs).catch((error: unknown) => port.log.error('a proof could not be looked at', { error }))
  }

  return {
    ledger,
    voters: {
      isVoter(member) {
        const one = chain()
        return one !== undefined && (headOf(one)?.voters.includes(member) ?? false)
      },
      term: provenTerm,
      wanted(member) {
        doubt(peerOf(member))
      },
      isEnforced,
    },
    async enter(meshId, beginning) {
      if (chain()?.meshId !== meshId) {
        ledger.clear()
        asking.clear()
        collecting?.stop()
        doubtedAt = undefined
        isAnswered = false
        isExcused = false
      }
      await proven.enter(meshId, beginning)
    },
    isEnforced,
    judge(claim, source, shown) {
      const known = epoch()
      if (known !== undefined && claim.epoch <= known.epoch) {
        const isIt = claim.epoch === known.epoch && claim.leader === known.leader
        // The links of this epoch, which came later than its beginning.
        if (isIt && shown !== undefined && shown.head > headIndex()) catchUp(source, shown)
        return isIt || refusal('lower')
      }
      doubtedAt ??= now()
      catchUp(source, shown)
      return refusal('unproven')
    },
    epoch,
    term: () => Math.max(provenTerm(), ledger.term()),
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    lead(term, again) {
      restate = again
      if (!maySign()) return
      collecting ??= createCollecting({ port, proven, ledger, sign: showing.sign, restate: () => restate() })
      collecting.look(term)
    },
    resign() {
      collecting?.stop()
    },
    shown(term, isFull) {
      const one = chain()
      if (one?.epoch === undefined || one.epoch.term !== term) return undefined
      const digest = proofDigest(port.hash, one.epoch)
      const last = one.links.at(-1)
      const proofs = last === undefined || last === one.epoch ? [one.epoch] : [last, one.epoch]
      return { digest, head: headOf(one)?.index ?? 0, ...(isFull && { proofs }) }
    },
    isSettled(voters) {
      const one = chain()
      if (one === undefined || !maySign() || sameVoters(headOf(one)?.voters ?? [], [...voters].sort())) {
        unsettledAt = undefined
        return true
      }
      unsettledAt ??= now()
      return now() - unsettledAt >= SETTLE_MS
    },
    facts() {
      const one = chain()
      const head = one && headOf(one)
      const known = epoch()
      return {
        mode: mode(),
        epoch: known?.epoch ?? 0,
        leader: known?.leader,
        term: provenTerm(),
        links: one?.links.length ?? 0,
        head: head?.index ?? 0,
        voters: head?.voters ?? [],
        base: one?.pinned !== undefined ? 'pinned' : one?.beginning?.type,
        refused: { ...proven.counts().refused, unproven: counts.unproven },
      }
    },
    counts: () => {
      const { verified, unsaved } = proven.counts()
      return { ...counts, verified, unsaved, ...showing.counts(), ...asking.counts() }
    },
    async stop() {
      ending.abort()
      for (const stop of stops) stop()
      listeners.clear()
      collecting?.stop()
      await showing.stop()
      await proven.settled()
    },
  }
}
