import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { deriveAuthority } from '../../../../node/trust/secret.ts'
import { issueToken, verifyToken } from '../../../../node/trust/token.ts'
import { createTrust, type TrustOptions } from '../../../../node/trust/trust.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { MembershipClaims, MembershipRefusal } from '../../../../protocols/security/membership-claims.ts'

const MESH = 'parley'
const NOW = 1_750_000_000_000
const [ann = '', bob = ''] = await Promise.all(
  ['ann', 'bob'].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()),
)
const [authority, otherSecret, otherMesh] = await Promise.all([
  deriveAuthority('one', MESH),
  deriveAuthority('two', MESH),
  deriveAuthority('one', 'elsewhere'),
])
const bearer = { peer: ann, mesh: MESH, nowMs: NOW }

const claims = (changes: Partial<MembershipClaims> = {}): Omit<MembershipClaims, 'iss'> => ({
  sub: ann,
  aud: MESH,
  iat: NOW / 1000,
  exp: NOW / 1000 + 3600,
  jti: 'token-1',
  roles: ['coordinator'],
  caps: ['task.*'],
  ...changes,
})

const refusesWith = async (reason: MembershipRefusal, attempt: Promise<unknown>, message?: RegExp): Promise<void> => {
  await assert.rejects(attempt, (error) => {
    assert.ok(isParleyError(error, 'SEC001'), String(error))
    assert.equal(error.details.reason, reason, error.message)
    assert.ok(error.hint)
    if (message !== undefined) assert.match(error.message, message)
    return true
  })
}

const trustOf = (self: string, secrets: string[], more: Partial<TrustOptions> = {}) =>
  createTrust({ mesh: MESH, self, secrets, clock: { now: () => NOW, monotonic: () => 1_000 }, ...more })

test('two members with one secret admit each other with all capabilities', async () => {
  const [a, b] = await Promise.all([trustOf(ann, ['one']), trustOf(bob, ['one'])])
  const tokens = await a.tokens()
  assert.equal(tokens.length, 1)
  const { tokenId, ...membership } = await b.verify(tokens, ann)
  assert.ok(tokenId)
  assert.deepEqual(membership, {
    peer: ann,
    mesh: MESH,
    issuer: authority.id,
    roles: [],
    caps: ['*'],
    lastsMs: 24 * 3_600_000 + 60_000,
    endsAt: 1_000 + 24 * 3_600_000 + 60_000,
  })
  await refusesWith('other-peer', b.verify(tokens, bob))
})

test('during a change of secret, members with the old one, both, and the new one admit each other step by step', async () => {
  const [old, changing, changed, fresh] = await Promise.all([
    trustOf(ann, ['one']),
    trustOf(bob, ['one', 'two']),
    trustOf(bob, ['two', 'one']),
    trustOf(ann, ['two']),
  ])
  for (const middle of [changing, changed]) {
    for (const edge of [old, fresh]) {
      await edge.verify(await middle.tokens(), bob)
      await middle.verify(await edge.tokens(), ann)
    }
  }
  await refusesWith('wrong-authority', fresh.verify(await old.tokens(), ann))
  // The first secret signs first.
  const [first = ''] = await changed.tokens()
  await verifyToken(first, [otherSecret], { ...bearer, peer: bob })
})

test('a mesh with a secret tells a peer without one so, and the other way round', async () => {
  const [closed, open] = await Promise.all([trustOf(ann, ['one']), trustOf(bob, [])])
  await refusesWith('no-token', closed.verify(await open.tokens(), bob), /this mesh needs a secret/)
  await refusesWith('unexpected-token', open.verify(await closed.tokens(), ann), /you sent a token/)
  assert.deepEqual(await open.tokens(), [])
  assert.deepEqual(await open.verify([], ann), {
    peer: ann,
    mesh: MESH,
    issuer: null,
    tokenId: null,
    roles: [],
    caps: ['*'],
    lastsMs: Number.POSITIVE_INFINITY,
    endsAt: Number.POSITIVE_INFINITY,
  })
})

test('of several refusals the most telling one is reported', async () => {
  const trust = await trustOf(bob, ['one', 'two'])
  const foreign = await issueToken(otherMesh, claims())
  const stale = await issueToken(authority, claims({ iat: NOW / 1000 - 7200, exp: NOW / 1000 - 3600 }))
  await refusesWith('expired', trust.verify([foreign, stale, 'x'], ann), /ended 3600 s ago/)
  await refusesWith('expired', trust.verify(['x', stale, foreign], ann))
  await refusesWith('wrong-authority', trust.verify([foreign, 'x'], ann))
  const good = await issueToken(authority, claims())
  assert.equal((await trust.verify([foreign, stale, good], ann)).issuer, authority.id)
})

test('four tokens are looked at, five are refused unread', async () => {
  const trust = await trustOf(bob, ['one'])
  const good = await issueToken(authority, claims())
  await trust.verify(['x', 'y', 'z', good], ann)
  await refusesWith('too-many-tokens', trust.verify(['w', 'x', 'y', 'z', good], ann))
})

