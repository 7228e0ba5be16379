/**
 * What a failure detector knows, and what it asks its driver to do. No rules of its own.
 *
 * State: neighbours, peers with news (at most `maxMembers` beside the neighbours), probes under way (at most one of its
 * own for each neighbour, and one for each question of another node), rumours. A mesh at rest keeps its neighbours only.
 * Times are milliseconds of a monotonic clock, given by the caller.
 */

import type { Departure } from '../directory/record/agent-record.ts'
import { type BroadcastQueue, createBroadcastQueue } from './broadcast-queue.ts'
import type { MemberStatus, MembershipUpdate } from './membership-update.ts'
import { SWIM_DEFAULTS, type SwimSettings } from './swim-settings.ts'

/** What a relay found out. `unknown`: it is not connected to the target itself. */
export const PROBE_OUTCOMES = ['heard', 'silent', 'unknown'] as const
export type ProbeOutcome = (typeof PROBE_OUTCOMES)[number]

export type SwimEffect =
  /** Ask the peer whether it is there; an answer counts for `waitMs`. */
  | {
      readonly type: 'probe'
      readonly seq: number
      readonly peer: string
      readonly news: MembershipUpdate[]
      readonly waitMs: number
    }
  /** Ask `via` to probe `target`; its report counts for `waitMs`. */
  | {
      readonly type: 'ask'
      readonly seq: number
      readonly via: string
      readonly target: string
      readonly waitMs: number
    }
  /** Answer the probe that was the input. */
  | { readonly type: 'answer'; readonly to: string; readonly news: MembershipUpdate[] }
  /** Tell the node that asked for an indirect probe how it went. */
  | { readonly type: 'report'; readonly to: string; readonly id: number; readonly outcome: ProbeOutcome }
  | { readonly type: 'suspect' | 'alive'; readonly peer: string }
  /** `silentMs`: since this node heard it, where it is a neighbour. */
  | { readonly type: 'dead'; readonly peer: string; readonly silentMs: number | undefined }
  | { readonly type: 'left'; readonly peer: string; readonly departure: Departure | undefined }
  /** Others said that this node is suspect, dead or gone; it has spoken against it. */
  | {
      readonly type: 'refuted'
      readonly was: MemberStatus
      readonly incarnation: number
      /** They called it dead, or may have before they heard the refutation: it had stood still for as long. */
      readonly isPresumedDead: boolean
    }

export interface SwimMember {
  readonly peer: string
  standing: MemberStatus
  incarnation: number
  /** Of a suspect: whose probes failed, the first ones. */
  by: string[]
  departure: Departure | undefined
  suspectedAtMs: number
  /** When the suspicion ends as a death. */
  deadlineMs: number
  /** A probe of this node's own failed since it is suspect. */
  isChecked: boolean
  newsAtMs: number
  isNeighbour: boolean
  /** Of a neighbour: when it was heard last, when it was probed last, and probes in a row that failed. */
  lastSeenAtMs: number
  askedAtMs: number
  failures: number
  /** Of a neighbour: since when, and how often, it was asked directly without an answer; 0 for never since it was heard. */
  unansweredSinceMs: number
  unanswered: number
  /** Number of the own probe under way; 0 for none. */
  probing: number
  /** It knows no suspicions and speaks against none: only this node's own probes count. */
  cannotRefute: boolean
}

/**
 * `lost`: its connection has gone, others are asked at once. `verdict`: the last look at a neighbour before it is called
 * dead. `relayed`: for another node.
 */
export type ProbeKind = 'direct' | 'lost' | 'verdict' | 'relayed'

export interface Probe {
  readonly seq: number
  readonly peer: string
  readonly kind: ProbeKind
  readonly startedAtMs: number
  /** When others are asked; infinite once they were. */
  indirectAtMs: number
  failsAtMs: number
  asked: number
  /** Relays that answered, and those of them that were connected to the target. */
  reports: number
  views: number
  /** Of a relayed one. */
  readonly forAsker?: { readonly peer: string; readonly id: number } | undefined
}

