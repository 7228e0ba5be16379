/** A call that failed although its recovery was tried, as the dead letters keep it. Pure. */
import type { Content } from '../../protocols/define.ts'
import type { FailedCall } from '../../protocols/delivery/dead-letters/dead-letter-store.ts'
import type { Undelivered } from '../../protocols/delivery/recovery/error-recovery.ts'
import { toFault } from '../../protocols/errors.ts'
import { decodePayload } from '../../protocols/wire/payload/payload.ts'

/** How a payload was written, which is not told: whatever can be read as something was written as that. */
const contentOf = (payload: Uint8Array | undefined): Content => {
  if (payload === undefined) return 'json'
  for (const content of ['json', 'cbor'] as const) {
    try {
      decodePayload(content, payload)
      return content
    } catch {
      // Not that one.
    }
  }
  return 'bytes'
}

export const toDeadCall = ({
  at,
  to,
  label,
  error,
  recoveryError,
  payload,
  conversationId,
}: Undelivered): FailedCall => ({
  to,
  label,
  error: toFault(error),
  recovery: toFault(recoveryError),
  payload,
  content: contentOf(payload),
  conversationId,
  at,
})
