/**
 * Which numbers of a lane were processed: all up to one, and some above it. What duplicates are recognised by.
 *
 * A sender has at most a window of unacknowledged messages, so what is done above `upTo` stays few. Pure.
 */
import { malformed, ProtobufReader, ProtobufWriter } from '../wire/frames/protobuf.ts'

/** Numbers above `upTo` that a lane takes: further ones wait at the sender. Several windows, since some may be in a pause. */
export const LANE_SPAN = 1_024

export interface AckRanges {
  upTo: number
  readonly done: Set<number>
}

export const newAckRanges = (): AckRanges => ({ upTo: 0, done: new Set() })

export const isDone = ({ upTo, done }: AckRanges, sequence: number): boolean => sequence <= upTo || done.has(sequence)

const settle = (position: AckRanges): void => {
  while (position.done.delete(position.upTo + 1)) position.upTo += 1
}

export const markDone = (position: AckRanges, sequence: number): void => {
  if (sequence <= position.upTo) return
  position.done.add(sequence)
  settle(position)
}

/** The sender has nothing below `base` any more. @returns how many of those were not done as far as this position knows */
export const raiseBase = (position: AckRanges, base: number): number => {
  const below = base - 1
  if (below <= position.upTo) return 0
  let unknown = below - position.upTo
  // By what is known, which is little, and not by how far the sender says that it is.
  for (const sequence of [...position.done])
    if (sequence <= below) {
      position.done.delete(sequence)
      unknown -= 1
    }
  position.upTo = below
  settle(position)
  return unknown
}

export const copyAckRanges = ({ upTo, done }: AckRanges): AckRanges => ({ upTo, done: new Set(done) })

/** As they travel. */
export const ackRangesOf = (
  wire: readonly { readonly lane: number; readonly upTo: number; readonly done: readonly number[] }[],
): Map<number, AckRanges> => new Map(wire.map(({ lane, upTo, done }) => [lane, { upTo, done: new Set(done) }]))

/** What a node remembers of one sender, as a row. */
export interface SenderRow {
  /** Id of the outbox that the numbers are of. */
  readonly epoch: string
  /** Outboxes that this one took the place of, newest first. */
  readonly replaced: readonly string[]
  /** By the sender's clock and ours: when it was heard last, milliseconds since 1970. */
  readonly lastSeenAt: number
  readonly lanes: ReadonlyMap<number, AckRanges>
  /** What was processed of the outbox before, until the sender has used that. */
  readonly former: { readonly epoch: string; readonly lanes: ReadonlyMap<number, AckRanges> } | undefined
}

export const MAX_REPLACED = 16

/** Sender: 1 epoch, 2 replaced, 3 lane, 4 heard at, 5 former. Lane: 1 number, 2 up to, 3 done. See delivery.proto. */
export const encodeSender = ({ epoch, replaced, lanes, lastSeenAt, former }: SenderRow): Uint8Array => {
  const writer = new ProtobufWriter(64 + lanes.size * 12)
  const inner = new ProtobufWriter(64)
  writer.ascii(1, epoch)
  for (const id of replaced.slice(0, MAX_REPLACED)) writer.ascii(2, id)
  for (const [lane, { upTo, done }] of lanes) {
    inner.at = 0
    inner.varintField(1, lane)
    inner.varintField(2, upTo)
    if (done.size > 0) {
      const packed = new ProtobufWriter(done.size * 9)
      for (const sequence of done) {
        packed.reserve(9)
        packed.varint(sequence)
      }
      inner.delimited(3, packed.bytes.subarray(0, packed.at))
    }
    writer.delimited(3, inner.bytes.subarray(0, inner.at))
  }
  writer.varintField(4, lastSeenAt)
  if (former !== undefined)
    writer.delimited(5, encodeSender({ ...former, replaced: [], lastSeenAt: 0, former: undefined }))
  return writer.finish()
}

const decodeLane = (bytes: Uint8Array, lanes: Map<number, AckRanges>): void => {
  const reader = new ProtobufReader(bytes)
  const position = newAckRanges()
  let lane = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 16) position.upTo = reader.varint()
    else if (tag === 26) {
      const packed = new ProtobufReader(reader.delimited())
      while (packed.more()) position.done.add(packed.varint())
      if (position.done.size > LANE_SPAN) throw malformed(`${position.done.size} numbers of one lane`)
    } else reader.skip(tag & 7)
  }
  lanes.set(lane, position)
}

/** @throws MSG003 */
export const decodeSender = (bytes: Uint8Array, isFormer = false): SenderRow => {
  const reader = new ProtobufReader(bytes)
  const lanes = new Map<number, AckRanges>()
  const replaced: string[] = []
  let epoch = ''
  let lastSeenAt = 0
  let former: SenderRow['former']
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 10) epoch = reader.string(64)
    else if (tag === 18) replaced.push(reader.string(64))
    else if (tag === 26) decodeLane(reader.delimited(), lanes)
    else if (tag === 32) lastSeenAt = reader.varint()
    else if (tag === 42 && !isFormer) former = decodeSender(reader.delimited(), true)
    else reader.skip(tag & 7)
  }
  return { epoch, replaced, lanes, lastSeenAt, former }
}
