/**
 * The failure detector: SWIM with Lifeguard as a machine without a clock, a timer or a network.
 *
 * A step takes what happened and says what is to be done; it changes the state that it is given. The driver carries the
 * effects out in their order, and gives a tick when `wakeAtMs` has come.
 *
 * Guarantees:
 * - The own incarnation and what is known of others' never go back; a suspicion that was refuted never ends as a death.
 * - Nobody is dead on word of others alone to a node that is connected to it: that one looks for itself first.
 * - A tick that comes late moves all times by as much: a node that stood still condemns nobody for its own silence.
 * - What it keeps and what it sends in one message is bounded (swim-settings.ts).
 *
 * Source: Das et al., SWIM (DSN 2002); Dadgar et al., Lifeguard (arXiv:1707.00788). Other than there, probes go to
 * connected neighbours only, joins come from the directory, and a connection that closes is a hint: others are asked for
 * the peer at once, and its neighbours' own dials are the direct probe.
 */

import type { Departure } from '../directory/record/agent-record.ts'
import type { MembershipUpdate } from './membership-update.ts'
import { askRelays, endProbe, nextTarget, startProbe, updatesFor } from './probes.ts'
import { adoptIfNewer, applyUpdate, endSuspicions, markAlive, markDead, noteIncarnation, suspect } from './suspicion.ts'
import {
  changeHealth,
  memberOf,
  type Probe,
  type ProbeOutcome,
  removeMember,
  type SwimEffect,
  type SwimMember,
  type SwimState,
  updateOf,
} from './swim-state.ts'

export type SwimInput =
  /** `members` of the mesh, this node included. */
  | { readonly type: 'tick'; readonly members: number }
  | { readonly type: 'connected'; readonly peer: string }
  /** `parted`: given up by both sides because nobody needs it. */
  | { readonly type: 'disconnected'; readonly peer: string; readonly parted: boolean }
  /** The directory has a record of this start of the peer. */
  | { readonly type: 'member'; readonly peer: string; readonly incarnation: number }
  /** It said goodbye. */
  | {
      readonly type: 'left'
      readonly peer: string
      readonly incarnation: number
      readonly departure?: Departure | undefined
    }
  /** A probe of another node: answered by the effect `answer`. */
  | {
      readonly type: 'probed'
      readonly peer: string
      readonly incarnation: number
      readonly news: readonly MembershipUpdate[]
    }
  | {
      readonly type: 'acked'
      readonly seq: number
      readonly peer: string
      readonly incarnation: number
      readonly news: readonly MembershipUpdate[]
    }
  /** A probe that cannot be answered any more. */
  | { readonly type: 'failed'; readonly seq: number }
  /** Another node asks for an indirect probe: answered by the effect `report`, with the same number. */
  | { readonly type: 'asked'; readonly peer: string; readonly id: number; readonly target: string }
  | { readonly type: 'reported'; readonly seq: number; readonly outcome: ProbeOutcome }
  /** This node has said goodbye: it probes nobody and speaks against nothing any more. */
  | { readonly type: 'leave' }

/** Ticks later than this are this node's own slowness; less is a timer's usual imprecision. */
const STALL_MS = 50
/** Around a period: nodes that stood still together would probe at the same moments ever after. */
const JITTER = 0.1
/** Failed probes that make a suspect where no relay is connected to it. */
const BLIND = 2
/** Corrections of what another node was wrong about, in one answer. */
const MAX_CORRECTIONS = 4

const heard = (m: SwimMember, nowMs: number): void => {
  m.lastSeenAtMs = nowMs
  m.failures = 0
  m.unanswered = 0
}

/** Takes news in. @returns what the sender should know instead */
const takeIn = (
  s: SwimState,
  news: readonly MembershipUpdate[],
  nowMs: number,
  out: SwimEffect[],
): MembershipUpdate[] => {
  const wrong = new Set<string>()
  for (const claim of news.slice(0, 2 * s.settings.maxNews))
    if (applyUpdate(s, claim, nowMs, out) === 'stale' && wrong.size < MAX_CORRECTIONS) wrong.add(claim.peer)
  return [...wrong].flatMap((peer) => s.members.get(peer) ?? []).map(updateOf)
}

