/**
 * What a node does while somebody says what nobody has proven to it: it asks for the proof, and decides what counts meanwhile.
 *
 * *Enforced*: nothing of it counts. *Observed*: all of it does, as before there were proofs, and it is counted. It is enforced
 * from the start, and observed only in a mesh of older voters: where nothing was proven, the journal's level (as far as this
 * node has a journal) does not say that every voter knows proofs, and nobody who was asked showed any for GRACE_MS. The first
 * proof ends that for good.
 * State: since when something is in doubt, the claims that wait to be proven, fences that wait for their term (bounded).
 */
import type { Port } from '../../port.ts'

/** The feature level from which on every voter signs. */
export const PROOF_LEVEL = 2
/** So long nobody has to show anything before the mesh counts as one of older voters, milliseconds. */
export const GRACE_MS = 2_000
const LOOK_MS = 250
/** Milliseconds that a fence waits for the proof of its term, and how many may wait. */
const BEGIN_MS = 3_000
const MAX_WAITING = 256
/** Peers whose claims wait to be counted. */
const MAX_CLAIMS = 256
/** Others that are asked beside who made a claim. */
const ASK_OTHERS = 3

export type ProofMode = 'observe' | 'enforce'

export interface ProofEnforcementDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'members'>
  /** As a test wants it. */
  readonly mode: ProofMode | undefined
  level(): number | undefined
  /** Something was proven of this mesh. */
  hasProof(): boolean
  /** The highest term that was proven, or that this node's own journal began. */
  term(): number
  /** Asks a peer for what it has proven, where that is not too soon. */
  ask(peer: string): void
  /** Counts what does not count, or would not. */
  count(reason: string, mode: ProofMode): void
  /** It is enforced no more. */
  onRelaxed(): void
}

export interface ProofEnforcement {
  isEnforced(): boolean
  mode(): ProofMode
  /** Nobody has shown any proof for so long that what cannot be linked to anything may be believed. */
  isOverdue(): boolean
  /** Who said something, and others while nothing is proven at all, may show it. */
  requestProof(source: string): void
  askOthers(): void
  /** Somebody says that this epoch began, which is not proven. @returns whether that counts all the same */
  admitClaim(source: string, epoch: number): boolean
  /** Whether this term began; where that is not known others are asked, for BEGIN_MS. */
  hasBegun(term: number): true | Promise<boolean>
  /** Somebody was asked, and it answered or failed to. */
  onAnswer(): void
  /** Something was proven. */
  onProven(): void
  /** Another mesh. */
  clear(): void
  stop(): void
}

/** Fences that wait for the proof of their term, each for BEGIN_MS at most. */
const createWaitingFences = (now: () => number, isOpen: (term: number) => boolean, onRefused: () => void) => {
  const waiting = new Set<() => void>()
  const look = (): void => {
    for (const one of [...waiting]) one()
  }
  return {
    /** @returns whether the term began, as far as that was shown in time */
    begins(term: number): Promise<boolean> {
      const until = now() + BEGIN_MS
      return new Promise((resolve) => {
        const one = (): void => {
          const has = isOpen(term)
          if (!has && now() < until) return
          waiting.delete(one)
          if (!has) onRefused()
          resolve(has)
        }
        waiting.add(one)
      })
    },
    look,
    size: () => waiting.size,
    stop(): void {
      for (const one of [...waiting]) {
        waiting.delete(one)
        one()
      }
    },
  }
}

/** Claims of epochs that are counted where nobody proves them in time. */
const createClaims = (now: () => number, highest: () => number, onUnproven: () => void) => {
  const claims = new Map<string, { readonly epoch: number; readonly at: number }>()
  return {
    add(source: string, epoch: number): void {
      if (claims.has(source) || claims.size < MAX_CLAIMS)
        claims.set(source, { epoch, at: claims.get(source)?.at ?? now() })
    },
    look(): void {
      for (const [source, { epoch, at }] of claims) {
        if (epoch > highest() && now() - at < GRACE_MS) continue
        claims.delete(source)
        if (epoch > highest()) onUnproven()
      }
    },
    clear: () => claims.clear(),
  }
}

export const createProofEnforcement = (deps: ProofEnforcementDeps): ProofEnforcement => {
  const { port, hasProof, term: highest } = deps
  const now = (): number => port.clock.monotonic()
  let doubtedAt: number | undefined
  let isAnswered = false
  let isExcused = false
  let next = 0
  const isEnforced = (): boolean => {
    if (deps.mode !== undefined) return deps.mode === 'enforce'
    return hasProof() || (deps.level() ?? 0) >= PROOF_LEVEL || !isExcused
  }
  const mode = (): ProofMode => (isEnforced() ? 'enforce' : 'observe')
  const isLate = (): boolean => doubtedAt !== undefined && now() - doubtedAt >= GRACE_MS
  const claims = createClaims(now, highest, () => deps.count('unproven', mode()))
  const fences = createWaitingFences(
    now,
    (term) => term <= highest() || !isEnforced(),
    () => deps.count('fence', mode()),
  )

  const askOthers = (source?: string): void => {
    const others = port.members().filter(({ id }) => id !== source && id !== port.self.id)
    for (let i = 0; i < Math.min(ASK_OTHERS, others.length); i += 1) {
      const other = others[next % others.length]
      next += 1
      if (other !== undefined) deps.ask(other.id)
    }
  }

  const excuse = (): void => {
    if (isExcused || hasProof() || !isLate() || !isAnswered) return
    isExcused = true
    if (isEnforced()) return
    port.log.info('nobody proves who coordinates: voters of an older version are taken at their word', {})
    deps.onRelaxed()
  }
  const look = (): void => {
    excuse()
    claims.look()
    if (fences.size() > 0) askOthers()
    fences.look()
  }
  const stopLooking = port.timers.every(LOOK_MS, look)

  const begins = (term: number): Promise<boolean> => {
    if (fences.size() >= MAX_WAITING) return Promise.resolve(false)
    askOthers()
    return fences.begins(term)
  }

  return {
    isEnforced,
    mode,
    isOverdue: isLate,
    askOthers: () => askOthers(),
    requestProof(source) {
      doubtedAt ??= now()
      deps.ask(source)
      if (!hasProof()) askOthers(source)
    },
    admitClaim(source, epoch) {
      doubtedAt ??= now()
      if (!isEnforced()) {
        deps.count('unproven', 'observe')
        return true
      }
      // It may be shown yet.
      claims.add(source, epoch)
      return false
    },
    hasBegun(term) {
      if (term <= highest()) return true
      if (isEnforced()) return begins(term)
      deps.count('fence', 'observe')
      return true
    },
    onAnswer() {
      isAnswered = true
      excuse()
    },
    onProven() {
      doubtedAt = undefined
      fences.look()
    },
    clear() {
      doubtedAt = undefined
      isAnswered = false
      isExcused = false
      claims.clear()
    },
    stop() {
      stopLooking()
      fences.stop()
    },
  }
}
