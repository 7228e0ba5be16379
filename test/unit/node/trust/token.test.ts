import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { base64url, CompactSign } from 'jose'
import { deriveAuthority } from '../../../../node/trust/secret.ts'
import { issueToken, verifyToken } from '../../../../node/trust/token.ts'
import { createTrust } from '../../../../node/trust/trust.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import {
  MAX_TOKEN_BYTES,
  type MembershipClaims,
  type MembershipRefusal,
  remainingMs,
} from '../../../../protocols/security/membership-claims.ts'

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

/** A token with any header and payload, signed by the right key. */
const signed = (header: Record<string, unknown>, payload: Uint8Array | object): Promise<string> =>
  new CompactSign(payload instanceof Uint8Array ? payload : new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'parley-membership+jwt', ...header })
    .sign(authority.privateKey)

const payload = { ...claims(), iss: authority.id }
const encodeJson = (value: unknown): string => base64url.encode(JSON.stringify(value))

test('an issued token gives its claims back to the authority that signed it', async () => {
  const token = await issueToken(authority, claims({ depth: 2 }))
  assert.deepEqual(await verifyToken(token, [otherSecret, authority], bearer), {
    ...claims({ depth: 2 }),
    iss: authority.id,
  })
  assert.equal(token.split('.').length, 3)
  assert.ok(token.length < 600, `${token.length} characters`)
})

test('claims that no member would accept are not signed', async () => {
  for (const change of [{ exp: 0 }, { aud: '' }, { caps: ['**'] }]) {
    await assert.rejects(issueToken(authority, claims(change)), (error) => isParleyError(error, 'MSG001'))
  }
})

test('a token for another peer, mesh, secret or time is refused with that reason', async () => {
  const check = (token: string, changes = {}) => verifyToken(token, [authority], { ...bearer, ...changes })
  const token = await issueToken(authority, claims())
  await refusesWith('other-peer', check(token, { peer: bob }))
  await refusesWith('wrong-mesh', check(token, { mesh: 'elsewhere' }), /"parley".*"elsewhere"/)
  await refusesWith('wrong-authority', check(await issueToken(otherSecret, claims())), /another secret or mesh/)
  await refusesWith('wrong-authority', check(await issueToken(otherMesh, claims())))
  await refusesWith('expired', check(token, { nowMs: NOW + 3_660_000 }))
  await refusesWith('not-yet-valid', check(token, { nowMs: NOW - 60_001 }))
  await check(token, { nowMs: NOW + 3_659_999 })
  await check(token, { nowMs: NOW - 60_000 })
})

test('changed claims and a borrowed issuer are refused by the signature', async () => {
  const [header = '', body = '', signature = ''] = (await issueToken(authority, claims())).split('.')
  const forged = encodeJson({ ...payload, caps: ['*'] })
  assert.notEqual(forged, body)
  await refusesWith('signature', verifyToken(`${header}.${forged}.${signature}`, [authority], bearer))
  const foreign = await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'parley-membership+jwt' })
    .sign(otherSecret.privateKey)
  await refusesWith('signature', verifyToken(foreign, [authority, otherSecret], bearer))
})

test('no other algorithm is accepted: none, a MAC with the public key, or a name for the same curve', async () => {
  const typ = 'parley-membership+jwt'
  const none = `${encodeJson({ alg: 'none', typ })}.${encodeJson(payload)}.`
  await refusesWith('malformed', verifyToken(none, [authority], bearer))
  const hmacInput = `${encodeJson({ alg: 'HS256', typ })}.${encodeJson(payload)}`
  const mac = createHmac('sha256', Buffer.from(authority.id, 'base64url')).update(hmacInput).digest('base64url')
  await refusesWith('malformed', verifyToken(`${hmacInput}.${mac}`, [authority], bearer))
  await refusesWith('malformed', verifyToken(await signed({ alg: 'Ed25519' }, payload), [authority], bearer))
})

