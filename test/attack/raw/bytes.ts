/** The part of protobuf that the attackers write and read, on their own: nothing of the product's codec is in it. Pure. */

const VARINT = 0
const DELIMITED = 2
const LOW_7 = 0x7f
const MORE = 0x80

/** Above 2^32 too, by division: shifts of JavaScript end at 32 bits. */
export const varint = (value: number | bigint): number[] => {
  const bytes: number[] = []
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & BigInt(LOW_7))
    if (rest < BigInt(MORE)) return [...bytes, low]
    bytes.push(low | MORE)
  }
}

const tag = (field: number, type: number): number[] => varint((field << 3) | type)

/** Absent where it is 0, as in proto3. */
export const numberField = (field: number, value: number | bigint): Uint8Array =>
  Uint8Array.from(value === 0 ? [] : [...tag(field, VARINT), ...varint(value)])

/** Absent where it is empty. */
export const bytesField = (field: number, value: Uint8Array | string): Uint8Array => {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  if (bytes.length === 0) return bytes
  return Buffer.concat([Uint8Array.from([...tag(field, DELIMITED), ...varint(bytes.length)]), bytes])
}

export const joined = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)

export const lengthPrefixed = (bytes: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.from(varint(bytes.length)), bytes])

/** @returns the value and where it ends; undefined where the bytes are not all there */
export const readVarint = (bytes: Uint8Array, at: number): { value: number; end: number } | undefined => {
  let value = 0
  let scale = 1
  for (let i = at; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0
    value += (byte & LOW_7) * scale
    if (byte < MORE) return { value, end: i + 1 }
    scale *= 128
  }
  return undefined
}

export interface Fields {
  number(field: number): number
  bytes(field: number): Uint8Array
}

/** Reads one message; the last value of a field counts. What it cannot read ends it. */
export const readFields = (bytes: Uint8Array): Fields => {
  const numbers = new Map<number, number>()
  const texts = new Map<number, Uint8Array>()
  for (let at = 0; at < bytes.length; ) {
    const head = readVarint(bytes, at)
    const value = head && readVarint(bytes, head.end)
    if (head === undefined || value === undefined) break
    const [field, type] = [head.value >>> 3, head.value & 7]
    at = value.end
    if (type === VARINT) numbers.set(field, value.value)
    else if (type === DELIMITED) {
      texts.set(field, bytes.subarray(at, at + value.value))
      at += value.value
    } else break
  }
  return { number: (field) => numbers.get(field) ?? 0, bytes: (field) => texts.get(field) ?? new Uint8Array(0) }
}
