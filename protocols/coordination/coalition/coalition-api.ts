/** Coalitions as a program uses them: agents that pursue one goal together for a while, and who leads them. */
import type { Registration } from '../../registration.ts'
import type { Refusal } from '../messages.ts'
import type { CoalitionMember, CoalitionRecord } from './coalition-record.ts'

export interface CoalitionWaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeoutMs?: number
}

export interface NewCoalition extends CoalitionWaitOptions {
  /** 1 to 128 letters, digits, _ and -; a new one unless told. The same id again is the same coalition. */
  readonly id?: string
  /** For people: 1 to 1,024 characters. */
  readonly goal: string
  /** Peer ids, 1 to 64, in the order in which they lead where a leader is gone. */
  readonly members: readonly string[]
  /** One of them; the first one unless told. */
  readonly leader?: string
  /** Milliseconds from when it is proposed, at most a day. */
  readonly ttlMs: number
  /** So many have to agree, the others are left out; all unless told. */
  readonly minMembers?: number
}

export interface CoalitionStatus {
  readonly id: string
  readonly goal: string
  /** Peer id of who proposed it. */
  readonly owner: string
  readonly leader: string
  readonly members: readonly CoalitionMember[]
  readonly state: CoalitionRecord['state']
  /** Why it was dissolved, for people. */
  readonly reason: string | undefined
  /** Milliseconds since 1970 by the journal's clock. */
  readonly until: number
  readonly madeAt: number
  readonly changedAt: number
}

/**
 * What a member is told. `joined`: it is asked to be in it, and is once it agrees; `changed`: others lead it, or are in it;
 * `dissolved`: this agent is in it no more, for its time is over, it was dissolved, or it goes on without this agent.
 */
export interface CoalitionNews {
  readonly type: 'joined' | 'changed' | 'dissolved'
  readonly id: string
  readonly goal: string
  readonly leader: string
  /** Whether this agent leads it. */
  readonly isLeader: boolean
  readonly members: readonly string[]
}

/** Undefined: it agrees. */
export type CoalitionVerdict = { readonly error: Refusal; readonly reason?: string } | undefined
/** May refuse to join, and to go on with it as changed; what is dissolved cannot be refused. */
export type CoalitionListener = (news: CoalitionNews) => CoalitionVerdict | Promise<CoalitionVerdict>

export interface CoalitionsCounts {
  /** Coalitions that this node is in. */
  readonly memberOf: number
  readonly formed: number
  /** Directives about coalitions that this node took, and refused. */
  readonly accepted: number
  readonly refused: number
}

export interface Coalitions {
  /**
   * Resolves once it is active, with who joined.
   * @throws STA003 `not-formed` with `details.why`, `exists`; COM003 `coalition-share`; MSG001; COM001 after `timeoutMs` (30,000
   *   unless told): it may be formed yet
   */
  form(what: NewCoalition): Promise<CoalitionStatus>
  /** @throws STA001 */
  get(id: string, options?: CoalitionWaitOptions): Promise<CoalitionStatus>
  /** Those that there are, sorted by id: also those that were dissolved within the last hour, the newest 256. */
  list(options?: CoalitionWaitOptions): Promise<CoalitionStatus[]>
  /** This node is in it no more. @throws STA001; SEC002 where it is no member; STA003 `ended` */
  leave(id: string): Promise<void>
  /** Of who proposed it, of who leads it, and of holders of the capability `coordinate`. @throws STA001, SEC002, STA003 `ended` */
  dissolve(id: string, reason?: string): Promise<void>
  /** Asked and told about coalitions of this node, which joins none without it. It has two seconds. At most one. @throws STA003 `in-use` */
  onCoalition(fn: CoalitionListener): Registration
  /** Whether this node is in it, as far as it was told. */
  isIn(id: string): boolean
  counts(): CoalitionsCounts
}