test('a well-signed token of another type, or with an extension nobody knows, is refused', async () => {
  await refusesWith('malformed', verifyToken(await signed({ typ: 'JWT' }, payload), [authority], bearer))
  await refusesWith('malformed', verifyToken(await signed({ typ: undefined }, payload), [authority], bearer))
  const [, body = '', signature = ''] = (await signed({}, payload)).split('.')
  const critical = encodeJson({ alg: 'EdDSA', typ: 'parley-membership+jwt', crit: ['exotic'], exotic: 1 })
  await refusesWith('signature', verifyToken(`${critical}.${body}.${signature}`, [authority], bearer))
})

test('a token has one spelling: unused bits, padding, spaces and further parts are refused', async () => {
  const token = await issueToken(authority, claims())
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const sameBytes = alphabet[alphabet.indexOf(token.at(-1) ?? '') + 1]
  const respelled = `${token.slice(0, -1)}${sameBytes}`
  assert.deepEqual(base64url.decode(respelled.split('.')[2] ?? ''), base64url.decode(token.split('.')[2] ?? ''))
  for (const other of [respelled, `${token}=`, `${token}\n`, ` ${token}`, `${token}.`, `${token}.x`, `.${token}`]) {
    await refusesWith('malformed', verifyToken(other, [authority], bearer))
  }
})

test('a key inside the header is not used', async () => {
  const { publicKey, privateKey } = otherSecret
  const forged = await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'parley-membership+jwt', jwk: { ...publicKey.export({ format: 'jwk' }) } })
    .sign(privateKey)
  await refusesWith('signature', verifyToken(forged, [authority], bearer))
})

test('well-signed claims of the wrong shape are refused, naming the fields and not their values', async () => {
  const wrong: [object | Uint8Array, RegExp][] = [
    [{}, /iss.*sub.*aud/],
    [[], /claims/],
    [{ ...payload, exp: 'never' }, /wrong exp$/],
    [{ ...payload, exp: payload.iat }, /wrong exp$/],
    [{ ...payload, iat: -1 }, /wrong iat$/],
    [{ ...payload, caps: ['not a capability'] }, /wrong caps\.0$/],
    [{ ...payload, roles: Array(33).fill('r') }, /wrong roles$/],
    [new Uint8Array([0xff, 0xfe]), /no compact JWS/],
    [new TextEncoder().encode('{"iss":'), /no compact JWS/],
  ]
  for (const [body, message] of wrong) {
    await refusesWith('malformed', verifyToken(await signed({}, body), [authority], bearer), message)
  }
})

test('a field that a newer version adds is ignored', async () => {
  const token = await signed({ kid: 'x' }, { ...payload, later: true })
  assert.deepEqual(await verifyToken(token, [authority], bearer), payload)
})

test('a token of exactly 4 KiB is read, one byte more is refused unread', async () => {
  const padded = (length: number) => signed({ kid: 'k'.repeat(length) }, payload)
  // Base64 gives 4 characters for 3 bytes, so not each length can be met: the header is filled as far as it goes.
  let filler = 2500
  while ((await padded(filler + 1)).length <= MAX_TOKEN_BYTES) filler += 1
  const [fits, tooLong] = await Promise.all([padded(filler), padded(filler + 1)])
  assert.ok(MAX_TOKEN_BYTES - fits.length < 2, `${fits.length}`)
  await verifyToken(fits, [authority], bearer)
  await refusesWith('malformed', verifyToken(tooLong, [authority], bearer), /at most 4096/)
})

