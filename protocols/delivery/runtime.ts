/**
 * One life of delivery: all its parts over one opening of the store. It ends where the store fails; nothing of it counts
 * then that is not on disk. State: the parts'.
 */
import { type Fault, ParleyError } from '../errors.ts'
import type { Quota } from '../limits/quota.ts'
import type { Fields } from '../port.ts'
import type { DeliveryPort } from './api.ts'
import type { ConversationLog } from './conversations/conversation-log.ts'
import { type DeadLetterStore, openDeadLetterStore } from './dead-letters/dead-letter-store.ts'
import type { DeliveryCounter } from './delivery-counters.ts'
import { type DurableMessage, decodeMessage, logFieldsOf } from './durable-message.ts'
import type { NodeInbox } from './inbox/inbox.ts'
import { type InboxRows, openInboxRows } from './inbox/inbox-rows.ts'
import type { ResolvedDeliveryOptions } from './options.ts'
import { openLateAnswers } from './rebind/late-answers.ts'
import { openPeerAbsences } from './rebind/peer-absences.ts'
import { createRebinding } from './rebind/rebinding.ts'
import { type EffectResults, openEffectResults } from './receive/effect-results.ts'
import { createHandlerRunner, type RegisteredHandler } from './receive/handler-runner.ts'
import { type KnownTypes, openKnownTypes } from './receive/known-types.ts'
import { type MessageReceiver, openMessageReceiver } from './receive/receiver.ts'
import { openConversationBindings } from './send/conversation-bindings.ts'
import { MessageStaging, type MessageStagingDeps } from './send/message-staging.ts'
import { type Outbox, openOutbox, type StagedChanges } from './send/outbox.ts'
import { capabilityTargetOf, type OutcomeListener } from './send/outgoing-message.ts'
import type { PreparedMessage } from './send/prepare-message.ts'
import { openTopicAnswers, type TopicAnswer } from './send/topic-answers.ts'
import { openUnrouted, type UnroutedMessages } from './send/unrouted.ts'
import { CAPABILITY_PREFIX } from './store/delivery-rows.ts'
import type { RowStore } from './store/row-storage.ts'
import { createTransactions, type Transactions } from './store/transactions.ts'

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
  handlerOf(type: string): RegisteredHandler | undefined
  choose(capability: string, except?: (peer: string) => boolean): string | undefined
  absentMs(peer: string, capability?: string): number
  publish(answer: TopicAnswer): Promise<void>
  readonly peerOf: MessageStagingDeps['peerOf']
  chance(): number
  count(what: DeliveryCounter, by?: number): void
  recover(peer: string, message: Uint8Array, fault: Fault): Promise<Uint8Array | undefined>
  recovered(code: string, isWell: boolean, about?: Fields): void
}

export interface DeliveryRuntime {
  readonly outbox: Outbox
  readonly receiver: MessageReceiver
  readonly unrouted: UnroutedMessages
  readonly sending: MessageStaging
  readonly transactions: Transactions
  readonly effects: EffectResults
  readonly deadLetters: DeadLetterStore
  readonly inbox: InboxRows
  readonly knownTypes: KnownTypes
  /** A message AT_MOST_ONCE. */
  fire(peer: string, bytes: Uint8Array): void
  running(): number
  progressCount(): number
  /** How long a peer has been away that messages wait for. */
  awayMs(peer: string): number
  tick(): void
  stop(): void
}

/** Messages AT_MOST_ONCE at work; further ones are dropped and counted. */
const MAX_FIRED = 1_024
const EFFECTS_MS = 60_000

/** How a message ended, for its conversation. */
const endOf = ({ code, details }: ParleyError) => ({
  code: typeof details.code === 'string' ? details.code : code,
  isDead: details.deadLetter !== undefined,
})

