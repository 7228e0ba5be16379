/**
 * Who coordinates, as one node knows: from the coordinator's events, from its own member, or from whoever it asks.
 *
 * What others say is a claim: it counts once its epoch is proven (consensus/proof/), and waits until then. How far the
 * journal is and who is a member counts from the coordinator itself alone. The highest epoch wins of those that somebody
 * coordinates. A coordinator that did not answer is doubted for a moment: others are asked meanwhile (leader-search.ts), and
 * it is believed again when nobody knows better. What others say of it does not count as hearing it, and one that the
 * membership calls dead, or that said so itself, is gone until it is heard again.
 * State: what is known, what was claimed (bounded).
 */
import type { Proofs, ShownProof } from '../consensus/proof/proof-api.ts'
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { type KnownLeader, type LeaderReport, LeaderSearch } from './leader-search.ts'

export interface LeaderTracker {
  /** What this node's own member says of a coordinator. */
  setFromOwnGroup(report: LeaderReport): void
  /** What somebody else says of one. @param source peer id of who says so @param shown what proves it */
  onReport(report: LeaderReport, source: string, shown?: ShownProof): void
  /** The coordinator that is believed in now. */
  leader(): KnownLeader | undefined
  /** The highest epoch and version that was heard of. `silentMs`: since a coordinator was heard; infinite before. */
  latest(): { epoch: number; version: number; seats: readonly string[]; isPresent: boolean; silentMs: number }
  /** The node left, died, or coordinates no more. @param epoch where it is known which one ended */
  markGone(peer: string, epoch?: number): void
  /** It did not answer, or said that it is not the one. */
  markDoubtful(leader: KnownLeader): void
  /** Resolves with a coordinator that is not doubted. @throws the signal's reason, COM002 where this node stops */
  find(signal: AbortSignal): Promise<KnownLeader>
  onChange(fn: (leader: KnownLeader | undefined) => void): Stop
  /** Aborted with COM002 when this node stops: nothing needs to be waited for any more. */
  readonly stopped: AbortSignal
  /** This node belongs to another mesh from now on. */
  reset(): void
  stop(): void
}

/** After this time who was doubted is tried again, unless somebody knows better. */
const DOUBT_MS = 400
/** Claims that wait for their proof, one of each peer. */
const MAX_CLAIMS = 16
/** A coordinator that was silent for so long is not there any more: three times what lies between its events. */
export const LEADER_SILENT_MS = 15_000

const isSame = (a: KnownLeader | undefined, b: KnownLeader | undefined): boolean =>
  a?.epoch === b?.epoch && a?.peer === b?.peer

type TrackedProofs = Pick<Proofs, 'judgeClaim' | 'epoch' | 'isEnforced' | 'onChange'>

class Tracker implements LeaderTracker {
  readonly #clock: Port['clock']
  readonly #meshId: () => string | undefined
  readonly #proofs: TrackedProofs | undefined
  readonly #search: LeaderSearch
  readonly #ending = new AbortController()
  readonly #listeners = new Set<(leader: KnownLeader | undefined) => void>()
  readonly #stopReviewing: Stop | undefined
  /** By peer. */
  readonly #claims = new Map<string, LeaderReport>()
  #known: KnownLeader | undefined
  /** What is known is somebody's word. */
  #isClaim = false
  #epoch = 0
  #version = 0
  #seats: readonly string[] = []
  #heardAt = Number.NEGATIVE_INFINITY
  #isGone = false
  #doubted: { readonly leader: KnownLeader; readonly until: number } | undefined

