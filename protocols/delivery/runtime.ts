/**
 * What delivery is made of while the store is open: its parts over one opening of the store. It ends where the store fails;
 * nothing of it counts then that is not on disk. current-runtime.ts says when one begins and ends.
 */
import type { Fault, ParleyError } from '../errors.ts'
import type { MessageChains } from '../interceptors/chains.ts'
import type { Quota } from '../limits/quota.ts'
import type { DeliveryPort } from './api.ts'
import type { ConversationLog } from './conversations/conversation-log.ts'
import { DeadLetterStore } from './dead-letters/dead-letter-store.ts'
import { resend } from './dead-letters/resend.ts'
import type { DeliveryCounter } from './delivery-figures.ts'
import type { DurableMessage } from './durable-message.ts'
import type { NodeInbox } from './inbox/inbox.ts'
import { openInboxRows } from './inbox/inbox-rows.ts'
import type { ResolvedDeliveryOptions } from './options.ts'
import { openLateAnswers } from './rebind/late-answers.ts'
import { openPeerAbsences } from './rebind/peer-absences.ts'
import { createRebinding } from './rebind/rebinding.ts'
import { openEffectResults } from './receive/effect-results.ts'
import type { RegisteredHandler } from './receive/handler-registry.ts'
import { HandlerRunner } from './receive/handler-runner.ts'
import { openKnownTypes } from './receive/received-types.ts'
import { MessageReceiver } from './receive/receiver.ts'
import { UnkeptMessages } from './receive/unkept-messages.ts'
import type { RecoveryEnded } from './recovery/error-recovery.ts'
import { openConversationBindings } from './send/conversation-bindings.ts'
import { MessageStaging } from './send/message-staging.ts'
import { Outbox } from './send/outbox.ts'
import type { OutcomeListener } from './send/outgoing-message.ts'
import type { PrepareMessageDeps } from './send/prepare-message.ts'
import { openTopicAnswers, type TopicAnswer } from './send/topic-answers.ts'
import { UnroutedMessages } from './send/unrouted.ts'
import type { RowStore } from './store/row-storage.ts'
import { createTransactions } from './store/transactions.ts'

export interface DeliveryRuntimeDeps {
  readonly port: DeliveryPort
  readonly store: RowStore
  readonly settings: ResolvedDeliveryOptions
  readonly quota: Quota
  readonly isVolatile: boolean
  readonly inbox: NodeInbox
  /** Of the message that was put last into the inbox. */
  readonly inboxLast: { number: number }
  readonly conversations: ConversationLog
  /** Interceptors of messages. */
  readonly chains: MessageChains
  handlerOf(type: string): RegisteredHandler | undefined
  choose(capability: string, except?: (peer: string) => boolean): string | undefined
  absentMs(peer: string, capability?: string): number
  publish(answer: TopicAnswer): Promise<void>
  readonly peerOf: PrepareMessageDeps['peerOf']
  chance(): number
  count(what: DeliveryCounter, by?: number): void
  recover(peer: string, message: Uint8Array, fault: Fault): Promise<Uint8Array | undefined>
  readonly recovered: RecoveryEnded
}

const EFFECTS_MS = 60_000

/** How a message ended, for its conversation. */
const endOf = ({ code, details }: ParleyError) => ({
  code: typeof details.code === 'string' ? details.code : code,
  isDead: details.deadLetter !== undefined,
})

/** Notes a message that goes out with its conversation. @returns what hears of its end; undefined where it is not remembered */
const noteSent = (
  conversations: ConversationLog,
  message: DurableMessage,
  peer: string,
): OutcomeListener | undefined => {
  const { conversationId = '' } = message
  let note = conversations.recordSent(message, peer)
  return (
    note &&
    ((error, movedTo) => {
      if (note === undefined) return
      if (movedTo === undefined) conversations.recordEnd(note, error && endOf(error))
      else note = conversations.recordMoved(conversationId, note, movedTo)
    })
  )
}

/** What sends: the outbox, what waits for a peer, the dead letters, and what moves messages from peer to peer. */
const openSending = async (deps: DeliveryRuntimeDeps) => {
  const { port, store, settings, quota, count, conversations, choose, chance, peerOf, recover, recovered } = deps
  const bindings = await openConversationBindings(store, (by) => count('bindingsForgotten', by))
  const absences = await openPeerAbsences(store, () => settings.rebindAfterMs)
  const lateAnswers = await openLateAnswers(store, (by) => count('movedForgotten', by))
  const transactions = createTransactions(store)
  const deadLetters = await DeadLetterStore.open({
    port,
    store,
    settings,
    quota,
    dropped: (by) => count('deadLettersDropped', by),
    resend: (to, bytes, policy, also) => resend({ port, store, outbox, staging }, to, bytes, policy, also),
  })
  const addDeadLetter = deadLetters.addMessage
  const { messageAdded, messageRemoved } = bindings
  const outbox = await Outbox.open({
    ...{ port, store, settings, quota, chance, count, recover, recovered, addDeadLetter, messageAdded, messageRemoved },
    memory: { bytes: 0 },
  })
  const unrouted = await UnroutedMessages.open({ port, store, outbox, bindings, choose, addDeadLetter, count })
  const hasLeft = (peer: string): boolean => deps.absentMs(peer) === Number.POSITIVE_INFINITY
  const rebinding = createRebinding({
    ...{ port, store, settings, outbox, bindings, absences, lateAnswers, choose, hasLeft, addDeadLetter, count },
  })
  const published = (): void => count('topicAnswers')
  const topicAnswers = await openTopicAnswers({ port, store, outbox, publish: deps.publish, published })
  const staging = new MessageStaging({
    ...{ port, settings, outbox, unrouted, bindings, topicAnswers, transactions, choose, peerOf },
    chain: deps.chains.send,
    note: (message, peer) => noteSent(conversations, message, peer),
    reserialized: () => count('reserialized'),
    isAway: (peer, capability) =>
      Math.max(absences.ms(peer), deps.absentMs(peer, capability)) >= settings.rebindAfterMs,
  })
  return { absences, lateAnswers, transactions, deadLetters, outbox, unrouted, rebinding, topicAnswers, staging }
}

