/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes at a time. Pure. */
const POLYNOMIAL = 0x82_f6_3b_78
const LANES = 8

const makeTable = (): Uint32Array => {
  const table = new Uint32Array(LANES * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    table[byte] = crc
  }
  for (let i = 256; i < table.length; i += 1) {
    const before = table[i - 256] ?? 0
    table[i] = (before >>> 8) ^ (table[before & 0xff] ?? 0)
  }
  return table
}

const TABLE = makeTable()
const at = (lane: number, byte: number): number => TABLE[lane * 256 + byte] as number

/** One more byte; begins with `CRC_START` and ends with `crcOf`. */
export const CRC_START = -1
export const addByte = (state: number, byte: number): number => (state >>> 8) ^ at(0, (state ^ byte) & 0xff)
export const crcOf = (state: number): number => ~state >>> 0

/** Unsigned, 32 bits. */
export const crc32c = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let crc = CRC_START
  let i = 0
  for (; i + LANES <= bytes.length; i += LANES) {
    const low = view.getInt32(i, true) ^ crc
    const high = view.getInt32(i + 4, true)
    crc =
      at(7, low & 0xff) ^
      at(6, (low >>> 8) & 0xff) ^
      at(5, (low >>> 16) & 0xff) ^
      at(4, low >>> 24) ^
      at(3, high & 0xff) ^
      at(2, (high >>> 8) & 0xff) ^
      at(1, (high >>> 16) & 0xff) ^
      at(0, high >>> 24)
  }
  for (; i < bytes.length; i += 1) crc = addByte(crc, view.getUint8(i))
  return crcOf(crc)
}
