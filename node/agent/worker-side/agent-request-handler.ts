/**
 * What a worker thread does for its node: runs requests against the agent's offers.
 */
import { sliceOf } from '../../../protocols/budget/carried/carried-budget.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { chainThrough, hopOf } from '../../../protocols/wire/delegation-chain.ts'
import type { Envelope } from '../../../protocols/wire/envelope.ts'
import {
  createProgressReports,
  type ProgressReports,
  reportPeriodMs,
  toProgress,
} from '../../../protocols/wire/link/progress-reports.ts'
import type { RunContext } from '../../../protocols/wire/payload/contract.ts'
import { clock, timers } from '../../platform/platform.ts'
import type { ChannelRequestContext, ChannelRequestHandler } from '../channel/channel-message.ts'
import {
  type RemainderNotice,
  type RequestToAgent,
  sharedNow,
  type ThreadRunRequest,
} from '../channel/thread-requests.ts'
import type { Offer } from '../define-agent.ts'

const EMPTY = new Uint8Array(0)

/** The node bounds what goes to the caller; this keeps what is posted to the node small as well. */
const SHARE = 2

interface Running {
  readonly context: RunContext
  /** Its last report of progress goes before its answer. */
  end(): void
}

const runningOf = (
  request: ThreadRunRequest,
  label: string,
  payload: Uint8Array,
  { signal, notify }: ChannelRequestContext,
): Running => {
  const { extendMs, limitAt } = request
  let { deadlineAt } = request
  let envelope: Envelope | undefined
  let reports: ProgressReports | undefined
  let ended = false
  const makeReports = (): ProgressReports =>
    createProgressReports({
      now: sharedNow,
      timers,
      periodMs: reportPeriodMs(extendMs) / SHARE,
      send(report) {
        deadlineAt = Math.max(deadlineAt, Math.min(sharedNow() + extendMs, limitAt))
        notify(report)
      },
    })
  const budget = request.budget && sliceOf(request.budget, clock.now())
  const context: RunContext & { readonly run: number } = {
    run: request.run,
    signal,
    peer: request.peer,
    budget,
    get chain() {
      const { chain, destination } = request.envelope
      return chainThrough(chain, request.peer, hopOf(String(destination), label))
    },
    get passesOn() {
      const { priority, traceparent } = request.envelope
      return { priority, traceparent }
    },
    get envelope() {
      envelope ??= { ...request.envelope, payload }
      return envelope
    },
    remainingMs: () => Math.max(0, deadlineAt - sharedNow()),
    extendMs,
    limitMs: () => Math.max(0, limitAt - sharedNow()),
    progress(fraction, note) {
      if (ended || signal.aborted) return
      reports ??= makeReports()
      reports.add(toProgress(fraction, note))
    },
  }
  return {
    context,
    end() {
      if (signal.aborted) reports?.stop()
      else reports?.flush()
      ended = true
      const remaining = budget?.close()
      if (remaining !== undefined) notify({ remaining } satisfies RemainderNotice)
    },
  }
}

/** A handler may throw before it returns anything. */
const runOrEnd = <T>(run: () => T, end: () => void): T => {
  try {
    return run()
  } catch (error) {
    end()
    throw error
  }
}

async function* ending(items: AsyncIterable<unknown>, end: () => void): AsyncGenerator<unknown, void, undefined> {
  try {
    yield* items
  } finally {
    end()
  }
}

export const createAgentRequestHandler =
  (offers: () => readonly Offer[], stop: () => Promise<void>): ChannelRequestHandler =>
  (body, bytes, channelContext) => {
    // Only our own node writes to this port, and it is typed by the same union.
    const request = body as RequestToAgent
    if (request.what === 'stop') return stop()
    const served = offers()[request.offer]?.served
    const endpoint = served?.methods.get(request.method)
    if (served === undefined || endpoint === undefined) {
      throw new ParleyError('MSG004', `the agent has no method ${request.method}`, {
        hint: 'update the older of the two',
      })
    }
    const payload = bytes ?? EMPTY
    const { context, end } = runningOf(request, `${served.name}.${request.method}`, payload, channelContext)
    // It waited behind a handler that kept the thread busy, and nobody waits for its answer any more.
    if (context.remainingMs() <= 0) {
      end()
      throw new ParleyError('COM001', `${request.method} waited for its agent until the caller's time was over`, {
        hint: 'the agent is busy; give it more time with timeoutMs, or start another one',
      })
    }
    const answer = runOrEnd(() => endpoint.run(payload, context), end)
    if (answer instanceof Uint8Array) {
      end()
      return Promise.resolve(answer)
    }
    return Symbol.asyncIterator in answer ? ending(answer, end) : answer.finally(end)
  }
