/**
 * Directs agents: each directive is sent until it is acknowledged, three times more at most, each time twice as long after the
 * last one (seed 003: ack required, 3 retries, exponential). One that nobody acknowledges is answered here: the agent is not
 * available. State: how many were sent and what became of them.
 */
import { pause } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { coordinationProtocol } from '../contract.ts'
import { type Directive, type DirectiveAnswer, isoTime, type Refusal } from '../messages.ts'

const MAX_RETRIES = 3
const FIRST_DELAY_MS = 100
const ATTEMPT_MS = 500

export interface DirectiveCounts {
  readonly sent: number
  readonly accepted: number
  readonly refused: number
  readonly retries: number
}

/** The agent does not answer, or does not know yet who coordinates: the same directive again may be taken. */
const isPassing = (error: unknown): boolean =>
  // SEC002: it believes another coordinator, as long as it has not heard of this one.
  isParleyError(error, 'COM001', 'COM002', 'COM003', 'COM004', 'SEC002') ||
  (isParleyError(error, 'STA003') && error.details.reason === 'not-leader') ||
  (isParleyError(error, 'STA002') && error.details.reason === 'unproven')

export interface SenderDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'to'>
  /** A directive was answered. @param seconds since it was sent first */
  done?(directive: Directive, answer: DirectiveAnswer, seconds: number): void
}

export class DirectiveSender {
  readonly #deps: SenderDeps
  readonly #counts = { sent: 0, accepted: 0, refused: 0, retries: 0 }

  constructor(deps: SenderDeps) {
    this.#deps = deps
  }

  counts(): DirectiveCounts {
    return { ...this.#counts }
  }

  /** @throws the signal's reason */
  async send(directive: Directive, signal: AbortSignal): Promise<DirectiveAnswer> {
    const { clock } = this.#deps.port
    const begun = clock.monotonic()
    this.#counts.sent += 1
    const answer = await this.#untilAnswered(directive, signal)
    this.#counts[answer.status] += 1
    this.#deps.done?.(directive, answer, (clock.monotonic() - begun) / 1_000)
    return answer
  }

  async #untilAnswered(directive: Directive, signal: AbortSignal): Promise<DirectiveAnswer> {
    const { port } = this.#deps
    for (let retry = 0; ; retry += 1) {
      try {
        const answer = await port
          .to(directive.target_agent, coordinationProtocol)
          .coordination_directive(directive, { signal, timeoutMs: ATTEMPT_MS })
        if (answer.directive_id === directive.directive_id && answer.source_agent === directive.target_agent)
          return answer
        return this.#refused(directive, 'directive_failed', 'it acknowledged another directive')
      } catch (error) {
        signal.throwIfAborted()
        const text = String(error instanceof Error ? error.message : error).slice(0, 200)
        if (!isPassing(error)) return this.#refused(directive, 'directive_failed', text)
        if (retry >= MAX_RETRIES) return this.#refused(directive, 'agent_unavailable', text)
        this.#counts.retries += 1
        await pause(port.timers, FIRST_DELAY_MS * 2 ** retry, signal)
        signal.throwIfAborted()
      }
    }
  }

  #refused({ directive_id, target_agent }: Directive, error: Refusal, reason: string): DirectiveAnswer {
    const timestamp = isoTime(this.#deps.port.clock.now())
    return { directive_id, timestamp, source_agent: target_agent, status: 'refused', error, reason }
  }
}
