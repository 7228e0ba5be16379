/** Until when peers are members: by the monotonic clock, renewed at half of it, proven anew when the secrets change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { dueOf, endOf, Memberships, renewalAt, retryInMs } from '../../../../node/trust/memberships.ts'
import type { Membership } from '../../../../node/trust/trust.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const DAY_MS = 24 * 3_600_000
const PROVE_MS = 10_000

const refusal = (reason: string, remote = false): ParleyError =>
  new ParleyError('SEC001', 'no', { details: { reason }, remote })

/** @param answer what comes of asking a peer for fresh tokens: how long they last, or an error */
const setUp = (answer: (peer: string) => number | Error | undefined = () => new Error('no answer')) => {
  const time = createVirtualTime()
  const issuers = new Set<string | null>(['one'])
  const asked: { peer: string; atMs: number }[] = []
  const ended: { peer: string; reason: unknown; atMs: number }[] = []
  const timersSet: number[] = []
  let chance = 0.5
  const memberships: Memberships = new Memberships({
    clock: { monotonic: time.now },
    timers: {
      after(delayMs, fn) {
        timersSet.push(delayMs)
        return time.after(delayMs, fn)
      },
    },
    chance: () => chance,
    accepts: (issuer) => issuers.has(issuer),
    proveMs: () => PROVE_MS,
    async renew(peer) {
      asked.push({ peer, atMs: Math.round(time.now()) })
      const given = answer(peer)
      if (given === undefined) return new Promise(() => {})
      if (given instanceof Error) throw given
      memberships.set(peer, membership(given, [...issuers][0] ?? null))
    },
    ended: (peer, { details }) => void ended.push({ peer, reason: details.reason, atMs: time.now() }),
  })
  const membership = (lastsMs: number, issuer: string | null = 'one'): Membership => ({
    peer: 'any',
    mesh: 'parley',
    issuer,
    tokenId: 'token',
    roles: [],
    caps: ['*'],
    lastsMs,
    endsAt: time.now() + lastsMs,
  })
  memberships.start()
  const setChance = (next: number): void => {
    chance = next
  }
  return { time, issuers, asked, ended, timersSet, memberships, membership, setChance }
}

test('a membership ends to the millisecond, and not one before', async () => {
  const { time, ended, memberships, membership } = setUp()
  memberships.set('a', membership(60_000))
  await time.run(59_999)
  assert.deepEqual(ended, [])
  assert.ok(memberships.get('a'))
  await time.run(1)
  assert.deepEqual(ended, [{ peer: 'a', reason: 'expired', atMs: 60_000 }])
  assert.equal(memberships.get('a'), undefined)
  await time.run(DAY_MS)
  assert.equal(ended.length, 1)
})

test('fresh tokens are asked for at half of its life, a little earlier or later, and put its end off', async () => {
  const { time, asked, ended, memberships, membership, setChance } = setUp(() => 100_000)
  setChance(0)
  memberships.set('early', membership(100_000))
  setChance(1)
  memberships.set('late', membership(100_000))
  await time.run(70_000)
  assert.deepEqual(asked, [
    { peer: 'early', atMs: 45_000 },
    { peer: 'late', atMs: 55_000 },
  ])
  await time.run(10 * DAY_MS)
  assert.deepEqual(ended, [])
})

test('where no fresh token comes it is asked for again and again, more often towards the end, which stays where it was', async () => {
  const { time, asked, ended, memberships, membership } = setUp()
  memberships.set('a', membership(DAY_MS))
  await time.run(DAY_MS)
  assert.deepEqual(ended, [{ peer: 'a', reason: 'expired', atMs: DAY_MS }])
  const gaps = asked.slice(1).map(({ atMs }, at) => atMs - (asked[at]?.atMs ?? 0))
  assert.ok(gaps.every((ms) => ms >= 750 && ms <= 750_000))
  assert.ok(asked.length > 90 && asked.length < 150, `${asked.length}`)
  assert.ok((gaps.at(-1) ?? 0) < 5_000)
})

test('a peer whose tokens are almost over is asked once a second, and not as fast as it answers', async () => {
  const { time, asked, memberships, membership } = setUp(() => 1_001)
  memberships.set('a', membership(1_001))
  await time.run(10_000)
  assert.ok(asked.length >= 9 && asked.length <= 10, `${asked.length}`)
  const short = setUp(() => 1)
  short.memberships.set('a', short.membership(1))
  await short.time.run(10_000)
  assert.deepEqual([short.asked.length, short.ended.length], [0, 1])
})

test('a peer that never answers is asked once, and ends all the same', async () => {
  const { time, asked, ended, memberships, membership } = setUp(() => undefined)
  memberships.set('a', membership(60_000))
  await time.run(60_000)
  assert.deepEqual([asked.length, ended.length], [1, 1])
})

test('an open mesh has memberships without an end, and still compares clocks', async () => {
  const { time, asked, ended, memberships, membership, issuers } = setUp(() => Number.POSITIVE_INFINITY)
  issuers.clear()
  issuers.add(null)
  memberships.set('a', membership(Number.POSITIVE_INFINITY, null))
  await time.run(30 * DAY_MS)
  assert.deepEqual([asked, ended], [[], []])
  memberships.refresh('a')
  await time.run(0)
  assert.equal(asked.length, 1)
  await time.run(DAY_MS)
  assert.deepEqual([asked.length, ended.length], [1, 0])
})

test('no timer is set further ahead than a day', async () => {
  const { time, timersSet, ended, memberships, membership } = setUp(() => undefined)
  memberships.set('a', membership(60 * DAY_MS))
  await time.run(60 * DAY_MS - 1)
  assert.deepEqual(ended, [])
  await time.run(1)
  assert.equal(ended.length, 1)
  assert.ok(timersSet.length > 20 && timersSet.every((ms) => ms >= 0 && ms <= DAY_MS))
})

