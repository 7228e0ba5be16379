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
import {
  type Digest,
  type Entry,
  fresher,
  outlives,
  shortage,
  surplus,
  type Theirs,
  type Travelling,
  toEntry,
} from './directory/digest.ts'
import { createOffers } from './directory/offers.ts'
import { type AgentRecord, compareVersions, type SignedRecord, type Version } from './record.ts'

export interface Agent {
  readonly peer: string
  readonly name: string
  /** This node's own judgement; a suspect gets no new work while others are there. */
  readonly state: 'alive' | 'suspect'
  readonly connected: boolean
  readonly self: boolean
  readonly record: AgentRecord
}

/** `left` said so itself, `gone` was given up by this node, `expired` was not heard of for its ttl. */
export type EndReason = 'left' | 'gone' | 'expired'
export type Change =
  | { readonly type: 'joined' | 'changed'; readonly agent: Agent }
  | { readonly type: 'left'; readonly agent: Agent; readonly reason: EndReason }

/**
 * `own`: a record of this node's identity that this life did not write; write one above it.
 * `full`: the table has no room for another agent.
 */
export type Outcome = 'accepted' | 'stale' | 'duplicate' | 'own' | 'full'

interface Held {
  record: AgentRecord
  signed: SignedRecord
  heardAtMs: number
  state: 'alive' | 'suspect'
  /** Somebody gave it up then; it counts as long as nobody heard of it later. */
  doubtedAtMs?: number
}

interface Ended extends Version {
  readonly reason: EndReason
  readonly sinceMs: number
  readonly untilMs: number
  /** The leaving record itself, so that it can be passed on; only where `reason` is left. */
  readonly signed?: SignedRecord
}

/** Twice the ttl: longer than anyone who is not connected to the agent can still hold its record. */
const remembranceMs = (record: AgentRecord): number => 2 * record.ttlMs

const isSame = (a: SignedRecord, b: SignedRecord): boolean =>
  equals(a.bytes, b.bytes) && equals(a.signature, b.signature)
const content = (record: AgentRecord): string => JSON.stringify({ ...record, version: 0 })

export interface DirectoryLimits {
  readonly maxAgents: number
  readonly maxEnded: number
}

export type DirectoryState = ReturnType<typeof createDirectoryState>

