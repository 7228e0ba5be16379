/**
 * From what a program says to rows of the outbox: checks, bytes, who it goes to, transactions that send.
 *
 * A message to a capability is bound to one peer when it is sent first, its conversation with it (conversation-bindings.ts);
 * while nobody offers the capability it waits, within its ttl and the outbox's bounds (`u/` rows). Keeps no state.
 */
import type { ZodType, z } from 'zod'
import type { Content } from '../../define.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { formatId, uuid7Bytes } from '../../wire/message-id.ts'
import { encodePayload, validate } from '../../wire/payload/payload.ts'
import type { SendOptions, To, Tx } from '../api.ts'
import { defineMessage, type MessageDefinition } from '../define-message.ts'
import { type DurableMessage, encodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { SendingTransaction } from '../receive/handler-runner.ts'
import { type PeerOf, readOptions, replyToOf, whomOf } from '../send-options.ts'
import { CAPABILITY_PREFIX } from '../store/delivery-rows.ts'
import type { RowChange } from '../store/row-storage.ts'
import type { Transactions } from '../store/transactions.ts'
import type { ConversationBindings } from './conversation-bindings.ts'
import { type MessageDraft, type Outbox, outboxFull, type StagedChanges } from './outbox.ts'
import { capabilityTargetOf, type OutcomeListener } from './outgoing-message.ts'
import { encodeTopicAnswer, type TopicAnswers } from './topic-answers.ts'
import type { UnroutedMessages } from './unrouted.ts'

/** A message that is ready to be stored. */
export interface PreparedMessage {
  readonly message: DurableMessage
  readonly draft: MessageDraft
  /** Empty for one to a capability. */
  readonly peers: readonly string[]
  readonly capability: string | undefined
  /** Of one to a capability whose conversation is not bound: who was chosen. */
  chosen: string | undefined
}

/** Where it goes; nowhere while nobody offers the capability. */
export type RoutedMessage = StagedChanges & { readonly peers: readonly string[] }

export interface MessageStagingDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'random'>
  readonly settings: ResolvedDeliveryOptions
  readonly outbox: Outbox
  readonly unrouted: UnroutedMessages
  readonly bindings: Pick<ConversationBindings, 'peerOf' | 'bind' | 'waiting'>
  readonly topicAnswers: Pick<TopicAnswers, 'stage'>
  readonly transactions: Transactions
  /** A message of a conversation goes out. @returns what is told of its end; undefined where nobody wants to know */
  note(message: DurableMessage, peer: string): OutcomeListener | undefined
  /** JSON could not hold it, CBOR could. */
  reserialized(): void
  /** Who offers it, the least loaded first. */
  choose(capability: string): string | undefined
  readonly peerOf?: PeerOf
  /** It has been away for so long that nobody waits for it, or offers this no more. */
  isAway(peer: string, capability: string): boolean
}

export interface MessageStaging {
  /** @throws MSG001, MSG002 */
  prepare<S extends ZodType>(
    to: To,
    definition: MessageDefinition<S>,
    data: z.input<S>,
    options: SendOptions,
  ): PreparedMessage
  /** In the turn in which the changes are handed over. `told` hears of each peer. */
  stage(prepared: PreparedMessage, told?: (peer: string) => OutcomeListener): RoutedMessage
  /** To whom it would go now. */
  route(prepared: PreparedMessage): readonly string[]
  isBusy(prepared: PreparedMessage): boolean
  ready(prepared: PreparedMessage): Promise<void>
  /** @param isHandler of a message: it answers, and does not wait for room */
  begin(isHandler: boolean): SendingTransaction
}

export const MAX_SENDS = 1_000
/** The sender tries a message again for which there was no room to answer. */
const ANSWER_AFTER_MS = 2_000

const ended = (): ParleyError =>
  new ParleyError('STA003', 'this transaction has ended', {
    hint: 'await everything that a handler does with its transaction before it returns',
    details: { reason: 'ended' },
  })

const tooMany = (): ParleyError =>
  new ParleyError('MSG001', `a transaction sends more than ${MAX_SENDS} messages`, { hint: 'make several' })