export interface SwimState {
  readonly self: string
  readonly settings: SwimSettings
  /** Gives numbers in [0, 1). */
  readonly random: () => number
  incarnation: number
  hasLeft: boolean
  readonly members: Map<string, SwimMember>
  readonly neighbours: Map<string, SwimMember>
  readonly suspects: Map<string, SwimMember>
  readonly probes: Map<number, Probe>
  readonly broadcasts: BroadcastQueue
  /** 0 when this node keeps up; times of probes are stretched by it (Lifeguard, section IV-A). */
  health: number
  /** Members of the mesh, this node included. */
  size: number
  lastSeq: number
  /** When this node woke after it had stood still for as long as a suspicion lasts. */
  wokeAtMs: number
  /** Every other probe goes to a neighbour that is in doubt, where there is one. */
  isSuspectsTurn: boolean
  nextProbeAtMs: number
  nextTidyAtMs: number
  /** When the next tick is due; later ones are taken for this node's own slowness. */
  wakeAtMs: number
  readonly counts: SwimCounts
}

export interface SwimCounts {
  probes: number
  failedProbes: number
  asks: number
  suspicions: number
  deaths: number
  /** Of this node's own suspicion or death. */
  refutations: number
  /** Of others, that this node had believed. */
  revivals: number
  /** Ticks that came so late that this node must have stood still. */
  stalls: number
  staleClaims: number
  membersDropped: number
}

/** @param incarnation of this start; grows with each start */
export const createSwimState = (
  self: { id: string; incarnation: number },
  random: () => number,
  nowMs: number,
  settings: Partial<SwimSettings> = {},
): SwimState => {
  const all: SwimSettings = { ...SWIM_DEFAULTS, ...settings }
  // Nodes that start together do not probe together.
  const firstAtMs = nowMs + all.periodMs * random()
  return {
    self: self.id,
    settings: all,
    random,
    incarnation: self.incarnation,
    hasLeft: false,
    members: new Map(),
    neighbours: new Map(),
    suspects: new Map(),
    probes: new Map(),
    broadcasts: createBroadcastQueue(all.maxRumours),
    health: 0,
    size: 1,
    lastSeq: 0,
    wokeAtMs: Number.NEGATIVE_INFINITY,
    isSuspectsTurn: false,
    nextProbeAtMs: firstAtMs,
    nextTidyAtMs: nowMs + all.keepMs,
    wakeAtMs: firstAtMs,
    counts: {
      probes: 0,
      failedProbes: 0,
      asks: 0,
      suspicions: 0,
      deaths: 0,
      refutations: 0,
      revivals: 0,
      stalls: 0,
      staleClaims: 0,
      membersDropped: 0,
    },
  }
}

/** Nobody has said anything of it: any claim outdoes this. */
const UNHEARD = -1

const oldestNews = (s: SwimState): SwimMember | undefined => {
  let oldest: SwimMember | undefined
  for (const member of s.members.values())
    if (!member.isNeighbour && (oldest === undefined || member.newsAtMs < oldest.newsAtMs)) oldest = member
  return oldest
}

export const removeMember = (s: SwimState, { peer }: SwimMember): void => {
  s.members.delete(peer)
  s.suspects.delete(peer)
}

export const memberOf = (s: SwimState, peer: string, nowMs: number): SwimMember => {
  const known = s.members.get(peer)
  if (known !== undefined) return known
  if (s.members.size - s.neighbours.size >= s.settings.maxMembers) {
    const oldest = oldestNews(s)
    if (oldest !== undefined) removeMember(s, oldest)
    s.counts.membersDropped += 1
  }
  const member: SwimMember = {
    peer,
    standing: 'alive',
    incarnation: UNHEARD,
    by: [],
    departure: undefined,
    suspectedAtMs: 0,
    deadlineMs: Number.POSITIVE_INFINITY,
    isChecked: false,
    newsAtMs: nowMs,
    isNeighbour: false,
    lastSeenAtMs: nowMs,
    askedAtMs: nowMs,
    failures: 0,
    unansweredSinceMs: 0,
    unanswered: 0,
    probing: 0,
    cannotRefute: false,
  }
  s.members.set(peer, member)
  return member
}

export const updateOf = ({ peer, standing, incarnation, by, departure }: SwimMember): MembershipUpdate => ({
  peer,
  standing,
  incarnation,
  by: [...by],
  ...(departure === undefined ? {} : { departure }),
})

/** For better (below 0) or worse. */
export const changeHealth = (s: SwimState, by: number): void => {
  s.health = Math.min(s.settings.maxHealth, Math.max(0, s.health + by))
}
