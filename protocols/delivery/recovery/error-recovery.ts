/**
 * What is done about an error, by its code: the recoveries of protocols/errors.ts as decisions. Pure; who sends carries
 * them out, whether that is a call or a durable message.
 *
 * MSG001, told by the other side: the payload is checked once more and sent once more, where that makes it another one.
 * MSG002: it is written once more in another content, where the contract leaves that open. COM001 and COM003: again after
 * a while, as long as time and attempts are left; COM001 only where handling it twice is as good as once. COM002: at once
 * by another peer where there is one, else after a while by a new connection.
 */
import type { Content } from '../../define.ts'
import { CODES, type Code, isCode, ParleyError, toFault } from '../../errors.ts'
import type { Fields, Log, Metrics } from '../../port.ts'
import type { Recovery } from '../../state-reasons.ts'
import { type CallAttempt, decideRetry } from '../../wire/caller/retry-policy.ts'
import { decodePayload } from '../../wire/payload/payload.ts'
import type { FailedCall } from '../dead-letters/dead-letter.ts'

export interface RecoveryFacts extends CallAttempt {
  /** Another peer can be asked. */
  readonly hasOthers?: boolean | undefined
  /** The payload was checked once more already, or cannot be. */
  readonly isRevised?: boolean | undefined
  /** It was written in another content already, or must not be. */
  readonly isRewritten?: boolean | undefined
}

export type RecoveryDecision =
  /** Check the payload against the contract once more, without what the other side does not know; send it once more. */
  | { readonly kind: 'revise' }
  /** Write it in another content. */
  | { readonly kind: 'rewrite' }
  | { readonly kind: 'retry'; readonly delayMs: number }
  /** Another peer, at once. */
  | { readonly kind: 'failover' }
  | { readonly kind: 'give-up' }

const GIVE_UP: RecoveryDecision = { kind: 'give-up' }

export const decideRecovery = (error: unknown, facts: RecoveryFacts): RecoveryDecision => {
  if (!(error instanceof ParleyError)) return GIVE_UP
  switch (error.recovery) {
    case 'retry_with_validation':
      // What this side found out itself is as wrong the second time.
      return error.remote && facts.isRevised !== true && facts.remainingMs > 0 ? { kind: 'revise' } : GIVE_UP
    case 'retry_with_new_serializer':
      return !error.remote && facts.isRewritten !== true ? { kind: 'rewrite' } : GIVE_UP
    case 'failover_to_backup':
    case 'retry_with_backoff': {
      const decision = decideRetry(error, facts)
      return decision.kind === 'retry' && facts.hasOthers === true && error.code === 'COM002'
        ? { kind: 'failover' }
        : decision
    }
    default:
      return GIVE_UP
  }
}

/** How a recovery that was tried ended. */
export type RecoveryOutcome = 'recovered' | 'failed'

/** A message that could not be delivered although its recovery was tried. */
export interface Undelivered {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Peer id; undefined where it was for anybody. */
  readonly to: string | undefined
  /** `<protocol>.<method>`, or what else the message is. */
  readonly label: string
  readonly code: Code
  readonly recovery: Recovery
  /** What went wrong first, and what went wrong with the recovery. */
  readonly error: ParleyError
  readonly recoveryError: unknown
  /** As it was to be sent; undefined where it could not be written. */
  readonly payload: Uint8Array | undefined
  readonly conversationId: string | undefined
}

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

/** As the dead letters keep it. */
export const failedCallOf = ({ error, recoveryError, payload, ...letter }: Undelivered): FailedCall => ({
  at: letter.at,
  to: letter.to,
  label: letter.label,
  error: toFault(error),
  recovery: toFault(recoveryError),
  payload,
  content: contentOf(payload),
  conversationId: letter.conversationId,
})

/** Counts recoveries, and tells of those that failed. */
export interface Recoveries {
  ended(code: Code, outcome: RecoveryOutcome): void
  /**
   * Counts it too, logs both causes, and hands the message to the dead letters.
   * @param isTold the caller gets the error and decides what it is worth: nothing critical for this node
   */
  failed(letter: Omit<Undelivered, 'at' | 'recovery'>, isTold?: boolean): void
}

/** Of calls and of durable messages, in the same series. */
const countRecoveries = (metrics: RecoveriesDeps['metrics']) =>
  metrics.counter('recoveries_total', 'Recoveries that were tried, by how they ended', ['code', 'recovery', 'outcome'])

interface RecoveriesDeps {
  readonly clock: { now(): number }
  readonly log: Pick<Log, 'error' | 'info'>
  readonly metrics: {
    counter(name: string, help: string, labels?: readonly string[]): (labels?: Record<string, string>) => void
  }
  /** Keeps what could not be delivered; it must not throw. */
  onDeadLetter?: ((letter: Undelivered) => void) | undefined
}

export const createRecoveries = ({ clock, log, metrics, onDeadLetter }: RecoveriesDeps): Recoveries => {
  const count = countRecoveries(metrics)
  const ended = (code: Code, outcome: RecoveryOutcome): void => count({ code, recovery: CODES[code].recovery, outcome })
  return {
    ended,
    failed(letter, isTold = false) {
      const { recovery } = CODES[letter.code]
      const { error, recoveryError, label, to } = letter
      ended(letter.code, 'failed')
      const fields = {
        severity: isTold ? 'warning' : 'critical',
        label,
        destination: to,
        messageType: 'REQUEST',
        conversation_id: letter.conversationId,
        code: letter.code,
        recovery,
        error: recoveryError,
        recovery_error: recoveryError instanceof Error ? recoveryError.message : String(recoveryError),
        original_error: `${error.code}: ${toFault(error).message}`,
      }
      if (isTold) log.info('a recovery failed', fields)
      else log.error('a recovery failed', fields)
      onDeadLetter?.({ ...letter, at: clock.now(), recovery })
    },
  }
}

/** How the recovery of a durable message's failure with this code ended. @param about which message, for the log */
export type RecoveryEnded = (code: string, isWell: boolean, about?: Fields) => void

/** Counts recoveries by how they ended, and logs those that failed; codes that have none are left out. */
export const createRecoveryEnded = (metrics: Metrics, log: Pick<Log, 'error'>): RecoveryEnded => {
  const count = countRecoveries(metrics)
  return (code, isWell, about = {}) => {
    const recovery = isCode(code) ? CODES[code].recovery : 'none'
    if (recovery === 'none') return
    count({ code, recovery, outcome: isWell ? 'recovered' : 'failed' })
    if (!isWell) log.error('a recovery failed', { severity: 'critical', ...about, code, recovery })
  }
}
