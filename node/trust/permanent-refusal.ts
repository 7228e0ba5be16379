/** Which refusals stand until somebody changes a secret, the name of a mesh or an address: asking again does not help. Pure. */
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import type { MembershipRefusal } from '../../protocols/security/membership-claims.ts'

const LASTING: ReadonlySet<unknown> = new Set<MembershipRefusal | 'not-loopback'>([
  'no-token',
  'unexpected-token',
  'malformed',
  'signature',
  'wrong-mesh',
  'wrong-authority',
  'other-peer',
  'not-loopback',
])

/** Not so: clocks that differ, a mesh that was founded apart and may be left, a peer that was busy or is no node (yet). */
export const isPermanentRefusal = (error: unknown): error is ParleyError =>
  isParleyError(error, 'SEC001') && LASTING.has(error.details.reason)
