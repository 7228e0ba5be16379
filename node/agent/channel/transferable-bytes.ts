/**
 * Bytes on their way to another thread. Keeps no state.
 *
 * A structured clone of a view copies the whole buffer under it, which may be a chunk of the network or a pool that
 * others use; and transferring it would take it from them. So a part of a buffer is copied first, and the copy, which
 * nobody else knows, is transferred. Either way the bytes are copied once.
 */

/** Below this a clone is cheaper than a transfer. */
const TRANSFER_FROM_BYTES = 16_384

/** The same bytes in a buffer of their own size. */
export const exactBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)

/** What to post, and what of it to transfer. */
export const packBytes = (bytes: Uint8Array): { bytes: Uint8Array; transfer: ArrayBuffer[] } => {
  if (bytes.byteLength === bytes.buffer.byteLength) return { bytes, transfer: [] }
  const copy = new Uint8Array(bytes)
  return { bytes: copy, transfer: copy.byteLength < TRANSFER_FROM_BYTES ? [] : [copy.buffer] }
}
