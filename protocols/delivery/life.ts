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
import { type Outbox, openOutbox, type Staged, type Told } from './outbox.ts'
import { createProcessing, type Registered } from './processing.ts'
import { openReceiving, type Receiving } from './receiving.ts'
import { CAPABILITY } from './rows.ts'
import { createSending, type Sending, type SendingDeps } from './sending.ts'
import type { RowStore } from './storage.ts'
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
  choose(capability: string): string | undefined
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
    const note = conversations.sent(message, peer)
    return note && ((error) => conversations.ended(note, error && endOf(error)))
  }
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
      const draft = { bytes, conversationId, priority, policy, expiresAt }
      const capability = to.startsWith(CAPABILITY) ? to.slice(CAPABILITY.length) : undefined
      const peer = capability === undefined ? to : deps.choose(capability)
      await outbox.room(1, bytes.length)
      let staged: Staged
      try {
        if (peer !== undefined) while (outbox.isBusy([peer])) await outbox.ready([peer])
        staged =
          peer === undefined && capability !== undefined
            ? unbound.stage(capability, draft, noteSent(message, to))
            : outbox.stage(peer ?? to, draft, noteSent(message, peer ?? to))
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
  })
  const unbound = await openUnbound({
    port,
    store,
    outbox,
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
  const knownTypes = await openKnownTypes(port, store)
  const inbox = await openInboxRows({ port, store, settings, quota, last: deps.inboxLast, arrived: deps.inbox.arrived })
  const sending = createSending({
    port,
    settings,
    outbox,
    unbound,
    transactions,
    note: noteSent,
    reserialized: () => count('reserialized'),
    choose: deps.choose,
    peerOf: deps.peerOf,
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
    tick() {
      if (isStopped) return
      outbox.tick()
      unbound.tick()
      processing.tick()
      receiving.tick()
      if (port.clock.monotonic() - effectsAt < EFFECTS_MS) return
      effectsAt = port.clock.monotonic()
      effects.tick()
    },
    stop() {
      isStopped = true
      outbox.stop()
      receiving.stop()
      processing.stop()
    },
  }
}
