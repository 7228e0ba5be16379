/** Which cards let a peer in: the mesh, the clocks, and what a node knows of its own clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import fc from 'fast-check'
import { Credentials, createCredentialExchange } from '../../../../node/trust/credentials.ts'
import type { Membership, Trust } from '../../../../node/trust/trust.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { membershipError } from '../../../../protocols/security/membership-claims.ts'

const NOW = 1_750_000_000_000
const TOLERATED_MS = 65_000
const membership = { peer: 'b', issuer: 'one' } as Membership
/** Of all of a connection, cards look at who is behind it. */
const connection = {
  remotePeer: { toString: () => 'b' },
  remoteAddr: { toString: () => '/ip4/10.0.0.1/tcp/1' },
} as unknown as Connection

const setUp = ({ mode = 'secret' as Trust['mode'], ownClock = '', barred = false, tokens = true } = {}) =>
  createCredentialExchange({
    trust: {
      mode,
      tokens: async () => ['token'],
      async verify() {
        if (!tokens) throw membershipError('wrong-authority', 'another secret', 'take the same')
        return membership
      },
      accepts: () => true,
      describe: () => assert.fail('not asked'),
      prepare: async () => undefined,
    },
    clock: { now: () => NOW },
    self: { name: 'a', mesh: 'm', incarnation: 1 },
    meshId: () => 'ours',
    mayLeaveMesh: () => false,
    timeoutMs: 5_000,
    isLoopback: () => false,
    refusalOf: () =>
      barred ? new ParleyError('SEC001', 'not for a while', { details: { reason: 'cut-off' } }) : undefined,
    ownClockProblem: () => ownClock || undefined,
  })

const card = (changes: Partial<Credentials> = {}): Credentials => ({
  tokens: ['token'],
  mesh: 'm',
  name: 'b',
  incarnation: 1,
  nowMs: NOW,
  ...changes,
})

const refusesWith = async (reason: string, attempt: Promise<unknown>): Promise<void> => {
  await assert.rejects(attempt, (error) => {
    assert.ok(isParleyError(error, 'SEC001'), String(error))
    assert.equal(error.details.reason, reason, error.message)
    return true
  })
}

test('a card whose clock is further off than the tolerance is refused in both directions, although its token is good', async () => {
  const cards = setUp()
  for (const skewMs of [0, TOLERATED_MS, -TOLERATED_MS])
    assert.equal(await cards.check(card({ nowMs: NOW + skewMs }), connection, true), membership)
  for (const skewMs of [TOLERATED_MS + 1, -TOLERATED_MS - 1, 8.6e15 - NOW, -8.6e15])
    await refusesWith('clocks', cards.check(card({ nowMs: NOW + skewMs }), connection, false))
})

test('a node whose own clock is wrong admits nobody new, and renews its members', async () => {
  const cards = setUp({ ownClock: 'the clock was set' })
  await refusesWith('own-clock', cards.check(card(), connection, true))
  assert.equal(await cards.check(card(), connection, false), membership)
})

test('another mesh, one founded apart, a peer that is barred and a foreign secret are refused with that reason', async () => {
  await refusesWith('wrong-mesh', setUp().check(card({ mesh: 'x' }), connection, true))
  await refusesWith('founded-apart', setUp().check(card({ meshId: 'theirs' }), connection, true))
  await refusesWith('cut-off', setUp({ barred: true }).check(card(), connection, true))
  await refusesWith('wrong-authority', setUp({ tokens: false }).check(card(), connection, true))
  await refusesWith('wrong-authority', setUp({ tokens: false }).check(card({ meshId: 'theirs' }), connection, true))
  await refusesWith('not-loopback', setUp({ mode: 'open' }).check(card(), connection, true))
})

test('the own card says what it is of, and reads back as it was written', async () => {
  const own = await setUp().own()
  assert.deepEqual(own, { ...card(), name: 'a', meshId: 'ours' })
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(own)), (value, field) => {
      const read = Credentials.safeParse({ ...own, [field]: value })
      if (read.success) assert.ok(Number.isFinite(read.data.nowMs) && Math.abs(read.data.nowMs) <= 8.64e15)
    }),
  )
  assert.equal(
    Credentials.safeParse(JSON.parse('{"tokens":[],"mesh":"m","name":"b","incarnation":1,"nowMs":1e999}')).success,
    false,
  )
})
