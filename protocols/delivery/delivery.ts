/**
 * Durable messages: from program to program, over crashes of either side, without a broker.
 *
 * Promises. A message that `send` took is on this node's disk, and is brought to its peer until that processed it, or it
 * becomes a dead letter here: after its retries, which count only where the peer was reached, or when its ttl is over.
 * AT_LEAST_ONCE: its handler ran to its end once or more. EXACTLY_ONCE: what the handler put and sent counts once. Messages
 * of one conversation are processed in the order in which they were sent. A full outbox makes senders wait, a slow
 * receiver too.
 *
 * Wire id: `/parley/delivery/1`. Rows: delivery-rows.ts. State: the runtime, made of what the store holds; where the store
 * fails, it ends, and the next one begins with the rows as they are then.
 */
import { ParleyError } from '../errors.ts'
import { type MessageChains, NO_CHAINS } from '../interceptors/chains.ts'
import { createQuota, type Quota } from '../limits/quota.ts'
import { createRegistration } from '../registration.ts'
import type { DeliveryPort, MessagesFeature } from './api.ts'
import { deliveryProtocol } from './contract.ts'
import { createConversationLog } from './conversations/conversation-log.ts'
import { CurrentRuntime } from './current-runtime.ts'
import type { DeadLetter, DeadLetters } from './dead-letters/dead-letter-store.ts'
import {
  addDeliveryGauges,
  createDeliveryCounters,
  type DeliveryCounter,
  deliveryFiguresOf,
} from './delivery-figures.ts'
import { decodeMessageFrame } from './delivery-frames.ts'
import { createInbox } from './inbox/inbox.ts'
import { type DeliveryOptions, DeliveryOptionsSchema, type ResolvedDeliveryOptions } from './options.ts'
import { HandlerRegistry } from './receive/handler-registry.ts'
import { createTypeOffers } from './receive/received-types.ts'
import { requestHello } from './receive/remote-sender.ts'
import { createRecoveryEnded } from './recovery/error-recovery.ts'
import { createMessageRevisions } from './recovery/message-recovery.ts'
import { DeliveryRuntime } from './runtime.ts'
import { listOutbox } from './send/outbox-list.ts'
import { createSend, runChange } from './send/send-message.ts'
import type { TopicAnswer } from './send/topic-answers.ts'
import type { RowStore } from './store/row-storage.ts'
import { needsDataDirectory } from './store/store-errors.ts'

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
  /** Interceptors of messages; none unless given. */
  readonly chains?: MessageChains
  chance(): number
}

const TICK_MS = 250

/** @throws MSG001 */
const settingsOf = (options: DeliveryOptions): ResolvedDeliveryOptions => {
  const parsed = DeliveryOptionsSchema.safeParse(options)
  if (parsed.success) return parsed.data
  const what = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
  throw new ParleyError('MSG001', `the settings of delivery are not usable: ${what}`, {
    hint: 'see DeliverySettings',
  })
}

/** The dead letters of the runtime of this moment; its listeners stay when the next one begins. */
const createDeadLetters = (current: CurrentRuntime, listeners: Set<(letter: DeadLetter) => void>): DeadLetters => ({
  list: (about) => current.get().deadLetters.list(about),
  search: (about) => current.get().deadLetters.search(about),
  groups: (by) => current.get().deadLetters.groups(by),
  show: (id) => current.get().deadLetters.show(id),
  retry: (id, about) => current.get().deadLetters.retry(id, about),
  purge: (id) => current.get().deadLetters.purge(id),
  size: () => current.now?.deadLetters.size() ?? 0,
  onDead(fn) {
    listeners.add(fn)
    return createRegistration(() => listeners.delete(fn))
  },
})

const serve = ({ port }: DeliveryDeps, current: CurrentRuntime): Promise<() => Promise<void>> =>
  port.serve(deliveryProtocol, {
    hello: (request, { peer, signal }) => current.get().receiver.hello(peer, request, signal),
    messages(frame, { peer }) {
      const runtime = current.now
      if (runtime !== undefined) runtime.receiver.messages(peer, frame)
      // Its greeting is refused until there is a runtime again: it waits, and no message counts as tried.
      else if (!current.isStopped) requestHello(port, peer, decodeMessageFrame(frame).session)
    },
    answers: (frame, { peer }) => current.now?.outbox.handleAckFrame(peer, frame),
    fire: (bytes, { peer }) => current.now?.unkept.arrived(peer, bytes),
  })

