/**
 * Noise as upstream makes it, with four costs of its record layer removed. The handshake and every byte on the wire stay
 * upstream's, so a peer with the stock encrypter notices nothing.
 *
 * - Plaintext written during one turn of the event loop becomes one write to the connection (and as few records as it
 *   needs): upstream encrypts each write by itself and hands the length and the ciphertext to the socket as two writes.
 * - Records are cut by a reader that looks before it reads: upstream's throws and catches a RangeError for each read
 *   that ends at a record's end, which is each read of a lone response.
 * - A record is copied once on its way out: into the run of bytes that goes to the connection.
 * - The cipher's key is prepared once (noise-cipher.ts).
 *
 * State, per connection: the plaintext of the current turn (at most `FLUSH_BYTES` and one write) and the bytes of one
 * unfinished record (at most 64 KiB). Order is kept; what was accepted before `close()` or `abort()` is written before
 * it. Source: Noise Protocol Framework section 3; libp2p noise specification, "Wire Format".
 */
import { type NoiseComponents, type NoiseInit, noise } from '@chainsafe/libp2p-noise'
import type { MessageStream, SecuredConnection } from '@libp2p/interface'
import { isUint8ArrayList, Uint8ArrayList } from 'uint8arraylist'
import { minorGc } from './minor-gc.ts'
import { noiseCrypto } from './noise-cipher.ts'
import { noiseRecordReader, noiseRecordWriter, type RecordBytes } from './noise-records.ts'

/** The release whose members are overridden here; the unit test fails when another one is installed. */
export const NOISE_REVIEWED = '17.0.3'

/**
 * Written at once from here on, bytes: who hands down this much has gathered it already (links do), and the other side
 * should start on it while the rest of a burst is still being written.
 */
export const FLUSH_BYTES = 2 * 1024

const TAG_BYTES = 16

/** What fits one record, bytes: its length has 16 bits, and its tag 16 bytes. */
const TEXT_BYTES = 0xffff - TAG_BYTES

type Encrypter = ReturnType<ReturnType<typeof noise>>

/** What this file needs of upstream's `EncryptedMessageStream`, which is not exported. */
interface RecordStream extends MessageStream {
  decoder: { buffer: Uint8ArrayList } | { decode: (read: RecordBytes) => RecordBytes[] }
  handshake: { decrypt(ciphertext: RecordBytes, dst?: Uint8Array): RecordBytes }
  encrypt(plaintext: Uint8ArrayList): Uint8ArrayList
  decrypt(record: RecordBytes): RecordBytes
  sendData(plaintext: Uint8ArrayList): { sentBytes: number; canSendMore: boolean }
}

const isRecordStream = (stream: MessageStream): stream is RecordStream & { decoder: { buffer: Uint8ArrayList } } =>
  'encrypt' in stream &&
  typeof stream.encrypt === 'function' &&
  'sendData' in stream &&
  typeof stream.sendData === 'function' &&
  'decrypt' in stream &&
  typeof stream.decrypt === 'function' &&
  'handshake' in stream &&
  typeof stream.handshake === 'object' &&
  stream.handshake !== null &&
  'decrypt' in stream.handshake &&
  typeof stream.handshake.decrypt === 'function' &&
  'decoder' in stream &&
  typeof stream.decoder === 'object' &&
  stream.decoder !== null &&
  'buffer' in stream.decoder &&
  isUint8ArrayList(stream.decoder.buffer)

/** Overrides four members of upstream's stream on this instance; a stream of another shape is left as it is. */
const tuned = <Secured extends SecuredConnection>(secured: Secured, raw: MessageStream): Secured => {
  const stream = secured.connection
  if (!isRecordStream(stream)) return secured

  const cut = noiseRecordReader()
  // Early data: what came behind the last handshake message went to upstream's decoder, which may hold half a record.
  cut(stream.decoder.buffer)
  const records: RecordStream = stream
  records.decoder = { decode: cut }
  const { handshake } = records
  records.decrypt = (record) => {
    minorGc.allocated(record.byteLength)
    // Where a small record is one run of bytes, it is opened in its place.
    const dst =
      record instanceof Uint8Array ? record.subarray(0, Math.max(0, record.byteLength - TAG_BYTES)) : undefined
    return handshake.decrypt(record, dst)
  }
  const write = noiseRecordWriter(raw)

  let pending = new Uint8ArrayList()
  let armed = false
  const flush = (): void => {
    if (pending.byteLength === 0) return
    const plaintext = pending
    pending = new Uint8ArrayList()
    // A connection that is closing or ended takes nothing more. Its streams were closed before it or told by its
    // `close` event; what may still come from them are control frames that nobody waits for.
    if (raw.status !== 'open') return
    for (let at = 0; at < plaintext.byteLength; at += TEXT_BYTES) {
      const text = plaintext.sublist(at, Math.min(plaintext.byteLength, at + TEXT_BYTES))
      write(records.encrypt(text))
      minorGc.allocated(text.byteLength)
    }
  }
  const flushTurn = (): void => {
    armed = false
    try {
      flush()
    } catch (error) {
      records.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }
  // A tick queued from a microtask runs when all microtasks of this turn are done and before any input or output: the
  // answers of all handlers that finished without waiting, and a window update, travel together and wait for nothing.
  const flushAfterMicrotasks = (): void => process.nextTick(flushTurn)

  records.sendData = (plaintext) => {
    const sentBytes = plaintext.byteLength
    pending.append(plaintext)
    if (pending.byteLength >= FLUSH_BYTES) flush()
    else if (!armed) {
      armed = true
      queueMicrotask(flushAfterMicrotasks)
    }
    // A full connection answers one write late, and its `drain` event follows as ever.
    return { sentBytes, canSendMore: !raw.writableNeedsDrain }
  }

  // libp2p closes and aborts the connection below this stream, not this stream.
  const close = raw.close
  raw.close = (options) => {
    flushTurn()
    return close.call(raw, options)
  }
  const abort = raw.abort
  raw.abort = (error) => {
    flushTurn()
    abort.call(raw, error)
  }
  return secured
}

/** A connection encrypter for `createLibp2p({ connectionEncrypters })`; `init` is upstream's. */
export const tunedNoise =
  (init: NoiseInit = {}): ((components: NoiseComponents) => Encrypter) =>
  (components) => {
    const encrypter = noise({ crypto: noiseCrypto, ...init })(components)
    const { secureOutbound, secureInbound } = encrypter
    encrypter.secureOutbound = async (raw, options) => tuned(await secureOutbound.call(encrypter, raw, options), raw)
    encrypter.secureInbound = async (raw, options) => tuned(await secureInbound.call(encrypter, raw, options), raw)
    return encrypter
  }
