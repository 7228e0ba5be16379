/**
 * What one node says of another: alive, suspect, dead or left, as of an incarnation that only the other one may raise.
 *
 * Claims of one peer are in order, by incarnation and then by severity, so that whoever has heard the same claims, in
 * whatever order and however often, thinks the same. Source: SWIM (Das et al., DSN 2002), section 4.2; a death or an end
 * is outdone by a higher incarnation too, since who comes back is a new life or was given up wrongly.
 */

import type { Departure } from '../directory/record/agent-record.ts'

export const MEMBER_STATUSES = ['alive', 'suspect', 'dead', 'left'] as const
export type MemberStatus = (typeof MEMBER_STATUSES)[number]

export interface MembershipUpdate {
  readonly peer: string
  readonly standing: MemberStatus
  /** Milliseconds since 1970 at the peer's start, and one more for each refutation since. */
  readonly incarnation: number
  /** Of a suspicion: whose own probes failed. */
  readonly by: readonly string[]
  /** Of one that left. */
  readonly departure?: Departure | undefined
}

/** The first accuser and those that confirm it; further ones change nothing. */
export const maxAccusers = (confirmations: number): number => confirmations + 1

const SEVERITY: Readonly<Record<MemberStatus, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 }

/** Above 0 where `a` outdoes `b`. */
export const compareUpdates = (
  a: Pick<MembershipUpdate, 'incarnation' | 'standing'>,
  b: Pick<MembershipUpdate, 'incarnation' | 'standing'>,
): number => a.incarnation - b.incarnation || SEVERITY[a.standing] - SEVERITY[b.standing]
