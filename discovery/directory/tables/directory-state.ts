/**
 * Who is in the mesh, as far as this node knows: a pure machine without a clock, a timer or a socket.
 *
 * State: the newest record of each other agent (at most `maxAgents`), what ended lately (at most `maxEnded`), who is
 * connected right now, and the own record. A peer is in one of the two tables, never in both.
 *
 * Guarantees:
 * - For one writer the highest (incarnation, version) wins, in whatever order and however often records arrive.
 * - What left comes back only with a newer record; what was given up or expired also by a new connection, or when
 *   somebody heard of it later than that.
 * - A record that is passed on carries its age, so that nobody counts a dead agent's last record afresh: an agent that
 *   nobody is connected to is forgotten everywhere within its ttl, give or take the transit. Who is connected to it
 *   vouches for it: its age goes round with the digests, so that nobody has to write records just to be believed alive.
 *
 * Times are milliseconds of a monotonic clock, given by the caller. Source: anti-entropy after Demers et al., Epidemic
 * Algorithms for Replicated Database Maintenance (PODC 1987), with its death certificates as `ended`.
 */
import { equals } from 'uint8arrays/equals'
import type { AgentRecord, Departure, SignedRecord } from '../record/agent-record.ts'
import type { Agent, Change, RecordOutcome } from './agent-change.ts'
import type { AgedRecord, Digest, RemoteDigest } from './digest.ts'
import { createIndirectLiveness } from './indirect-liveness.ts'
import { type Candidate, createOfferIndex } from './offer-index.ts'
import { roomWhenFull } from './record-eviction.ts'
import { type DirectoryLimits, isMetBy, judgeRecord, remembranceMs, roomFor } from './record-judgement.ts'
import {
  createRecordTables,
  type EndedAgent,
  type EndReason,
  type HeldRecord,
  type RecordTables,
} from './record-tables.ts'
import { type ComparisonResult, TableComparison } from './table-comparison.ts'

const isSame = (a: SignedRecord, b: SignedRecord): boolean =>
  equals(a.bytes, b.bytes) && equals(a.signature, b.signature)
const departureOf = ({ departure }: AgentRecord): Departure => departure ?? 'stop'
const content = (record: AgentRecord): string => JSON.stringify({ ...record, version: 0 })

export class DirectoryState {
  readonly #self: string
  readonly #limits: DirectoryLimits
  readonly #tables: RecordTables
  readonly #agents: ReadonlyMap<string, HeldRecord>
  readonly #ended: ReadonlyMap<string, EndedAgent>
  readonly #connected: Set<string>
  readonly #offers: ReturnType<typeof createOfferIndex>
  #evicted = 0
  /** Nothing runs out before it. */
  #nextEndMs = Number.NEGATIVE_INFINITY
  readonly #liveness: ReturnType<typeof createIndirectLiveness<Change>>
  readonly #comparison: TableComparison<Change>

  constructor(self: string, limits: DirectoryLimits) {
    this.#self = self
    this.#limits = limits
    this.#tables = createRecordTables(self, limits.maxEnded)
    const { agents, ended, connected } = this.#tables
    this.#agents = agents
    this.#ended = ended
    this.#connected = connected
    this.#offers = createOfferIndex(agents)
    this.#liveness = createIndirectLiveness<Change>(this.#tables, (peer, held, to) => this.#setHeld(peer, held, to))
    this.#comparison = new TableComparison(this.#tables, limits.maxAgents, this.#liveness)
  }

