/**
 * The words of circuit relay v2 that a relay and its guests exchange, before a stream becomes a connection.
 *
 * Each message is protobuf behind its length as a varint. What follows the last one on a stream belongs to the
 * connection, and is handed back. Vouchers and limits are left out: members are admitted, and carried without limits.
 * State, per read: at most `MAX_MESSAGE_BYTES` of one message. Wire ids: `HOP`, `STOP`.
 * Source: libp2p circuit relay v2 specification, "Protocol".
 */
import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { concat } from 'uint8arrays/concat'
import { waitFor } from '../../../protocols/async.ts'
import {
  DELIMITED,
  malformed,
  ProtobufReader,
  ProtobufWriter,
  VARINT,
} from '../../../protocols/wire/frames/protobuf.ts'

export const HOP = '/libp2p/circuit/relay/0.2.0/hop'
export const STOP = '/libp2p/circuit/relay/0.2.0/stop'

/** Streams of relayed connections, or of one that is being made, stand on it. */
export const carriesRelayed = ({ streams }: Pick<Connection, 'streams'>): boolean =>
  streams.some(({ protocol }) => protocol === HOP || protocol === STOP)

export const RELAY_STATUS = {
  ok: 100,
  reservationRefused: 200,
  resourceLimit: 201,
  permissionDenied: 202,
  connectionFailed: 203,
  noReservation: 204,
  malformed: 400,
  unexpected: 401,
} as const

const SAID: Readonly<Record<number, string>> = {
  [RELAY_STATUS.reservationRefused]: 'it has no place left',
  [RELAY_STATUS.resourceLimit]: 'it carries as many connections as it may',
  [RELAY_STATUS.permissionDenied]: 'it does not do that for this node',
  [RELAY_STATUS.connectionFailed]: 'it could not reach the other side',
  [RELAY_STATUS.noReservation]: 'the other side has no place there',
}

/** What a status other than ok means, in words. */
export const statusText = (status: number): string => SAID[status] ?? `it answered with status ${status}`

/** A guest asks again half-way through: one that this relay forgot, since it took it for gone, is back within a minute. */
export const RESERVATION_MS = 120_000

/** Bytes of one message, far more than any needs. */
export const MAX_MESSAGE_BYTES = 4096

const TYPES = ['reserve', 'connect', 'status'] as const
export interface HopMessage {
  type: (typeof TYPES)[number]
  /** Of the one to connect to: a multihash. */
  peer?: Uint8Array
  status?: number
  /** Seconds since 1970. */
  expires?: number
}
/** Only what a relay says and hears: that somebody wants to connect, and the answer. */
export interface StopMessage {
  type: 'connect' | 'status'
  peer?: Uint8Array
  status?: number
}

const field = (writer: ProtobufWriter, number: number, value: number): void => {
  writer.reserve(16)
  writer.tag(number, VARINT)
  writer.varint(value)
}

const peerMessage = (id: Uint8Array): Uint8Array => {
  const writer = new ProtobufWriter(id.length + 16)
  writer.delimited(1, id)
  return writer.finish()
}

const encode = (
  type: number,
  peer: Uint8Array | undefined,
  expires: number | undefined,
  status: readonly [field: number, value: number | undefined],
): Uint8Array => {
  const writer = new ProtobufWriter(128)
  // A type of zero has to be there as well: the field is read as missing otherwise.
  field(writer, 1, type)
  if (peer !== undefined) writer.delimited(2, peerMessage(peer))
  if (expires !== undefined) {
    const reservation = new ProtobufWriter(32)
    field(reservation, 1, expires)
    writer.delimited(3, reservation.finish())
  }
  if (status[1] !== undefined) field(writer, status[0], status[1])
  return writer.finish()
}

export const encodeHop = ({ type, peer, expires, status }: HopMessage): Uint8Array =>
  encode(TYPES.indexOf(type), peer, expires, [5, status])

export const encodeStop = ({ type, peer, status }: StopMessage): Uint8Array =>
  encode(type === 'connect' ? 0 : 1, peer, undefined, [4, status])

interface Fields {
  numbers: Map<number, number>
  parts: Map<number, Uint8Array>
}

