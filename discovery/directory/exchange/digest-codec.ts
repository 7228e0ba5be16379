/**
 * Digests as bytes: for each peer a key, the first six bytes of SHA-256 of its id, then its numbers as varints. A mesh
 * compares digests all the time, and written out they are what most of its quiet hours go to.
 *
 * A peer that this node has never heard of has no id here, only its key; it is called by that: `#` and the number.
 * State: keys of peers, at most MAX_KEYS; room to write into, as large as the largest digest so far.
 */
import type { Clock, Port } from '../../../protocols/port.ts'
import { malformed, ProtobufReader, ProtobufWriter } from '../../../protocols/wire/frames/protobuf.ts'
import type { Digest } from '../tables/digest.ts'
import type { DirectoryState } from '../tables/directory-state.ts'

const KEY_BYTES = 6
/** Three numbers of at most 8 bytes. */
const ENTRY_ROOM = KEY_BYTES + 24
const MAX_KEYS = 32_768

export interface DigestCodec {
  pack(digest: Digest): Uint8Array
  /** A walk throws MSG003 for bytes that are no digest, or of more than `most` entries. */
  unpack(bytes: Uint8Array, most: number): Digest
  /**
   * Eight bytes that are the same for digests of the same peers and versions, in whatever order, and almost surely other
   * ones for others. Ages do not count.
   */
  checksum(digest: Digest): Uint8Array
  packPeers(peers: readonly string[]): Uint8Array
  unpackPeers(bytes: Uint8Array, most: number): string[]
  packAges(ages: readonly (readonly [peer: string, ageMs: number])[]): Uint8Array
  unpackAges(bytes: Uint8Array, most: number): [peer: string, ageMs: number][]
}

/** The finalizer of MurmurHash3 (Appleby, 2011), for 32 bits. */
const mix = (value: number): number => {
  let hash = value >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
const SECOND = 0x9e3779b9

export const createDigestCodec = (port: Pick<Port, 'hash'>): DigestCodec => {
  const keys = new Map<string, number>()
  const peers = new Map<number, string>()
  const scratch = new ProtobufWriter(64 * ENTRY_ROOM)

  const keyOf = (peer: string): number => {
    const known = keys.get(peer)
    if (known !== undefined) return known
    // One that was called by its key.
    if (peer.startsWith('#')) return Number(peer.slice(1))
    if (keys.size >= MAX_KEYS) {
      keys.clear()
      peers.clear()
    }
    const digest = port.hash(new TextEncoder().encode(peer))
    const key = digest.subarray(0, KEY_BYTES).reduce((sum, byte) => sum * 256 + byte, 0)
    keys.set(peer, key)
    peers.set(key, peer)
    return key
  }

  const putKey = (writer: ProtobufWriter, peer: string): void => {
    writer.reserve(ENTRY_ROOM)
    let key = keyOf(peer)
    for (let i = KEY_BYTES - 1; i >= 0; i -= 1) {
      writer.bytes[writer.at + i] = key % 256
      key = Math.floor(key / 256)
    }
    writer.at += KEY_BYTES
  }

  const readPeer = (reader: ProtobufReader): string => {
    if (reader.at + KEY_BYTES > reader.end) throw malformed('a key is cut off')
    let key = 0
    for (let i = 0; i < KEY_BYTES; i += 1) key = key * 256 + (reader.bytes[reader.at + i] ?? 0)
    reader.at += KEY_BYTES
    return peers.get(key) ?? `#${key}`
  }

  const readEach = (bytes: Uint8Array, most: number, read: (reader: ProtobufReader) => void): void => {
    const reader = new ProtobufReader(bytes)
    for (let count = 0; reader.more(); count += 1) {
      if (count >= most) throw malformed(`more than ${most} entries`)
      read(reader)
    }
  }
  const readAll = <T>(bytes: Uint8Array, most: number, read: (reader: ProtobufReader) => T): T[] => {
    const all: T[] = []
    readEach(bytes, most, (reader) => all.push(read(reader)))
    return all
  }

  return {
    pack(digest) {
      scratch.at = 0
      digest((peer, incarnation, version, ageMs) => {
        putKey(scratch, peer)
        scratch.varint(incarnation)
        scratch.varint(version)
        scratch.varint(ageMs)
      })
      return scratch.finish()
    },
    unpack: (bytes, most) => (visit) =>
      readEach(bytes, most, (reader) => visit(readPeer(reader), reader.varint(), reader.varint(), reader.varint())),
    checksum(digest) {
      let [high, low] = [0, 0]
      digest((peer, incarnation, version) => {
        let hash = 0
        for (const number of [keyOf(peer), incarnation, version]) {
          hash = mix(hash ^ (number % 2 ** 32))
          hash = mix(hash ^ Math.floor(number / 2 ** 32))
        }
        // Sums, not exclusive ors, of two hashes that follow from one another.
        low = (low + hash) >>> 0
        high = (high + mix(hash ^ SECOND)) >>> 0
      })
      const sum = new DataView(new ArrayBuffer(8))
      sum.setUint32(0, high)
      sum.setUint32(4, low)
      return new Uint8Array(sum.buffer)
    },
    packPeers(list) {
      const writer = new ProtobufWriter(list.length * ENTRY_ROOM)
      for (const peer of list) putKey(writer, peer)
      return writer.finish()
    },
    unpackPeers: (bytes, most) => readAll(bytes, most, readPeer),
    packAges(ages) {
      const writer = new ProtobufWriter(ages.length * ENTRY_ROOM)
      for (const [peer, ageMs] of ages) {
        putKey(writer, peer)
        writer.varint(ageMs)
      }
      return writer.finish()
    },
    unpackAges: (bytes, most) => readAll(bytes, most, (reader) => [readPeer(reader), reader.varint()]),
  }
}

/** The checksum of what the tables hold, computed anew after each change of them. */
export const createTableSum = (
  codec: Pick<DigestCodec, 'checksum'>,
  state: Pick<DirectoryState, 'revision' | 'digest'>,
  clock: Pick<Clock, 'monotonic'>,
): (() => Uint8Array) => {
  let latest: { readonly revision: number; readonly sum: Uint8Array } | undefined
  return () => {
    const revision = state.revision()
    if (latest?.revision !== revision) latest = { revision, sum: codec.checksum(state.digest(clock.monotonic())) }
    return latest.sum
  }
}
