/**
 * Errors on their way to another thread: what may travel to a peer, and whether a peer made it.
 *
 * Keeps no state. Anything but a ParleyError becomes one fixed text; the side where it happened logs it.
 */
import { type Fault, fromFault, ParleyError, toFault } from '../../../protocols/errors.ts'

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
