/**
 * One life of delivery: all its parts over one opening of the store. It ends where the store fails; nothing of it counts
 * then that is not on disk. State: the parts'.
 */
import { type Fault, ParleyError } from '../errors.ts'
import type { Fields } from '../port.ts'
import type { Quota } from '../quota.ts'
import type { DeliveryPort } from './api.ts'
import type { NodeConversations } from './conversations.ts'
import type { DeliveryCount } from './counts.ts'
import { type Graveyard, openDeadLetters } from './dead-letters.ts'
import { type Effects, openEffects } from './effects.ts'
import type { NodeInbox } from './inbox.ts'
import { type InboxRows, openInboxRows } from './inbox-rows.ts'
import { type KnownTypes, openKnownTypes } from './known-types.ts'
import { decodeMessage, type Message, marksOf } from './message.ts'
import type { Settings } from './options.ts'
import { boundOf, type Told } from './out-entry.ts'
import { type Outbox, openOutbox, type Staged } from './outbox.ts'
import { createProcessing, type Registered } from './processing.ts'
import { openAbsences } from './rebind/absences.ts'
import { openBindings } from './rebind/bindings.ts'
import { openLateAnswers } from './rebind/late-answers.ts'
import { createRebinding } from './rebind/rebinding.ts'
import { openReceiving, type Receiving } from './receiving.ts'
import { CAPABILITY } from './rows.ts'
import { createSending, type Prepared, type Sending, type SendingDeps } from './sending.ts'
import type { RowStore } from './storage.ts'
import { openTopicAnswers, type TopicAnswer } from './topic-answers.ts'
import { createTransactions, type Transactions } from './transactions.ts'
import { openUnbound, type Unbound } from './unbound.ts'

export interface LifeDeps {
  readonly port: DeliveryPort
  readonly store: RowStore
  readonly settings: Settings
  readonly quota: Quota
  readonly isVolatile: boolean
  readonly inbox: NodeInbox
  /** Of the message that was put last into the inbox. */
  readonly inboxLast: { number: number }
  readonly conversations: NodeConversations
  handlerOf(type: string): Registered | undefined
  choose(capability: string, except?: (peer: string) => boolean): string | undefined
  absentMs(peer: string, capability?: string): number
  publish(answer: TopicAnswer): Promise<void>
  readonly peerOf: SendingDeps['peerOf']
  chance(): number
  count(what: DeliveryCount, by?: number): void
  recover(peer: string, message: Uint8Array, fault: Fault): Promise<Uint8Array | undefined>
  recovered(code: string, isWell: boolean, about?: Fields): void
}

export interface Life {
  readonly outbox: Outbox
  readonly receiving: Receiving
  readonly unbound: Unbound
  readonly sending: Sending
  readonly transactions: Transactions
  readonly effects: Effects
  readonly deadLetters: Graveyard
  readonly inbox: InboxRows
  readonly knownTypes: KnownTypes
  /** A message AT_MOST_ONCE. */
  fire(peer: string, bytes: Uint8Array): void
  running(): number
  signs(): number
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

export const openLife = async (deps: LifeDeps): Promise<Life> => {
  const { port, store, settings, quota, count, conversations } = deps
  const noteSent = (message: Message, peer: string): Told | undefined => {
    const { conversationId = '' } = message
    let note = conversations.sent(message, peer)
    return (
      note &&
      ((error, movedTo) => {
        if (note === undefined) return
        if (movedTo === undefined) conversations.ended(note, error && endOf(error))
        else note = conversations.moved(conversationId, note, movedTo)
      })
    )
  }
  const bindings = await openBindings(store, (by) => count('bindingsForgotten', by))
  const absences = await openAbsences(store, () => settings.rebindAfterMs)
  const lateAnswers = await openLateAnswers(store, (by) => count('movedForgotten', by))
  const transactions = createTransactions(store)
  const effects = await openEffects({ port, store, settings, dropped: (by) => count('effectsDropped', by) })
  const deadLetters = await openDeadLetters({
    port,
    store,
    settings,
    quota,
    dropped: (by) => count('deadLettersDropped', by),
    async revive(to, bytes, policy, also) {
      const message = decodeMessage(bytes)
      const { conversationId, priority, ttlMs } = message
      // Its time begins again with it.
      const expiresAt = ttlMs === undefined ? undefined : Math.floor(port.clock.now()) + ttlMs
      const capability = to.startsWith(CAPABILITY) ? to.slice(CAPABILITY.length) : undefined
      const bound = boundOf(message, capability, false)
      const draft = { bytes, conversationId, priority, policy, expiresAt, bound }
      const peers = capability === undefined ? [to] : []
      const prepared: Prepared = { message, draft, peers, capability, chosen: undefined }
      await outbox.room(1, bytes.length)
      let staged: Staged
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
    bury: deadLetters.bury,
    began: bindings.began,
    ended: bindings.ended,
  })
  const unbound = await openUnbound({
    port,
    store,
    outbox,
    bindings,
    choose: deps.choose,
    bury(capability, { bytes, policy }, why) {
      const now = port.clock.now()
      count(why === undefined ? 'expired' : 'dead')
      return deadLetters.bury({
        destination: CAPABILITY + capability,
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
    bury: deadLetters.bury,
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
  const sending = createSending({
    port,
    settings,
    outbox,
    unbound,
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
  const processing = createProcessing({
    port,
    store,
    effects,
    handlerOf: deps.handlerOf,
    keep: (work) => deps.inbox.put(work, knownTypes.isAwaited),
    note({ message, source }) {
      const note = conversations.received(message, source)
      return note && ((fault) => conversations.ended(note, fault))
    },
    absence: knownTypes.absence,
    begin: () => sending.begin(true),
    lateAnswers,
    count,
  })
  const receiving = await openReceiving({ port, store, settings, processing, isVolatile: deps.isVolatile, count })
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
      port.log.info('a message AT_MOST_ONCE was not processed', { source, ...marksOf(bytes), error })
    } finally {
      fired -= 1
    }
  }

  return {
    outbox,
    receiving,
    unbound,
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
    signs: processing.signs,
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
