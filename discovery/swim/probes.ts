/**
 * Probes: who is probed next, what travels with them, when others are asked.
 *
 * SWIM (Das et al., DSN 2002, section 3.1) probes members at random; here only neighbours are probed, and of them the one
 * that was heard longest ago, so that each is looked at within as many periods as there are neighbours. Lifeguard
 * (arXiv:1707.00788): a suspect is told first (buddy system), times are stretched by the local health.
 * Keeps no state but what it writes into the detector's.
 */
import type { MembershipUpdate } from './membership-update.ts'
import { probeMs, retransmissions } from './swim-settings.ts'
import {
  type Probe,
  type ProbeKind,
  type ProbeOutcome,
  type SwimEffect,
  type SwimMember,
  type SwimState,
  updateOf,
} from './swim-state.ts'

/**
 * Who was heard within so many periods need not be probed: it probes as well, and so do its other neighbours. Few periods
 * where a node has few neighbours, since then few look at each.
 */
const FRESH_LEAST = 2
const FRESH_MOST = 3.5
const FRESH_SHARE = 0.6

/**
 * What goes with a message to a peer: first what is said of it, so that it can speak against it, then what it was wrong
 * about, then rumours, but for those of peers that it spoke of itself.
 */
export const updatesFor = (
  s: SwimState,
  to: string,
  first: readonly MembershipUpdate[] = [],
  told: readonly string[] = [],
): MembershipUpdate[] => {
  const news = [...first]
  const about = s.members.get(to)
  const isAccused = about !== undefined && (about.standing === 'suspect' || about.standing === 'dead')
  if (isAccused && !news.some(({ peer }) => peer === to)) news.unshift(updateOf(about))
  const named = new Set([...told, ...news.map(({ peer }) => peer)])
  const room = s.settings.maxNews - news.length
  return [...news, ...s.broadcasts.take(to, room, retransmissions(s.settings, s.size), named)]
}

/** Forgets a probe; whoever asked for it is told. */
export const endProbe = (s: SwimState, probe: Probe, outcome: ProbeOutcome, out: SwimEffect[]): void => {
  s.probes.delete(probe.seq)
  const m = s.members.get(probe.peer)
  if (m?.probing === probe.seq) m.probing = 0
  if (probe.forAsker !== undefined)
    out.push({ type: 'report', to: probe.forAsker.peer, id: probe.forAsker.id, outcome })
}

/** A few neighbours that are well, in random order. */
const relaysFor = (s: SwimState, target: string): string[] => {
  const able = [...s.neighbours.values()].filter(({ peer, standing }) => peer !== target && standing === 'alive')
  const count = Math.min(s.settings.relays, able.length)
  for (let i = 0; i < count; i += 1) {
    const j = i + Math.floor(s.random() * (able.length - i))
    const [one, other] = [able[i], able[j]]
    if (one === undefined || other === undefined) break
    able[i] = other
    able[j] = one
  }
  return able.slice(0, count).map(({ peer }) => peer)
}

/**
 * A few others are asked for a peer that has not answered, and it is asked once more itself: in a mesh in which each is
 * connected to few, hardly any of them is connected to it.
 */
export const askRelays = (s: SwimState, probe: Probe, nowMs: number, out: SwimEffect[]): void => {
  probe.indirectAtMs = Number.POSITIVE_INFINITY
  const { seq, peer } = probe
  const waitMs = probe.failsAtMs - nowMs
  if (s.neighbours.has(peer)) out.push({ type: 'probe', seq, peer, news: updatesFor(s, peer), waitMs })
  for (const via of relaysFor(s, probe.peer)) {
    probe.asked += 1
    s.counts.asks += 1
    out.push({ type: 'ask', seq, via, target: peer, waitMs })
  }
}

interface ProbeDetails {
  /** What is to be told first. */
  readonly accusation?: MembershipUpdate
  readonly forAsker?: { readonly peer: string; readonly id: number }
}

const timesOf = (s: SwimState, kind: ProbeKind, nowMs: number): Pick<Probe, 'indirectAtMs' | 'failsAtMs'> => {
  const stretch = s.health + 1
  const { timeoutMs } = s.settings
  const wholeMs = nowMs + stretch * probeMs(s.settings)
  if (kind === 'direct') return { indirectAtMs: nowMs + stretch * timeoutMs, failsAtMs: wholeMs }
  if (kind === 'lost') return { indirectAtMs: nowMs, failsAtMs: wholeMs }
  // Who asked for a relayed one has its own patience.
  const alone = kind === 'relayed' ? timeoutMs : stretch * timeoutMs
  return { indirectAtMs: Number.POSITIVE_INFINITY, failsAtMs: nowMs + alone }
}

export const startProbe = (
  s: SwimState,
  m: SwimMember,
  kind: ProbeKind,
  nowMs: number,
  out: SwimEffect[],
  { accusation, forAsker }: ProbeDetails = {},
): void => {
  s.lastSeq += 1
  const seq = s.lastSeq
  const times = timesOf(s, kind, nowMs)
  const probe: Probe = {
    seq,
    peer: m.peer,
    kind,
    startedAtMs: nowMs,
    ...times,
    asked: 0,
    reports: 0,
    views: 0,
    forAsker,
  }
  s.probes.set(seq, probe)
  s.counts.probes += 1
  m.askedAtMs = nowMs
  // A later one takes the place of an earlier one, which may still be answered.
  if (kind !== 'relayed') m.probing = seq
  if (kind === 'lost') {
    askRelays(s, probe, nowMs, out)
    return
  }
  const news = updatesFor(s, m.peer, accusation === undefined ? [] : [accusation])
  out.push({ type: 'probe', seq, peer: m.peer, news, waitMs: times.failsAtMs - nowMs })
}

const lastContact = ({ lastSeenAtMs, askedAtMs }: SwimMember): number => Math.max(lastSeenAtMs, askedAtMs)

const longestAgo = (s: SwimState, isWanted: (m: SwimMember) => boolean): SwimMember | undefined => {
  let found: SwimMember | undefined
  for (const m of s.neighbours.values()) {
    if (m.probing !== 0 || m.standing === 'left' || !isWanted(m)) continue
    if (found === undefined || lastContact(m) < lastContact(found)) found = m
  }
  return found
}

const isInDoubt = ({ standing, failures, unanswered }: SwimMember): boolean =>
  standing !== 'alive' || failures > 0 || unanswered > 0

const freshMs = ({ neighbours, settings }: SwimState): number =>
  settings.periodMs * Math.min(FRESH_MOST, Math.max(FRESH_LEAST, FRESH_SHARE * neighbours.size))

/** Whom this period's probe goes to, if anybody. */
export const nextTarget = (s: SwimState, nowMs: number): SwimMember | undefined => {
  s.isSuspectsTurn = !s.isSuspectsTurn
  if (s.isSuspectsTurn) {
    const doubtful = longestAgo(s, isInDoubt)
    if (doubtful !== undefined) return doubtful
  }
  const next = longestAgo(s, () => true)
  return next !== undefined && nowMs - lastContact(next) >= freshMs(s) ? next : undefined
}