test('well-signed times that are none are refused, naming the field', async () => {
  for (const field of ['iat', 'exp']) {
    for (const value of [undefined, null, -1, 1.5, '1750000000', [1], 1e300, Number.MAX_SAFE_INTEGER + 1]) {
      const body = { ...payload, [field]: value }
      await refusesWith(
        'malformed',
        verifyToken(await signed({}, body), [authority], bearer),
        new RegExp(`wrong .*${field}`),
      )
    }
    // JSON has no NaN, and writes what is too large for a number as one that is.
    for (const text of ['NaN', '1e999', '-0.5', '-1']) {
      const body = JSON.stringify({ ...payload, [field]: 0 }).replace(`"${field}":0`, `"${field}":${text}`)
      await refusesWith('malformed', verifyToken(await signed({}, new TextEncoder().encode(body)), [authority], bearer))
    }
  }
})

test('whatever times a token claims, it is refused, or ends within 24 h and the tolerance', async () => {
  const at = NOW / 1000
  const seconds = fc.oneof(
    fc.integer({ min: at - 2 * 86_400, max: at + 2 * 86_400 }),
    fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    fc.constantFrom(0, at - 60, at - 61, at, at + 60, at + 61, at + 86_400, at + 86_460, at + 86_461),
  )
  const life = fc.oneof(fc.integer({ min: 1, max: 2 * 86_400 }), fc.constantFrom(1, 86_399, 86_400, 86_401))
  await fc.assert(
    fc.asyncProperty(seconds, fc.oneof(life, seconds), async (iat, lasts) => {
      const exp = iat + lasts
      fc.pre(Number.isSafeInteger(exp) && exp > iat)
      const token = await signed({}, { ...payload, iat, exp })
      // A twentieth of whole seconds is whole milliseconds, which no rounding touches.
      const leewayMs = Math.min(60_000, (exp - iat) * 50)
      const isGood = exp - iat <= 86_400 && (iat - at) * 1000 <= leewayMs && (at - exp) * 1000 < leewayMs
      try {
        const accepted = await verifyToken(token, [authority], bearer)
        assert.ok(isGood, 'should have been refused')
        const lastsMs = remainingMs(accepted, NOW)
        assert.ok(lastsMs > 0 && lastsMs <= 86_460_000, `${lastsMs}`)
        assert.ok(lastsMs <= (exp - iat) * 1000 + leewayMs, `${lastsMs}`)
      } catch (error) {
        assert.ok(isParleyError(error, 'SEC001'), String(error))
        assert.ok(!isGood, error.message)
        assert.ok(['too-long', 'not-yet-valid', 'expired'].includes(String(error.details.reason)))
      }
    }),
    { numRuns: 500 },
  )
})

test('whatever is sent as a token, nothing but SEC001 comes out', async () => {
  const good = await issueToken(authority, claims())
  const trust = await createTrust({
    mesh: MESH,
    self: bob,
    secrets: ['one'],
    clock: { now: () => NOW, monotonic: () => 0 },
  })
  const part = fc.oneof(
    fc.base64String().map((text) => text.replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')),
    fc.json().map((json) => base64url.encode(json)),
    fc.constantFrom(...good.split('.')),
    fc.string({ unit: 'binary' }),
  )
  const edited = fc
    .tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
    .map(([at, character]) => good.slice(0, at) + character + good.slice(at + 1))
    .filter((token) => token !== good)
  const garbage = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')),
    edited,
    fc.nat(good.length - 1).map((length) => good.slice(0, length)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(garbage, { minLength: 1, maxLength: 3 }), async (tokens) => {
      fc.pre(!tokens.includes(good))
      await assert.rejects(trust.verify(tokens, ann), (error) => isParleyError(error, 'SEC001'))
    }),
    { numRuns: 1500 },
  )
  assert.equal((await trust.verify([good], ann)).peer, ann)
})

test('well-signed but random headers and payloads give SEC001 too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), async (header, body) => {
      const { alg: _, crit: __, b64: ___, ...rest } = header
      const token = await signed(rest, new TextEncoder().encode(JSON.stringify(body)))
      await assert.rejects(verifyToken(token, [authority], bearer), (error) => isParleyError(error, 'SEC001'))
    }),
    { numRuns: 200 },
  )
})