export const createMessageStaging = (deps: MessageStagingDeps): MessageStaging => {
  const { port, settings, outbox, unrouted, bindings, transactions } = deps

  /** The type and the version with which a definition was found to be right. */
  const checked = new WeakMap<object, Pick<MessageDefinition, 'type' | 'version'>>()

  /** Once for each definition, since it comes with each message. @throws MSG001 */
  const checkDefinition = (definition: MessageDefinition): void => {
    const known = checked.get(definition)
    if (known?.type === definition.type && known.version === definition.version) return
    const { type, version } = defineMessage(definition)
    checked.set(definition, { type, version })
  }

  /** As the definition says, and as CBOR where JSON cannot hold it (MSG002: retry with a new serializer). */
  const serialize = (definition: MessageDefinition, data: unknown): { content: Content; payload: Uint8Array } => {
    const content = definition.content ?? 'json'
    try {
      return { content, payload: encodePayload(content, data) }
    } catch (error) {
      if (content !== 'json' || !isParleyError(error, 'MSG002')) throw error
      const payload = encodePayload('cbor', data)
      deps.reserialized()
      return { content: 'cbor', payload }
    }
  }

  const prepare: MessageStaging['prepare'] = (to, definition, data, options) => {
    checkDefinition(definition)
    const { headers, policy } = readOptions(options, settings.retry)
    const { peers, capability } = whomOf(to, options.rebind, deps.peerOf)
    validate(definition.schema, data, definition.type)
    const { content, payload } = serialize(definition, data)
    if (payload.length > settings.maxMessageBytes)
      throw new ParleyError(
        'MSG001',
        `the data of ${definition.type} has ${payload.length} bytes, at most ${settings.maxMessageBytes}`,
        { hint: 'send larger things by a stream or a file, and a message that tells of them' },
      )
    const now = port.clock.now()
    const { ttlMs, priority = 'normal', conversationId } = options
    const id = uuid7Bytes(now, port.random(10))
    const message: DurableMessage = {
      id: formatId(id),
      type: definition.type,
      version: definition.version,
      payload,
      content,
      conversationId,
      correlationId: options.correlationId,
      replyTo: replyToOf(options.replyTo, deps.peerOf),
      headers,
      priority,
      guarantee: options.guarantee ?? (settings.guarantee === 'AT_MOST_ONCE' ? 'AT_LEAST_ONCE' : settings.guarantee),
      createdAt: Math.floor(now),
      ttlMs,
      traceparent: options.traceparent,
      destinations: peers.length > 1 ? peers : [],
    }
    const expiresAt = ttlMs === undefined ? undefined : Math.floor(now) + ttlMs
    const bytes = encodeMessage(message, id)
    const bindable = capabilityTargetOf(message, capability, options.rebind === 'allowed')
    const draft: MessageDraft = { bytes, conversationId, priority, policy, expiresAt, bound: bindable }
    return { message, draft, peers, capability, chosen: undefined }
  }

  const route: MessageStaging['route'] = (prepared) => {
    const { capability, peers, message } = prepared
    if (capability === undefined) return peers
    const of = { capability, conversationId: message.conversationId }
    // Its messages stay in their order: this one after those that wait.
    if (unrouted.holds(of)) return []
    const bound = bindings.peerOf(of)
    if (bound !== undefined && (bindings.waiting(of) > 0 || !deps.isAway(bound, capability))) return [bound]
    prepared.chosen ??= deps.choose(capability) ?? bound
    return prepared.chosen === undefined ? [] : [prepared.chosen]
  }

  /** Of a message of a conversation: what became of it is told there too. */
  const noted = (
    message: DurableMessage,
    peer: string,
    told: OutcomeListener | undefined,
  ): OutcomeListener | undefined => {
    const note = message.conversationId === undefined ? undefined : deps.note(message, peer)
    if (note === undefined) return told
    return (error, movedTo) => {
      note(error, movedTo)
      told?.(error, movedTo)
    }
  }

  /** To one peer of those that offer it, or to nobody yet. */
  const stageBound = (
    { message, draft }: PreparedMessage,
    capability: string,
    peer?: string,
    told?: OutcomeListener,
  ): StagedChanges => {
    if (peer === undefined)
      return unrouted.stage(capability, draft, noted(message, CAPABILITY_PREFIX + capability, told))
    // The message first: a conversation with messages in the outbox is not forgotten.
    const staged = outbox.stage(peer, draft, noted(message, peer, told))
    const changes = bindings.bind({ capability, conversationId: message.conversationId }, peer)
    return changes.length === 0 ? staged : { ...staged, changes: [...staged.changes, ...changes] }
  }

  const stage: MessageStaging['stage'] = (prepared, told) => {
    const { message, draft, capability } = prepared
    const peers = route(prepared)
    const [first] = peers
    if (capability !== undefined) return { ...stageBound(prepared, capability, first, told?.(first ?? '')), peers }
    const staged = peers.map((peer) => outbox.stage(peer, draft, noted(message, peer, told?.(peer))))
    const [only] = staged
    if (only !== undefined && staged.length === 1)
      return { peers, changes: only.changes, launch: only.launch, drop: only.drop }
    return {
      peers,
      changes: staged.flatMap(({ changes }) => changes),
      launch() {
        for (const one of staged) one.launch()
      },
      drop() {
        for (const one of staged) one.drop()
      },
    }
  }

  const begin = (isHandler: boolean): SendingTransaction => {
    const transaction = transactions.begin()
    const sends: PreparedMessage[] = []
    const answers: Uint8Array[] = []
    /** Of the outbox's room, for them. */
    const taken = { messages: 0, bytes: 0 }
    let isOpen = true
    const giveBack = (): void => {
      if (taken.messages > 0) outbox.count(-taken.messages, -taken.bytes)
      taken.messages = 0
      taken.bytes = 0
    }

    const tx: Tx = {
      get: transaction.get,
      put: transaction.put,
      delete: transaction.delete,
      async send(to, definition, data, options = {}) {
        if (!isOpen) throw ended()
        if (options.guarantee === 'AT_MOST_ONCE')
          throw new ParleyError('MSG001', 'a message of a transaction is kept, so it cannot be AT_MOST_ONCE', {
            hint: 'use mesh.messages.send() for it',
          })
        if (sends.length + answers.length >= MAX_SENDS) throw tooMany()
        const prepared = prepare(to, definition, data, options)
        const messages = Math.max(1, prepared.peers.length)
        const bytes = messages * prepared.draft.bytes.length
        if (outbox.hasRoom(messages, bytes, isHandler)) outbox.count(messages, bytes)
        else if (isHandler) throw outboxFull(ANSWER_AFTER_MS)
        else await outbox.room(messages, bytes)
        if (!isOpen) {
          outbox.count(-messages, -bytes)
          return
        }
        taken.messages += messages
        taken.bytes += bytes
        sends.push(prepared)
      },
    }
    return {
      tx,
      answer(answer) {
        if (!isOpen) throw ended()
        if (sends.length + answers.length >= MAX_SENDS) throw tooMany()
        const row = encodeTopicAnswer(answer)
        if (!outbox.hasRoom(1, row.length, isHandler)) throw outboxFull(ANSWER_AFTER_MS)
        outbox.count(1, row.length)
        taken.messages += 1
        taken.bytes += row.length
        answers.push(row)
      },
      isStale: transaction.isStale,
      isEmpty: () => sends.length + answers.length === 0 && transaction.isEmpty(),
      isBusy: () => sends.some((prepared) => outbox.isBusy(route(prepared))),
      async ready() {
        for (const prepared of sends) await outbox.ready(route(prepared))
      },
      finish() {
        isOpen = false
        const changes: RowChange[] = transaction.close()
        const staged: StagedChanges[] = [...sends.map((one) => stage(one)), ...answers.map(deps.topicAnswers.stage)]
        giveBack()
        for (const one of staged) changes.push(...one.changes)
        return {
          changes,
          launch() {
            for (const one of staged) one.launch()
          },
          drop() {
            for (const one of staged) one.drop()
          },
        }
      },
      abandon() {
        isOpen = false
        giveBack()
        transaction.abandon()
      },
    }
  }

  return {
    prepare,
    stage,
    route,
    isBusy: (prepared) => outbox.isBusy(route(prepared)),
    ready: (prepared) => outbox.ready(route(prepared)),
    begin,
  }
}