  /**
   * What `apply` would say; a caller asks before it pays for checking a signature. Changes nothing.
   * @param revives false where nobody says how old the record is
   * @param from the neighbour that tells of it
   */
  judge(
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
    from?: string,
  ): RecordOutcome {
    return judgeRecord(this.#tables, this.#limits, record, signed, ageMs, nowMs, revives, from)
  }

  /** Takes in a record whose signature was checked. */
  apply(
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
    from?: string,
  ): { outcome: RecordOutcome; changes: Change[] } {
    const outcome = this.judge(record, signed, ageMs, nowMs, revives, from)
    if (outcome !== 'accepted') return { outcome, changes: [] }
    const peer = record.peerId
    const heardAtMs = nowMs - ageMs
    if (record.leaving) return { outcome, changes: this.#applyLeaving(record, signed, heardAtMs) }
    const before = this.#agents.get(peer)
    const held: HeldRecord = {
      record,
      signed,
      lastAliveAtMs: Math.max(heardAtMs, before?.lastAliveAtMs ?? heardAtMs),
      state: 'alive',
      namedIn: 0,
      isMet: before?.isMet === true || isMetBy(this.#tables, peer, from),
      announcedBy: before?.announcedBy ?? from,
      vouchers: before?.vouchers ?? [],
    }
    const gone =
      before === undefined && this.#agents.size >= this.#limits.maxAgents
        ? roomFor(this.#tables, peer, heardAtMs, from)
        : undefined
    const givenUp = gone === undefined ? undefined : this.#agents.get(gone)
    const evicted = gone === undefined || givenUp === undefined ? [] : this.#remove(gone, givenUp, 'gone')
    this.#evicted += evicted.length
    this.#tables.forgetEnded(peer)
    this.#tables.put(peer, held)
    if (revives && ageMs === 0 && from !== undefined) this.#liveness.vouch(peer, from)
    this.#endsAt(held.lastAliveAtMs + record.ttlMs)
    if (before === undefined) return { outcome, changes: [...evicted, ...this.#changed('joined', peer, held)] }
    // An introduction differs in its version only and is no news to anyone who watches.
    const isNews = before.state !== 'alive' || content(before.record) !== content(record)
    return { outcome, changes: isNews ? this.#changed('changed', peer, held) : [] }
  }

  setOwn(record: AgentRecord, signed: SignedRecord): Change[] {
    const before = this.#tables.own
    this.#tables.setOwn({ record, signed })
    const now = { record, state: 'alive' as const }
    if (record.leaving)
      return [{ type: 'left', agent: this.#view(this.#self, now), reason: 'left', departure: departureOf(record) }]
    if (before === undefined) return this.#changed('joined', this.#self, now)
    return content(before.record) === content(record) ? [] : this.#changed('changed', this.#self, now)
  }

  /** The peer was admitted. It may have been given up or forgotten at the version that it still has: forget that. */
  markConnected(peer: string): Change[] {
    this.#connected.add(peer)
    if (this.#ended.get(peer)?.reason !== 'left') this.#tables.forgetEnded(peer)
    const held = this.#agents.get(peer)
    if (held !== undefined) held.isMet = true
    return this.#setState(peer, 'alive')
  }

  /**
   * The last connection is gone: a hint, not a verdict. Its ttl counts from now, and it gets no new work while others are
   * there until it is connected again, or somebody hears of it later.
   */
  markDisconnected(peer: string, nowMs: number): Change[] {
    const held = this.#connected.delete(peer) ? this.#agents.get(peer) : undefined
    if (held === undefined) return []
    this.#hearNow(held, nowMs)
    return this.#setState(peer, 'suspect')
  }

  /** The connection was given up because nobody needs it: the peer is well, and its ttl counts from now. */
  markParted(peer: string, nowMs: number): Change[] {
    const held = this.#connected.delete(peer) ? this.#agents.get(peer) : undefined
    if (held === undefined) return []
    this.#hearNow(held, nowMs)
    return this.#changed('changed', peer, held)
  }

  /** It does not answer. Nobody is told that it was heard after this. */
  markSuspect(peer: string, nowMs: number): Change[] {
    const held = this.#agents.get(peer)
    if (held !== undefined && held.state === 'alive') {
      if (this.#connected.has(peer)) held.lastAliveAtMs = nowMs
      held.suspectedAtMs = nowMs
    }
    return this.#setState(peer, 'suspect')
  }

  markAlive(peer: string): Change[] {
    return this.#setState(peer, 'alive')
  }

  /** Another node heard of it `ageMs` ago, at least. */
  hear(peer: string, ageMs: number, nowMs: number): Change[] {
    return this.#liveness.hear(peer, ageMs, nowMs)
  }

  /** This neighbour is connected to it. */
  vouch(peer: string, from: string): void {
    this.#liveness.vouch(peer, from)
  }

  /** On whose word this node would dial the agent. */
  announcers(peer: string): string[] {
    return this.#liveness.announcers(peer)
  }

  /** Others gave these up. */
  doubt(given: Digest, nowMs: number): Change[] {
    return this.#liveness.doubt(given, nowMs)
  }

  /** What this node was told that others gave up. */
  doubts(nowMs: number): Digest {
    return this.#liveness.doubts(nowMs)
  }

  /** The peer cannot be reached any more. A peer that is connected again in the meantime stays. */
  markGone(peer: string, nowMs: number): Change[] {
    const held = this.#agents.get(peer)
    return held === undefined || this.#connected.has(peer) ? [] : this.#giveUp(peer, held, 'gone', nowMs)
  }

  /** The mesh agrees that it is dead. A connection that stands is about to be cut off. */
  markDead(peer: string, nowMs: number): Change[] {
    const held = this.#agents.get(peer)
    return held === undefined ? [] : this.#giveUp(peer, held, 'dead', nowMs)
  }

  /** Drops who was not heard of for its ttl, and forgets what ended long ago. Cheap to ask while nothing is due. */
  expire(nowMs: number): Change[] {
    if (nowMs < this.#nextEndMs) return []
    this.#nextEndMs = Number.POSITIVE_INFINITY
    this.#ended.forEach(({ untilMs }, peer) => {
      if (nowMs >= untilMs) this.#tables.forgetEnded(peer)
      else this.#nextEndMs = Math.min(this.#nextEndMs, untilMs)
    })
    const over: [string, HeldRecord][] = []
    this.#agents.forEach((held, peer) => {
      if (this.#connected.has(peer)) return
      const endMs = held.lastAliveAtMs + held.record.ttlMs
      if (nowMs >= endMs) over.push([peer, held])
      else this.#nextEndMs = Math.min(this.#nextEndMs, endMs)
    })
    return over.flatMap(([peer, held]) => this.#giveUp(peer, held, 'expired', nowMs))
  }

  isComplete(): boolean {
    return this.#connected.size >= this.#agents.size
  }

  /** Another number after each change of what the tables hold. */
  revision(): number {
    return this.#tables.revision()
  }

  /** What this node has and can pass on. */
  digest(nowMs: number): Digest {
    return this.#comparison.digest(nowMs)
  }

  /** What of it was not heard of for a while here. */
  aging(nowMs: number): Digest {
    return this.#comparison.aging(nowMs)
  }

  /** What this node knows of, does not have, and does not want to be told again. */
  endedDigest(nowMs: number): Digest {
    return this.#comparison.endedDigest(nowMs)
  }

  /** The records of these peers, as far as they are here. */
  give(peers: readonly string[], nowMs: number): AgedRecord[] {
    return this.#comparison.give(peers, nowMs)
  }

  /** Agents of a digest that were heard of here well after the other node heard of them. */
  fresher(theirs: Digest, nowMs: number): [peer: string, ageMs: number][] {
    return this.#comparison.fresher(theirs, nowMs)
  }

  /** Compares with another node's tables. */
  compare(theirs: RemoteDigest, nowMs: number): ComparisonResult<Change> {
    return this.#comparison.compare(theirs, nowMs)
  }

  /** Other agents that offer this major version. */
  offers(protocol: string, major: number): readonly Candidate[] {
    return this.#offers.find(protocol, major)
  }

  get(peer: string): Agent | undefined {
    const held =
      peer === this.#self
        ? this.#tables.own && { ...this.#tables.own, state: 'alive' as const }
        : this.#agents.get(peer)
    return held && this.#view(peer, held)
  }

  own(): AgentRecord | undefined {
    return this.#tables.own?.record
  }

  /** True when these very bytes are held already: their signature was checked. */
  holds(peer: string, signed: SignedRecord): boolean {
    const held =
      peer === this.#self ? this.#tables.own?.signed : (this.#agents.get(peer)?.signed ?? this.#ended.get(peer)?.signed)
    return held !== undefined && isSame(held, signed)
  }

  count(): number {
    return this.#agents.size
  }

  room(): number {
    return this.#agents.size < this.#limits.maxAgents
      ? this.#limits.maxAgents - this.#agents.size
      : roomWhenFull(this.#agents)
  }

  view(): Agent[] {
    return [
      ...(this.#tables.own && !this.#tables.own.record.leaving ? [this.#self] : []),
      ...this.#agents.keys(),
    ].flatMap((p) => this.get(p) ?? [])
  }

  sizes(): { agents: number; suspect: number; stuck: number; ended: number; endedEvicted: number; displaced: number } {
    return {
      agents: this.#agents.size,
      suspect: [...this.#agents.values()].filter(({ state }) => state === 'suspect').length,
      stuck: [...this.#agents.values()].filter(({ record }) => record.stuck === true).length,
      ended: this.#ended.size,
      endedEvicted: this.#tables.endedEvicted(),
      displaced: this.#evicted,
    }
  }

  #endsAt(ms: number): void {
    this.#nextEndMs = Math.min(this.#nextEndMs, ms)
  }

  #remember(peer: string, end: Omit<EndedAgent, 'namedIn'>): void {
    this.#tables.rememberEnded(peer, end)
    this.#endsAt(end.untilMs)
  }

  #view(peer: string, { record, state }: Pick<HeldRecord, 'record' | 'state'>): Agent {
    return {
      peer,
      name: record.name,
      state,
      connected: this.#connected.has(peer),
      self: peer === this.#self,
      record,
    }
  }

  #changed(type: 'joined' | 'changed', peer: string, held: Pick<HeldRecord, 'record' | 'state'>): Change[] {
    this.#offers.forget()
    return [{ type, agent: this.#view(peer, held) }]
  }

  #remove(peer: string, held: HeldRecord, reason: EndReason): Change[] {
    this.#tables.drop(peer)
    this.#offers.forget()
    return [{ type: 'left', agent: this.#view(peer, held), reason }]
  }

  #giveUp(peer: string, held: HeldRecord, reason: 'gone' | 'dead' | 'expired', nowMs: number): Change[] {
    const { incarnation, version } = held.record
    this.#remember(peer, { incarnation, version, reason, sinceMs: nowMs, untilMs: nowMs + remembranceMs(held.record) })
    return this.#remove(peer, held, reason)
  }

  #applyLeaving(record: AgentRecord, signed: SignedRecord, sinceMs: number): Change[] {
    const { peerId: peer, incarnation, version } = record
    const held = this.#agents.get(peer)
    this.#remember(peer, {
      incarnation,
      version,
      reason: 'left',
      sinceMs,
      untilMs: sinceMs + remembranceMs(record),
      signed,
    })
    if (held === undefined) return []
    const departure = departureOf(record)
    return this.#remove(peer, held, 'left').map((change) => ({ ...change, departure }))
  }

  #setHeld(peer: string, held: HeldRecord, state: 'alive' | 'suspect'): Change[] {
    if (held.state === state) return []
    held.state = state
    return this.#changed('changed', peer, held)
  }

  #setState(peer: string, state: 'alive' | 'suspect'): Change[] {
    const held = this.#agents.get(peer)
    return held === undefined ? [] : this.#setHeld(peer, held, state)
  }

  #hearNow(held: HeldRecord, nowMs: number): void {
    held.lastAliveAtMs = nowMs
    this.#endsAt(nowMs + held.record.ttlMs)
  }
}
