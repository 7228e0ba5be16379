/**
 * By what members of a mesh know each other on the local network: a name for their service, and a seal for what they tell.
 *
 * Both come from the mesh's secret and name by HKDF (RFC 5869). To those without the secret the name is 14 characters that
 * say nothing, and what is told is encrypted and authenticated by AES-256-GCM. Who listens learns that some hosts speak
 * the same service, and how much; who plays back an old answer makes a node dial where a member was. Pure but for nonces.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { MeshOptions } from '../../options/schema.ts'
import { deriveAuthority } from '../../trust/secret.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const NAME_BYTES = 7
const SALT = 'parley/mdns/1'

export interface MdnsCipher {
  readonly service: string
  encrypt(bytes: Uint8Array): Uint8Array
  decrypt(bytes: Uint8Array): Uint8Array | undefined
}

/** @param secret what members know; empty for a mesh without one */
export const createMdnsCipher = (secret: string, mesh: string): MdnsCipher => {
  const bytes = Buffer.from(hkdfSync('sha256', secret, SALT, mesh, KEY_BYTES + NAME_BYTES))
  const key = bytes.subarray(0, KEY_BYTES)
  // 15 characters at most after the underscore, a letter among them (RFC 6335, section 5.1).
  const service = `_p${bytes.subarray(KEY_BYTES).toString('hex')}._udp.local`
  return {
    service,
    encrypt(plain) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    decrypt(sealed) {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
      } catch {
        // Somebody else's, or forged; who asks counts it.
        return undefined
      }
    },
  }
}

/** Stretched: what is sent could otherwise be used to guess a weak secret cheaply. */
export const mdnsCiphersOf = async ({
  secret = [],
  mesh,
}: Pick<MeshOptions, 'secret' | 'mesh'>): Promise<MdnsCipher[]> => {
  if (secret.length === 0) return [createMdnsCipher('', mesh)]
  const authorities = await Promise.all(secret.map((text) => deriveAuthority(text, mesh)))
  return authorities.map(({ privateKey }) => createMdnsCipher(privateKey.export({ format: 'jwk' }).d ?? '', mesh))
}