const onProbed = (s: SwimState, input: SwimInput & { type: 'probed' }, nowMs: number, out: SwimEffect[]): void => {
  const m = s.members.get(input.peer)
  if (m !== undefined) {
    heard(m, nowMs)
    noteIncarnation(s, m, input.incarnation, nowMs, out)
  }
  const corrections = takeIn(s, input.news, nowMs, out)
  const told = input.news.map(({ peer }) => peer)
  out.push({ type: 'answer', to: input.peer, news: updatesFor(s, input.peer, corrections, told) })
}

/** Its own answer did not come, whatever others say. */
const miss = (m: SwimMember, probe: Probe): void => {
  if (m.lastSeenAtMs > probe.startedAtMs) return
  if (m.unanswered === 0) m.unansweredSinceMs = probe.startedAtMs
  m.unanswered += 1
}

const succeed = (s: SwimState, probe: Probe, out: SwimEffect[]): void => {
  endProbe(s, probe, 'heard', out)
  if (probe.kind !== 'relayed') changeHealth(s, -1)
  // Where the connection has gone its driver has the peer in doubt, whatever is believed here.
  if (probe.kind === 'lost' && s.members.get(probe.peer)?.standing === 'alive')
    out.push({ type: 'alive', peer: probe.peer })
}

const onAcked = (s: SwimState, input: SwimInput & { type: 'acked' }, nowMs: number, out: SwimEffect[]): void => {
  const probe = s.probes.get(input.seq)
  const m = s.members.get(input.peer)
  if (m !== undefined) {
    heard(m, nowMs)
    noteIncarnation(s, m, input.incarnation, nowMs, out)
  }
  const before = s.incarnation
  takeIn(s, input.news, nowMs, out)
  if (probe !== undefined) succeed(s, probe, out)
  if (m === undefined) return
  // It was told, and a peer that knows what a suspicion is would have spoken against it.
  const wasTold = probe !== undefined && probe.startedAtMs >= m.suspectedAtMs
  if (wasTold && (m.standing === 'suspect' || m.standing === 'dead')) {
    m.cannotRefute = true
    markAlive(s, m, nowMs, out)
  }
  // It said what others think of this node, and is the first to hear the answer.
  if (s.incarnation > before && m.isNeighbour) startProbe(s, m, 'direct', nowMs, out)
}

/** Failed probes in a row that make a suspect. What nobody else could look into counts less. */
const enough = (s: SwimState, { views }: Probe): number => Math.max(s.settings.suspectAfter, views > 0 ? 1 : BLIND)

const fail = (s: SwimState, probe: Probe, nowMs: number, out: SwimEffect[]): void => {
  endProbe(s, probe, 'silent', out)
  const m = s.members.get(probe.peer)
  if (probe.kind === 'relayed' || m === undefined) return
  s.counts.failedProbes += 1
  // Relays that kept silent hint at this node's own slowness; with nobody to ask there is nothing to compare with.
  changeHealth(s, Math.max(0, probe.asked - probe.reports))
  if (probe.kind === 'lost') {
    if (!m.isNeighbour) suspect(s, m, nowMs, out)
    return
  }
  m.failures += 1
  miss(m, probe)
  if (probe.kind === 'verdict') {
    if (probe.startedAtMs >= m.suspectedAtMs) markDead(s, m, nowMs, out)
  } else if (m.standing === 'suspect' || m.failures >= enough(s, probe)) suspect(s, m, nowMs, out)
  // Whoever is in doubt is looked at again at once.
  else if (m.isNeighbour && m.probing === 0) startProbe(s, m, 'direct', nowMs, out)
}