const addQuotaShares = (quota: Quota, current: CurrentRuntime): void => {
  quota.add('outbox', { bytes: () => current.now?.outbox.bytes() ?? 0 })
  quota.add('inbox', { bytes: () => current.now?.inbox.bytes() ?? 0 })
  quota.add('deadLetters', { bytes: () => current.now?.deadLetters.bytes() ?? 0 })
}

/** @throws MSG001 for settings that are not usable; what the store throws */
export const createDelivery = async (deps: DeliveryDeps, options: DeliveryOptions = {}): Promise<MessagesFeature> => {
  const { port, store, isVolatile, chains = NO_CHAINS } = deps
  const settings = settingsOf(options)
  const quota = deps.quota ?? createQuota()
  const counts = createDeliveryCounters(port.metrics)
  const count = (what: DeliveryCounter, by = 1): void => counts.add(what, by)
  const revisions = createMessageRevisions()
  const recovered = createRecoveryEnded(port.metrics, port.log)
  const deadListeners = new Set<(letter: DeadLetter) => void>()
  const inboxLast = { number: 0 }

  const current: CurrentRuntime = new CurrentRuntime({
    store,
    log: port.log,
    async open() {
      const runtime = await DeliveryRuntime.open({
        ...{ port, store, settings, quota, isVolatile, inbox, inboxLast, conversations, chains, count, recovered },
        handlerOf: (type) => handlers.get(type),
        choose: deps.choose,
        peerOf: deps.peerOf,
        absentMs: deps.absentMs,
        publish: deps.publish,
        chance: deps.chance,
        recover: async (_peer, message, fault) => revisions.revise(message, fault),
      })
      runtime.deadLetters.onDead((letter) => {
        for (const fn of [...deadListeners]) fn(letter)
      })
      return runtime
    },
    opened: () => inbox.opened(),
  })
  const offers = createTypeOffers(deps.announce)
  const handlers = new HandlerRegistry({ log: port.log, settings, offers, knownTypes: () => current.now?.knownTypes })
  const forgotten = (messages: number): void => count('conversationsForgotten', messages)
  const conversations = createConversationLog({ port, settings, forgotten })
  const inbox = createInbox({
    port,
    offers,
    rows: () => current.get().inbox,
    present: () => current.now?.inbox,
    refusal: () => (isVolatile ? needsDataDirectory('an inbox') : undefined),
    refused: () => count('inboxFull'),
    takes(type, isTaken) {
      if (isTaken) current.now?.knownTypes.add(type)
      else if (!handlers.has(type)) current.now?.knownTypes.remove(type)
    },
  })

  await current.start()
  const unserve = await serve(deps, current)
  const stopTicking = port.timers.every(TICK_MS, () => {
    quota.refresh()
    current.now?.tick()
  })
  if (!isVolatile) addQuotaShares(quota, current)
  addDeliveryGauges(port.metrics, () => current.now, inbox, conversations)

  const change = { store, current, count }
  return {
    send: createSend({
      ...{ port, store, settings, isVolatile, current, conversations, revisions, count },
      chain: chains.send,
    }),
    receive: handlers.receive,
    change: (fn) => (isVolatile ? Promise.reject(needsDataDirectory('a change')) : runChange(change, fn)),
    state: {
      get: (key) => current.get().transactions.get(key),
      list: (prefix, { limit = 100, after } = {}) => current.get().transactions.list(prefix, limit, after),
    },
    async effect(name, fn) {
      if (isVolatile) throw needsDataDirectory('an effect')
      return current.get().effects.run(name, fn)
    },
    outbox: async (page) => listOutbox(store, current.get(), page),
    deadLetters: createDeadLetters(current, deadListeners),
    inbox,
    conversations,
    addFailedCall: (call) => current.now?.deadLetters.addCall(call),
    noteCall: conversations.recordCall,
    figures: () => deliveryFiguresOf(current.now, inbox, counts.all()),
    work: { inWork: () => current.now?.running() ?? 0, signs: () => current.now?.progressCount() ?? 0 },
    drain: async (timeoutMs) => current.now?.receiver.drain(timeoutMs),
    retune({ breaker, ...next }) {
      Object.assign(settings, next)
      // Breakers hold this one.
      Object.assign(settings.breaker, breaker)
    },
    async stop() {
      if (current.isStopped) return
      current.close()
      stopTicking()
      inbox.stop()
      await unserve()
      await current.ended()
    },
  }
}
