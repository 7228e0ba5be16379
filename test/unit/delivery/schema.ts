/** An independent codec for what delivery writes: protobufjs reading protocols/delivery/delivery.proto. */
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import { isParleyError } from '../../../protocols/errors.ts'

const PROTO = fileURLToPath(new URL('../../../protocols/delivery/delivery.proto', import.meta.url))
const root = protobuf.loadSync(PROTO)

export const deliveryType = (name: string): protobuf.Type => root.lookupType(name)

/** The other codec reads them, and writes the same bytes. */
export const same = (type: protobuf.Type, bytes: Uint8Array): void => {
  const read = type.decode(bytes)
  assert.equal(type.verify(read), null)
  assert.deepEqual(Buffer.from(type.encode(read).finish()), Buffer.from(bytes))
}

/** Whatever the bytes are, they are read, or refused with MSG003. */
export const refuses = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void => {
  try {
    decode(bytes)
  } catch (error) {
    assert.ok(isParleyError(error, 'MSG003'), String(error))
  }
}

/** Bytes with some of them cut off, changed or added. */
export const broken = (bytes: Uint8Array, at: number, by: number, kind: 'cut' | 'flip' | 'add'): Uint8Array => {
  if (kind === 'cut') return bytes.subarray(0, at % (bytes.length + 1))
  const copy = kind === 'add' ? Uint8Array.from([...bytes, by]) : bytes.slice()
  if (copy.length > 0) copy[at % copy.length] = by
  return copy
}
