/**
 * Ids of messages: UUIDv7 (RFC 9562, section 5.7).
 *
 * On a link the id does not travel: both sides make it from the link's session (8 random bytes, in HELLO), the time at
 * which the exchange was opened and its number.
 */
const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** @param bytes 16 */
export const formatId = (bytes: Uint8Array): string => {
  let text = ''
  for (let i = 0; i < 16; i += 1) {
    text += hex[bytes[i] ?? 0]
    if (i === 3 || i === 5 || i === 7 || i === 9) text += '-'
  }
  return text
}

/** @param tail 10 bytes, of which 74 bits are kept */
export const uuid7Bytes = (atMs: number, tail: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(16)
  let rest = Math.floor(atMs)
  for (let i = 5; i >= 0; i -= 1) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes.set(tail.subarray(0, 10), 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
}

/** The same as text. */
export const uuid7 = (atMs: number, tail: Uint8Array): string => formatId(uuid7Bytes(atMs, tail))

/** Id of the request of one exchange; `answer` for the message that answers it. */
export const exchangeId = (session: Uint8Array, atMs: number, exchange: number, answer = false): string => {
  const tail = new Uint8Array(10)
  tail.set(session.subarray(0, 6))
  new DataView(tail.buffer).setUint32(6, exchange)
  if (answer) tail[5] = (tail[5] ?? 0) ^ 0xff
  return uuid7(atMs, tail)
}
