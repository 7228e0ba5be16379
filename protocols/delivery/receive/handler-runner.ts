/**
 * One received message at work: its handler, the transaction, effects, its time. receiver.ts says what may run.
 *
 * Promises: what a handler put and sent counts together with the note that its message was processed, in one commit, or
 * not at all. A handler whose transaction met somebody else's change runs again. One that takes longer than its time
 * without progress has failed; what it does afterwards counts nothing.
 * State: the handlers, those at work, effects that are under way.
 */
import type { ZodType } from 'zod'
import { type Fault, isParleyError, ParleyError, toFault } from '../../errors.ts'
import type { MessageChains } from '../../interceptors/chains.ts'
import type { Port } from '../../port.ts'
import { requireChain } from '../../wire/delegation-chain.ts'
import { decodePayload, encodePayload, validate } from '../../wire/payload/payload.ts'
import { type DurableMessage, messageLabel } from '../durable-message.ts'
import type { AnswerClaim, LateAnswers } from '../rebind/late-answers.ts'
import type { SendingTransaction } from '../send/sending-transaction.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import type { EffectResults } from './effect-results.ts'
import type { RegisteredHandler } from './handler-registry.ts'
import { HandlerRun, type HandlerRunDeps, receiveThrough } from './handler-run.ts'
import type { InboundMessage } from './inbound-message.ts'

export interface HandlerRunnerDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log'>
  readonly store: RowStore
  readonly effects: EffectResults
  /** What takes messages of a type. */
  handlerOf(type: string): RegisteredHandler | undefined
  /** Takes a message without a handler, to be kept for the program; undefined where it is not wanted. @throws COM003 */
  putInInbox(work: InboundMessage): HandlerOutcome['commit']
  /** What became of a message that was taken up. */
  note(work: InboundMessage): ((fault: Fault | undefined) => void) | undefined
  /** Why a type has no handler. */
  missingHandlerError(type: string): ParleyError
  begin(): SendingTransaction
  readonly lateAnswers: Pick<LateAnswers, 'claim'>
  /** Interceptors, where there are any. */
  readonly chains: MessageChains
  /** Whether the inbox would take messages of a type. */
  isForInbox(type: string): boolean
  /** Milliseconds that interceptors have for a message that goes to the inbox. */
  inboxTimeoutMs(): number
  count(what: 'conflicts' | 'timeouts' | 'lateAnswers', by?: number): void
}

export interface HandlerOutcome {
  /** Changes that are to be committed with the note, `launch` afterwards; undefined where nothing has to be. */
  readonly commit: { changes: readonly RowChange[]; launch(): void; drop(): void } | undefined
}

/** A transaction that meets others' changes again and again gives way for a while. */
const MAX_RUNS = 10
const NO_CHANGES: readonly RowChange[] = []

const NO_COMMIT: HandlerOutcome = { commit: undefined }
const nothing = (): void => {}
/** Of what answers no message that was moved. */
const ORDINARY: AnswerClaim = { count: () => [], end: nothing }
const EMPTY_COMMIT: HandlerOutcome = { commit: { changes: NO_CHANGES, launch: nothing, drop: nothing } }

const withChanges = ({ commit }: HandlerOutcome, changes: readonly RowChange[]): HandlerOutcome => {
  if (changes.length === 0) return { commit }
  return { commit: { launch: nothing, drop: nothing, ...commit, changes: [...(commit?.changes ?? []), ...changes] } }
}

/** @param asSent checked, but as it travelled: interceptors may change it */
const dataOf = (message: DurableMessage, schema: ZodType | undefined, asSent: boolean): unknown => {
  const value = decodePayload(message.content, message.payload)
  if (schema === undefined) return value
  const data = validate(schema, value, message.type)
  return asSent ? value : data
}

const timedOut = (type: string, timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `the handler of ${type} took longer than ${timeoutMs} ms without progress`, {
    hint: 'call progress() in the handler, or give receive() a larger timeoutMs',
  })

const contended = (type: string): ParleyError =>
  new ParleyError('STA003', `the transaction of ${type} met other changes ${MAX_RUNS} times`, {
    hint: 'let handlers that change the same keys run in one conversation',
    details: { reason: 'contended' },
  })

export class HandlerRunner {
  readonly #deps: HandlerRunnerDeps
  readonly #runDeps: HandlerRunDeps
  readonly #running = new Set<HandlerRun>()
  #isStopped = false
  #progressCount = 0

