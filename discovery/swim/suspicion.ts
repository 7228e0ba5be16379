/**
 * What is believed of whom: claims that arrive, suspicions and how they end.
 *
 * Rules of SWIM (Das et al., DSN 2002, section 4.2) and LHA-Suspicion of Lifeguard (arXiv:1707.00788, section IV-B),
 * and one of our own: who is connected to a peer looks for itself before it believes that it is dead.
 * Keeps no state but what it writes into the detector's.
 */
import { compareUpdates, type MembershipUpdate, maxAccusers } from './membership-update.ts'
import { startProbe } from './probes.ts'
import { suspicionMs } from './swim-settings.ts'
import { changeHealth, memberOf, type SwimEffect, type SwimMember, type SwimState, updateOf } from './swim-state.ts'

/** `stale`: this node knows better, and may say so. */
export type UpdateResult = 'news' | 'known' | 'stale'

const suspicionOf = (s: SwimState, accusers: number): number =>
  suspicionMs(s.settings, s.size, Math.max(0, accusers - 1))

/** Believes a claim that outdoes what was believed. */
const adopt = (s: SwimState, m: SwimMember, claim: MembershipUpdate, nowMs: number, out: SwimEffect[]): void => {
  const was = m.standing
  m.standing = claim.standing
  m.incarnation = claim.incarnation
  m.by = claim.by.slice(0, maxAccusers(s.settings.confirmations))
  m.departure = claim.departure
  m.isChecked = false
  m.newsAtMs = nowMs
  m.suspectedAtMs = nowMs
  const isSuspect = claim.standing === 'suspect'
  m.deadlineMs = isSuspect ? nowMs + suspicionOf(s, m.by.length) : Number.POSITIVE_INFINITY
  if (isSuspect) s.suspects.set(m.peer, m)
  else s.suspects.delete(m.peer)
  if (was === claim.standing) return
  if (claim.standing === 'suspect') {
    s.counts.suspicions += 1
    out.push({ type: 'suspect', peer: m.peer })
  } else if (claim.standing === 'alive') {
    s.counts.revivals += 1
    m.failures = 0
    out.push({ type: 'alive', peer: m.peer })
  } else if (claim.standing === 'left') {
    out.push({ type: 'left', peer: m.peer, departure: claim.departure })
  } else {
    s.counts.deaths += 1
    out.push({ type: 'dead', peer: m.peer, silentMs: m.isNeighbour ? nowMs - m.lastSeenAtMs : undefined })
  }
}

/** Adopts what is known for sure, if it is news. */
export const adoptIfNewer = (
  s: SwimState,
  m: SwimMember,
  claim: MembershipUpdate,
  nowMs: number,
  out: SwimEffect[],
): void => {
  if (compareUpdates(claim, m) > 0) adopt(s, m, claim, nowMs, out)
}

/** Adopts it and passes it on. */
const spread = (s: SwimState, m: SwimMember, claim: MembershipUpdate, nowMs: number, out: SwimEffect[]): void => {
  adopt(s, m, claim, nowMs, out)
  s.broadcasts.put(updateOf(m))
}

/** Further accusers only shorten a suspicion. */
const confirm = (s: SwimState, m: SwimMember, by: readonly string[]): void => {
  const room = maxAccusers(s.settings.confirmations) - m.by.length
  const fresh = by.filter((accuser) => !m.by.includes(accuser)).slice(0, Math.max(0, room))
  if (fresh.length === 0) return
  m.by.push(...fresh)
  m.deadlineMs = Math.min(m.deadlineMs, m.suspectedAtMs + suspicionOf(s, m.by.length))
  s.broadcasts.put(updateOf(m))
}

const deathOf = (m: SwimMember): MembershipUpdate => ({ ...updateOf(m), standing: 'dead' })

/** A last probe decides: what answers it is not dead. Until then it stays suspect. */
const lookAgain = (
  s: SwimState,
  m: SwimMember,
  accusation: MembershipUpdate,
  nowMs: number,
  out: SwimEffect[],
): void => {
  m.deadlineMs = Number.POSITIVE_INFINITY
  startProbe(s, m, 'verdict', nowMs, out, { accusation })
}

/** Others are sure that a neighbour is dead, and this node has not seen for itself. */
const onDeathOfNeighbour = (
  s: SwimState,
  m: SwimMember,
  claim: MembershipUpdate,
  nowMs: number,
  out: SwimEffect[],
): void => {
  const suspicion: MembershipUpdate = { ...claim, standing: 'suspect' }
  if (compareUpdates(suspicion, m) > 0) adopt(s, m, suspicion, nowMs, out)
  if (m.deadlineMs !== Number.POSITIVE_INFINITY) lookAgain(s, m, claim, nowMs, out)
}