test('each time the tokens are fresh, and a renewed one is valid when the first has ended', async () => {
  const time = { wall: NOW, mono: 0 }
  const clock = { now: () => time.wall, monotonic: () => time.mono }
  const lifetimeMs = 10_000
  const [a, b] = await Promise.all([
    trustOf(ann, ['one'], { clock, lifetimeMs, skewMs: 0 }),
    trustOf(bob, ['one'], { clock, skewMs: 0 }),
  ])
  const first = await a.tokens()
  assert.equal((await b.verify(first, ann)).endsAt, lifetimeMs)
  time.wall += lifetimeMs - 1
  time.mono += lifetimeMs - 1
  assert.equal((await b.verify(first, ann)).lastsMs, 1)
  time.wall += 1
  time.mono += 1
  await refusesWith('expired', b.verify(first, ann))
  assert.equal((await b.verify(await a.tokens(), ann)).endsAt, 2 * lifetimeMs)
})

test('the description says what the mode means and never holds the secret', async () => {
  const [closed, open, twice] = await Promise.all([
    trustOf(ann, ['one', 'two']),
    trustOf(ann, []),
    trustOf(ann, ['one', 'one']),
  ])
  assert.deepEqual(closed.describe().authorities, [authority.id, otherSecret.id])
  assert.equal(closed.mode, 'secret')
  assert.match(closed.describe().note, /none can be revoked/)
  assert.equal(open.describe().mode, 'open')
  assert.match(open.describe().note, /loopback/)
  assert.equal((await twice.tokens()).length, 1)
  assert.ok(!/"(one|two)"/.test(JSON.stringify(closed.describe())))
})

test('other secrets are taken by a node that runs, all at once; without one, or from without one, they need a restart', async () => {
  const [a, old, fresh, open] = await Promise.all([
    trustOf(ann, ['one']),
    trustOf(bob, ['one']),
    trustOf(bob, ['two']),
    trustOf(bob, []),
  ])
  const take = await a.prepare(['two', 'one'])
  await refusesWith('wrong-authority', a.verify(await fresh.tokens(), bob))
  take?.()
  await a.verify(await fresh.tokens(), bob)
  await a.verify(await old.tokens(), bob)
  assert.equal((await a.tokens()).length, 2)
  assert.equal(a.describe().authorities.length, 2)
  const last = await a.prepare(['two', 'two'])
  last?.()
  assert.equal((await a.tokens()).length, 1)
  await refusesWith('wrong-authority', a.verify(await old.tokens(), bob))
  assert.equal(await a.prepare([]), undefined)
  assert.equal(await open.prepare(['one']), undefined)
})

test('of several good tokens the one counts whose secret this node names first', async () => {
  const [one, two] = await Promise.all([issueToken(authority, claims()), issueToken(otherSecret, claims())])
  for (const [secrets, issuer] of [
    [['one', 'two'], authority.id],
    [['two', 'one'], otherSecret.id],
    [['one'], authority.id],
  ] as const) {
    const trust = await trustOf(bob, [...secrets])
    for (const tokens of [
      [one, two],
      [two, one],
    ])
      assert.equal((await trust.verify(tokens, ann)).issuer, issuer)
  }
})

test('issuers are accepted as long as their secret is one of this node, and no node has tokens that live too long', async () => {
  const [trust, open] = await Promise.all([trustOf(bob, ['one'], { lifetimeMs: 7 * 24 * 3_600_000 }), trustOf(bob, [])])
  assert.deepEqual(
    [trust.accepts(authority.id), trust.accepts(otherSecret.id), trust.accepts(null)],
    [true, false, false],
  )
  assert.deepEqual([open.accepts(null), open.accepts(authority.id)], [true, false])
  const take = await trust.prepare(['two', 'one'])
  assert.equal(trust.accepts(otherSecret.id), false)
  take?.()
  assert.deepEqual([trust.accepts(authority.id), trust.accepts(otherSecret.id)], [true, true])
  await trust.verify(await trust.tokens(), bob)
})

test('tokens live for 24 h at most, whoever signed them, and the tolerance is at most a twentieth of their life', async () => {
  const trust = await trustOf(bob, ['one'])
  const at = NOW / 1000
  const shown = async (iat: number, exp: number) =>
    trust.verify([await issueToken(authority, claims({ iat, exp }))], ann)
  const day = 24 * 3_600
  assert.equal((await shown(at, at + day)).lastsMs, day * 1000 + 60_000)
  await refusesWith('too-long', shown(at, at + day + 1), /claims 86401 s/)
  await refusesWith('too-long', shown(at, Date.UTC(3000, 0) / 1000))
  await refusesWith('too-long', shown(0, Date.UTC(3000, 0) / 1000))
  await refusesWith('too-long', shown(0, Number.MAX_SAFE_INTEGER))
  await refusesWith('not-yet-valid', shown(Number.MAX_SAFE_INTEGER - 5, Number.MAX_SAFE_INTEGER))
  // Of 100 s, 5 s; a clock that is ahead wins its owner nothing.
  assert.equal((await shown(at, at + 100)).lastsMs, 105_000)
  assert.equal((await shown(at + 5, at + 105)).lastsMs, 105_000)
  await refusesWith('not-yet-valid', shown(at + 6, at + 106))
  assert.equal((await shown(at - 104, at - 4)).lastsMs, 1_000)
  await refusesWith('expired', shown(at - 105, at - 5))
})
