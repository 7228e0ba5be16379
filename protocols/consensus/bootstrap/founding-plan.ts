/** Whether a mesh can be founded now, by whom, and if not, why: from what the nodes say of themselves. */
import type { FoundingAnnouncement } from './contract.ts'
import { peersOf } from './founding-record.ts'

/** Names in one message; the rest is counted. */
const MAX_NAMES = 8

/** How long each one leaves the proposal to those before it. */
const PATIENCE_MS = 2_000
/** After a refusal; doubled each time, and drawn between a half and one and a half of it. */
const BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5_000
const MAX_PEERS = 1_024
/** An announcement that is older says nothing. */
const FRESH_MS = 2_500

export interface FoundingPlan {
  /** Members that are free and expect as many as this one, sorted; this one is among them. */
  readonly candidates: readonly string[]
  /** The set to propose, where nothing is in the way; this member is in it. */
  readonly set?: readonly string[]
  /** This member's place in it: the first proposes, others where those before them do not. */
  readonly rank?: number
  /** Candidates were told different numbers. */
  readonly isDivided?: boolean
  /** Why nothing can be proposed by this member, for a person. */
  readonly problem?: string
}

export const listNames = (names: readonly string[]): string => {
  const shown = names.slice(0, MAX_NAMES).join(', ')
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown
}

/** `3 (a, b), 5 (c)`; undefined where all expect the same. */
const divisionOf = (all: readonly FoundingAnnouncement[]): string | undefined => {
  const members = new Map<number, string[]>()
  for (const { expect, member, state } of all) {
    if (expect === undefined || state === 'founded') continue
    members.set(expect, [...(members.get(expect) ?? []), member])
  }
  if (members.size < 2) return undefined
  const sorted = [...members].toSorted(([a], [b]) => a - b)
  return sorted.map(([expect, who]) => `${expect} (${listNames(peersOf(who.toSorted()))})`).join(', ')
}

/** @param own of a candidate */
export const planFounding = (
  own: FoundingAnnouncement & { readonly expect: number },
  others: readonly FoundingAnnouncement[],
): FoundingPlan => {
  const { expect, member } = own
  const isLike = (one: FoundingAnnouncement): boolean => one.state === 'candidate' && one.expect === expect
  const candidates = [own, ...others.filter(isLike)].map((one) => one.member).toSorted()
  const division = divisionOf([own, ...others])
  if (division !== undefined) {
    const problem = `nodes expect different numbers of founders: ${division}; give all of them the same \`expect\``
    return { candidates, isDivided: true, problem }
  }
  // Theirs may be founded yet, and then it is joined.
  const bound = others.filter(({ state }) => state === 'promised').map((one) => one.member)
  if (bound.length > 0) {
    return { candidates, problem: `a mesh is being founded by others: ${listNames(peersOf(bound.toSorted()))}` }
  }
  if (candidates.length < expect) {
    return { candidates, problem: `${candidates.length} of the ${expect} expected founders are here` }
  }
  const set = candidates.slice(0, expect)
  const rank = set.indexOf(member)
  if (rank < 0)
    return { candidates, problem: `${expect} others are about to found the mesh: ${listNames(peersOf(set))}` }
  return { candidates, set, rank }
}

/** What peers last said of themselves, each of them once. State: that (bounded). */
export const createFoundingAnnouncements = (now: () => number) => {
  const heard = new Map<string, { announcement: FoundingAnnouncement; atMs: number }>()
  let dropped = 0
  return {
    put(peer: string, announcement: FoundingAnnouncement): void {
      if (heard.size >= MAX_PEERS && !heard.has(peer)) dropped += 1
      else heard.set(peer, { announcement, atMs: now() })
    },
    forget: (peer: string): void => void heard.delete(peer),
    clear: (): void => heard.clear(),
    fresh: (): FoundingAnnouncement[] =>
      [...heard.values()].filter(({ atMs }) => now() - atMs <= FRESH_MS).map(({ announcement }) => announcement),
    isFounded: (peer: string): boolean => heard.get(peer)?.announcement.state === 'founded',
    /** Milliseconds since it was heard of. */
    ageMs: (peer: string): number => now() - (heard.get(peer)?.atMs ?? Number.NEGATIVE_INFINITY),
    dropped: (): number => dropped,
  }
}

/**
 * When this node may propose: those before it in the set have their time first, and a refused proposal is not repeated at
 * once. State: since when a set could be proposed, and until when this node waits.
 */
export class ProposalTiming {
  #readyAtMs: number | undefined
  #notBeforeMs = 0
  #refusals = 0

  /** There is no set to propose now. */
  unready(): void {
    this.#readyAtMs = undefined
  }

  /** @param rank of this node in the set that could be proposed @returns milliseconds until it may propose it */
  leftMs(nowMs: number, rank: number): number {
    this.#readyAtMs ??= nowMs
    return Math.max(this.#notBeforeMs, this.#readyAtMs + rank * PATIENCE_MS) - nowMs
  }

  onProposed(nowMs: number): void {
    this.#notBeforeMs = nowMs + BACKOFF_MS
  }

  /** @param drawn a random number from 0 to 1 */
  onRefused(nowMs: number, drawn: number): void {
    this.#notBeforeMs = nowMs + Math.min(BACKOFF_MS * 2 ** this.#refusals, MAX_BACKOFF_MS) * (0.5 + drawn)
    this.#refusals = Math.min(this.#refusals + 1, 16)
  }
}
