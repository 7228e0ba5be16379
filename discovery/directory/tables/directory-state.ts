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
import type { Departure } from '../record/agent-record.ts'
import { type AgentRecord, compareVersions, type SignedRecord } from '../record/agent-record.ts'
import type { Agent, Change, RecordOutcome } from './agent-change.ts'
import { createIndirectLiveness } from './indirect-liveness.ts'
import { createOfferIndex } from './offer-index.ts'
import { chooseEvicted, roomWhenFull } from './record-eviction.ts'
import { createRecordTables, type EndReason, type HeldRecord } from './record-tables.ts'
import { createTableComparison } from './table-comparison.ts'

/** Twice the ttl: longer than anyone who is not connected to the agent can still hold its record. */
const remembranceMs = (record: AgentRecord): number => 2 * record.ttlMs

const isSame = (a: SignedRecord, b: SignedRecord): boolean =>
  equals(a.bytes, b.bytes) && equals(a.signature, b.signature)
const departureOf = ({ departure }: AgentRecord): Departure => departure ?? 'stop'
const content = (record: AgentRecord): string => JSON.stringify({ ...record, version: 0 })

export interface DirectoryLimits {
  readonly maxAgents: number
  readonly maxEnded: number
}

export type DirectoryState = ReturnType<typeof createDirectoryState>

