/**
 * What one neighbour may have the failure detector of this node do: answer its probes, probe others for it, take in its
 * claims. Beside the rates of all of it, claims of peers that no record is known of have one of their own: one member can
 * invent any number of those, and each would take the place of a claim about somebody who is there.
 *
 * State: the rates of neighbours; what was not taken is counted. A healthy mesh stays far below: a node probes one of its
 * neighbours in a period, and each of its messages carries at most a dozen claims.
 */
import { createRateLimiter } from '../../protocols/limits/rate-limiter.ts'
import type { MembershipUpdate } from './membership-update.ts'

const MAX_KEYS = 1_024
/** Answered, but nothing of it counts, and nothing is passed on with the answer. */
export const PROBE_RATE = { perSecond: 32, burst: 256, maxKeys: MAX_KEYS }
/** For one that a node lost it asks a few others, for all of its neighbours at once where it was cut off. */
export const INDIRECT_PROBE_RATE = { perSecond: 32, burst: 256, maxKeys: MAX_KEYS }
export const UPDATE_RATE = { perSecond: 128, burst: 1_024, maxKeys: MAX_KEYS }
export const UNKNOWN_UPDATE_RATE = { perSecond: 8, burst: 128, maxKeys: MAX_KEYS }

export type LimitedRequest = 'probe' | 'question' | 'claim' | 'unknown'

export interface NeighbourLimits {
  takeProbe(from: string, nowMs: number): boolean
  takeIndirectProbe(from: string, nowMs: number): boolean
  /** Of these claims, those that may count. */
  takeUpdates(from: string, news: readonly MembershipUpdate[], nowMs: number): MembershipUpdate[]
}

/**
 * @param isKnown there is a record of the peer, or it is a neighbour
 * @param exceeded told of each that was not taken
 */
export const createNeighbourLimits = (
  isKnown: (peer: string) => boolean,
  exceeded: (what: LimitedRequest) => void,
): NeighbourLimits => {
  const rates = {
    probe: createRateLimiter(PROBE_RATE),
    question: createRateLimiter(INDIRECT_PROBE_RATE),
    claim: createRateLimiter(UPDATE_RATE),
    unknown: createRateLimiter(UNKNOWN_UPDATE_RATE),
  }
  const may = (what: LimitedRequest, from: string, nowMs: number): boolean => {
    if (rates[what].take(from, nowMs)) return true
    exceeded(what)
    return false
  }
  return {
    takeProbe: (from, nowMs) => may('probe', from, nowMs),
    takeIndirectProbe: (from, nowMs) => may('question', from, nowMs),
    takeUpdates: (from, news, nowMs) =>
      news.filter(({ peer }) => may('claim', from, nowMs) && (isKnown(peer) || may('unknown', from, nowMs))),
  }
}