  constructor(port: TrackerPort, meshId: () => string | undefined, proofs: TrackedProofs | undefined) {
    this.#clock = port.clock
    this.#meshId = meshId
    this.#proofs = proofs
    this.#search = new LeaderSearch({
      port,
      believed: () => this.leader(),
      members: () => this.#seats,
      onAnswer: (report, peer) => this.onReport(report, peer),
    })
    this.#stopReviewing = proofs?.onChange(() => this.#review())
  }

  get stopped(): AbortSignal {
    return this.#ending.signal
  }

  setFromOwnGroup(report: LeaderReport): void {
    this.#learn(report, false)
  }

  onReport(report: LeaderReport, source: string, shown?: ShownProof): void {
    const proofs = this.#proofs
    if (report.meshId !== undefined && report.meshId !== this.#meshId()) return
    const { leader } = report
    const isIndirect = source !== leader
    if (proofs === undefined || leader === undefined) {
      if (proofs?.isEnforced() !== true) this.#learn({ ...report, isIndirect }, true)
      return
    }
    const counts = proofs.judgeClaim({ epoch: report.epoch, leader }, source, shown)
    this.#claims.delete(source)
    if (counts) {
      const isProven = proofs.isEnforced()
      // Of a coordinator that is proven, others know who it is, and that is all.
      const known = isProven && isIndirect ? { epoch: report.epoch, leader } : report
      this.#learn({ ...known, isIndirect }, !isProven)
      return
    }
    this.#claims.set(source, report)
    const [oldest] = this.#claims.keys()
    if (this.#claims.size > MAX_CLAIMS && oldest !== undefined) this.#claims.delete(oldest)
  }

  leader(): KnownLeader | undefined {
    const [known, doubted] = [this.#known, this.#doubted]
    if (known === undefined || doubted === undefined || !isSame(doubted.leader, known)) return known
    return this.#clock.monotonic() >= doubted.until ? known : undefined
  }

  latest(): ReturnType<LeaderTracker['latest']> {
    const silentMs = this.#clock.monotonic() - this.#heardAt
    const isPresent = !this.#isGone && silentMs < LEADER_SILENT_MS
    return { epoch: this.#epoch, version: this.#version, seats: this.#seats, isPresent, silentMs }
  }

  markGone(peer: string, ended?: number): void {
    this.#claims.delete(peer)
    const known = this.#known
    if (known?.peer !== peer || (ended !== undefined && ended < known.epoch)) return
    this.#isGone = true
    this.markDoubtful(known)
    for (const fn of this.#listeners) fn(this.leader())
  }

  markDoubtful(leader: KnownLeader): void {
    if (isSame(leader, this.#known)) this.#doubted = { leader, until: this.#clock.monotonic() + DOUBT_MS }
  }

  find(signal: AbortSignal): Promise<KnownLeader> {
    if (this.stopped.aborted) return Promise.reject(this.stopped.reason)
    return this.#search.find(signal)
  }

  onChange(fn: (leader: KnownLeader | undefined) => void): Stop {
    this.#listeners.add(fn)
    return () => this.#listeners.delete(fn)
  }

  reset(): void {
    this.#unlearn()
    this.#claims.clear()
    for (const fn of this.#listeners) fn(undefined)
  }

  stop(): void {
    this.#ending.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    this.#stopReviewing?.()
    this.#listeners.clear()
    this.#search.stop(this.stopped.reason)
  }

  /** @param isClaim it is taken at somebody's word */
  #learn(report: LeaderReport, isClaim: boolean): void {
    if (report.meshId !== undefined && report.meshId !== this.#meshId()) return
    if (this.#isClaim && !isClaim && this.#proofs?.isEnforced() === true) this.#unlearn()
    this.#version = Math.max(this.#version, report.version ?? 0)
    if (report.epoch < this.#epoch) return
    if (report.seats !== undefined && report.seats.length > 0) this.#seats = report.seats
    // An epoch in which nobody leads yet may never be led.
    if (report.leader === undefined) return
    this.#epoch = report.epoch
    if (report.isIndirect !== true) {
      this.#heardAt = this.#clock.monotonic()
      this.#isGone = false
    }
    const before = this.#known
    const known = { epoch: report.epoch, peer: report.leader }
    this.#known = known
    this.#isClaim = isClaim
    if (!isSame(before, known)) for (const fn of this.#listeners) fn(known)
    this.#search.settle()
  }

  /** Nothing of what was taken at somebody's word lasts: it may be of an epoch that no honest one reaches. */
  #unlearn(): void {
    this.#known = undefined
    this.#doubted = undefined
    this.#isClaim = false
    this.#heardAt = Number.NEGATIVE_INFINITY
    this.#isGone = false
    this.#epoch = 0
    this.#version = 0
    this.#seats = []
  }

  /** Something was proven, or is not asked for any more. */
  #review(): void {
    const proven = this.#proofs?.epoch()
    if (this.#proofs?.isEnforced() === true && proven !== undefined) {
      const { epoch, leader, voters } = proven
      const peers = voters.map((id) => id.split('.')[0] ?? id)
      const known = this.#known
      const areKnown = known?.epoch === epoch && peers.every((peer) => this.#seats.includes(peer))
      if (known === undefined || this.#isClaim || known.epoch <= epoch)
        this.#learn({ epoch, leader, isIndirect: true, ...(!areKnown && { seats: peers }) }, false)
    }
    const again = [...this.#claims]
    this.#claims.clear()
    for (const [source, report] of again) if (report.epoch >= (proven?.epoch ?? 0)) this.onReport(report, source)
  }
}

type TrackerPort = Pick<Port, 'self' | 'clock' | 'timers' | 'members' | 'to' | 'random'>

export const createLeaderTracker = (
  port: TrackerPort,
  meshId: () => string | undefined,
  proofs?: TrackedProofs,
): LeaderTracker => new Tracker(port, meshId, proofs)
