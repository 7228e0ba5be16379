/**
 * An independent codec for frames: protobufjs reading protocols/wire/parley.proto. What it writes and reads decides
 * whether the hand-written codec is right.
 */
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import type { CarriedBudget } from '../../protocols/budget/carried/carried-budget.ts'
import { type Frame, frame, KIND, writeFrame } from '../../protocols/wire/frames/frame.ts'
import { ProtobufWriter } from '../../protocols/wire/frames/protobuf.ts'

const PROTO = fileURLToPath(new URL('../../protocols/wire/parley.proto', import.meta.url))

export const FrameType = protobuf.loadSync(PROTO).lookupType('Frame')

const isDefault = (value: unknown): boolean =>
  value === undefined ||
  value === 0 ||
  value === '' ||
  value === false ||
  (value instanceof Uint8Array && value.length === 0) ||
  (Array.isArray(value) && value.length === 0)

/** Each number is one more than what it says. */
const wireBudget = ({ amounts, depth, leftMs }: CarriedBudget): Record<string, number> => {
  const numbers = { ...amounts, depth, deadlineMs: leftMs }
  return Object.fromEntries(
    Object.entries(numbers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value + 1]])),
  )
}

/** Without the fields that have their zero value: those are not written, but protobufjs would when told. */
const sparse = (value: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => !isDefault(field))
      .map(([name, field]) => {
        if (name === 'budget') return [name, wireBudget(field)]
        return [name, ['fault', 'extra', 'hello', 'progress'].includes(name) ? sparse(field) : field]
      }),
  )

/** One frame, without a length prefix. */
export const oracleEncode = (f: Frame): Uint8Array =>
  new Uint8Array(FrameType.encode(FrameType.create(sparse(f))).finish())

/** One frame with its length prefix. */
export const oracleFrame = (f: Frame): Uint8Array =>
  new Uint8Array(FrameType.encodeDelimited(FrameType.create(sparse(f))).finish())

/** The frame as plain data, with only what was on the wire. */
export const oracleDecode = (bytes: Uint8Array): Record<string, unknown> =>
  FrameType.toObject(FrameType.decode(bytes), { longs: Number })

/** One frame with its length prefix, by the codec under test. */
export const ownFrame = (f: Frame): Uint8Array => {
  const writer = new ProtobufWriter(16)
  writeFrame(writer, f)
  return writer.finish()
}

/** A frame with some fields set. */
export const frameOf = (fields: Partial<Frame>): Frame => ({ ...frame(KIND.request, 0), ...fields })

export { sparse }
