/**
 * From what a program says to rows of the outbox: checks, bytes, who it goes to, transactions that send.
 *
 * A message to a capability is bound to one peer when it is sent first, and stays with it; while nobody offers the
 * capability it waits, within its ttl and the outbox's bounds (`u/` rows). State: those that wait for somebody.
 */
import type { ZodType, z } from 'zod'
import type { Content } from '../define.ts'
import { isParleyError, ParleyError } from '../errors.ts'
import { checkKeys, keysOf } from '../nearest.ts'
import type { Port } from '../port.ts'
import { Headers, PRIORITIES } from '../wire/envelope.ts'
import { formatId, uuid7Bytes } from '../wire/message-id.ts'
import { check, encodePayload } from '../wire/payload.ts'
import type { SendOptions, To, Tx } from './api.ts'
import { defineMessage, type MessageDefinition } from './define-message.ts'
import { encodeMessage, GUARANTEES, type Message } from './message.ts'
import { RetryPolicySchema, type Settings } from './options.ts'
import { type Draft, type Outbox, outboxFull, type Staged, type Told } from './outbox.ts'
import type { SendingTx } from './processing.ts'
import { CAPABILITY } from './rows.ts'
import type { RowChange } from './storage.ts'
import type { Transactions } from './transactions.ts'
import type { Unbound } from './unbound.ts'

/** A message that is ready to be stored. */
export interface Prepared {
  readonly message: Message
  readonly draft: Draft
  /** Bound already; empty for one that waits for somebody. */
  readonly peers: readonly string[]
  readonly capability: string | undefined
}

export interface SendingDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'random'>
  readonly settings: Settings
  readonly outbox: Outbox
  readonly unbound: Unbound
  readonly transactions: Transactions
  /** A message of a conversation goes out. @returns what is told of its end; undefined where nobody wants to know */
  note(message: Message, peer: string): Told | undefined
  /** JSON could not hold it, CBOR could. */
  reserialized(): void
  /** Who offers it, the least loaded first. */
  choose(capability: string): string | undefined
  /** The peer id of a destination, which may be a name; itself unless given. @throws MSG001, COM002, STA003 */
  peerOf?: ((given: unknown) => string) | undefined
}

export interface Sending {
  /** @throws MSG001, MSG002 */
  prepare<S extends ZodType>(to: To, definition: MessageDefinition<S>, data: z.input<S>, options: SendOptions): Prepared
  /** In the turn in which the changes are handed over. `told` hears of each peer. */
  stage(prepared: Prepared, told?: (peer: string) => Told): Staged
  isBusy(prepared: Prepared): boolean
  /** @param isHandler of a message: it answers, and does not wait for room */
  begin(isHandler: boolean): SendingTx
}

const OPTION_KEYS = keysOf<SendOptions>({
  guarantee: true,
  conversationId: true,
  correlationId: true,
  replyTo: true,
  headers: true,
  priority: true,
  ttlMs: true,
  retry: true,
  traceparent: true,
  signal: true,
})
const PEER = /^[A-Za-z0-9]{1,128}$/
const MAX_PEERS = 1_024
const MAX_TEXT = 128
const MAX_TTL_MS = 2 ** 31 - 1
export const MAX_SENDS = 1_000
/** The sender tries a message again for which there was no room to answer. */
const ANSWER_AFTER_MS = 2_000

const wrong = (what: string, value: unknown, hint: string): ParleyError =>
  new ParleyError('MSG001', `${what} of a message is ${JSON.stringify(value)?.slice(0, 80)}`, { hint })

const checkTexts = (options: SendOptions): void => {
  for (const name of ['conversationId', 'correlationId', 'replyTo', 'traceparent'] as const) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT && value.isWellFormed()) continue
    throw wrong(name, value, `give a text of 1 to ${MAX_TEXT} characters`)
  }
}

const checkOptions = (options: SendOptions): void => {
  checkKeys(options, OPTION_KEYS, 'the options of a message')
  checkTexts(options)
  const { guarantee, priority, ttlMs } = options
  if (guarantee !== undefined && !GUARANTEES.includes(guarantee))
    throw wrong('guarantee', guarantee, `use one of ${GUARANTEES.join(', ')}`)
  if (priority !== undefined && !PRIORITIES.includes(priority))
    throw wrong('priority', priority, `use one of ${PRIORITIES.join(', ')}`)
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= MAX_TTL_MS))
    throw wrong('ttlMs', ttlMs, `give whole milliseconds from 1 to ${MAX_TTL_MS}`)
}

