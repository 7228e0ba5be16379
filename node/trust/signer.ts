/**
 * Ed25519 signatures off the event loop, by node:crypto's thread pool, with libp2p keys and peer ids.
 *
 * State: the imported public keys of the peers heard last, at most `maxKeys`, least recently used dropped first; and for all
 * nodes of this process the signatures that were found good lately, at most MAX_SIGNATURES of messages up to MAX_CACHED_BYTES,
 * the oldest dropped first. Where several nodes live in one process, each of them is sent the same bytes, and a check costs
 * more than anything else that is done with them.
 * Guarantees the same bytes as libp2p's own Ed25519 (RFC 8032 is deterministic); a signature that one accepts the other
 * accepts. An Ed25519 peer id carries the public key itself (libp2p peer-ids specification), so nothing is looked up.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { toString as encode } from 'uint8arrays/to-string'

const signAsync = promisify<null, Uint8Array, KeyObject, Buffer>(sign)
const verifyAsync = promisify<null, Uint8Array, KeyObject, Uint8Array, boolean>(verify)

const SIGNATURE_BYTES = 64
/** An Ed25519 peer id has 52 characters. Base58 costs the square of the length, so longer ones are not tried. */
const MAX_PEER_ID_CHARS = 64
const DEFAULT_MAX_KEYS = 1024
const MAX_SIGNATURES = 512
/** Larger messages are rare, and would be most of what is kept. */
const MAX_CACHED_BYTES = 4_096

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

interface CheckedSignature {
  readonly peer: string
  readonly bytes: Uint8Array
  readonly isGood: Promise<boolean>
}

export interface SignatureCache {
  /** What `check` says, or said to somebody who asked before. */
  once(peer: string, bytes: Uint8Array, signature: Uint8Array, check: () => Promise<boolean>): Promise<boolean>
  size(): number
}

/** Keeps only what is good, with whose it is and the bytes themselves: both must be the same. */
export const createSignatureCache = (): SignatureCache => {
  const entries = new Map<string, CheckedSignature>()

  return {
    once(peer, bytes, signature, check) {
      if (bytes.length > MAX_CACHED_BYTES) return check()
      const key = Buffer.from(signature.buffer, signature.byteOffset, signature.length).toString('latin1')
      const known = entries.get(key)
      if (known !== undefined && known.peer === peer && Buffer.compare(known.bytes, bytes) === 0) return known.isGood
      const isGood = check()
      const entry = { peer, bytes: new Uint8Array(bytes), isGood }
      entries.set(key, entry)
      const oldest = entries.size > MAX_SIGNATURES ? entries.keys().next().value : undefined
      if (oldest !== undefined) entries.delete(oldest)
      const forget = (): void => {
        if (entries.get(key) === entry) entries.delete(key)
      }
      isGood.then((good) => {
        if (!good) forget()
      }, forget)
      return isGood
    },
    size: () => entries.size,
  }
}

const signatureCache = createSignatureCache()

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
