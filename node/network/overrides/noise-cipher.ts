/**
 * The cipher of Noise's records by OpenSSL, with its key prepared once.
 *
 * Everything else is upstream's. Upstream hands OpenSSL the bytes of the key with each record, and Node wraps them anew
 * each time: that is most of the time of a record of some KiB, and why upstream takes WebAssembly for small ones.
 * State: the prepared keys, weakly held by their bytes, which upstream keeps as long as the connection lives.
 * Source: RFC 8439 section 2.8 (AEAD_CHACHA20_POLY1305).
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import type { NoiseInit } from '@chainsafe/libp2p-noise'
import { asCrypto, defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'

type NoiseCrypto = NonNullable<NoiseInit['crypto']>

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES }

/** Below this, bytes, the call into OpenSSL costs more than WebAssembly takes for the whole record. */
const SMALL_BYTES = 800

/** Joined by copying below this, bytes: there a call into OpenSSL costs more than the copy. */
const COPY_BYTES = 8 * 1024

const pieces = (bytes: Uint8Array | Uint8ArrayList): Iterable<Uint8Array> =>
  bytes instanceof Uint8Array ? [bytes] : bytes

const prepared = new WeakMap<Uint8Array, KeyObject>()

const prepare = (key: Uint8Array): KeyObject => {
  let found = prepared.get(key)
  if (found === undefined) {
    found = createSecretKey(key)
    prepared.set(key, found)
  }
  return found
}

export const noiseCrypto: NoiseCrypto = {
  ...defaultCrypto,
  chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
    if (plaintext.byteLength < SMALL_BYTES) return asCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
    const cipher = createCipheriv(CIPHER, prepare(key), nonce, CIPHER_OPTIONS)
    if (ad.byteLength > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
    const sealed = new Uint8ArrayList()
    if (plaintext.byteLength < COPY_BYTES) sealed.append(cipher.update(plaintext.subarray()))
    else for (const piece of pieces(plaintext)) sealed.append(cipher.update(piece))
    cipher.final()
    sealed.append(cipher.getAuthTag())
    return sealed
  },
  chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, dst) {
    if (ciphertext.byteLength < SMALL_BYTES) return asCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, dst)
    const end = ciphertext.byteLength - TAG_BYTES
    const decipher = createDecipheriv(CIPHER, prepare(key), nonce, CIPHER_OPTIONS)
    if (ad.byteLength > 0) decipher.setAAD(ad, { plaintextLength: end })
    decipher.setAuthTag(ciphertext.subarray(end))
    const opened = new Uint8ArrayList()
    if (ciphertext instanceof Uint8Array) opened.append(decipher.update(ciphertext.subarray(0, end)))
    else for (const piece of ciphertext.sublist(0, end)) opened.append(decipher.update(piece))
    // Throws where the tag does not fit: the record was changed on its way, and the connection is broken off.
    decipher.final()
    return opened
  },
}