export const createDirectoryState = (self: string, { maxAgents, maxEnded }: DirectoryLimits) => {
  const tables = createRecordTables(self, maxEnded)
  const { agents, ended, connected, known, isRevived } = tables
  const offers = createOfferIndex(agents)
  let displacedCount = 0
  /** Nothing runs out before it. */
  let nextEndMs = Number.NEGATIVE_INFINITY

  const endsAt = (ms: number): void => {
    nextEndMs = Math.min(nextEndMs, ms)
  }
  const remember = (peer: string, end: Parameters<typeof tables.rememberEnded>[1]): void => {
    tables.rememberEnded(peer, end)
    endsAt(end.untilMs)
  }

  const view = (peer: string, { record, state }: Pick<HeldRecord, 'record' | 'state'>): Agent => ({
    peer,
    name: record.name,
    state,
    connected: connected.has(peer),
    self: peer === self,
    record,
  })
  const get = (peer: string): Agent | undefined => {
    const held = peer === self ? tables.own && { ...tables.own, state: 'alive' as const } : agents.get(peer)
    return held && view(peer, held)
  }
  const changed = (type: 'joined' | 'changed', peer: string, held: Pick<HeldRecord, 'record' | 'state'>): Change[] => {
    offers.forget()
    return [{ type, agent: view(peer, held) }]
  }

  const remove = (peer: string, held: HeldRecord, reason: EndReason): Change[] => {
    tables.drop(peer)
    offers.forget()
    return [{ type: 'left', agent: view(peer, held), reason }]
  }
  const giveUp = (peer: string, held: HeldRecord, reason: 'gone' | 'dead' | 'expired', nowMs: number): Change[] => {
    const { incarnation, version } = held.record
    remember(peer, { incarnation, version, reason, sinceMs: nowMs, untilMs: nowMs + remembranceMs(held.record) })
    return remove(peer, held, reason)
  }

  const isMet = (peer: string, from: string | undefined): boolean => from === peer || connected.has(peer)
  /** Who makes room for this one in a full table. */
  const roomFor = (peer: string, heardAtMs: number, from: string | undefined): string | undefined =>
    chooseEvicted(agents, { from, isMet: isMet(peer, from), lastAliveAtMs: heardAtMs })
  /** The last quarter of what ended is for agents that were here: anybody can sign that invented ones left. */
  const mayEnd = (peer: string): boolean => agents.has(peer) || ended.has(peer) || ended.size < maxEnded - maxEnded / 4

  /**
   * What `apply` would say; a caller asks before it pays for checking a signature. Changes nothing.
   * @param revives false where nobody says how old the record is
   * @param from the neighbour that tells of it
   */
  const judge = (
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
    from?: string,
  ): RecordOutcome => {
    const before = known(record.peerId)
    const order = before === undefined ? 1 : compareVersions(record, before)
    if (record.peerId === self) {
      if (tables.own === undefined || order > 0) return 'own'
      return order < 0 ? 'stale' : equals(signed.bytes, tables.own.signed.bytes) ? 'duplicate' : 'own'
    }
    const isNews = order > 0 || (order === 0 && revives && isRevived(record.peerId, ageMs, nowMs))
    if (!isNews) return order < 0 ? 'stale' : 'duplicate'
    if (record.leaving) return ageMs >= remembranceMs(record) || !mayEnd(record.peerId) ? 'stale' : 'accepted'
    if (ageMs >= record.ttlMs && !connected.has(record.peerId)) return 'stale'
    if (agents.has(record.peerId) || agents.size < maxAgents) return 'accepted'
    return roomFor(record.peerId, nowMs - ageMs, from) === undefined ? 'full' : 'accepted'
  }

  const applyLeaving = (record: AgentRecord, signed: SignedRecord, sinceMs: number): Change[] => {
    const { peerId: peer, incarnation, version } = record
    const held = agents.get(peer)
    remember(peer, { incarnation, version, reason: 'left', sinceMs, untilMs: sinceMs + remembranceMs(record), signed })
    if (held === undefined) return []
    const departure = departureOf(record)
    return remove(peer, held, 'left').map((change) => ({ ...change, departure }))
  }

  /** Takes in a record whose signature was checked. */
  const apply = (
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
    from?: string,
  ): { outcome: RecordOutcome; changes: Change[] } => {
    const outcome = judge(record, signed, ageMs, nowMs, revives, from)
    if (outcome !== 'accepted') return { outcome, changes: [] }
    const peer = record.peerId
    const heardAtMs = nowMs - ageMs
    if (record.leaving) return { outcome, changes: applyLeaving(record, signed, heardAtMs) }
    const before = agents.get(peer)
    const held: HeldRecord = {
      record,
      signed,
      lastAliveAtMs: Math.max(heardAtMs, before?.lastAliveAtMs ?? heardAtMs),
      state: 'alive',
      namedIn: 0,
      isMet: before?.isMet === true || isMet(peer, from),
      announcedBy: before?.announcedBy ?? from,
      vouchers: before?.vouchers ?? [],
    }
    const gone = before === undefined && agents.size >= maxAgents ? roomFor(peer, heardAtMs, from) : undefined
    const givenUp = gone === undefined ? undefined : agents.get(gone)
    const made = gone === undefined || givenUp === undefined ? [] : remove(gone, givenUp, 'gone')
    displacedCount += made.length
    tables.forgetEnded(peer)
    tables.put(peer, held)
    if (revives && ageMs === 0 && from !== undefined) vouch(peer, from)
    endsAt(held.lastAliveAtMs + record.ttlMs)
    if (before === undefined) return { outcome, changes: [...made, ...changed('joined', peer, held)] }
    // An introduction differs in its version only and is no news to anyone who watches.
    const isNews = before.state !== 'alive' || content(before.record) !== content(record)
    return { outcome, changes: isNews ? changed('changed', peer, held) : [] }
  }

  const setOwn = (record: AgentRecord, signed: SignedRecord): Change[] => {
    const before = tables.own
    tables.setOwn({ record, signed })
    const now = { record, state: 'alive' as const }
    if (record.leaving)
      return [{ type: 'left', agent: view(self, now), reason: 'left', departure: departureOf(record) }]
    if (before === undefined) return changed('joined', self, now)
    return content(before.record) === content(record) ? [] : changed('changed', self, now)
  }

  const setHeld = (peer: string, held: HeldRecord, state: 'alive' | 'suspect'): Change[] => {
    if (held.state === state) return []
    held.state = state
    return changed('changed', peer, held)
  }
  const setState = (peer: string, state: 'alive' | 'suspect'): Change[] => {
    const held = agents.get(peer)
    return held === undefined ? [] : setHeld(peer, held, state)
  }
  const hearsay = createIndirectLiveness(tables, setHeld)
  const { hear, vouch, announcers, doubt, doubts } = hearsay
  const comparing = createTableComparison(tables, maxAgents, hearsay)

  /** The peer was admitted. It may have been given up or forgotten at the version that it still has: forget that. */
  const markConnected = (peer: string): Change[] => {
    connected.add(peer)
    if (ended.get(peer)?.reason !== 'left') tables.forgetEnded(peer)
    const held = agents.get(peer)
    if (held !== undefined) held.isMet = true
    return setState(peer, 'alive')
  }
  const hearNow = (held: HeldRecord, nowMs: number): void => {
    held.lastAliveAtMs = nowMs
    endsAt(nowMs + held.record.ttlMs)
  }
  /**
   * The last connection is gone: a hint, not a verdict. Its ttl counts from now, and it gets no new work while others are
   * there until it is connected again, or somebody hears of it later.
   */
  const markDisconnected = (peer: string, nowMs: number): Change[] => {
    const held = connected.delete(peer) ? agents.get(peer) : undefined
    if (held === undefined) return []
    hearNow(held, nowMs)
    return setState(peer, 'suspect')
  }
  /** The connection was given up because nobody needs it: the peer is well, and its ttl counts from now. */
  const markParted = (peer: string, nowMs: number): Change[] => {
    const held = connected.delete(peer) ? agents.get(peer) : undefined
    if (held === undefined) return []
    hearNow(held, nowMs)
    return changed('changed', peer, held)
  }
  /** It does not answer. Nobody is told that it was heard after this. */
  const markSuspect = (peer: string, nowMs: number): Change[] => {
    const held = agents.get(peer)
    if (held !== undefined && held.state === 'alive') {
      if (connected.has(peer)) held.lastAliveAtMs = nowMs
      held.suspectedAtMs = nowMs
    }
    return setState(peer, 'suspect')
  }
  const markAlive = (peer: string): Change[] => setState(peer, 'alive')
  /** The peer cannot be reached any more. A peer that is connected again in the meantime stays. */
  const markGone = (peer: string, nowMs: number): Change[] => {
    const held = agents.get(peer)
    return held === undefined || connected.has(peer) ? [] : giveUp(peer, held, 'gone', nowMs)
  }

  /** The mesh agrees that it is dead. A connection that stands is about to be cut off. */
  const markDead = (peer: string, nowMs: number): Change[] => {
    const held = agents.get(peer)
    return held === undefined ? [] : giveUp(peer, held, 'dead', nowMs)
  }

  /** Drops who was not heard of for its ttl, and forgets what ended long ago. Cheap to ask while nothing is due. */
  const expire = (nowMs: number): Change[] => {
    if (nowMs < nextEndMs) return []
    nextEndMs = Number.POSITIVE_INFINITY
    ended.forEach(({ untilMs }, peer) => {
      if (nowMs >= untilMs) tables.forgetEnded(peer)
      else nextEndMs = Math.min(nextEndMs, untilMs)
    })
    const over: [string, HeldRecord][] = []
    agents.forEach((held, peer) => {
      if (connected.has(peer)) return
      const endMs = held.lastAliveAtMs + held.record.ttlMs
      if (nowMs >= endMs) over.push([peer, held])
      else nextEndMs = Math.min(nextEndMs, endMs)
    })
    return over.flatMap(([peer, held]) => giveUp(peer, held, 'expired', nowMs))
  }

  return {
    judge,
    apply,
    setOwn,
    markConnected,
    markDisconnected,
    markParted,
    markSuspect,
    markAlive,
    hear,
    vouch,
    announcers,
    doubt,
    doubts,
    markGone,
    markDead,
    expire,
    isComplete: () => connected.size >= agents.size,
    revision: tables.revision,
    ...comparing,
    offers: offers.find,
    get,
    own: () => tables.own?.record,
    /** True when these very bytes are held already: their signature was checked. */
    holds: (peer: string, signed: SignedRecord): boolean => {
      const held = peer === self ? tables.own?.signed : (agents.get(peer)?.signed ?? ended.get(peer)?.signed)
      return held !== undefined && isSame(held, signed)
    },
    count: () => agents.size,
    room: () => (agents.size < maxAgents ? maxAgents - agents.size : roomWhenFull(agents)),
    view: (): Agent[] =>
      [...(tables.own && !tables.own.record.leaving ? [self] : []), ...agents.keys()].flatMap((p) => get(p) ?? []),
    sizes: () => ({
      agents: agents.size,
      suspect: [...agents.values()].filter(({ state }) => state === 'suspect').length,
      stuck: [...agents.values()].filter(({ record }) => record.stuck === true).length,
      ended: ended.size,
      endedEvicted: tables.endedEvicted(),
      displaced: displacedCount,
    }),
  }
}