test('after a change of secrets whoever shows a token of the new one stays, and everyone is asked', async () => {
  const { time, asked, ended, issuers, memberships, membership } = setUp(() => DAY_MS)
  memberships.set('old', membership(DAY_MS))
  issuers.add('two')
  memberships.secretsChanged()
  await time.run(2_000)
  assert.equal(asked.length, 1, 'also where nothing has ended')
  issuers.delete('one')
  memberships.set('new', membership(DAY_MS, 'two'))
  memberships.secretsChanged()
  await time.run(2_000)
  assert.deepEqual(
    asked
      .slice(1)
      .map(({ peer }) => peer)
      .sort(),
    ['new', 'old'],
  )
  await time.run(PROVE_MS * 2)
  assert.deepEqual(ended, [])
  assert.equal(memberships.get('old')?.issuer, 'two')
})

test('whoever shows no token of the new secret ends when its time is over: it refuses, it breaks off, it does not answer', async () => {
  for (const answer of [refusal('wrong-authority', true), new Error('reset'), undefined]) {
    const { time, ended, issuers, memberships, membership } = setUp(() => answer)
    memberships.set('a', membership(DAY_MS))
    issuers.clear()
    issuers.add('two')
    memberships.secretsChanged()
    await time.run(PROVE_MS - 1)
    // Once more wins it nothing.
    memberships.secretsChanged()
    assert.deepEqual(ended, [])
    await time.run(1)
    assert.deepEqual(ended, [{ peer: 'a', reason: 'changed-secret', atMs: PROVE_MS }])
  }
})

test('whoever shows what it has, and nothing of the new secret is among it, ends at once', async () => {
  const shown = [refusal('wrong-authority'), refusal('no-token'), new ParleyError('MSG004', 'it shows no cards')]
  for (const answer of shown) {
    const { time, ended, issuers, memberships, membership } = setUp(() => answer)
    memberships.set('a', membership(DAY_MS))
    issuers.clear()
    memberships.secretsChanged()
    await time.run(0)
    assert.deepEqual(ended, [{ peer: 'a', reason: 'changed-secret', atMs: 0 }])
  }
})

test('a refusal for the time is none for the secret, and without a change no refusal ends anything early', async () => {
  const late = setUp(() => refusal('not-yet-valid'))
  late.memberships.set('a', late.membership(DAY_MS))
  late.issuers.clear()
  late.memberships.secretsChanged()
  await late.time.run(PROVE_MS - 1)
  assert.deepEqual(late.ended, [])
  const plain = setUp(() => refusal('wrong-authority'))
  plain.memberships.set('a', plain.membership(60_000))
  await plain.time.run(59_999)
  assert.deepEqual(plain.ended, [])
})

test('a membership by a secret that went while its tokens were looked at has to be proven anew', async () => {
  const { time, asked, ended, issuers, memberships, membership } = setUp(() => refusal('wrong-authority', true))
  issuers.clear()
  memberships.set('a', membership(DAY_MS))
  await time.run(PROVE_MS - 1)
  assert.ok(asked.length > 0)
  assert.deepEqual(ended, [])
  await time.run(1)
  assert.deepEqual(ended, [{ peer: 'a', reason: 'changed-secret', atMs: PROVE_MS }])
})

test('an answer to a question from before the change does not count for it', async () => {
  const { time, issuers, memberships, membership, ended } = setUp(() => undefined)
  memberships.set('a', membership(60_000))
  await time.run(30_000)
  issuers.clear()
  memberships.secretsChanged()
  memberships.set('a', membership(DAY_MS, 'one'))
  await time.run(PROVE_MS)
  assert.deepEqual(ended, [{ peer: 'a', reason: 'changed-secret', atMs: 30_000 + PROVE_MS }])
})

test('after the stop, and for peers that are gone, nothing ends and nobody is asked', async () => {
  const { time, asked, ended, memberships, membership } = setUp()
  memberships.set('a', membership(1_000))
  memberships.delete('a')
  memberships.refresh('a')
  await time.run(2_000)
  memberships.set('b', membership(1_000))
  memberships.stop()
  await time.run(DAY_MS)
  assert.deepEqual([asked, ended], [[], []])
})

test('before the start nothing ends; then what is over ends at once', async () => {
  const { time, ended, memberships, membership } = setUp()
  memberships.stop()
  memberships.set('a', membership(1_000))
  await time.run(5_000)
  assert.deepEqual(ended, [])
  memberships.start()
  assert.equal(ended.length, 1)
})

test('whatever happens, a membership is over exactly from its end on, and is renewed only before that', () => {
  const ms = fc.double({ min: 0, max: 2 * DAY_MS, noNaN: true })
  const chance = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(ms, ms, chance, fc.option(ms), (lastsMs, passedMs, luck, proveInMs) => {
      const now = 1e6
      const membership = { lastsMs, endsAt: now + lastsMs } as Membership
      const proveBy = proveInMs === null ? Number.POSITIVE_INFINITY : now + proveInMs
      const renewAt = renewalAt(membership, now, luck)
      assert.ok(renewAt >= now + 1_000 && (renewAt <= membership.endsAt || lastsMs < 2_500))
      const term = { membership, proveBy, renewAt, isAsked: false }
      const { due, at } = dueOf(term, now + passedMs)
      assert.equal(due === 'end', now + passedMs >= endOf(term))
      if (due === 'renew') assert.ok(now + passedMs >= renewAt)
      assert.ok(due !== 'nothing' || at > now + passedMs)
      const retry = retryInMs(lastsMs, luck)
      assert.ok(retry >= 750 && retry <= 750_000)
    }),
  )
})
