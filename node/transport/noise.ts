/**
 * Noise as upstream makes it, with four costs of its record layer removed. The handshake and every byte on the wire stay
 * upstream's, so a peer with the stock encrypter notices nothing.
 *
 * - Plaintext written during one turn of the event loop becomes one write to the connection (and as few records as it
 *   needs): upstream encrypts each write by itself and hands the length and the ciphertext to the socket as two writes.
 * - Records are cut by a reader that looks before it reads: upstream's throws and catches a RangeError for each read
 *   that ends at a record's end, which is each read of a lone response.
 * - A record is copied once on its way out: into the run of bytes that goes to the connection.
 * - The cipher's key is prepared once (noise-crypto.ts).
 *
 * State, per connection: the plaintext of the current turn (at most `FLUSH_BYTES` and one write) and the bytes of one
 * unfinished record (at most 64 KiB). Order is kept; what was accepted before `close()` or `abort()` is written before
 * it. Source: Noise Protocol Framework section 3; libp2p noise specification, "Wire Format".
 */
import { type NoiseComponents, type NoiseInit, noise } from '@chainsafe/libp2p-noise'
import type { MessageStream, SecuredConnection } from '@libp2p/interface'
import { isUint8ArrayList, Uint8ArrayList } from 'uint8arraylist'
import { concat } from 'uint8arrays/concat'
import { noiseCrypto } from './noise-crypto.ts'

/** The release whose members are overridden here; the unit test fails when another one is installed. */
export const NOISE_REVIEWED = '17.0.3'

/**
 * Written at once from here on, bytes: who hands down this much has gathered it already (links do), and the other side
 * should start on it while the rest of a burst is still being written.
 */
export const FLUSH_BYTES = 2 * 1024

/** What fits one record, bytes: its length has 16 bits, and its tag 16 bytes. */
const TEXT_BYTES = 0xffff - 16

const LENGTH_BYTES = 2

type Bytes = Uint8Array | Uint8ArrayList
type Encrypter = ReturnType<ReturnType<typeof noise>>

/** What this file needs of upstream's `EncryptedMessageStream`, which is not exported. */
interface RecordStream extends MessageStream {
  decoder: { buffer: Uint8ArrayList } | { decode: (read: Bytes) => Uint8Array[] }
  encrypt(plaintext: Uint8ArrayList): Uint8ArrayList
  sendData(plaintext: Uint8ArrayList): { sentBytes: number; canSendMore: boolean }
}

const isRecordStream = (stream: MessageStream): stream is RecordStream & { decoder: { buffer: Uint8ArrayList } } =>
  'encrypt' in stream &&
  typeof stream.encrypt === 'function' &&
  'sendData' in stream &&
  typeof stream.sendData === 'function' &&
  'decoder' in stream &&
  typeof stream.decoder === 'object' &&
  stream.decoder !== null &&
  'buffer' in stream.decoder &&
  isUint8ArrayList(stream.decoder.buffer)

/** Bytes of a record with its prefix; of the prefix alone where that is not complete. */
const sizeOf = (start: Uint8Array): number => {
  const high = start[0]
  const low = start[1]
  return high === undefined || low === undefined ? LENGTH_BYTES : LENGTH_BYTES + (high << 8) + low
}

/** Cuts reads into records without their length prefix; empty records are skipped, as upstream does. */
export const recordReader = (): ((read: Bytes) => Uint8Array[]) => {
  // The start of a record whose end has not been read, and how long it is; the length alone before that is known.
  let held: Uint8Array[] = []
  let heldBytes = 0
  let wanted = LENGTH_BYTES
  return (read) => {
    const records: Uint8Array[] = []
    for (let rest of read instanceof Uint8Array ? [read] : read) {
      while (rest.byteLength > 0) {
        if (heldBytes === 0) wanted = sizeOf(rest)
        const piece = rest.subarray(0, wanted - heldBytes)
        rest = rest.subarray(piece.byteLength)
        held.push(piece)
        heldBytes += piece.byteLength
        if (heldBytes === LENGTH_BYTES) wanted = sizeOf(held.length === 1 ? piece : concat(held))
        if (heldBytes < wanted) continue
        // A record inside one read is not copied; one that straddles reads is copied once.
        if (wanted > LENGTH_BYTES)
          records.push((held.length === 1 ? piece : concat(held, heldBytes)).subarray(LENGTH_BYTES))
        held = []
        heldBytes = 0
      }
    }
    return records
  }
}

/** One run of bytes for each record, since the connection hands each run to the system by itself. */
const sealLarge = (records: RecordStream, plaintext: Uint8ArrayList): Uint8ArrayList => {
  const sealed = new Uint8ArrayList()
  for (let at = 0; at < plaintext.byteLength; at += TEXT_BYTES) {
    const text = plaintext.sublist(at, Math.min(plaintext.byteLength, at + TEXT_BYTES))
    sealed.append(records.encrypt(text).subarray())
  }
  return sealed
}

/** Overrides two members of upstream's stream on this instance; a stream of another shape is left as it is. */
const tuned = <Secured extends SecuredConnection>(secured: Secured, raw: MessageStream): Secured => {
  const stream = secured.connection
  if (!isRecordStream(stream)) return secured

  const cut = recordReader()
  // Early data: what came behind the last handshake message went to upstream's decoder, which may hold half a record.
  cut(stream.decoder.buffer)
  const records: RecordStream = stream
  records.decoder = { decode: cut }

  let pending = new Uint8ArrayList()
  let armed = false
  const flush = (): void => {
    if (pending.byteLength === 0) return
    const plaintext = pending
    pending = new Uint8ArrayList()
    // A connection that is closing or ended takes nothing more. Its streams were closed before it or told by its
    // `close` event; what may still come from them are control frames that nobody waits for.
    if (raw.status !== 'open') return
    if (plaintext.byteLength <= TEXT_BYTES) raw.send(records.encrypt(plaintext).subarray())
    else raw.send(sealLarge(records, plaintext))
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
