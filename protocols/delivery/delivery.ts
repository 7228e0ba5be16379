/**
 * Durable messages: from program to program, over crashes of either side, without a broker.
 *
 * Promises. A message that `send` took is on this node's disk, and is brought to its peer until that processed it, or it
 * becomes a dead letter here: after its retries, which count only where the peer was reached, or when its ttl is over.
 * AT_LEAST_ONCE: its handler ran to its end once or more. EXACTLY_ONCE: what the handler put and sent counts once. Messages
 * of one conversation are processed in the order in which they were sent. A full outbox makes senders wait, a slow
 * receiver too.
 *
 * Wire id: `/parley/delivery/1`. Rows: delivery-rows.ts. State: a life, made of what the store holds; where the store fails, the
 * life ends, and the next one begins with the rows as they are then.
 */
import type { ZodType, z } from 'zod'
import { ParleyError } from '../errors.ts'
import { createQuota, type Quota } from '../limits/quota.ts'
import type { Stop } from '../port.ts'
import type {
  DeliveryFigures,
  DeliveryPort,
  MessageHandler,
  MessageReceipt,
  Messages,
  ReceiveOptions,
  SendOptions,
  To,
} from './api.ts'
import { deliveryProtocol } from './contract.ts'
import { createConversationLog } from './conversations/conversation-log.ts'
import type { DeadLetter, DeadLetters } from './dead-letters/dead-letter-store.ts'
import { defineMessage, type MessageDefinition } from './define-message.ts'
import { createDeliveryCounters, type DeliveryCounter } from './delivery-counters.ts'
import { decodeMessageFrame } from './delivery-frames.ts'
import { createDeliveryOutcome } from './delivery-outcome.ts'
import { createInbox } from './inbox/inbox.ts'
import { type DeliveryOptions, DeliveryOptionsSchema } from './options.ts'
import type { RegisteredHandler } from './receive/handler-runner.ts'
import { requestHello } from './receive/remote-sender.ts'
import { createTypeOffers } from './receive/type-offers.ts'
import { createMessageRevisions, createRecoveryEnded } from './recovery/message-recovery.ts'
import { type DeliveryRuntime, openDeliveryRuntime } from './runtime.ts'
import type { RoutedMessage } from './send/message-staging.ts'
import { listOutbox } from './send/outbox-list.ts'
import type { TopicAnswer } from './send/topic-answers.ts'
import type { RowStore, RowStoreState } from './store/row-storage.ts'

export interface DeliveryDeps {
  readonly port: DeliveryPort
  readonly store: RowStore
  /** The store is gone when the node stops. */
  readonly isVolatile: boolean
  /** Over all that the node keeps on disk; none unless given. */
  readonly quota?: Quota
  /**
   * Who offers this, the best one now.
   * @param except leaves some out, and whoever is not well as far as this node knows
   */
  choose(capability: string, except?: (peer: string) => boolean): string | undefined
  /**
   * Milliseconds since a peer was seen last; 0 while it is there, infinite where it said that it does not come back.
   * @param capability infinite, too, where it is there and does not offer this
   */
  absentMs(peer: string, capability?: string): number
  /** Publishes an answer that goes to a topic. */
  publish(answer: TopicAnswer): Promise<void>
  /** The peer id of a destination that may be a name; destinations are peer ids unless given. */
  peerOf?(given: unknown, where?: string): string
  /** The directory tells that this node takes messages of the type. */
  announce(type: string, version: string, description: string | undefined): Promise<() => Promise<void>>
  chance(): number
}

const TICK_MS = 250
export const MAX_TYPES = 64

const storeUnavailable = (state: RowStoreState): ParleyError =>
  state === 'full'
    ? new ParleyError('STA003', 'the disk of this node has no room for messages', {
        hint: 'make room on the disk; the node goes on by itself then',
        details: { reason: 'disk-full' },
      })
    : new ParleyError('STA003', 'the disk of this node takes nothing at the moment', {
        hint: 'see the log, and whether the disk is well; the node goes on by itself then',
        details: { reason: 'disk-failed' },
      })