type Sending = Awaited<ReturnType<typeof openSending>>

/** What receives: sessions of senders, handlers, the inbox, what effects had as results. */
const openReceiving = async (deps: DeliveryRuntimeDeps, { lateAnswers, staging }: Sending) => {
  const { port, store, settings, quota, count, conversations, isVolatile, handlerOf } = deps
  const effects = await openEffectResults({ port, store, settings, dropped: (by) => count('effectsDropped', by) })
  const knownTypes = await openKnownTypes(port, store)
  const inbox = await openInboxRows({ port, store, settings, quota, last: deps.inboxLast, arrived: deps.inbox.arrived })
  const runner = new HandlerRunner({
    ...{ port, store, effects, handlerOf, lateAnswers, count },
    chains: deps.chains,
    isForInbox: (type) => deps.inbox.wants(type, knownTypes.isAwaited),
    inboxTimeoutMs: () => settings.handlerTimeoutMs,
    putInInbox: (work) => deps.inbox.put(work, knownTypes.isAwaited),
    note({ message, source }) {
      const note = conversations.recordReceived(message, source)
      return note && ((fault) => conversations.recordEnd(note, fault))
    },
    missingHandlerError: knownTypes.missingHandlerError,
    begin: () => staging.begin(true),
  })
  const receiver = await MessageReceiver.open({ port, store, settings, runner, isVolatile, count })
  const unkept = new UnkeptMessages({ port, store, runner, count })
  return { effects, knownTypes, inbox, runner, receiver, unkept }
}

type Receiving = Awaited<ReturnType<typeof openReceiving>>

export class DeliveryRuntime {
  readonly outbox: Sending['outbox']
  readonly unrouted: Sending['unrouted']
  readonly staging: Sending['staging']
  readonly transactions: Sending['transactions']
  readonly deadLetters: Sending['deadLetters']
  readonly receiver: Receiving['receiver']
  readonly unkept: Receiving['unkept']
  readonly effects: Receiving['effects']
  readonly inbox: Receiving['inbox']
  readonly knownTypes: Receiving['knownTypes']
  readonly #port: Pick<DeliveryPort, 'clock'>
  readonly #sending: Sending
  readonly #receiving: Receiving
  #isStopped = false
  #effectsAt = 0

  /** @throws what the store throws */
  static async open(deps: DeliveryRuntimeDeps): Promise<DeliveryRuntime> {
    const sending = await openSending(deps)
    return new DeliveryRuntime(deps.port, sending, await openReceiving(deps, sending))
  }

  private constructor(port: Pick<DeliveryPort, 'clock'>, sending: Sending, receiving: Receiving) {
    this.#port = port
    this.#sending = sending
    this.#receiving = receiving
    this.outbox = sending.outbox
    this.unrouted = sending.unrouted
    this.staging = sending.staging
    this.transactions = sending.transactions
    this.deadLetters = sending.deadLetters
    this.receiver = receiving.receiver
    this.unkept = receiving.unkept
    this.effects = receiving.effects
    this.inbox = receiving.inbox
    this.knownTypes = receiving.knownTypes
  }

  /** Handlers at work. */
  running(): number {
    return this.#receiving.runner.running()
  }

  /** Another number after each run of a handler that ended or reported progress. */
  progressCount(): number {
    return this.#receiving.runner.progressCount()
  }

  /** How long a peer has been away that messages wait for. */
  awayMs(peer: string): number {
    return this.#sending.absences.ms(peer)
  }

  tick(): void {
    if (this.#isStopped) return
    const { rebinding, topicAnswers } = this.#sending
    this.outbox.tick()
    this.unrouted.tick()
    rebinding.tick()
    topicAnswers.tick()
    this.#receiving.runner.tick()
    this.receiver.tick()
    const now = this.#port.clock.monotonic()
    if (now - this.#effectsAt < EFFECTS_MS) return
    this.#effectsAt = now
    this.effects.tick()
  }

  stop(): void {
    this.#isStopped = true
    this.#sending.rebinding.stop()
    this.#sending.topicAnswers.stop()
    this.outbox.stop()
    this.receiver.stop()
    this.#receiving.runner.stop()
    this.unkept.stop()
  }
}
