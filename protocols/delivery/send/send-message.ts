/**
 * What a program calls. `send`, from the call to the receipt: kept in the outbox and delivered from there, or sent at once
 * and forgotten. `change`: a function of the program over a sending transaction, run again where others changed what it read.
 */
import type { ZodType, z } from 'zod'
import { ParleyError } from '../../errors.ts'
import type { SendChain } from '../../interceptors/chains.ts'
import type { DeliveryPort, MessageReceipt, Messages, SendOptions, To, Tx } from '../api.ts'
import { deliveryProtocol } from '../contract.ts'
import type { ConversationLog } from '../conversations/conversation-log.ts'
import type { CurrentRuntime } from '../current-runtime.ts'
import type { MessageDefinition } from '../define-message.ts'
import { createDeliveryOutcome } from '../delivery-outcome.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { MessageRevisions } from '../recovery/message-recovery.ts'
import type { RowStore } from '../store/row-storage.ts'
import { needsDataDirectory } from '../store/store-errors.ts'
import { sendThrough } from './intercepted-send.ts'
import type { RoutedMessage } from './message-staging.ts'

export interface SendMessageDeps {
  readonly port: Pick<DeliveryPort, 'to' | 'timers'>
  readonly store: Pick<RowStore, 'commit'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'guarantee'>
  /** Nothing is kept: only AT_MOST_ONCE can be sent. */
  readonly isVolatile: boolean
  readonly current: CurrentRuntime
  readonly conversations: Pick<ConversationLog, 'recordSent'>
  readonly revisions: Pick<MessageRevisions, 'know'>
  /** Interceptors, where there are any. */
  readonly chain: SendChain | undefined
  count(what: 'fired' | 'accepted' | 'waitedForRoom' | 'conflicts', by?: number): void
}

const MAX_RUNS = 100

const contended = (): ParleyError =>
  new ParleyError('STA003', `a change met those of others ${MAX_RUNS} times`, {
    hint: 'read less in one change, or do such changes one after the other',
    details: { reason: 'contended' },
  })

/** AT_MOST_ONCE: to who is connected now, or not at all. */
const sendOnce = async (
  { port, current, conversations, count }: SendMessageDeps,
  to: To,
  definition: MessageDefinition,
  data: unknown,
  options: SendOptions,
): Promise<MessageReceipt> => {
  const { staging } = current.get()
  const prepared = staging.prepare(to, definition, data, options)
  const { message, draft, capability } = prepared
  const peers = staging.route(prepared)
  if (peers.length === 0)
    throw new ParleyError('COM004', `nobody offers ${capability}`, {
      hint: 'see the directory, or send AT_LEAST_ONCE',
    })
  await Promise.all(peers.map((peer) => port.to(peer, deliveryProtocol).fire(draft.bytes)))
  count('fired', peers.length)
  for (const peer of peers) conversations.recordSent(message, peer)
  return { id: message.id, destinations: peers, delivered: async () => undefined }
}

/** @throws as `Messages.send` says */
export const createSend = (deps: SendMessageDeps): Messages['send'] => {
  const { port, store, settings, isVolatile, current, revisions, chain, count } = deps
  const send = async <S extends ZodType>(
    to: To,
    definition: MessageDefinition<S>,
    data: z.input<S>,
    options: SendOptions = {},
  ): Promise<MessageReceipt> => {
    const { guarantee = settings.guarantee } = options
    if (guarantee === 'AT_MOST_ONCE') return sendOnce(deps, to, definition, data, { ...options, guarantee })
    if (isVolatile) throw needsDataDirectory(`a message ${guarantee}`)
    const runtime = current.get()
    const { outbox, staging } = runtime
    revisions.know(definition)
    const prepared = staging.prepare(to, definition, data, options)
    const messages = Math.max(1, prepared.peers.length)
    const bytes = messages * prepared.draft.bytes.length
    const outcome = createDeliveryOutcome(messages, port.timers)
    const mayWait = !outbox.hasRoom(messages, bytes) || staging.isBusy(prepared)
    if (mayWait) {
      if (!outbox.hasRoom(messages, bytes)) count('waitedForRoom')
      await outbox.room(messages, bytes, options.signal)
    }
    let staged: RoutedMessage
    try {
      while (staging.isBusy(prepared)) await staging.ready(prepared)
      current.mustStillBe(runtime)
      staged = staging.stage(prepared, () => outcome.report)
    } finally {
      if (mayWait) outbox.count(-messages, -bytes)
    }
    const { changes, launch, drop, peers } = staged
    try {
      await store.commit(changes)
    } catch (error) {
      drop()
      throw error
    }
    launch()
    count('accepted', messages)
    return { id: prepared.message.id, destinations: peers, delivered: outcome.wait }
  }
  if (chain === undefined) return send
  return <S extends ZodType>(
    to: To,
    definition: MessageDefinition<S>,
    data: z.input<S>,
    options: SendOptions = {},
  ): Promise<MessageReceipt> =>
    sendThrough(chain, to, definition, data, options, (changed, own) =>
      // It is checked against the definition as the program's own data are.
      send(to, definition, changed as z.input<S>, own),
    )
}

/** @returns once it is durable. @throws what `fn` throws, and nothing counts; STA003 */
export const runChange = async <R>(
  { store, current, count }: Pick<SendMessageDeps, 'store' | 'current' | 'count'>,
  fn: (tx: Tx) => Promise<R> | R,
): Promise<R> => {
  for (let run = 1; ; run += 1) {
    const runtime = current.get()
    const sending = runtime.staging.begin(false)
    try {
      const result = await fn(sending.tx)
      while (!sending.isStale() && sending.isBusy()) await sending.ready()
      current.mustStillBe(runtime)
      if (sending.isStale()) {
        count('conflicts')
        if (run >= MAX_RUNS) throw contended()
        continue
      }
      const { changes, launch, drop } = sending.finish()
      try {
        await store.commit(changes)
      } catch (error) {
        drop()
        throw error
      }
      launch()
      return result
    } finally {
      sending.abandon()
    }
  }
}
