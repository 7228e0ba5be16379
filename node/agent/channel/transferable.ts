/**
 * Bytes and errors on their way to another thread.
 *
 * A structured clone of a view copies the whole buffer under it, which may be a chunk of the network or a pool that
 * others use; a transfer would take it from them. So a part of a buffer is copied first, and the copy, which nobody else
 * knows, is transferred. Either way the bytes are copied once.
 *
 * Of an error its code, message, hint and details travel, and whether a peer made it. Anything but a ParleyError becomes
 * one fixed text; the side where it happened logs it.
 */
import { type Fault, fromFault, ParleyError, toFault } from '../../../protocols/errors.ts'

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

export interface TransferableError {
  readonly fault: Fault
  readonly remote: boolean
}

/** Details are for programs and JSON-safe by contract; one that is not would keep the whole message from being posted. */
const plainDetails = (fault: Fault): Fault => {
  if (fault.details === undefined) return fault
  const { details, ...rest } = fault
  try {
    return { ...rest, details: JSON.parse(JSON.stringify(details)) }
  } catch {
    return rest
  }
}

/** @param unexpected what is said of an error that is no ParleyError */
export const toTransferableError = (error: unknown, unexpected: string): TransferableError =>
  error instanceof ParleyError
    ? { fault: plainDetails(toFault(error)), remote: error.remote }
    : { fault: { code: 'APP001', message: unexpected }, remote: false }

export const fromTransferableError = ({ fault, remote }: TransferableError): ParleyError => {
  const error = fromFault(fault)
  if (remote) return error
  const { code, message, hint, details } = error
  return new ParleyError(code, message, { details, ...(hint === undefined ? {} : { hint }) })
}