/** What others say of this node. */
const onAccusation = (s: SwimState, claim: MembershipUpdate, nowMs: number, out: SwimEffect[]): UpdateResult => {
  if (s.hasLeft) return 'known'
  if (claim.incarnation < s.incarnation) return 'stale'
  if (claim.standing === 'alive') {
    // An earlier life had a clock that was ahead.
    s.incarnation = claim.incarnation
    return 'known'
  }
  if (claim.incarnation >= Number.MAX_SAFE_INTEGER) return 'known'
  s.incarnation = claim.incarnation + 1
  s.counts.refutations += 1
  // Whoever is suspected was slow to answer.
  if (claim.standing !== 'left') changeHealth(s, 1)
  s.broadcasts.put({ peer: s.self, standing: 'alive', incarnation: s.incarnation, by: [] })
  // What came meanwhile may be read before the tick that is overdue.
  const { keepMs, suspicionMs: longMs } = s.settings
  const hasJustWoken = nowMs - s.wokeAtMs < keepMs || nowMs - s.wakeAtMs >= longMs
  const isPresumedDead = claim.standing === 'dead' || (claim.standing === 'suspect' && hasJustWoken)
  s.wokeAtMs = Number.NEGATIVE_INFINITY
  out.push({ type: 'refuted', was: claim.standing, incarnation: s.incarnation, isPresumedDead })
  return 'news'
}

/** A claim that arrived. */
export const applyUpdate = (s: SwimState, claim: MembershipUpdate, nowMs: number, out: SwimEffect[]): UpdateResult => {
  if (claim.peer === s.self) return onAccusation(s, claim, nowMs, out)
  const m = memberOf(s, claim.peer, nowMs)
  const order = compareUpdates(claim, m)
  if (order < 0) {
    s.counts.staleClaims += 1
    return 'stale'
  }
  if (order === 0) {
    if (claim.standing === 'suspect') confirm(s, m, claim.by)
    return 'known'
  }
  if (claim.standing === 'suspect' && m.isNeighbour && m.cannotRefute) return 'known'
  if (claim.standing === 'dead' && m.isNeighbour && !m.isChecked) onDeathOfNeighbour(s, m, claim, nowMs, out)
  else spread(s, m, claim, nowMs, out)
  return 'news'
}

/** The peer itself told its incarnation. */
export const noteIncarnation = (
  s: SwimState,
  m: SwimMember,
  incarnation: number,
  nowMs: number,
  out: SwimEffect[],
): void => {
  if (incarnation <= m.incarnation) return
  m.cannotRefute = false
  if (m.standing === 'alive') m.incarnation = incarnation
  else spread(s, m, { peer: m.peer, standing: 'alive', incarnation, by: [] }, nowMs, out)
}

/** It is alive, although it did not say so itself. */
export const markAlive = (s: SwimState, m: SwimMember, nowMs: number, out: SwimEffect[]): void =>
  adopt(s, m, { peer: m.peer, standing: 'alive', incarnation: m.incarnation, by: [] }, nowMs, out)

/** This node's own probes of it failed. */
export const suspect = (s: SwimState, m: SwimMember, nowMs: number, out: SwimEffect[]): void => {
  if (m.standing === 'alive') {
    const { peer, incarnation } = m
    spread(s, m, { peer, standing: 'suspect', incarnation: Math.max(0, incarnation), by: [s.self] }, nowMs, out)
  } else if (m.standing === 'suspect') confirm(s, m, [s.self])
  else return
  m.isChecked = true
}

/** Its last look at a neighbour failed, or its time is over. */
export const markDead = (s: SwimState, m: SwimMember, nowMs: number, out: SwimEffect[]): void => {
  if (m.standing === 'suspect') spread(s, m, deathOf(m), nowMs, out)
}

/** Suspicions whose time is over. */
export const endSuspicions = (s: SwimState, nowMs: number, out: SwimEffect[]): void => {
  if (s.suspects.size === 0) return
  for (const m of [...s.suspects.values()]) {
    if (nowMs < m.deadlineMs) continue
    if (m.isNeighbour && !m.isChecked) lookAgain(s, m, deathOf(m), nowMs, out)
    else markDead(s, m, nowMs, out)
  }
}