export const createDirectoryState = (self: string, { maxAgents, maxEnded }: DirectoryLimits) => {
  const agents = new Map<string, Held>()
  const ended = new Map<string, Ended>()
  const connected = new Set<string>()
  const offers = createOffers(agents)
  let own: { record: AgentRecord; signed: SignedRecord } | undefined
  let endedEvicted = 0

  const view = (peer: string, { record, state }: Pick<Held, 'record' | 'state'>): Agent => ({
    peer,
    name: record.name,
    state,
    connected: connected.has(peer),
    self: peer === self,
    record,
  })
  const get = (peer: string): Agent | undefined => {
    const held = peer === self ? own && { ...own, state: 'alive' as const } : agents.get(peer)
    return held && view(peer, held)
  }
  const changed = (type: 'joined' | 'changed', peer: string, held: Pick<Held, 'record' | 'state'>): Change[] => {
    offers.forget()
    return [{ type, agent: view(peer, held) }]
  }

  const remember = (peer: string, end: Ended): void => {
    ended.delete(peer)
    ended.set(peer, end)
    const [oldest] = ended.keys()
    if (ended.size <= maxEnded || oldest === undefined) return
    ended.delete(oldest)
    endedEvicted += 1
  }
  const remove = (peer: string, held: Held, reason: EndReason): Change[] => {
    agents.delete(peer)
    offers.forget()
    return [{ type: 'left', agent: view(peer, held), reason }]
  }
  const giveUp = (peer: string, held: Held, reason: 'gone' | 'expired', nowMs: number): Change[] => {
    const { incarnation, version } = held.record
    remember(peer, { incarnation, version, reason, sinceMs: nowMs, untilMs: nowMs + remembranceMs(held.record) })
    return remove(peer, held, reason)
  }

  const known = (peer: string): Version | undefined =>
    peer === self ? own?.record : (agents.get(peer)?.record ?? ended.get(peer))

  /** It was given up or expired here, and somebody heard of it after that. */
  const isRevived = (peer: string, ageMs: number, nowMs: number): boolean => {
    const end = ended.get(peer)
    return end !== undefined && end.reason !== 'left' && outlives(ageMs, nowMs - end.sinceMs)
  }

  /**
   * What `apply` would say; a caller asks before it pays for checking a signature. Changes nothing.
   * @param revives false where nobody says how old the record is
   */
  const judge = (
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
  ): Outcome => {
    const before = known(record.peerId)
    const order = before === undefined ? 1 : compareVersions(record, before)
    if (record.peerId === self) {
      if (own === undefined || order > 0) return 'own'
      return order < 0 ? 'stale' : equals(signed.bytes, own.signed.bytes) ? 'duplicate' : 'own'
    }
    const isNews = order > 0 || (order === 0 && revives && isRevived(record.peerId, ageMs, nowMs))
    if (!isNews) return order < 0 ? 'stale' : 'duplicate'
    if (record.leaving) return ageMs >= remembranceMs(record) ? 'stale' : 'accepted'
    if (ageMs >= record.ttlMs && !connected.has(record.peerId)) return 'stale'
    return !agents.has(record.peerId) && agents.size >= maxAgents ? 'full' : 'accepted'
  }

  const applyLeaving = (record: AgentRecord, signed: SignedRecord, sinceMs: number): Change[] => {
    const { peerId: peer, incarnation, version } = record
    const held = agents.get(peer)
    remember(peer, { incarnation, version, reason: 'left', sinceMs, untilMs: sinceMs + remembranceMs(record), signed })
    return held ? remove(peer, held, 'left') : []
  }

  /** Takes in a record whose signature was checked. */
  const apply = (
    record: AgentRecord,
    signed: SignedRecord,
    ageMs: number,
    nowMs: number,
    revives: boolean = true,
  ): { outcome: Outcome; changes: Change[] } => {
    const outcome = judge(record, signed, ageMs, nowMs, revives)
    if (outcome !== 'accepted') return { outcome, changes: [] }
    const peer = record.peerId
    const heardAtMs = nowMs - ageMs
    if (record.leaving) return { outcome, changes: applyLeaving(record, signed, heardAtMs) }
    const before = agents.get(peer)
    const held: Held = {
      record,
      signed,
      heardAtMs: Math.max(heardAtMs, before?.heardAtMs ?? heardAtMs),
      state: 'alive',
    }
    ended.delete(peer)
    agents.set(peer, held)
    if (before === undefined) return { outcome, changes: changed('joined', peer, held) }
    // An introduction differs in its version only and is no news to anyone who watches.
    const isNews = before.state !== 'alive' || content(before.record) !== content(record)
    return { outcome, changes: isNews ? changed('changed', peer, held) : [] }
  }

  const setOwn = (record: AgentRecord, signed: SignedRecord): Change[] => {
    const before = own
    own = { record, signed }
    const now = { record, state: 'alive' as const }
    if (record.leaving) return [{ type: 'left', agent: view(self, now), reason: 'left' }]
    if (before === undefined) return changed('joined', self, now)
    return content(before.record) === content(record) ? [] : changed('changed', self, now)
  }

  const setState = (peer: string, state: 'alive' | 'suspect'): Change[] => {
    const held = agents.get(peer)
    if (held === undefined || held.state === state) return []
    held.state = state
    return changed('changed', peer, held)
  }

  /** The peer was admitted. It may have been given up or forgotten at the version that it still has: forget that. */
  const markConnected = (peer: string): Change[] => {
    connected.add(peer)
    if (ended.get(peer)?.reason !== 'left') ended.delete(peer)
    return setState(peer, 'alive')
  }
  /**
   * The last connection is gone: a hint, not a verdict. Its ttl counts from now, and it gets no new work while others are
   * there until it is connected again, or somebody hears of it later.
   */
  const markDisconnected = (peer: string, nowMs: number): Change[] => {
    const held = connected.delete(peer) ? agents.get(peer) : undefined
    if (held === undefined) return []
    held.heardAtMs = nowMs
    return setState(peer, 'suspect')
  }
  /** The connection was given up because nobody needs it: the peer is well, and its ttl counts from now. */
  const markParted = (peer: string, nowMs: number): Change[] => {
    const held = connected.delete(peer) ? agents.get(peer) : undefined
    if (held !== undefined) held.heardAtMs = nowMs
    return held === undefined ? [] : changed('changed', peer, held)
  }
  /** It does not answer. Nobody is told that it was heard after this. */
  const markSuspect = (peer: string, nowMs: number): Change[] => {
    const held = agents.get(peer)
    if (held !== undefined && held.state === 'alive' && connected.has(peer)) held.heardAtMs = nowMs
    return setState(peer, 'suspect')
  }
  /** Another node heard of it `ageMs` ago, at least. */
  const hear = (peer: string, ageMs: number, nowMs: number): Change[] => {
    const held = agents.get(peer)
    const heardAtMs = nowMs - ageMs
    if (held === undefined || connected.has(peer) || heardAtMs <= held.heardAtMs) return []
    held.heardAtMs = heardAtMs
    return setState(peer, 'alive')
  }
  const markAlive = (peer: string): Change[] => setState(peer, 'alive')
  /** The ages in a digest that is on its way for `transitMs` at most. */
  const learn = (digest: Digest, transitMs: number, nowMs: number): Change[] =>
    digest.flatMap(([peer, incarnation, version, ageMs]) => {
      const held = agents.get(peer)
      const isSame = held !== undefined && compareVersions(held.record, { incarnation, version }) === 0
      return isSame ? hear(peer, ageMs + transitMs, nowMs) : []
    })
  /** Others gave it up, after anybody here heard of it: it gets no new work, and its ttl goes on. */
  const doubt = (doubts: Digest, nowMs: number): Change[] =>
    doubts.flatMap(([peer, incarnation, version, ageMs]) => {
      const held = agents.get(peer)
      if (held === undefined || connected.has(peer) || compareVersions(held.record, { incarnation, version }) !== 0)
        return []
      const atMs = nowMs - ageMs
      if (atMs <= held.heardAtMs || atMs <= (held.doubtedAtMs ?? Number.NEGATIVE_INFINITY)) return []
      held.doubtedAtMs = atMs
      return setState(peer, 'suspect')
    })
  /** What this node was told that others gave up. */
  const doubts = (nowMs: number): Digest =>
    [...agents]
      .filter(([, { heardAtMs, doubtedAtMs }]) => doubtedAtMs !== undefined && doubtedAtMs > heardAtMs)
      .map(([peer, { record, doubtedAtMs = nowMs }]) => toEntry(peer, record, since(doubtedAtMs, nowMs)))
  /** The peer cannot be reached any more. A peer that is connected again in the meantime stays. */
  const markGone = (peer: string, nowMs: number): Change[] => {
    const held = agents.get(peer)
    return held === undefined || connected.has(peer) ? [] : giveUp(peer, held, 'gone', nowMs)
  }

  /** Drops who was not heard of for its ttl, and forgets what ended long ago. */
  const expire = (nowMs: number): Change[] => {
    for (const [peer, { untilMs }] of ended) if (nowMs >= untilMs) ended.delete(peer)
    const over: [string, Held][] = []
    for (const [peer, held] of agents) {
      if (nowMs - held.heardAtMs >= held.record.ttlMs && !connected.has(peer)) over.push([peer, held])
    }
    return over.flatMap(([peer, held]) => giveUp(peer, held, 'expired', nowMs))
  }

  /** Whole milliseconds, rounded up: passing a record on never makes it younger. */
  const since = (thenMs: number, nowMs: number): number => Math.max(0, Math.ceil(nowMs - thenMs))
  const ageOf = (peer: string, { heardAtMs, state }: Held, nowMs: number): number =>
    connected.has(peer) && state === 'alive' ? 0 : since(heardAtMs, nowMs)

  /** What this node has and can pass on. */
  const digest = (nowMs: number): Digest => {
    const entries: Digest = own ? [toEntry(self, own.record, 0)] : []
    for (const [peer, held] of agents) entries.push(toEntry(peer, held.record, ageOf(peer, held, nowMs)))
    for (const [peer, end] of ended) if (end.signed) entries.push(toEntry(peer, end, since(end.sinceMs, nowMs)))
    return entries
  }
  /** What this node knows of, does not have, and does not want to be told again. */
  const endedDigest = (nowMs: number): Digest =>
    [...ended]
      .filter(([, { signed }]) => !signed)
      .map(([peer, end]) => toEntry(peer, end, Math.max(0, Math.floor(nowMs - end.sinceMs))))
  const travelling = (peer: string, nowMs: number): Travelling | undefined => {
    if (peer === self) return own && { ...own.signed, ageMs: 0 }
    const held = agents.get(peer)
    if (held) return { ...held.signed, ageMs: ageOf(peer, held, nowMs) }
    const end = ended.get(peer)
    return end?.signed && { ...end.signed, ageMs: since(end.sinceMs, nowMs) }
  }
  /** The records of these peers, as far as they are here. */
  const give = (peers: readonly string[], nowMs: number): Travelling[] =>
    peers.flatMap((peer) => travelling(peer, nowMs) ?? [])

  /** Compares with another node's tables: what it lacks, what this node lacks, and who was heard of later here. */
  const diff = (
    theirs: Theirs,
    nowMs: number,
  ): { records: Travelling[]; wants: string[]; fresher: [string, number][] } => {
    const mine = digest(nowMs)
    const isNews = (version: Version, [peer, , , ageMs]: Entry): boolean => {
      const here = known(peer)
      const difference = here === undefined ? 1 : compareVersions(version, here)
      return difference > 0 || (difference === 0 && isRevived(peer, ageMs, nowMs))
    }
    const isFull = agents.size >= maxAgents
    const hasPlace = (peer: string) => !isFull || peer === self || agents.has(peer)
    return {
      records: give(
        surplus(mine, theirs, (peer) => agents.has(peer) || peer === self),
        nowMs,
      ),
      wants: shortage(theirs.digest, isNews, hasPlace),
      fresher: fresher(mine, theirs.digest, (peer) => (agents.get(peer)?.record.ttlMs ?? Number.POSITIVE_INFINITY) / 6),
    }
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
    learn,
    doubt,
    doubts,
    markGone,
    expire,
    digest,
    endedDigest,
    give,
    diff,
    offers: offers.find,
    get,
    own: () => own?.record,
    /** True when these very bytes are held already: their signature was checked. */
    holds: (peer: string, signed: SignedRecord): boolean => {
      const held = peer === self ? own?.signed : (agents.get(peer)?.signed ?? ended.get(peer)?.signed)
      return held !== undefined && isSame(held, signed)
    },
    room: () => Math.max(0, maxAgents - agents.size),
    view: (): Agent[] => [...(own && !own.record.leaving ? [self] : []), ...agents.keys()].flatMap((p) => get(p) ?? []),
    sizes: () => ({
      agents: agents.size,
      suspect: [...agents.values()].filter(({ state }) => state === 'suspect').length,
      ended: ended.size,
      endedEvicted,
    }),
  }
}
