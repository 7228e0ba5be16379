/**
 * Membership tokens as whoever knows the secret makes them: scrypt, Ed25519 and jose, and nothing of the product. State: the
 * keys that were stretched, one for each secret.
 */
import { createPrivateKey, createPublicKey, randomUUID, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { CompactSign } from 'jose'

const SEED_BYTES = 32
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }
/** PKCS #8 of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const RAW_KEY_BYTES = 32

const stretch = promisify<string, string, number, typeof COST, Buffer>(scrypt)
const keys = new Map<string, ReturnType<typeof deriveKey>>()

const deriveKey = async (secret: string, mesh: string) => {
  const seed = await stretch(secret, `parley/authority/1\n${mesh}`, SEED_BYTES, COST)
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-RAW_KEY_BYTES)
  return { key, id: raw.toString('base64url') }
}

export interface Claims {
  /** Seconds since 1970; now unless told. */
  readonly iat?: number
  /** Seconds since 1970; in an hour unless told. */
  readonly exp?: number
  /** Capabilities; all unless told. */
  readonly caps?: readonly string[]
}

const HOUR_S = 3_600

export const makeToken = async (
  { secret, mesh, peer }: { secret: string; mesh: string; peer: string },
  { iat = Math.floor(Date.now() / 1_000), exp = Math.floor(Date.now() / 1_000) + HOUR_S, caps = ['*'] }: Claims = {},
): Promise<string> => {
  const at = JSON.stringify([secret, mesh])
  const known = keys.get(at) ?? deriveKey(secret, mesh)
  keys.set(at, known)
  const { key, id } = await known
  const claims = { iss: id, sub: peer, aud: mesh, iat, exp, jti: randomUUID(), roles: [], caps }
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'parley-membership+jwt' })
    .sign(key)
}
