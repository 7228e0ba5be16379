/**
 * The shared secret of a small mesh: made, judged, read from a file, and stretched into the mesh's authority.
 *
 * Everyone who knows the secret can compute the authority's key: all members are equal and none can be revoked. Whoever
 * can connect sees a token and may test guesses against it offline, so a secret is 32 random bytes, and scrypt (RFC 7914)
 * makes each guess at a weak one cost 32 MiB and about a tenth of a second. The mesh's name is in the salt: one secret
 * used for two meshes gives two authorities. A made secret says of itself that it was made, by a prefix and a checksum:
 * what only looks random may be a passphrase. State: the last few authorities that were derived in this process.
 */
import { createHash, hash, type KeyObject, randomBytes, scrypt } from 'node:crypto'
import { toString as encode } from 'uint8arrays/to-string'
import { ParleyError } from '../../protocols/errors.ts'
import { octal, opensToOthers, readSmallFile } from '../platform/private-file.ts'
import { keyPairOfSeed } from './ed25519.ts'

const SECRET_BYTES = 32
const MAX_SECRET_FILE_BYTES = 4096
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }
const SALT = 'parley/authority/1\n'
/** Bits a character; 43 random characters have about 4.9, sentences about 4, one repeated character 0. */
const MIN_ENTROPY = 3.3

/** Says that the rest was made by `makeSecret`, and how. */
const PREFIX = 'parley1-'
const CHECKSUM_BYTES = 4
const CHECKSUM_LABEL = 'parley/secret/1\n'
/** 36 bytes make 48 characters, with no unused bit: a secret has one spelling. */
const MADE = /^parley1-[A-Za-z0-9_-]{48}$/
/** Also in quotes, and with a prefix in other letters. */
const LOOKS_MADE = /^\W*parley\d+[\W_]/i
const MADE_CHARACTERS = 48

/**
 * `strong`: made by `makeSecret`. `former`: looks like those that were made before they had a checksum; weak from the next
 * minor version on. `mistyped`: begins like a made one and is none.
 */
export type SecretStrength = 'strong' | 'former' | 'weak' | 'mistyped'

/** Who signs membership tokens, as those know it who only check them. */
export interface AuthorityKey {
  /** The Ed25519 public key, 32 bytes in base64url: the issuer of its tokens. */
  readonly id: string
  readonly publicKey: KeyObject
}

export interface Authority extends AuthorityKey {
  readonly privateKey: KeyObject
}

const checksumOf = (random: Uint8Array): Buffer =>
  createHash('sha256').update(CHECKSUM_LABEL).update(random).digest().subarray(0, CHECKSUM_BYTES)

/** A new secret: `parley1-`, then 32 random bytes and 4 of their checksum in base64url; 56 characters. */
export const makeSecret = (): string => {
  const random = randomBytes(SECRET_BYTES)
  return PREFIX + Buffer.concat([random, checksumOf(random)]).toString('base64url')
}

const isMade = (secret: string): boolean => {
  if (!MADE.test(secret)) return false
  const bytes = Buffer.from(secret.slice(PREFIX.length), 'base64url')
  return checksumOf(bytes.subarray(0, SECRET_BYTES)).equals(bytes.subarray(SECRET_BYTES))
}

