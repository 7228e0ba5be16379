/**
 * What becomes of messages to a capability whose peer stays away: they go to another peer, wait, or become dead letters.
 * Pure.
 *
 * All messages of a conversation that are in the outbox are decided on together, so that their order holds. At least once: another peer gets it. Exactly once: whether the first one processed it is not
 * known, so it is a dead letter, unless the sender allowed a second peer to get it.
 */
import { type CapabilityTarget, conversationKey, type OutgoingMessage } from '../send/outgoing-message.ts'

export interface RebindGroup extends Pick<CapabilityTarget, 'capability' | 'conversationId'> {
  /** In the order of their numbers. */
  readonly entries: readonly OutgoingMessage[]
}

export interface RebindFacts {
  /** Offers it, and is well as far as this node knows; undefined where nobody does. */
  readonly taker: string | undefined
  /** The peer said that it does not come back. */
  readonly hasLeft: boolean
  /** Milliseconds since the conversation was moved last; undefined where it was not. */
  readonly movedAgoMs: number | undefined
  readonly rebindAfterMs: number
  /** What became of it is not known, whatever the sender allowed: the outbox was set back. */
  isUnknown(entry: OutgoingMessage): boolean
}

export interface RebindPlan {
  readonly group: RebindGroup
  /** Where `moved` goes; undefined where it is empty. */
  readonly to: string | undefined
  readonly moved: readonly OutgoingMessage[]
  readonly dead: readonly OutgoingMessage[]
}

/** Messages without a conversation that are decided on together, to be one commit. */
export const MAX_GROUP = 64

/** @param entries of one peer, in the order of their numbers in each lane; those to a peer by name are left out */
export const rebindGroupsOf = (entries: readonly OutgoingMessage[]): RebindGroup[] => {
  /** Those that are open, by conversation, or by capability. */
  const open = new Map<string, OutgoingMessage[]>()
  const groups: RebindGroup[] = []
  for (const entry of entries) {
    const { bound } = entry
    if (bound === undefined || entry.isSkip) continue
    const { capability, conversationId } = bound
    const name = conversationKey(bound) ?? ` ${capability}`
    const known = open.get(name)
    if (known !== undefined && (conversationId !== undefined || known.length < MAX_GROUP)) {
      known.push(entry)
      continue
    }
    const group = [entry]
    open.set(name, group)
    groups.push({ capability, conversationId, entries: group })
  }
  return groups
}

/** @returns undefined: they wait */
export const planRebind = (group: RebindGroup, facts: RebindFacts): RebindPlan | undefined => {
  const { taker, hasLeft, movedAgoMs, rebindAfterMs, isUnknown } = facts
  const entries = group.entries.filter(({ stage }) => stage !== 'failed')
  // One that is on its way to the dead letters may come back from there, to its place.
  if (group.conversationId !== undefined && entries.length < group.entries.length) return undefined
  // Below 0: the clock was set back.
  if (movedAgoMs !== undefined && movedAgoMs >= 0 && movedAgoMs < rebindAfterMs) return undefined
  if (taker === undefined && !hasLeft) return undefined
  const dies = (entry: OutgoingMessage): boolean =>
    entry.bound?.isExactlyOnce === true && (!entry.bound.mayRebind || isUnknown(entry))
  const dead = entries.filter(dies)
  const moved = taker === undefined ? [] : entries.filter((entry) => !dies(entry))
  return dead.length + moved.length === 0 ? undefined : { group, to: taker, moved, dead }
}
