/** What becomes of messages whose peer stays away, decided on together by conversation. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_GROUP,
  planRebind,
  type RebindFacts,
  rebindGroupsOf,
} from '../../../../protocols/delivery/rebind/rebind-plan.ts'
import { newOutgoingMessage, type OutgoingMessage } from '../../../../protocols/delivery/send/outgoing-message.ts'

const entryOf = (
  sequence: number,
  about: { bound?: OutgoingMessage['bound']; isSkip?: boolean; stage?: OutgoingMessage['stage'] } = {},
): OutgoingMessage => ({
  ...newOutgoingMessage({
    lane: 1,
    sequence,
    size: 100,
    rank: 1,
    policy: { maxRetries: 1, initialDelayMs: 1, maxDelayMs: 1 },
    expiresAt: undefined,
    isSkip: about.isSkip === true,
    bound: about.bound,
    onOutcome: undefined,
  }),
  stage: about.stage ?? 'queued',
})
const boundTo = (
  conversationId: string | undefined,
  isExactlyOnce = false,
  mayRebind = false,
): OutgoingMessage['bound'] => ({
  capability: 'note',
  conversationId,
  isExactlyOnce,
  mayRebind,
})
const FACTS: RebindFacts = {
  taker: 'q',
  hasLeft: false,
  movedAgoMs: undefined,
  rebindAfterMs: 1_000,
  isUnknown: () => false,
}
const plan = (entries: readonly OutgoingMessage[], facts: Partial<RebindFacts> = {}) => {
  const [group, ...others] = rebindGroupsOf(entries)
  assert.ok(group !== undefined && others.length === 0)
  const move = planRebind(group, { ...FACTS, ...facts })
  return move && { to: move.to, moved: numbers(move.moved), dead: numbers(move.dead) }
}
const numbers = (entries: readonly OutgoingMessage[]): number[] => entries.map(({ sequence }) => sequence)

test('at least once moves; exactly once dies, unless the sender allowed it and its outbox is the one that sent it', () => {
  const all = [
    entryOf(1, { bound: boundTo('c') }),
    entryOf(2, { bound: boundTo('c', true) }),
    entryOf(3, { bound: boundTo('c', true, true) }),
  ]
  assert.deepEqual(plan(all), { to: 'q', moved: [1, 3], dead: [2] })
  assert.deepEqual(plan(all, { isUnknown: () => true }), { to: 'q', moved: [1], dead: [2, 3] })
})

test('without a taker they wait; of a peer that does not come back exactly once dies at once', () => {
  const all = [entryOf(1, { bound: boundTo('c') }), entryOf(2, { bound: boundTo('c', true) })]
  assert.equal(plan(all, { taker: undefined }), undefined)
  assert.deepEqual(plan(all, { taker: undefined, hasLeft: true }), { to: undefined, moved: [], dead: [2] })
  assert.equal(plan(all.slice(0, 1), { taker: undefined, hasLeft: true }), undefined)
})

test('a conversation is moved at most once in the time, up to the last millisecond, also from who does not come back', () => {
  const all = [entryOf(1, { bound: boundTo('c') })]
  assert.equal(plan(all, { movedAgoMs: 999, hasLeft: true }), undefined)
  assert.deepEqual(plan(all, { movedAgoMs: 1_000 })?.moved, [1])
  assert.deepEqual(plan(all, { movedAgoMs: -1 })?.moved, [1], 'the clock was set back')
})

test('a conversation waits for one of its messages that is being given up; others do not', () => {
  const failed = { stage: 'failed' as const }
  assert.equal(plan([entryOf(1, { bound: boundTo('c') }), entryOf(2, { bound: boundTo('c'), ...failed })]), undefined)
  const alone = [entryOf(1, { bound: boundTo(undefined) }), entryOf(2, { bound: boundTo(undefined), ...failed })]
  assert.deepEqual(plan(alone)?.moved, [1])
})

test('messages without a conversation are decided on in parts of a size, and never one that skips', () => {
  const some = Array.from({ length: MAX_GROUP + 1 }, (_, i) => entryOf(i + 1, { bound: boundTo(undefined) }))
  assert.deepEqual(
    rebindGroupsOf(some).map(({ entries }) => entries.length),
    [MAX_GROUP, 1],
  )
  assert.deepEqual(rebindGroupsOf([entryOf(1, { bound: boundTo('c'), isSkip: true }), entryOf(2)]), [])
})

test('whatever waits, every message is in one group, all of a conversation in the same one, in their order', () => {
  const conversation = fc.option(fc.constantFrom('a', 'b', 'c', ''), { nil: undefined })
  const capability = fc.constantFrom('a', 'ab', '1:a')
  fc.assert(
    fc.property(fc.array(fc.record({ conversation, capability }), { maxLength: 200 }), (all) => {
      const entries = all.map(({ conversation: id, capability: to }, i) =>
        entryOf(i + 1, { bound: { capability: to, conversationId: id, isExactlyOnce: false, mayRebind: false } }),
      )
      const groups = rebindGroupsOf(entries)
      assert.deepEqual(
        groups.flatMap(({ entries: some }) => numbers(some)).toSorted((a, b) => a - b),
        numbers(entries),
      )
      const names = new Set<string>()
      for (const { capability: to, conversationId: id, entries: some } of groups) {
        assert.deepEqual(
          numbers(some),
          numbers(some).toSorted((a, b) => a - b),
        )
        for (const { bound } of some) assert.deepEqual([bound?.capability, bound?.conversationId], [to, id])
        if (id === undefined) continue
        assert.ok(!names.has(`${to} ${id}`), 'a conversation is in one group')
        names.add(`${to} ${id}`)
      }
    }),
  )
})