const fieldsOf = (bytes: Uint8Array): Fields => {
  const reader = new ProtobufReader(bytes)
  const fields: Fields = { numbers: new Map(), parts: new Map() }
  while (reader.more()) {
    const tag = reader.varint()
    const [number, wireType] = [tag >>> 3, tag & 7]
    if (wireType === VARINT) fields.numbers.set(number, reader.varint())
    else if (wireType === DELIMITED) fields.parts.set(number, reader.delimited())
    else reader.skip(wireType)
  }
  return fields
}

const peerOf = (part: Uint8Array | undefined): Uint8Array | undefined =>
  part === undefined ? undefined : fieldsOf(part).parts.get(1)

/** @throws MSG003 */
export const decodeHop = (bytes: Uint8Array): HopMessage => {
  const { numbers, parts } = fieldsOf(bytes)
  const type = TYPES[numbers.get(1) ?? -1]
  if (type === undefined) throw malformed('a hop message without a type')
  const peer = peerOf(parts.get(2))
  const reservation = parts.get(3)
  const expires = reservation === undefined ? undefined : fieldsOf(reservation).numbers.get(1)
  const status = numbers.get(5)
  return {
    type,
    ...(peer !== undefined && { peer }),
    ...(expires !== undefined && { expires }),
    ...(status !== undefined && { status }),
  }
}

/** @throws MSG003 */
export const decodeStop = (bytes: Uint8Array): StopMessage => {
  const { numbers, parts } = fieldsOf(bytes)
  const type = numbers.get(1)
  if (type !== 0 && type !== 1) throw malformed('a stop message without a type')
  const peer = peerOf(parts.get(2))
  const status = numbers.get(4)
  return {
    type: type === 0 ? 'connect' : 'status',
    ...(peer !== undefined && { peer }),
    ...(status !== undefined && { status }),
  }
}

/** The message with its length before it. */
export const withLengthPrefix = (message: Uint8Array): Uint8Array => {
  const writer = new ProtobufWriter(8)
  writer.varint(message.length)
  return concat([writer.finish(), message])
}

/** Where a framed message lies in what was read; undefined as long as it is not complete. */
export const findMessage = (read: Uint8Array): { from: number; to: number } | undefined => {
  // A length up to MAX_MESSAGE_BYTES has two bytes at most.
  const lengthBytes = read.findIndex((byte) => byte < 0x80) + 1
  if (lengthBytes === 0 && read.length < 3) return undefined
  const length = lengthBytes === 0 || lengthBytes > 2 ? Number.POSITIVE_INFINITY : new ProtobufReader(read).varint()
  if (length > MAX_MESSAGE_BYTES) throw malformed(`a message of more than ${MAX_MESSAGE_BYTES} bytes to a relay`)
  const to = lengthBytes + length
  return read.length < to ? undefined : { from: lengthBytes, to }
}

/**
 * Reads one message; the stream is paused when it returns, so that whoever goes on with it loses nothing.
 * @returns the message, and what came behind it
 * @throws MSG003 for what is none; Error where the stream ended; the signal's reason
 */
export const readMessage = (
  stream: Stream,
  signal: AbortSignal,
): Promise<{ message: Uint8Array; rest: Uint8Array | undefined }> =>
  waitFor(signal, (resolve, reject) => {
    if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}`)
    const read = new Uint8ArrayList()
    const onMessage = ({ data }: StreamMessageEvent): void => {
      read.append(data)
      try {
        const bytes = read.subarray()
        const found = findMessage(bytes)
        if (found === undefined) return
        if (stream.readStatus === 'readable') stream.pause()
        const rest = bytes.length > found.to ? bytes.slice(found.to) : undefined
        resolve({ message: bytes.slice(found.from, found.to), rest })
      } catch (error) {
        reject(error)
      }
    }
    const onEnd = (event: Event | StreamCloseEvent): void => {
      const cause = 'error' in event ? event.error : undefined
      reject(new Error('the stream ended before the message', { cause }))
    }
    stream.addEventListener('close', onEnd)
    stream.addEventListener('remoteCloseWrite', onEnd)
    stream.addEventListener('message', onMessage)
    return () => {
      stream.removeEventListener('message', onMessage)
      stream.removeEventListener('close', onEnd)
      stream.removeEventListener('remoteCloseWrite', onEnd)
    }
  })