const connect = (s: SwimState, peer: string, nowMs: number, out: SwimEffect[]): void => {
  const m = memberOf(s, peer, nowMs)
  m.isNeighbour = true
  heard(m, nowMs)
  m.askedAtMs = nowMs
  s.neighbours.set(peer, m)
  // It is told at once what is thought of it.
  if (m.standing !== 'alive') startProbe(s, m, 'direct', nowMs, out)
}

const disconnect = (s: SwimState, peer: string, parted: boolean, nowMs: number, out: SwimEffect[]): void => {
  const m = s.neighbours.get(peer)
  if (m === undefined) return
  s.neighbours.delete(peer)
  m.isNeighbour = false
  m.newsAtMs = nowMs
  for (const probe of [...s.probes.values()]) {
    if (probe.peer !== peer || probe.kind === 'verdict') continue
    if (probe.kind === 'relayed') endProbe(s, probe, 'unknown', out)
    else s.probes.delete(probe.seq)
  }
  m.probing = 0
  if (!parted && (m.standing === 'alive' || m.standing === 'suspect')) startProbe(s, m, 'lost', nowMs, out)
}

/** What somebody's record says: this start of it is alive. */
const onMember = (s: SwimState, peer: string, incarnation: number, nowMs: number, out: SwimEffect[]): void => {
  const m = s.members.get(peer)
  if (m === undefined || incarnation < m.incarnation) return
  if (incarnation > m.incarnation) noteIncarnation(s, m, incarnation, nowMs, out)
  // The directory takes a dead one back where somebody heard of it after its death.
  else if (m.standing === 'dead') markAlive(s, m, nowMs, out)
}

const onLeft = (s: SwimState, input: SwimInput & { type: 'left' }, nowMs: number, out: SwimEffect[]): void => {
  const m = memberOf(s, input.peer, nowMs)
  const incarnation = Math.max(input.incarnation, m.incarnation)
  const { peer, departure } = input
  // Its own record tells everybody; there is nothing to pass on.
  adoptIfNewer(s, m, { peer, standing: 'left', incarnation, by: [], departure }, nowMs, out)
}

const onAsked = (
  s: SwimState,
  { peer, id, target }: SwimInput & { type: 'asked' },
  nowMs: number,
  out: SwimEffect[],
): void => {
  const m = s.neighbours.get(target)
  const isKnown = m !== undefined && !s.hasLeft
  // Who cannot tell says so at once: that the question arrived is worth knowing.
  if (!isKnown) out.push({ type: 'report', to: peer, id, outcome: 'unknown' })
  else startProbe(s, m, 'relayed', nowMs, out, { forAsker: { peer, id } })
}

const onReported = (s: SwimState, seq: number, outcome: ProbeOutcome, out: SwimEffect[]): void => {
  const probe = s.probes.get(seq)
  if (probe === undefined) return
  probe.reports += 1
  if (outcome !== 'unknown') probe.views += 1
  if (outcome !== 'heard') return
  const m = s.members.get(probe.peer)
  if (m !== undefined) {
    m.failures = 0
    if (probe.kind === 'direct') miss(m, probe)
  }
  succeed(s, probe, out)
}

/**
 * This node stood still for a while: what came meanwhile has not been read yet, and others may have stood still with it.
 * Who is only a little late every time must still come to an end some time.
 */
const makeUp = (s: SwimState, lateMs: number, nowMs: number): void => {
  const isLong = lateMs >= s.settings.timeoutMs
  const byMs = lateMs + (isLong ? s.settings.timeoutMs : 0)
  for (const probe of s.probes.values()) {
    probe.indirectAtMs += byMs
    probe.failsAtMs += byMs
  }
  for (const m of s.suspects.values()) m.deadlineMs += byMs
  for (const m of s.neighbours.values()) {
    m.lastSeenAtMs = Math.min(nowMs, m.lastSeenAtMs + lateMs)
    m.unansweredSinceMs += byMs
  }
  s.counts.stalls += 1
  if (isLong) changeHealth(s, 1)
  if (lateMs >= s.settings.suspicionMs) s.wokeAtMs = nowMs
}