  constructor(deps: HandlerRunnerDeps) {
    this.#deps = deps
    this.#runDeps = {
      clock: deps.port.clock,
      self: deps.port.self.id,
      effects: deps.effects,
      begin: deps.begin,
      chain: deps.chains.send,
      progressed: () => {
        this.#progressCount += 1
      },
    }
  }

  /**
   * @param finished called in the same turn in which the changes are handed over, so that nothing comes between
   * @returns undefined, or why it failed
   */
  async run(work: InboundMessage, finished: (outcome: HandlerOutcome) => void): Promise<Fault | undefined> {
    const deps = this.#deps
    const { message, expiresAt } = work
    const onEnd = message.conversationId === undefined ? undefined : deps.note(work)
    let answer: AnswerClaim | undefined
    const counted = (outcome: HandlerOutcome): void => finished(withChanges(outcome, answer?.count() ?? NO_CHANGES))
    try {
      if (expiresAt !== undefined && expiresAt <= deps.port.clock.monotonic())
        throw new ParleyError('MSG005', 'the message expired before its handler began', {
          hint: 'give it a longer ttlMs, or make the receiver faster',
        })
      const { chain } = message
      if (chain !== undefined) requireChain(chain, work.source, deps.port.self.id, messageLabel(message.type))
      answer = this.#claim(work)
      if (answer === undefined) {
        deps.count('lateAnswers')
        finished(message.guarantee === 'EXACTLY_ONCE' ? EMPTY_COMMIT : NO_COMMIT)
        onEnd?.(undefined)
        return undefined
      }
      const registered = deps.handlerOf(message.type)
      if (registered === undefined) {
        const commit = deps.putInInbox(deps.chains.receive === undefined ? work : await this.#forInbox(work))
        if (commit === undefined) throw deps.missingHandlerError(message.type)
        counted({ commit })
        onEnd?.(undefined)
        return undefined
      }
      const { chains } = deps
      const data = dataOf(message, registered.definition?.schema, chains.receive !== undefined)
      for (let runs = 1; runs <= MAX_RUNS; runs += 1)
        if (await this.#runOnce(work, registered, data, counted)) {
          onEnd?.(undefined)
          return undefined
        }
      throw contended(message.type)
    } catch (error) {
      const fault = this.#faultOf(error, work)
      onEnd?.(fault)
      return fault
    } finally {
      answer?.end()
    }
  }

  #faultOf(error: unknown, { message, source }: InboundMessage): Fault {
    if (!isParleyError(error))
      this.#deps.port.log.warn('the handler of a message failed', {
        source,
        correlationId: message.id,
        messageType: message.type,
        error,
      })
    return toFault(error)
  }

  /** Looks whether it answers a message that was moved. @returns undefined where another answer counts already */
  #claim({ message, source }: InboundMessage): AnswerClaim | undefined {
    const claim = this.#deps.lateAnswers.claim(message.correlationId, source)
    if (claim === 'late') return undefined
    return claim ?? ORDINARY
  }

  /** @returns false where it has to run again */
  async #runOnce(
    work: InboundMessage,
    registered: RegisteredHandler,
    data: unknown,
    finished: (outcome: HandlerOutcome) => void,
  ): Promise<boolean> {
    const run = new HandlerRun(this.#runDeps, work, data, registered.timeoutMs)
    this.#running.add(run)
    try {
      const { receive } = this.#deps.chains
      const pending =
        receive === undefined ? registered.handler(data, run) : receiveThrough(receive, registered, work, run)
      if (pending !== undefined) await run.within(pending)
      // The look at what it read and the commit are in one turn: else somebody's change could come in between.
      for (let { sending } = run; sending !== undefined; await sending.ready()) {
        if (sending.isStale()) {
          this.#deps.count('conflicts')
          return false
        }
        if (!sending.isBusy()) break
      }
      if (this.#isStopped) throw new ParleyError('COM002', 'this node is stopping', { hint: 'it is tried again' })
      this.#finish(work, run, finished)
      return true
    } finally {
      this.#progressCount += 1
      this.#running.delete(run)
      run.close()
    }
  }

  /** Of a message without a handler: as its interceptors left it. They have the time of a handler. */
  async #forInbox(work: InboundMessage): Promise<InboundMessage> {
    const deps = this.#deps
    const { message } = work
    if (deps.chains.receive === undefined || !deps.isForInbox(message.type)) return work
    const run = new HandlerRun(this.#runDeps, work, dataOf(message, undefined, true), deps.inboxTimeoutMs())
    this.#running.add(run)
    try {
      await run.within(receiveThrough(deps.chains.receive, undefined, work, run))
      const { data } = run.message
      return { ...work, message: { ...message, payload: encodePayload(message.content, data) } }
    } finally {
      this.#running.delete(run)
      run.close()
    }
  }

  /** In one turn: what the run did, and the note that the message was processed. */
  #finish({ message }: InboundMessage, run: HandlerRun, finished: (outcome: HandlerOutcome) => void): void {
    const cleanup = run.effects?.forget() ?? NO_CHANGES
    const { sending } = run
    if (sending !== undefined && !sending.isEmpty()) {
      const { changes, launch, drop } = sending.finish()
      finished({ commit: { changes: cleanup.length === 0 ? changes : [...changes, ...cleanup], launch, drop } })
    } else if (message.guarantee === 'EXACTLY_ONCE' || cleanup.length > 0)
      finished({ commit: { changes: cleanup, launch: nothing, drop: nothing } })
    else finished(NO_COMMIT)
  }

  /** Handlers at work. */
  running(): number {
    return this.#running.size
  }

  /** Another number after each run that ended or reported progress. */
  progressCount(): number {
    return this.#progressCount
  }

  /** Looks for those that took too long. */
  tick(): void {
    const nowMs = this.#deps.port.clock.monotonic()
    for (const run of this.#running) {
      if (run.deadlineAt > nowMs || run.isOver()) continue
      this.#deps.count('timeouts')
      run.end(timedOut(run.message.type, run.timeoutMs))
    }
  }

  /** Aborts all. */
  stop(): void {
    this.#isStopped = true
    for (const run of this.#running)
      run.end(new ParleyError('COM002', 'this node is stopping', { hint: 'the message is tried again' }))
  }
}