export const openDeliveryRuntime = async (deps: DeliveryRuntimeDeps): Promise<DeliveryRuntime> => {
  const { port, store, settings, quota, count, conversations } = deps
  const noteSent = (message: DurableMessage, peer: string): OutcomeListener | undefined => {
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
  const bindings = await openConversationBindings(store, (by) => count('bindingsForgotten', by))
  const absences = await openPeerAbsences(store, () => settings.rebindAfterMs)
  const lateAnswers = await openLateAnswers(store, (by) => count('movedForgotten', by))
  const transactions = createTransactions(store)
  const effects = await openEffectResults({ port, store, settings, dropped: (by) => count('effectsDropped', by) })
  const deadLetters = await openDeadLetterStore({
    port,
    store,
    settings,
    quota,
    dropped: (by) => count('deadLettersDropped', by),
    async resend(to, bytes, policy, also) {
      const message = decodeMessage(bytes)
      const { conversationId, priority, ttlMs } = message
      // Its time begins again with it.
      const expiresAt = ttlMs === undefined ? undefined : Math.floor(port.clock.now()) + ttlMs
      const capability = to.startsWith(CAPABILITY_PREFIX) ? to.slice(CAPABILITY_PREFIX.length) : undefined
      const bound = capabilityTargetOf(message, capability, false)
      const draft = { bytes, conversationId, priority, policy, expiresAt, bound }
      const peers = capability === undefined ? [to] : []
      const prepared: PreparedMessage = { message, draft, peers, capability, chosen: undefined }
      await outbox.room(1, bytes.length)
      let staged: StagedChanges
      try {
        while (sending.isBusy(prepared)) await sending.ready(prepared)
        staged = sending.stage(prepared)
      } finally {
        outbox.count(-1, -bytes.length)
      }
      const { changes, launch, drop } = staged
      try {
        await store.commit([...changes, ...also])
      } catch (error) {
        drop()
        throw error
      }
      launch()
    },
  })
  const outbox = await openOutbox({
    port,
    store,
    settings,
    quota,
    memory: { bytes: 0 },
    chance: deps.chance,
    count,
    recover: deps.recover,
    recovered: deps.recovered,
    addDeadLetter: deadLetters.addMessage,
    messageAdded: bindings.messageAdded,
    messageRemoved: bindings.messageRemoved,
  })
  const unbound = await openUnrouted({
    port,
    store,
    outbox,
    bindings,
    choose: deps.choose,
    addDeadLetter(capability, { bytes, policy }, why) {
      const now = port.clock.now()
      count(why === undefined ? 'expired' : 'dead')
      return deadLetters.addMessage({
        destination: CAPABILITY_PREFIX + capability,
        message: bytes,
        policy,
        fault: why ?? { code: 'MSG005', message: `nobody offered ${capability} before the message expired` },
        attempts: 0,
        firstFailureAt: now,
        lastFailureAt: now,
      })
    },
    expired: (capability, id) =>
      new ParleyError('MSG005', `nobody offered ${capability} before the message expired`, {
        hint: `see parley dlq show ${id}`,
        details: { deadLetter: id, code: 'MSG005', attempts: 0 },
      }),
  })
  const rebinding = createRebinding({
    port,
    store,
    settings,
    outbox,
    bindings,
    absences,
    lateAnswers,
    choose: deps.choose,
    hasLeft: (peer) => deps.absentMs(peer) === Number.POSITIVE_INFINITY,
    addDeadLetter: deadLetters.addMessage,
    count,
  })
  const topicAnswers = await openTopicAnswers({
    port,
    store,
    outbox,
    publish: deps.publish,
    published: () => count('topicAnswers'),
  })
  const knownTypes = await openKnownTypes(port, store)
  const inbox = await openInboxRows({ port, store, settings, quota, last: deps.inboxLast, arrived: deps.inbox.arrived })
  const sending = new MessageStaging({
    port,
    settings,
    outbox,
    unrouted: unbound,
    bindings,
    topicAnswers,
    transactions,
    note: noteSent,
    reserialized: () => count('reserialized'),
    choose: deps.choose,
    peerOf: deps.peerOf,
    isAway: (peer, capability) =>
      Math.max(absences.ms(peer), deps.absentMs(peer, capability)) >= settings.rebindAfterMs,
  })
  const processing = createHandlerRunner({
    port,
    store,
    effects,
    handlerOf: deps.handlerOf,
    putInInbox: (work) => deps.inbox.put(work, knownTypes.isAwaited),
    note({ message, source }) {
      const note = conversations.recordReceived(message, source)
      return note && ((fault) => conversations.recordEnd(note, fault))
    },
    missingHandlerError: knownTypes.missingHandlerError,
    begin: () => sending.begin(true),
    lateAnswers,
    count,
  })
  const receiving = await openMessageReceiver({ port, store, settings, processing, isVolatile: deps.isVolatile, count })
  let fired = 0
  let isStopped = false
  let effectsAt = 0

  const fire = async (source: string, bytes: Uint8Array): Promise<void> => {
    fired += 1
    try {
      const message = decodeMessage(new Uint8Array(bytes))
      const expiresAt = message.ttlMs === undefined ? undefined : port.clock.monotonic() + message.ttlMs
      let commit: Promise<void> | undefined
      const fault = await processing.run({ message, source, attempt: 1, expiresAt }, (outcome) => {
        if (outcome.commit === undefined) return
        const { changes, launch, drop } = outcome.commit
        commit = store.commit(changes).then(launch, (error: unknown) => {
          drop()
          throw error
        })
      })
      await commit
      count(fault === undefined ? 'processed' : 'failed')
    } catch (error) {
      count('failed')
      port.log.info('a message AT_MOST_ONCE was not processed', { source, ...logFieldsOf(bytes), error })
    } finally {
      fired -= 1
    }
  }

  return {
    outbox,
    receiver: receiving,
    unrouted: unbound,
    sending,
    transactions,
    effects,
    deadLetters,
    inbox,
    knownTypes,
    fire(peer, bytes) {
      if (isStopped || fired >= MAX_FIRED) count('fireDropped')
      else void fire(peer, bytes)
    },
    running: processing.running,
    progressCount: processing.progressCount,
    awayMs: absences.ms,
    tick() {
      if (isStopped) return
      outbox.tick()
      unbound.tick()
      rebinding.tick()
      topicAnswers.tick()
      processing.tick()
      receiving.tick()
      if (port.clock.monotonic() - effectsAt < EFFECTS_MS) return
      effectsAt = port.clock.monotonic()
      effects.tick()
    },
    stop() {
      isStopped = true
      rebinding.stop()
      topicAnswers.stop()
      outbox.stop()
      receiving.stop()
      processing.stop()
    },
  }
}