/** @returns the peers, each once; undefined for a capability. */
const peersOf = (to: To, peerOf: SendingDeps['peerOf']): readonly string[] | undefined => {
  if (typeof to === 'object' && to !== null && 'capability' in to) {
    if (typeof to.capability === 'string' && to.capability.length > 0 && to.capability.length <= 64) return undefined
    throw wrong('capability', to.capability, 'give the type of a message or the name of a protocol')
  }
  // It may be called without types; what is no text is refused below.
  const given = (Array.isArray(to) ? to : [to]) as readonly string[]
  const peers = [...new Set(peerOf === undefined ? given : given.map(peerOf))]
  const bad = peers.find((peer) => typeof peer !== 'string' || !PEER.test(peer))
  if (bad !== undefined) throw wrong('destination', bad, 'give a peer id, as in mesh.self.id or the directory')
  if (peers.length === 0 || peers.length > MAX_PEERS)
    throw wrong('destination', peers.length, `give 1 to ${MAX_PEERS} peers`)
  return peers
}

export const createSending = (deps: SendingDeps): Sending => {
  const { port, settings, outbox, unbound, transactions } = deps

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

  const prepare: Sending['prepare'] = (to, definition, data, options) => {
    defineMessage(definition)
    checkOptions(options)
    const bound = peersOf(to, deps.peerOf)
    const headers = options.headers === undefined ? {} : check(Headers, options.headers, 'headers')
    const policy =
      options.retry === undefined
        ? settings.retry
        : check(RetryPolicySchema, { ...settings.retry, ...options.retry }, 'the retry policy')
    check(definition.schema, data, definition.type)
    const { content, payload } = serialize(definition, data)
    if (payload.length > settings.maxMessageBytes)
      throw new ParleyError(
        'MSG001',
        `the data of ${definition.type} has ${payload.length} bytes, at most ${settings.maxMessageBytes}`,
        { hint: 'send larger things by a stream or a file, and a message that tells of them' },
      )
    const capability = typeof to === 'object' && 'capability' in to ? to.capability : undefined
    const chosen = capability === undefined ? undefined : deps.choose(capability)
    const peers = bound ?? (chosen === undefined ? [] : [chosen])
    const now = port.clock.now()
    const { ttlMs, priority = 'normal', conversationId } = options
    const id = uuid7Bytes(now, port.random(10))
    const message: Message = {
      id: formatId(id),
      type: definition.type,
      version: definition.version,
      payload,
      content,
      conversationId,
      correlationId: options.correlationId,
      replyTo: options.replyTo,
      headers,
      priority,
      guarantee: options.guarantee ?? (settings.guarantee === 'AT_MOST_ONCE' ? 'AT_LEAST_ONCE' : settings.guarantee),
      createdAt: Math.floor(now),
      ttlMs,
      traceparent: options.traceparent,
      destinations: peers.length > 1 ? peers : [],
    }
    const expiresAt = ttlMs === undefined ? undefined : Math.floor(now) + ttlMs
    const draft: Draft = { bytes: encodeMessage(message, id), conversationId, priority, policy, expiresAt }
    return { message, draft, peers, capability }
  }

  /** Of a message of a conversation: what became of it is told there too. */
  const noted = (message: Message, peer: string, told: Told | undefined): Told | undefined => {
    const note = message.conversationId === undefined ? undefined : deps.note(message, peer)
    if (note === undefined) return told
    return (error) => {
      note(error)
      told?.(error)
    }
  }

  const stage: Sending['stage'] = ({ message, draft, peers, capability }, told) => {
    const staged =
      peers.length === 0 && capability !== undefined
        ? [unbound.stage(capability, draft, noted(message, CAPABILITY + capability, told?.('')))]
        : peers.map((peer) => outbox.stage(peer, draft, noted(message, peer, told?.(peer))))
    const [only] = staged
    if (only !== undefined && staged.length === 1) return only
    return {
      changes: staged.flatMap(({ changes }) => changes),
      launch() {
        for (const one of staged) one.launch()
      },
      drop() {
        for (const one of staged) one.drop()
      },
    }
  }

  const begin = (isHandler: boolean): SendingTx => {
    const transaction = transactions.begin()
    const sends: Prepared[] = []
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
        if (!isOpen)
          throw new ParleyError('STA003', 'this transaction has ended', {
            hint: 'await everything that a handler does with its transaction before it returns',
            details: { reason: 'ended' },
          })
        if (options.guarantee === 'AT_MOST_ONCE')
          throw new ParleyError('MSG001', 'a message of a transaction is kept, so it cannot be AT_MOST_ONCE', {
            hint: 'use mesh.messages.send() for it',
          })
        if (sends.length >= MAX_SENDS)
          throw new ParleyError('MSG001', `a transaction sends more than ${MAX_SENDS} messages`, {
            hint: 'make several',
          })
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
      isStale: transaction.isStale,
      isEmpty: () => sends.length === 0 && transaction.isEmpty(),
      isBusy: () => sends.some(({ peers }) => outbox.isBusy(peers)),
      async ready() {
        for (const { peers } of sends) await outbox.ready(peers)
      },
      finish() {
        isOpen = false
        const changes: RowChange[] = transaction.close()
        const staged = sends.map((prepared) => stage(prepared))
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

  return { prepare, stage, isBusy: ({ peers }) => outbox.isBusy(peers), begin }
}
