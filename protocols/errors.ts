/**
 * The one error class that crosses the public API, and the closed set of its codes.
 *
 * Branch on `code`, never on `message`. `code`, `message`, `hint` and `details` travel to the remote peer; `cause` and
 * the stack never do. An unexpected failure inside a handler reaches the peer as one fixed text (APP001). STA003 is several
 * things: `details.reason` says which, and severity and recovery follow it (state-reasons.ts).
 */
import { type ErrorReason, reasonOf } from './error-reasons.ts'
import { type Recovery, type Severity, type StateReason, severityAndRecoveryOf } from './state-reasons.ts'

interface CodeInfo {
  /** What a person calls it; the `name` of the error. */
  readonly name: string
  readonly severity: Severity
  readonly recovery: Recovery
}

export const CODES = {
  /** Input, options or an answer do not fit their schema or bound. */
  MSG001: { name: 'ValidationError', severity: 'error', recovery: 'retry_with_validation' },
  /** A value cannot be written. */
  MSG002: { name: 'SerializationError', severity: 'error', recovery: 'retry_with_new_serializer' },
  /** Bytes cannot be read. */
  MSG003: { name: 'DeserializationError', severity: 'error', recovery: 'none' },
  /** The peer does not know the protocol, method or kind. */
  MSG004: { name: 'UnsupportedRequestError', severity: 'error', recovery: 'none' },
  /** The ttl passed. */
  MSG005: { name: 'ExpiredError', severity: 'warning', recovery: 'none' },
  /** The peer has no such command. */
  MSG006: { name: 'UnknownCommandError', severity: 'error', recovery: 'none' },
  /** No answer in time. */
  COM001: { name: 'TimeoutError', severity: 'warning', recovery: 'retry_with_backoff' },
  /** Unreachable, nobody of that name, or the connection was lost; `details.sent` says whether the request may have arrived. */
  COM002: { name: 'TransportError', severity: 'critical', recovery: 'failover_to_backup' },
  /** A queue is full; `details.retryAfterMs` where it is known. */
  COM003: { name: 'OverloadedError', severity: 'warning', recovery: 'retry_with_backoff' },
  /** Nobody offers the protocol. */
  COM004: { name: 'NoRespondersError', severity: 'error', recovery: 'none' },
  /** Not a member; `details.reason` says why. */
  SEC001: { name: 'AuthenticationError', severity: 'critical', recovery: 'none' },
  /** The membership lacks a capability. */
  SEC002: { name: 'AuthorizationError', severity: 'error', recovery: 'none' },
  /** An exchange number was used twice on a link, or a delegation chain ends with another peer than its sender. */
  SEC003: { name: 'SecurityError', severity: 'critical', recovery: 'none' },
  /** Something named is not there. */
  STA001: { name: 'NotFoundError', severity: 'error', recovery: 'none' },
  /** A newer decision, coordinator or outbox has taken the place of this one. */
  STA002: { name: 'StaleFenceError', severity: 'error', recovery: 'none' },
  /** One of several states, told by `details.reason`. */
  STA003: { name: 'ConflictError', severity: 'warning', recovery: 'replan' },
  /** The handler failed; a handler may throw it with its own message, hint and details. */
  APP001: { name: 'FailureError', severity: 'error', recovery: 'none' },
} as const satisfies Record<string, CodeInfo>

export type Code = keyof typeof CODES

export interface ErrorOptions {
  /** What to do next, for a person. */
  hint?: string
  /** Small, JSON-safe facts for programs; it travels to the peer. */
  details?: Record<string, unknown>
  /** Stays on this node. */
  cause?: unknown
}

/** What of an error travels to a peer. */
export interface Fault {
  code: string
  message: string
  hint?: string
  details?: Record<string, unknown>
}

export class ParleyError extends Error {
  readonly code: Code
  readonly severity: Severity
  readonly recovery: Recovery
  readonly hint: string | undefined
  readonly details: Record<string, unknown>
  /** True where the error was made by the remote peer and came over the wire. */
  readonly remote: boolean

  constructor(code: Code, message: string, options: ErrorOptions & { remote?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const info: CodeInfo = CODES[code]
    const { severity, recovery } = code === 'STA003' ? severityAndRecoveryOf(options.details?.reason) : info
    this.name = info.name
    this.code = code
    this.severity = severity
    this.recovery = recovery
    this.hint = options.hint
    this.details = options.details ?? {}
    this.remote = options.remote ?? false
  }

  /** `details.reason`, where errors of this code have it in this version: a switch over it can name them all. */
  get reason(): ErrorReason | undefined {
    return reasonOf(this.code, this.details.reason)
  }
}

/** An error of one of these codes. */
export type ErrorOf<C extends Code> = ParleyError & { readonly code: C; readonly reason: ErrorReason<C> | undefined }

/** STA003. @param details beside the reason @param cause stays on this node */
export const stateError = (
  reason: StateReason,
  message: string,
  hint: string,
  details: Record<string, unknown> = {},
  cause?: unknown,
): ParleyError => new ParleyError('STA003', message, { hint, details: { reason, ...details }, cause })

export const isCode = (code: string): code is Code => Object.hasOwn(CODES, code)

/** True for an error of this mesh, optionally of one of the given codes. */
export const isParleyError = <C extends Code>(error: unknown, ...codes: C[]): error is ErrorOf<C> =>
  error instanceof ParleyError && (codes.length === 0 || (codes as readonly Code[]).includes(error.code))

/** What a peer is told. Anything but a ParleyError becomes one fixed text, so that nothing internal leaks. */
export const toFault = (error: unknown): Fault => {
  if (!(error instanceof ParleyError)) return { code: 'APP001', message: 'the handler failed' }
  const fault: Fault = { code: error.code, message: error.message }
  if (error.hint !== undefined) fault.hint = error.hint
  if (Object.keys(error.details).length > 0) fault.details = error.details
  return fault
}

/** The error that a caller sees for a fault that came over the wire; a code from a newer peer becomes APP001. */
export const fromFault = (fault: Fault): ParleyError =>
  new ParleyError(isCode(fault.code) ? fault.code : 'APP001', fault.message, {
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    details: isCode(fault.code) ? (fault.details ?? {}) : { ...fault.details, code: fault.code },
    remote: true,
  })
