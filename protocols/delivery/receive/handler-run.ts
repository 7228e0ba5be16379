/**
 * One run of a handler: what it is given, made when it looks at it, since most handlers look at little of it.
 *
 * State: until when it has time, why it is over, its transaction and effects. A run that is over commits nothing.
 */

import type { ZodType, z } from 'zod'
import { sliceOf, writtenAt } from '../../budget/carried/carried-budget.ts'
import type { Slice } from '../../budget/slice.ts'
import type { ParleyError } from '../../errors.ts'
import type { ReceiveChain, SendChain } from '../../interceptors/chains.ts'
import type { ReceiveInput } from '../../interceptors/interceptor.ts'
import type { Clock } from '../../port.ts'
import type { InheritedTrace } from '../../request-in-work.ts'
import { chainThrough, type DelegationChain, hopOf } from '../../wire/delegation-chain.ts'
import { validate } from '../../wire/payload/payload.ts'
import type { MessageContext, ReplyOptions, Tx } from '../api.ts'
import { defineMessage, type MessageDefinition } from '../define-message.ts'
import { messageLabel } from '../durable-message.ts'
import { sendThrough } from '../send/intercepted-send.ts'
import type { SendingTransaction } from '../send/sending-transaction.ts'
import { TOPIC } from '../send-options.ts'
import type { EffectResults, MessageEffects } from './effect-results.ts'
import type { RegisteredHandler } from './handler-registry.ts'
import { type InboundMessage, type Received, toReceived } from './inbound-message.ts'

export interface HandlerRunDeps {
  readonly clock: Pick<Clock, 'monotonic' | 'now'>
  readonly effects: Pick<EffectResults, 'of'>
  /** Peer id of this node. */
  readonly self: string
  begin(): SendingTransaction
  progressed(): void
  /** Interceptors of answers, where there are any. */
  readonly chain: SendChain | undefined
}

export class HandlerRun implements MessageContext {
  readonly attempt: number
  readonly idempotencyKey: string
  readonly timeoutMs: number
  /** Monotonic. */
  deadlineAt: number
  readonly #deps: HandlerRunDeps
  readonly #work: InboundMessage
  #data: unknown
  #budget: Slice | undefined
  #received: Received | undefined
  #controller: AbortController | undefined
  #over: ParleyError | undefined
  #isClosed = false
  #fail: ((reason: ParleyError) => void) | undefined
  /** Undefined while the handler has not looked at them. */
  sending: SendingTransaction | undefined
  effects: MessageEffects | undefined

  constructor(deps: HandlerRunDeps, work: InboundMessage, data: unknown, timeoutMs: number) {
    this.#deps = deps
    this.#work = work
    this.#data = data
    this.attempt = work.attempt
    this.idempotencyKey = work.message.id
    this.timeoutMs = timeoutMs
    this.deadlineAt = deps.clock.monotonic() + timeoutMs
  }

  get message(): Received {
    this.#received ??= toReceived(this.#work.message, this.#work.source, this.#data)
    return this.#received
  }

  /** What interceptors made of it. */
  setData(data: unknown): void {
    this.#data = data
    this.#received = undefined
  }

  get chain(): DelegationChain {
    const { message, source } = this.#work
    return chainThrough(message.chain, source, hopOf(this.#deps.self, messageLabel(message.type)))
  }

  get budget(): Slice | undefined {
    const { message, receivedAt } = this.#work
    const { budget, createdAt } = message
    const { clock } = this.#deps
    if (budget !== undefined)
      this.#budget ??= sliceOf(budget, writtenAt(createdAt, clock.now() - (clock.monotonic() - receivedAt)))
    return this.#budget
  }

  get passesOn(): InheritedTrace {
    return this.#work.message
  }

  get tx(): Tx {
    return this.#openTx().tx
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#over !== undefined) this.#controller.abort(this.#over)
    return this.#controller.signal
  }

  // Fields, not methods: handlers take them out of the context.
  readonly remainingMs = (): number => Math.max(0, this.deadlineAt - this.#deps.clock.monotonic())

  readonly progress = (): void => {
    this.deadlineAt = this.#deps.clock.monotonic() + this.timeoutMs
    this.#deps.progressed()
  }

  readonly effect = <R>(name: string, fn: () => Promise<R> | R): Promise<R> => {
    this.effects ??= this.#deps.effects.of(this.#work.message.id)
    return this.effects.run(name, fn)
  }

  readonly reply = async <S extends ZodType>(
    definition: MessageDefinition<S>,
    data: z.input<S>,
    options: ReplyOptions = {},
  ): Promise<void> => {
    const { message, source } = this.#work
    const { id: correlationId, conversationId, replyTo = source, priority, traceparent } = message
    if (replyTo.startsWith(TOPIC)) {
      const { type, schema } = defineMessage(definition)
      const about = { topic: replyTo.slice(TOPIC.length), correlationId, conversationId, requester: source, type }
      const answer = (value: unknown): void => this.#openTx().answer({ ...about, value: validate(schema, value, type) })
      const { chain } = this.#deps
      if (chain === undefined) return answer(data)
      const given = { ...options, correlationId, ...(conversationId !== undefined && { conversationId }) }
      await sendThrough(chain, replyTo, definition, data, given, (changed) => {
        answer(changed)
        return { id: undefined }
      })
      return
    }
    await this.#openTx().tx.send(replyTo, definition, data, {
      guarantee: message.guarantee === 'EXACTLY_ONCE' ? 'EXACTLY_ONCE' : 'AT_LEAST_ONCE',
      priority,
      correlationId,
      ...(conversationId !== undefined && { conversationId }),
      ...(traceparent !== undefined && { traceparent }),
      ...options,
    })
  }

  #openTx(): SendingTransaction {
    this.sending ??= this.#deps.begin()
    if (this.#over !== undefined || this.#isClosed) this.sending.abandon()
    return this.sending
  }

  isOver(): boolean {
    return this.#over !== undefined
  }

  /** Its time is up, or the node stops. */
  end(reason: ParleyError): void {
    if (this.#over !== undefined) return
    this.#over = reason
    this.sending?.abandon()
    this.#controller?.abort(reason)
    this.#fail?.(reason)
  }

  /** The handler has ended: a transaction that it looks at from now on takes nothing. */
  close(): void {
    this.#isClosed = true
    this.sending?.abandon()
  }

  /** The handler's promise, or why it is over before. */
  within(pending: PromiseLike<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject
      pending.then(resolve, reject)
    })
  }
}

/**
 * A run through the interceptors of its receiver, within its time. What they refuse is tried again or becomes a dead letter,
 * as where the handler throws.
 * @param registered undefined for a message that goes to the inbox; `run` has its data then
 */
export const receiveThrough = async (
  chain: ReceiveChain,
  registered: RegisteredHandler | undefined,
  { message, attempt }: InboundMessage,
  run: HandlerRun,
): Promise<void> => {
  const input: ReceiveInput = { ...run.message, attempt, hasHandler: registered !== undefined }
  await chain.run(input, async (changed) => {
    const schema = registered?.definition?.schema
    const data = schema === undefined ? changed.data : validate(schema, changed.data, message.type)
    run.setData(data)
    await registered?.handler(data, run)
    return { id: message.id }
  })
}
