/**
 * Ed25519 signatures off the event loop, by node:crypto's thread pool, with libp2p keys and peer ids.
 *
 * Keeps the imported public keys of the peers heard last, at most `maxKeys`, least recently used dropped first.
 * Guarantees the same bytes as libp2p's own Ed25519 (RFC 8032 is deterministic); a signature that one accepts the other
 * accepts. An Ed25519 peer id carries the public key itself (libp2p peer-ids specification), so nothing is looked up.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { toString as encode } from 'uint8arrays/to-string'
import { signatureCache } from './signature-cache.ts'

const signAsync = promisify<null, Uint8Array, KeyObject, Buffer>(sign)
const verifyAsync = promisify<null, Uint8Array, KeyObject, Uint8Array, boolean>(verify)

const SIGNATURE_BYTES = 64
/** An Ed25519 peer id has 52 characters. Base58 costs the square of the length, so longer ones are not tried. */
const MAX_PEER_ID_CHARS = 64
const DEFAULT_MAX_KEYS = 1024

export interface Signer {
  /** The signature of this node over `bytes`, 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /** Whether the key inside the base58 peer id signed `bytes`; false for any malformed input. */
  verify(peer: string, bytes: Uint8Array, signature: Uint8Array): Promise<boolean>
  /** How many peers' keys are held right now. */
  heldKeys(): number
}

const base64url = (bytes: Uint8Array): string => encode(bytes, 'base64url')

/** The public key of an Ed25519 peer id; undefined for anything else. */
const keyOfPeer = (peer: string): KeyObject | undefined => {
  if (peer.length > MAX_PEER_ID_CHARS) return undefined
  try {
    const id = peerIdFromString(peer)
    // A CID names the same peer in another spelling; one peer has one name here.
    if (id.type !== 'Ed25519' || id.toString() !== peer) return undefined
    return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: base64url(id.publicKey.raw) } })
  } catch {
    // Not a peer id: the answer is "not signed by it", which is what the caller asked.
    return undefined
  }
}

/** @param options.maxKeys public keys held, 1 or more; 1024 unless told, about 1 KiB each */
export const createSigner = (privateKey: Ed25519PrivateKey, options: { maxKeys?: number } = {}): Signer => {
  const maxKeys = options.maxKeys ?? DEFAULT_MAX_KEYS
  const keys = new Map<string, KeyObject>()
  const ownKey = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'OKP',
      crv: 'Ed25519',
      d: base64url(privateKey.raw.subarray(0, 32)),
      x: base64url(privateKey.publicKey.raw),
    },
  })

  const keyOf = (peer: string): KeyObject | undefined => {
    const key = keys.get(peer) ?? keyOfPeer(peer)
    if (key === undefined) return undefined
    // A map keeps its insertion order: put back at the end, the first one is the least recently used.
    keys.delete(peer)
    keys.set(peer, key)
    const oldest = keys.size > maxKeys ? keys.keys().next().value : undefined
    if (oldest !== undefined) keys.delete(oldest)
    return key
  }

  return {
    async sign(bytes) {
      return new Uint8Array(await signAsync(null, bytes, ownKey))
    },
    async verify(peer, bytes, signature) {
      if (signature.length !== SIGNATURE_BYTES) return false
      const key = keyOf(peer)
      return (
        key !== undefined && signatureCache.once(peer, bytes, signature, () => verifyAsync(null, bytes, key, signature))
      )
    },
    heldKeys: () => keys.size,
  }
}
