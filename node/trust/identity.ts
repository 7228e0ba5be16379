/**
 * Who this node is: its Ed25519 key, kept in `<dataDir>/identity.key`, and its incarnation, in `<dataDir>/incarnation`.
 *
 * The files are the state. The key file holds libp2p's protobuf form (68 bytes), so that
 * other libp2p tools can read it. The incarnation grows with each start of an identity, also when the clock went back,
 * and it is on disk before anyone hears it. Without a data directory both live as long as the process.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { equals } from 'uint8arrays/equals'
import { ParleyError } from '../../protocols/errors.ts'
import type { Log } from '../../protocols/port.ts'
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from '../platform/private-file.ts'
import { isDiskFull } from '../store/files/disk-reserve.ts'
import { keyPairOfSeed, SEED_BYTES } from './ed25519.ts'

export const KEY_FILE = 'identity.key'
const INCARNATION_FILE = 'incarnation'
/** An RSA key by mistake has about 1,700 bytes; that should be refused as a wrong key, not as a large file. */
export const MAX_KEY_BYTES = 16_384
const MAX_INCARNATION_BYTES = 64

const corruptKey = (path: string, why: string, cause?: unknown): ParleyError =>
  new ParleyError('MSG003', `the identity file ${path} is not usable: ${why}`, {
    hint: `restore ${path} from a backup, or remove it to start as a new peer with a new peer id`,
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  })

/** @param path for the message @throws MSG003 for what is no whole Ed25519 key */
export const decodeKey = async (path: string, bytes: Uint8Array): Promise<Ed25519PrivateKey> => {
  let key: ReturnType<typeof privateKeyFromProtobuf>
  try {
    key = privateKeyFromProtobuf(bytes)
  } catch (error) {
    throw corruptKey(path, `its ${bytes.length} bytes are not a libp2p private key`, error)
  }
  if (key.type !== 'Ed25519') throw corruptKey(path, `it holds a key of type ${key.type}, Ed25519 is needed`)
  // The file holds seed and public key; computing one from the other finds a flipped bit in either.
  const { raw } = keyPairOfSeed(key.raw.subarray(0, SEED_BYTES))
  if (!equals(raw, key.publicKey.raw) || !equals(privateKeyToProtobuf(key), bytes)) {
    throw corruptKey(path, 'its private and public halves do not belong together')
  }
  return key
}

/**
 * The identity of this data directory, made at the first start; a new one each time where there is no data directory.
 * The caller holds the directory's lock.
 * @throws MSG003 for a file that is no whole Ed25519 key, STA003 where it cannot be read or written
 */
export const loadIdentity = async (dataDir?: string, log?: Log): Promise<Ed25519PrivateKey> => {
  if (dataDir === undefined) return generateKeyPair('Ed25519')
  await ensurePrivateDirectory(dataDir, log)
  const path = join(dataDir, KEY_FILE)
  const bytes = await readPrivateFile(path, MAX_KEY_BYTES, log)
  if (bytes !== undefined) return decodeKey(path, bytes)
  const key = await generateKeyPair('Ed25519')
  await writePrivateFile(path, privateKeyToProtobuf(key))
  return key
}

/** The number of the last start, 0: there was none. @throws MSG003 for a file that holds no number, STA003 where it cannot be read */
export const readIncarnation = async (dataDir: string, log?: Log): Promise<number> => {
  const path = join(dataDir, INCARNATION_FILE)
  const bytes = await readPrivateFile(path, MAX_INCARNATION_BYTES, log)
  const text = bytes === undefined ? '0' : new TextDecoder().decode(bytes).trim()
  const previous = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(previous + 1)) return previous
  throw new ParleyError('MSG003', `the file ${path} holds ${JSON.stringify(text)}, a whole number is expected`, {
    hint: `restore ${path} from a backup, or remove it: the next number is then taken from the clock`,
    details: { path },
  })
}

/** On a disk without room: as many bytes take none. They lie in one sector, of which no power cut leaves a part. */
const overwrite = async (path: string, text: string, failure: unknown): Promise<void> => {
  const handle = isDiskFull(failure) ? await open(path, 'r+').catch(() => undefined) : undefined
  if (handle === undefined) throw failure
  try {
    if ((await handle.stat()).size !== text.length) throw failure
    await handle.write(text, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * The number of this start: `nowMs`, or one more than the last where the clock is not past it. It is durable when this
 * returns. The caller holds the directory's lock.
 * @param inPlace where there is no room for another file, the one that is there is overwritten
 * @throws MSG003 for a file that holds no number, STA003 where it cannot be read or written
 */
export const nextIncarnation = async (
  dataDir: string | undefined,
  nowMs: number,
  log?: Log,
  inPlace = false,
): Promise<number> => {
  if (dataDir === undefined) return nowMs
  await ensurePrivateDirectory(dataDir, log)
  const incarnation = Math.max((await readIncarnation(dataDir, log)) + 1, nowMs)
  const path = join(dataDir, INCARNATION_FILE)
  const text = `${incarnation}\n`
  await writePrivateFile(path, text).catch((error: unknown) => {
    if (!inPlace) throw error
    return overwrite(path, text, error)
  })
  return incarnation
}
