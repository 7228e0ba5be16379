/**
 * The chunks of a bulk stream, and the check that what arrives is what was sent: nothing missing, doubled or moved.
 *
 * Each 4 KiB of the stream begins with its own number, so that the check looks at one byte in a thousand and costs
 * neither side more than a few microseconds for each MiB. Pieces may be cut anywhere.
 */
const STEP_BYTES = 4_096
const MARK_BYTES = 4

/** Byte `at` of the mark of step `step`: its number, least significant byte first. */
const markByte = (step: number, at: number): number => (step >>> (8 * at)) & 0xff

/**
 * Chunks of one size, numbered through, each in the memory of the one that came `kept` chunks before it.
 * @param bytes a multiple of 4 KiB
 */
export const createChunks = (bytes: number, kept: number): ((index: number) => Uint8Array<ArrayBuffer>) => {
  const steps = bytes / STEP_BYTES
  if (!Number.isInteger(steps)) throw new RangeError(`a chunk of ${bytes} bytes is no multiple of ${STEP_BYTES}`)
  const ring = Array.from({ length: kept }, () => new Uint8Array(bytes).fill(0x5a))
  return (index) => {
    const chunk = ring[index % kept] ?? new Uint8Array(bytes)
    for (let step = 0; step < steps; step++) {
      for (let at = 0; at < MARK_BYTES; at++) chunk[step * STEP_BYTES + at] = markByte(index * steps + step, at)
    }
    return chunk
  }
}

/**
 * Checks a stream piece by piece, from its begin. State: how many bytes have come.
 * @throws at the first byte of a mark that is not the one that was sent
 */
export const checkStream = (): { add(piece: Uint8Array): void; bytes(): number } => {
  let bytes = 0
  return {
    add: (piece) => {
      const end = bytes + piece.length
      for (let step = Math.floor(bytes / STEP_BYTES); step * STEP_BYTES < end; step++) {
        const begin = step * STEP_BYTES
        for (let at = Math.max(0, bytes - begin); at < MARK_BYTES && begin + at < end; at++) {
          if (piece[begin + at - bytes] !== markByte(step, at)) {
            throw new Error(`byte ${begin + at} of the stream is not what was sent`)
          }
        }
      }
      bytes = end
    },
    bytes: () => bytes,
  }
}