/** Old news is forgotten, and a mesh at rest keeps its neighbours only. */
const tidy = (s: SwimState, nowMs: number): void => {
  for (const m of s.members.values()) {
    const isOld = nowMs - m.newsAtMs > s.settings.keepMs
    if (isOld && !m.isNeighbour && m.standing !== 'suspect' && m.probing === 0) removeMember(s, m)
  }
}

const advance = (s: SwimState, nowMs: number, out: SwimEffect[]): void => {
  for (const probe of [...s.probes.values()]) {
    if (nowMs >= probe.failsAtMs) fail(s, probe, nowMs, out)
    else if (nowMs >= probe.indirectAtMs) askRelays(s, probe, nowMs, out)
  }
  endSuspicions(s, nowMs, out)
  if (nowMs >= s.nextProbeAtMs) {
    const stretch = s.health + 1
    s.nextProbeAtMs = nowMs + s.settings.periodMs * stretch * (1 + JITTER * (2 * s.random() - 1))
    const target = s.hasLeft ? undefined : nextTarget(s, nowMs)
    if (target !== undefined) startProbe(s, target, 'direct', nowMs, out)
  }
  if (nowMs >= s.nextTidyAtMs) {
    tidy(s, nowMs)
    s.nextTidyAtMs = nowMs + s.settings.keepMs / 4
  }
}

const wakeAt = (s: SwimState): number => {
  let atMs = Math.min(s.nextProbeAtMs, s.nextTidyAtMs)
  for (const { indirectAtMs, failsAtMs } of s.probes.values()) atMs = Math.min(atMs, indirectAtMs, failsAtMs)
  for (const { deadlineMs } of s.suspects.values()) atMs = Math.min(atMs, deadlineMs)
  return atMs
}

const onTick = (s: SwimState, members: number, nowMs: number, out: SwimEffect[]): void => {
  s.size = Math.max(1, members)
  const lateMs = nowMs - s.wakeAtMs
  if (lateMs > STALL_MS) makeUp(s, lateMs, nowMs)
  advance(s, nowMs, out)
}

/** The way is closed: others are asked at once. */
const onFailed = (s: SwimState, seq: number, nowMs: number, out: SwimEffect[]): void => {
  const probe = s.probes.get(seq)
  if (probe === undefined) return
  if (probe.kind !== 'direct') fail(s, probe, nowMs, out)
  else if (probe.indirectAtMs !== Number.POSITIVE_INFINITY) askRelays(s, probe, nowMs, out)
}

const act = (s: SwimState, input: SwimInput, nowMs: number, out: SwimEffect[]): void => {
  if (input.type === 'tick') onTick(s, input.members, nowMs, out)
  else if (input.type === 'connected') connect(s, input.peer, nowMs, out)
  else if (input.type === 'disconnected') disconnect(s, input.peer, input.parted, nowMs, out)
  else if (input.type === 'member') onMember(s, input.peer, input.incarnation, nowMs, out)
  else if (input.type === 'left') onLeft(s, input, nowMs, out)
  else if (input.type === 'probed') onProbed(s, input, nowMs, out)
  else if (input.type === 'acked') onAcked(s, input, nowMs, out)
  else if (input.type === 'failed') onFailed(s, input.seq, nowMs, out)
  else if (input.type === 'asked') onAsked(s, input, nowMs, out)
  else if (input.type === 'reported') onReported(s, input.seq, input.outcome, out)
  else s.hasLeft = true
}

/** Takes in what happened. @returns what is to be done, in this order */
export const step = (s: SwimState, input: SwimInput, nowMs: number): SwimEffect[] => {
  const out: SwimEffect[] = []
  act(s, input, nowMs, out)
  s.wakeAtMs = wakeAt(s)
  return out
}
