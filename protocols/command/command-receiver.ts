/**
 * The receiving side of commands: runs each one once and answers with its ack or nack.
 *
 * The handler does not end with the attempt that began it: attempts that come later wait for the same outcome. It is told
 * to stop when the sender cancels, when the command's time is over, and when this node stops.
 * State: what is remembered (command-deduplication.ts, command-run.ts), what was left of budgets, what can be cancelled.
 */
import { abortable } from '../async.ts'
import { type Amounts, atMost } from '../budget/amounts.ts'
import { type CarriedBudget, sliceOf } from '../budget/carried/carried-budget.ts'
import type { Context } from '../define.ts'
import { type Fault, ParleyError, toFault } from '../errors.ts'
import type { Port } from '../port.ts'
import type { CommandContext, CommandHandler } from './api.ts'
import {
  type CommandDeduplicationLimits,
  CommandRemainders,
  createCommandDeduplication,
} from './command-deduplication.ts'
import { CommandRun, isPassing, type RunAnswer, type RunRequest } from './command-run.ts'

export interface CommandReceiver {
  run(
    type: string,
    handler: CommandHandler<unknown, unknown>,
    request: RunRequest,
    context: Context,
  ): Promise<RunAnswer>
  cancel(peer: string, type: string, commandId: string): void
  counts(): { executed: number; repeated: number; acks: number; nacks: number } & ReturnType<
    ReturnType<typeof createCommandDeduplication>['counts']
  >
  stop(): void
}

/** Parameters as they came, bytes. */
export const MAX_PARAMETER_BYTES = 1 << 20
/** Of one text in a nack. */
const MAX_TEXT = 4096

const payloadBytes = ({ envelope }: Context): number =>
  envelope.payload instanceof Uint8Array ? envelope.payload.length : 0

const sizeOf = (answer: RunAnswer): number => {
  const value = answer.status === 'ack' ? answer.result : answer.error
  try {
    return 64 + (JSON.stringify(value)?.length ?? 0)
  } catch {
    // What JSON cannot hold is counted as a large one.
    return 64 << 10
  }
}

const shortened = (fault: Fault): Fault => ({
  ...fault,
  message: fault.message.slice(0, MAX_TEXT),
  ...(fault.hint !== undefined && { hint: fault.hint.slice(0, MAX_TEXT) }),
})

const lateError = (type: string, timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `${type} did not end within the ${timeoutMs} ms of its sender`, {
    hint: 'give it more time with timeoutMs',
  })

/** @throws MSG001; it did not begin then */
const requireSize = (type: string, bytes: number): void => {
  if (bytes <= MAX_PARAMETER_BYTES) return
  throw new ParleyError('MSG001', `the parameters of ${type} take ${bytes} bytes`, {
    hint: `send at most ${MAX_PARAMETER_BYTES} bytes; larger things go by a stream or a file`,
    details: { sent: false },
  })
}

/** @param left of the same part, by a run before it that ended with a passing nack */
const budgetOf = ({ budget, again }: RunRequest, left: Amounts | undefined): CarriedBudget | undefined => {
  if (budget === undefined || left === undefined) return budget
  return { ...budget, amounts: again === true ? left : atMost(budget.amounts, left) }
}

/** What a handler gets: its own things, and those of the first attempt's request, which are made when they are asked for. */
const contextOf = (
  request: Context,
  own: Pick<CommandContext, 'commandId' | 'type' | 'budget' | 'signal' | 'remainingMs'>,
): CommandContext => ({
  ...own,
  peer: request.peer,
  get envelope() {
    return request.envelope
  },
  get chain() {
    return request.chain
  },
  get childCalls() {
    return request.childCalls
  },
  get passesOn() {
    return request.passesOn
  },
})

export const createCommandReceiver = (
  port: Pick<Port, 'clock' | 'timers' | 'log'>,
  limits?: CommandDeduplicationLimits,
  bytesOf: (context: Context) => number = payloadBytes,
): CommandReceiver => {
  const remembered = createCommandDeduplication<CommandRun>(limits)
  const remainders = new CommandRemainders(limits)
  const cancels = new Map<string, AbortController>()
  const counts = { executed: 0, repeated: 0, acks: 0, nacks: 0 }
  /** Parts of budgets that a run had no room for. */
  let unnoted = 0

  const begin = async (
    key: string,
    type: string,
    handler: CommandHandler<unknown, unknown>,
    request: RunRequest,
    context: Context,
  ): Promise<RunAnswer> => {
    const { command_id: commandId, timeout_ms: timeoutMs, parameters, part } = request
    const abort = new AbortController()
    const endsAt = port.clock.monotonic() + timeoutMs
    const stop = port.timers.after(timeoutMs, () => abort.abort(lateError(type, timeoutMs)))
    cancels.set(key, abort)
    counts.executed += 1
    const carried = budgetOf(request, remainders.take(key, port.clock.monotonic(), part))
    const budget = carried && sliceOf(carried, port.clock.now())
    const given = contextOf(context, {
      commandId,
      type,
      budget,
      signal: abort.signal,
      remainingMs: () => Math.max(0, endsAt - port.clock.monotonic()),
    })
    let answer: RunAnswer
    try {
      // One that does not listen to its signal is not waited for; it may still end, and nobody hears of it.
      const result = await abortable(Promise.resolve(handler(parameters, given)), abort.signal)
      answer = { command_id: commandId, status: 'ack', result }
      counts.acks += 1
    } catch (error) {
      const about = { error, source: context.peer, correlationId: commandId, messageType: 'COMMAND' }
      if (!(error instanceof ParleyError)) port.log.error(`the handler of the command ${type} failed`, about)
      const fault = shortened(toFault(error))
      answer = { command_id: commandId, status: 'nack', reason: fault.message, error: fault }
      counts.nacks += 1
    } finally {
      stop()
      cancels.delete(key)
    }
    const remaining = budget?.close()
    const now = port.clock.monotonic()
    if (remaining !== undefined) {
      answer.remaining = remaining
      if (isPassing(answer)) remainders.keep(key, now, { part, left: remaining })
    }
    remembered.markEnded(key, now, sizeOf(answer), !isPassing(answer))
    return answer
  }

  const keyOf = (peer: string, type: string, commandId: string): string => `${peer}/${type}/${commandId}`

  return {
    async run(type, handler, request, context) {
      requireSize(type, bytesOf(context))
      const key = keyOf(context.peer, type, request.command_id)
      const { run, isKnown } = remembered.runOnce(
        key,
        port.clock.monotonic(),
        () => new CommandRun(request.part, () => begin(key, type, handler, request, context)),
        (ended) => ended.isFinalFor(request),
      )
      if (isKnown) counts.repeated += 1
      if (isKnown && !run.join(request)) unnoted += 1
      const answer = await abortable(run.outcome, context.signal)
      return isKnown ? run.repeated(answer, request) : answer
    },
    cancel(peer, type, commandId) {
      cancels
        .get(keyOf(peer, type, commandId))
        ?.abort(new ParleyError('COM001', 'the sender cancelled the command', { hint: 'stop working on it' }))
    },
    counts() {
      const known = remembered.counts()
      return { ...counts, ...known, forgotten: known.forgotten + remainders.forgotten() + unnoted }
    },
    stop() {
      const reason = new ParleyError('COM002', 'this node stops', { hint: 'send it to another agent' })
      for (const abort of cancels.values()) abort.abort(reason)
    },
  }
}