/** Shannon entropy in bits a character. */
const entropyOf = (text: string): number => {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

const isRepetition = (text: string): boolean => (text + text).indexOf(text, 1) < text.length

/** More than half of the characters follow their neighbour, as in an alphabet or a count. */
const isSequence = (text: string): boolean => {
  let steps = 0
  for (let at = 1; at < text.length; at += 1) {
    if (Math.abs(text.charCodeAt(at) - text.charCodeAt(at - 1)) === 1) steps += 1
  }
  return steps > text.length / 2
}

const LOWER = /[a-z]/
const UPPER = /[A-Z]/
/** 32 bytes in base64url in their one spelling: the last of 43 characters carries 4 bits, the other two are zero. */
const FORMER = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/**
 * Whether a secret looks like those that earlier versions made. It cannot prove randomness; it finds words, repetitions
 * and sequences. A made one is missed once in 10^9.
 */
const isFormer = (secret: string): boolean => {
  if (!FORMER.test(secret) || entropyOf(secret) < MIN_ENTROPY || isRepetition(secret) || isSequence(secret))
    return false
  // Written words keep to one case; 43 random characters do so once in five thousand million times.
  return LOWER.test(secret) && UPPER.test(secret)
}

export const classifySecret = (secret: string): SecretStrength => {
  if (isMade(secret)) return 'strong'
  if (LOOKS_MADE.test(secret) || isMade(PREFIX + secret.slice(-MADE_CHARACTERS))) return 'mistyped'
  return isFormer(secret) ? 'former' : 'weak'
}

/** Good enough for other machines; who accepts weak ones says so by `allowWeakSecret`. */
export const isStrongEnough = (secret: string): boolean => ['strong', 'former'].includes(classifySecret(secret))

/** What people read whose secret will not do for long; undefined where all will. */
export const secretWarning = (secrets: readonly string[]): string | undefined =>
  secrets.some((secret) => classifySecret(secret) === 'former')
    ? 'a secret without prefix and checksum cannot be told from a passphrase: the next minor version takes it for a weak one'
    : undefined

/** What to do about it. */
export const SECRET_ADVICE =
  'make one with `parley secret` and change to it in two rounds: all nodes with the new and the old one, then all with the new one'

/**
 * Refuses what was meant to be a made secret: with it the node would be a stranger to all others.
 * @throws SEC001 with `details.reason` `mistyped-secret`
 */
export const checkMistyped = (secrets: readonly string[]): void => {
  const at = secrets.findIndex((secret) => classifySecret(secret) === 'mistyped')
  if (at < 0) return
  const which = secrets.length > 1 ? `the ${at === 0 ? 'first' : 'second'} secret` : 'the secret'
  throw new ParleyError(
    'SEC001',
    `${which} begins like one that \`parley secret\` made, and its checksum does not fit`,
    {
      hint: `copy it again, whole: ${PREFIX} and ${MADE_CHARACTERS} characters, upper and lower case as they are`,
      details: { reason: 'mistyped-secret' },
    },
  )
}

const refusedFile = (path: string, why: string, hint: string): ParleyError =>
  new ParleyError('SEC001', `the secret file ${path} ${why}`, { hint, details: { path } })

/**
 * As Kubernetes mounts a secret (fsGroup, defaultMode 0440): it is root's, and the group of this process may read it.
 * @param user the uid of this process
 */
export const isMountedForGroup = (file: { uid: number; mode: number }, user: number): boolean =>
  user !== 0 && file.uid === 0 && (file.mode & 0o037) === 0

/**
 * The secret in a file: its one line, without the line's end.
 * @throws SEC001 for a file that is missing, empty, has several lines or can be used by group or others (but for a
 *   file of root that only the group of this process may read);
 *   STA003 where it cannot be read or is larger than 4 KiB
 */
export const readSecretFile = async (path: string): Promise<string> => {
  const bytes = await readSmallFile(path, MAX_SECRET_FILE_BYTES, async (handle) => {
    const file = await handle.stat()
    if (!opensToOthers(file.mode) || isMountedForGroup(file, process.getuid?.() ?? 0)) return
    const { mode } = file
    throw refusedFile(path, `has mode ${octal(mode)}: others on this machine can use it`, `chmod 600 ${path}`)
  })
  const make = `make one with: parley secret > ${path} && chmod 600 ${path}`
  if (bytes === undefined) throw refusedFile(path, 'does not exist', make)
  const secret = new TextDecoder().decode(bytes).trim()
  if (secret === '') throw refusedFile(path, 'is empty', make)
  if (/[\r\n]/.test(secret)) throw refusedFile(path, 'has more than one line', 'keep one secret in each file')
  return secret
}

/** Node's form of an Ed25519 key pair with this 32-byte seed. */
const authorityFromSeed = (seed: Uint8Array): Authority => {
  const { raw, publicKey, privateKey } = keyPairOfSeed(seed)
  return { id: encode(raw, 'base64url'), publicKey, privateKey }
}

const stretch = (secret: string, mesh: string): Promise<Authority> =>
  new Promise<Uint8Array>((resolve, reject) => {
    scrypt(secret, SALT + mesh, SECRET_BYTES, SCRYPT, (error, seed) => (error === null ? resolve(seed) : reject(error)))
  }).then(authorityFromSeed)

/** Several nodes of one process have the same one or two. */
const MAX_DERIVED = 4
const derived = new Map<string, Promise<Authority>>()

/**
 * The authority of a mesh: the same key for everyone with the same secret and mesh name. Takes about 0.1 s, off the
 * event loop, the first time.
 */
export const deriveAuthority = (secret: string, mesh: string): Promise<Authority> => {
  const key = hash('sha256', JSON.stringify([secret, mesh]))
  const known = derived.get(key)
  if (known !== undefined) return known
  const made = stretch(secret, mesh)
  derived.set(key, made)
  const [oldest] = derived.keys()
  if (derived.size > MAX_DERIVED && oldest !== undefined) derived.delete(oldest)
  made.catch(() => derived.delete(key))
  return made
}