const needsDataDirectory = (what: string): ParleyError =>
  new ParleyError('STA003', `${what} needs a data directory`, {
    hint: 'give createMesh a dataDir; without one only AT_MOST_ONCE can be sent',
    details: { reason: 'volatile' },
  })

/** @throws MSG001 for settings that are not usable; what the store throws */
export const createDelivery = async (deps: DeliveryDeps, options: DeliveryOptions = {}): Promise<Messages> => {
  const { port, store } = deps
  const parsed = DeliveryOptionsSchema.safeParse(options)
  if (!parsed.success) {
    const what = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    throw new ParleyError('MSG001', `the settings of delivery are not usable: ${what}`, {
      hint: 'see DeliverySettings',
    })
  }
  const settings = parsed.data
  const quota = deps.quota ?? createQuota()
  const handlers = new Map<string, RegisteredHandler>()
  const deadListeners = new Set<(letter: DeadLetter) => void>()
  const counts = createDeliveryCounters(port.metrics)
  const offers = createTypeOffers(deps.announce)
  const inboxLast = { number: 0 }
  let life: DeliveryRuntime | undefined
  let isStopped = false
  let opening: Promise<void> | undefined

  const revisions = createMessageRevisions()
  const recovered = createRecoveryEnded(port.metrics, port.log)
  const count = (what: DeliveryCounter, by = 1): void => counts.add(what, by)

  const conversations = createConversationLog({
    port,
    settings,
    forgotten: (messages) => count('conversationsForgotten', messages),
  })
  const inbox = createInbox({
    port,
    offers,
    rows: () => living().inbox,
    present: () => life?.inbox,
    refusal: () => (deps.isVolatile ? needsDataDirectory('an inbox') : undefined),
    refused: () => count('inboxFull'),
    takes(type, isTaken) {
      if (isTaken) life?.knownTypes.add(type)
      else if (!handlers.has(type)) life?.knownTypes.remove(type)
    },
  })

  const begin = async (): Promise<void> => {
    const next = await openDeliveryRuntime({
      inbox,
      inboxLast,
      conversations,
      port,
      store,
      settings,
      quota,
      isVolatile: deps.isVolatile,
      handlerOf: (type) => handlers.get(type),
      choose: deps.choose,
      peerOf: deps.peerOf,
      absentMs: deps.absentMs,
      publish: deps.publish,
      chance: deps.chance,
      count,
      recover: async (_peer, message, fault) => revisions.revise(message, fault),
      recovered,
    })
    next.deadLetters.onDead((letter) => {
      for (const fn of [...deadListeners]) fn(letter)
    })
    if (isStopped || store.state() !== 'open') next.stop()
    else {
      life = next
      inbox.opened()
    }
  }

  const end = (): void => {
    life?.stop()
    life = undefined
  }

  if (store.state() === 'open') await begin()
  const stopWatching = store.onState((state) => {
    end()
    if (state !== 'open' || isStopped) return
    const before = opening
    opening = (async () => {
      await before
      try {
        await begin()
        life?.receiver.requestHellos()
      } catch (error) {
        port.log.error('the messages on disk could not be read', { error })
      }
    })()
  })

  const living = (): DeliveryRuntime => {
    if (life !== undefined) return life
    throw isStopped
      ? new ParleyError('COM002', 'this node is stopping', { hint: 'send before stop()' })
      : storeUnavailable(store.state())
  }

  const unserve = await port.serve(deliveryProtocol, {
    hello: (request, { peer, signal }) => living().receiver.hello(peer, request, signal),
    messages(frame, { peer }) {
      if (life !== undefined) life.receiver.messages(peer, frame)
      // Its greeting is refused until there is a life again: it waits, and no message counts as tried.
      else if (!isStopped) requestHello(port, peer, decodeMessageFrame(frame).session)
    },
    answers: (frame, { peer }) => life?.outbox.handleAckFrame(peer, frame),
    fire: (bytes, { peer }) => life?.fire(peer, bytes),
  })
  const stopTicking = port.timers.every(TICK_MS, () => {
    quota.refresh()
    life?.tick()
  })
  if (!deps.isVolatile) {
    quota.add('outbox', { bytes: () => life?.outbox.bytes() ?? 0 })
    quota.add('inbox', { bytes: () => life?.inbox.bytes() ?? 0 })
    quota.add('deadLetters', { bytes: () => life?.deadLetters.bytes() ?? 0 })
  }

  port.metrics.gauge('delivery_outbox_messages', 'Messages in the outbox', () => life?.outbox.size() ?? 0)
  port.metrics.gauge('delivery_outbox_bytes', 'Bytes in the outbox', () => life?.outbox.bytes() ?? 0)
  port.metrics.gauge(
    'delivery_held_bytes',
    'Bytes of messages that wait for their handler',
    () => life?.receiver.heldBytes() ?? 0,
  )
  port.metrics.gauge('delivery_dead_letters', 'Dead letters on disk', () => life?.deadLetters.size() ?? 0)
  port.metrics.gauge('delivery_inbox_messages', 'Messages in the inbox', () => inbox.size())
  port.metrics.gauge('delivery_inbox_bytes', 'Bytes in the inbox', () => inbox.bytes())
  port.metrics.gauge('delivery_conversations', 'Conversations that are remembered', () => conversations.size())

  const fire = async (
    to: To,
    definition: MessageDefinition,
    data: unknown,
    options: SendOptions,
  ): Promise<MessageReceipt> => {
    const { sending } = living()
    const prepared = sending.prepare(to, definition, data, options)
    const { message, draft, capability } = prepared
    const peers = sending.route(prepared)
    if (peers.length === 0)
      throw new ParleyError('COM004', `nobody offers ${capability}`, {
        hint: 'see the directory, or send AT_LEAST_ONCE',
      })
    await Promise.all(peers.map((peer) => port.to(peer, deliveryProtocol).fire(draft.bytes)))
    count('fired', peers.length)
    for (const peer of peers) conversations.recordSent(message, peer)
    return { id: message.id, destinations: peers, delivered: async () => undefined }
  }

  const send = async <S extends ZodType>(
    to: To,
    definition: MessageDefinition<S>,
    data: z.input<S>,
    options: SendOptions = {},
  ): Promise<MessageReceipt> => {
    const { guarantee = settings.guarantee } = options
    if (guarantee === 'AT_MOST_ONCE') return fire(to, definition, data, { ...options, guarantee })
    if (deps.isVolatile) throw needsDataDirectory(`a message ${guarantee}`)
    const mine = living()
    revisions.know(definition)
    const prepared = mine.sending.prepare(to, definition, data, options)
    const messages = Math.max(1, prepared.peers.length)
    const bytes = messages * prepared.draft.bytes.length
    const outcome = createDeliveryOutcome(messages, port.timers)
    const mayWait = !mine.outbox.hasRoom(messages, bytes) || mine.sending.isBusy(prepared)
    if (mayWait) {
      if (!mine.outbox.hasRoom(messages, bytes)) count('waitedForRoom')
      await mine.outbox.room(messages, bytes, options.signal)
    }
    let staged: RoutedMessage
    try {
      while (mine.sending.isBusy(prepared)) await mine.sending.ready(prepared)
      if (life !== mine) throw storeUnavailable(store.state())
      staged = mine.sending.stage(prepared, () => outcome.report)
    } finally {
      if (mayWait) mine.outbox.count(-messages, -bytes)
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

  const change: Messages['change'] = async (fn) => {
    if (deps.isVolatile) throw needsDataDirectory('a change')
    for (let run = 1; ; run += 1) {
      const mine = living()
      const sending = mine.sending.begin(false)
      try {
        const result = await fn(sending.tx)
        while (!sending.isStale() && sending.isBusy()) await sending.ready()
        if (life !== mine) throw storeUnavailable(store.state())
        if (sending.isStale()) {
          count('conflicts')
          if (run >= 100)
            throw new ParleyError('STA003', 'a change met those of others 100 times', {
              hint: 'read less in one change, or do such changes one after the other',
              details: { reason: 'contended' },
            })
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

  const receive: Messages['receive'] = async (definition, handler, about: ReceiveOptions = {}) => {
    defineMessage(definition)
    if (handlers.has(definition.type))
      throw new ParleyError('STA003', `messages of the type ${definition.type} are received already`, {
        hint: 'one handler takes a type; call what receive() returned to end the former one',
        details: { reason: 'in-use' },
      })
    if (handlers.size >= MAX_TYPES)
      throw new ParleyError('COM003', `${MAX_TYPES} types of messages are received already`, {
        hint: 'tell similar things apart within one type',
      })
    const timeoutMs = about.timeoutMs ?? settings.handlerTimeoutMs
    // The handler gets what the schema made of the data.
    handlers.set(definition.type, { definition, handler: handler as MessageHandler<unknown>, timeoutMs })
    life?.knownTypes.add(definition.type)
    const withdraw = await offers(definition.type, definition.version, about.description)
    let isOpen = true
    const stop: Stop = () => {
      if (!isOpen) return
      isOpen = false
      handlers.delete(definition.type)
      life?.knownTypes.remove(definition.type)
      withdraw().catch((error: unknown) => port.log.info('the directory was not told', { error }))
    }
    return stop
  }

  const deadLetters: DeadLetters = {
    list: (about) => living().deadLetters.list(about),
    search: (about) => living().deadLetters.search(about),
    groups: (by) => living().deadLetters.groups(by),
    show: (id) => living().deadLetters.show(id),
    retry: (id, about) => living().deadLetters.retry(id, about),
    purge: (id) => living().deadLetters.purge(id),
    size: () => life?.deadLetters.size() ?? 0,
    onDead(fn) {
      deadListeners.add(fn)
      return () => deadListeners.delete(fn)
    },
  }

  const figures = (): DeliveryFigures => {
    const destinations = life?.outbox.destinations() ?? []
    return {
      outbox: life?.outbox.size() ?? 0,
      outboxBytes: life?.outbox.bytes() ?? 0,
      inFlight: destinations.reduce((sum, one) => sum + one.inFlight(), 0),
      held: life?.receiver.held() ?? 0,
      heldBytes: life?.receiver.heldBytes() ?? 0,
      running: life?.running() ?? 0,
      deadLetters: life?.deadLetters.size() ?? 0,
      deadLetterBytes: life?.deadLetters.bytes() ?? 0,
      inbox: inbox.size(),
      inboxBytes: inbox.bytes(),
      senders: life?.receiver.senders() ?? 0,
      counts: counts.all(),
      destinations: destinations.map((one) => ({
        peer: one.peer,
        state: one.state(),
        awayMs: life?.awayMs(one.peer) ?? 0,
        breaker: one.breaker(),
        waiting: one.size() - one.inFlight(),
        inFlight: one.inFlight(),
      })),
    }
  }

  return {
    send,
    receive,
    change,
    state: {
      get: (key) => living().transactions.get(key),
      list: (prefix, { limit = 100, after } = {}) => living().transactions.list(prefix, limit, after),
    },
    async effect(name, fn) {
      if (deps.isVolatile) throw needsDataDirectory('an effect')
      return living().effects.run(name, fn)
    },
    outbox: async (page) => listOutbox(store, living(), page),
    deadLetters,
    inbox,
    conversations,
    addFailedCall: (call) => life?.deadLetters.addCall(call),
    noteCall: conversations.recordCall,
    figures,
    work: { inWork: () => life?.running() ?? 0, signs: () => life?.progressCount() ?? 0 },
    drain: async (timeoutMs) => life?.receiver.drain(timeoutMs),
    retune({ breaker, ...next }) {
      Object.assign(settings, next)
      // Gates hold this one.
      Object.assign(settings.breaker, breaker)
    },
    async stop() {
      if (isStopped) return
      isStopped = true
      stopTicking()
      stopWatching()
      inbox.stop()
      await unserve()
      await opening
      end()
    },
  }
}
