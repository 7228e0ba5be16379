/** Coalitions that one node is in: never more than it may be in, whatever it is asked at once, and none once it stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type { CoalitionVerdict } from '../../../protocols/coordination/coalition/coalition-api.ts'
import { MAX_MEMBERSHIPS, MemberCoalitions } from '../../../protocols/coordination/coalition/member-coalitions.ts'

const DAY_MS = 86_400_000

/** A node whose program thinks until it is told to answer. */
const createMember = () => {
  const time = createVirtualTime()
  const own = new MemberCoalitions({
    port: { self: { id: 'me' }, clock: { now: time.now, monotonic: time.now }, timers: time, log: { warn() {} } },
    fences: { accept: async () => undefined },
  } as never)
  const thinking: ((verdict: CoalitionVerdict) => void)[] = []
  own.onCoalition(() => new Promise<CoalitionVerdict>((resolve) => void thinking.push(resolve)))
  return {
    ...{ own, thinking },
    direct: (i: number): Promise<CoalitionVerdict> =>
      own.direct(
        { coalition_id: `c${i}`, goal: 'g', leader: 'me', members: ['me'], ttl_ms: DAY_MS } as never,
        { term: 1, index: i + 1 } as never,
      ),
  }
}
const aMoment = (): Promise<void> => new Promise(setImmediate)

test('a node is in no more coalitions than it may be in, also where it is asked for more at once', async () => {
  const { own, thinking, direct } = createMember()
  const asked = Array.from({ length: MAX_MEMBERSHIPS + 1 }, (_, i) => direct(i))
  await aMoment()
  assert.equal(thinking.length, MAX_MEMBERSHIPS, 'its program is asked about those that fit')
  assert.match((await asked.at(-1))?.reason ?? '', /is in 256 coalitions/)
  thinking.shift()?.({ error: 'directive_failed', reason: 'no time' })
  await asked[0]
  // There is room for one more.
  const more = [direct(1_000), direct(1_001)]
  await aMoment()
  for (const agree of thinking) agree(undefined)
  await Promise.all([...asked, ...more])
  assert.deepEqual(own.counts(), { memberOf: MAX_MEMBERSHIPS, accepted: MAX_MEMBERSHIPS, refused: 3 })
  own.stop()
})

test('a node that stops while its program thinks joins nothing, and is asked about nothing more', async () => {
  const { own, thinking, direct } = createMember()
  const joining = direct(1)
  await aMoment()
  own.stop()
  thinking[0]?.(undefined)
  const refused = { error: 'agent_unavailable', reason: 'this agent stops' }
  assert.deepEqual([await joining, await direct(2)], [refused, refused])
  assert.deepEqual([own.counts().memberOf, thinking.length], [0, 1])
})
