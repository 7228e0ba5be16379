/**
 * Ed25519 keys from their 32-byte seeds, by node:crypto: the same computation in JavaScript takes a tenth of a second of
 * each start. Source: RFC 8032; RFC 8410 section 7 for the form around the seed.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

export const SEED_BYTES = 32

/** PKCS #8 header of an Ed25519 private key; the seed follows. */
const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** The public key alone, 32 bytes. */
  readonly raw: Uint8Array
}

/** @param seed 32 bytes @throws RangeError for any other number of them */
export const keyPairOfSeed = (seed: Uint8Array): KeyPair => {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, this one ${seed.length}`)
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEADER, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(privateKey)
  // The key is what the DER form ends with.
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-SEED_BYTES))
  return { privateKey, publicKey, raw }
}
