/**
 * What a worker thread does for its node: runs requests against the agent's offers. Keeps no state.
 */
import type { Context } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Envelope } from '../../protocols/wire/envelope.ts'
import type { AnswerBody } from './answering.ts'
import type { AgentAsk, RunAsk } from './asks.ts'
import type { Offer } from './define.ts'
import { sharedNow } from './shared-clock.ts'

const EMPTY = new Uint8Array(0)

const contextOf = (ask: RunAsk, payload: Uint8Array, signal: AbortSignal): Context => {
  let envelope: Envelope | undefined
  return {
    signal,
    peer: ask.peer,
    get envelope() {
      envelope ??= { ...ask.envelope, payload }
      return envelope
    },
    remainingMs: () => Math.max(0, ask.deadlineAt - sharedNow()),
  }
}

export const createRunAnswers =
  (offers: () => readonly Offer[], stop: () => Promise<void>): AnswerBody =>
  (body, bytes, { signal }) => {
    // Only our own node writes to this port, and it is typed by the same union.
    const ask = body as AgentAsk
    if (ask.what === 'stop') return stop()
    const endpoint = offers()[ask.offer]?.served.methods.get(ask.method)
    if (endpoint === undefined) {
      throw new ParleyError('MSG004', `the agent has no method ${ask.method}`, { hint: 'update the older of the two' })
    }
    const payload = bytes ?? EMPTY
    const context = contextOf(ask, payload, signal)
    // It waited behind a handler that kept the thread busy, and nobody waits for its answer any more.
    if (context.remainingMs() <= 0) {
      throw new ParleyError('COM001', `${ask.method} waited for its agent until the caller's time was over`, {
        hint: 'the agent is busy; give it more time with timeoutMs, or start another one',
      })
    }
    const answer = endpoint.run(payload, context)
    return answer instanceof Uint8Array ? Promise.resolve(answer) : answer
  }
