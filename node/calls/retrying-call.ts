/**
 * Calls to one peer: the contract checks the input, a link carries it, failures that allow it are recovered from
 * (call-attempts.ts). A peer whose breaker is open is not called at all.
 */
import { isBreakerOpenError } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { BudgetedStream, budgetedOne } from './budgeted-calls.ts'
import { CallAttempts, type CallAttemptsDeps } from './call-attempts.ts'
import { endOf, type PeerCallOptions, toOutgoingCall } from './call-budget.ts'
import type { MethodCodec } from './method-codecs.ts'
import { StreamCall } from './stream-call.ts'
import { UnaryCall } from './unary-call.ts'

export interface RetryingCall {
  unary(peer: string, target: MethodCodec, payload: Uint8Array, options: PeerCallOptions): Promise<unknown>
  stream(
    peer: string,
    target: MethodCodec,
    payload: Uint8Array,
    options: PeerCallOptions,
  ): AsyncIterableIterator<unknown>
  oneWay(peer: string, target: MethodCodec, payload: Uint8Array, options: PeerCallOptions): Promise<void>
}

const sendOneWay = async (
  attempts: CallAttempts,
  peer: string,
  target: MethodCodec,
  payload: Uint8Array,
  options: PeerCallOptions,
): Promise<void> => {
  const startedAt = attempts.now()
  let probe: number | undefined
  try {
    probe = attempts.enter(peer, target, options)
    await attempts.run({
      peer,
      target,
      payload,
      options,
      run: (link, bytes, leftMs) => link.oneWay(toOutgoingCall(target, bytes, options, leftMs)),
      deadlineAt: () => endOf(target, options, startedAt, 0),
    })
    attempts.finished(peer, target, startedAt, 'ok')
    // It was only sent. That is enough for a probe, where nothing could be sent before, and no more.
    if (probe !== undefined) attempts.answered(peer, target, probe)
  } catch (error) {
    attempts.failed(peer, target, startedAt, error, options.signal, probe)
    if (isBreakerOpenError(error)) await attempts.nextTurn()
    throw error
  }
}

export const createRetryingCall = (deps: CallAttemptsDeps): RetryingCall => {
  const attempts = new CallAttempts(deps)
  const callOnce: RetryingCall['unary'] = (peer, target, payload, options) =>
    new Promise((resolve, reject) => new UnaryCall(attempts, peer, target, payload, options, resolve, reject).start())
  return {
    unary: (peer, target, payload, options) =>
      options.budget === undefined
        ? callOnce(peer, target, payload, options)
        : budgetedOne(deps.clock, target, options, (own) => callOnce(peer, target, payload, own)),
    stream: (peer, target, payload, options) =>
      options.budget === undefined
        ? new StreamCall(attempts, peer, target, payload, options)
        : new BudgetedStream(
            deps.clock,
            target,
            options,
            (own) => new StreamCall(attempts, peer, target, payload, own),
          ),
    oneWay: (peer, target, payload, options) =>
      options.budget === undefined
        ? sendOneWay(attempts, peer, target, payload, options)
        : budgetedOne(deps.clock, target, options, (own) => sendOneWay(attempts, peer, target, payload, own)),
  }
}
