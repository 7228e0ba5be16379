/**
 * The error that a peer answered with, read from its frame. Keeps no state.
 */
import { fromFault, type ParleyError } from '../../errors.ts'
import type { FrameFault } from '../frames/frame.ts'
import { decodePayload } from '../payload/payload.ts'

/** Details are a courtesy: unreadable ones must not hide the error that they came with. */
const readDetails = (bytes: Uint8Array): Record<string, unknown> => {
  if (bytes.length === 0) return {}
  try {
    const value = decodePayload('json', bytes)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}

export const readFault = (fault: FrameFault): ParleyError =>
  fromFault({
    code: fault.code,
    message: fault.message,
    ...(fault.hint === '' ? {} : { hint: fault.hint }),
    details: readDetails(fault.details),
  })
