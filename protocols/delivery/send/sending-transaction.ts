/**
 * A transaction that can send: what a handler, or `change`, puts and sends counts together or not at all.
 *
 * What it sends takes its room in the outbox at once, and has numbers only in the turn in which all of it is committed.
 * State: what was sent and answered so far, and how much of the outbox's room is taken for that.
 */
import { ParleyError } from '../../errors.ts'
import type { SendChain } from '../../interceptors/chains.ts'
import type { SendOptions, To, Tx } from '../api.ts'
import type { MessageDefinition } from '../define-message.ts'
import type { Transaction } from '../store/transactions.ts'
import { sendThrough } from './intercepted-send.ts'
import type { Outbox, StagedChanges } from './outbox.ts'
import { outboxFull } from './outbox-room.ts'
import type { PreparedMessage, PrepareMessage } from './prepare-message.ts'
import { encodeTopicAnswer, type TopicAnswer, type TopicAnswers } from './topic-answers.ts'

export interface SendingTransactionDeps {
  readonly outbox: Pick<Outbox, 'hasRoom' | 'room' | 'count' | 'isBusy' | 'ready'>
  readonly topicAnswers: Pick<TopicAnswers, 'stage'>
  readonly prepare: PrepareMessage
  /** Interceptors, where there are any. */
  readonly chain: SendChain | undefined
  /** To whom it would go now. */
  route(prepared: PreparedMessage): readonly string[]
  /** In the turn in which the changes are handed over. */
  stage(prepared: PreparedMessage): StagedChanges
}

type StageSend = (
  to: To,
  definition: MessageDefinition,
  data: unknown,
  options?: SendOptions,
  told?: (id: string) => void,
) => Promise<void>

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

export class SendingTransaction {
  readonly #deps: SendingTransactionDeps
  readonly #transaction: Transaction
  /** Of a message's handler: it answers, and does not wait for room. */
  readonly #isHandler: boolean
  readonly #sends: PreparedMessage[] = []
  readonly #answers: Uint8Array[] = []
  #takenMessages = 0
  #takenBytes = 0
  #isOpen = true
  /** Functions of their own, not methods: programs take them out of it. */
  readonly tx: Tx

  constructor(deps: SendingTransactionDeps, transaction: Transaction, isHandler: boolean) {
    this.#deps = deps
    this.#transaction = transaction
    this.#isHandler = isHandler
    const { chain } = deps
    const send: StageSend = async (to, definition, data, options = {}, told) => {
      this.#checkSend(options)
      const prepared = deps.prepare(to, definition, data, options)
      const messages = Math.max(1, prepared.peers.length)
      const bytes = messages * prepared.draft.bytes.length
      if (deps.outbox.hasRoom(messages, bytes, isHandler)) deps.outbox.count(messages, bytes)
      else if (isHandler) throw outboxFull(ANSWER_AFTER_MS)
      else await deps.outbox.room(messages, bytes)
      this.#add(prepared, messages, bytes)
      told?.(prepared.message.id)
    }
    this.tx = {
      get: transaction.get,
      put: transaction.put,
      delete: transaction.delete,
      send: chain === undefined ? send : this.#through(chain, send),
    }
  }

  #through(chain: SendChain, send: StageSend): Tx['send'] {
    return async (to, definition, data, options = {}) => {
      await sendThrough(chain, to, definition, data, options, async (changed, own) => {
        let id: string | undefined
        await send(to, definition, changed, own, (made) => {
          id = made
        })
        return { id }
      })
    }
  }

  #checkSend(options: SendOptions): void {
    if (!this.#isOpen) throw ended()
    if (options.guarantee === 'AT_MOST_ONCE')
      throw new ParleyError('MSG001', 'a message of a transaction is kept, so it cannot be AT_MOST_ONCE', {
        hint: 'use mesh.messages.send() for it',
      })
    if (this.#sends.length + this.#answers.length >= MAX_SENDS) throw tooMany()
  }

  /** Its room is taken. */
  #add(prepared: PreparedMessage, messages: number, bytes: number): void {
    if (!this.#isOpen) {
      this.#deps.outbox.count(-messages, -bytes)
      return
    }
    this.#takenMessages += messages
    this.#takenBytes += bytes
    this.#sends.push(prepared)
  }

  #giveBack(): void {
    if (this.#takenMessages > 0) this.#deps.outbox.count(-this.#takenMessages, -this.#takenBytes)
    this.#takenMessages = 0
    this.#takenBytes = 0
  }

  /** An answer becomes an event if and only if the rest of it counts. */
  answer(answer: TopicAnswer): void {
    const { outbox } = this.#deps
    if (!this.#isOpen) throw ended()
    if (this.#sends.length + this.#answers.length >= MAX_SENDS) throw tooMany()
    const row = encodeTopicAnswer(answer)
    if (!outbox.hasRoom(1, row.length, this.#isHandler)) throw outboxFull(ANSWER_AFTER_MS)
    outbox.count(1, row.length)
    this.#takenMessages += 1
    this.#takenBytes += row.length
    this.#answers.push(row)
  }

  /** True where something that it read was changed since. */
  isStale(): boolean {
    return this.#transaction.isStale()
  }

  isEmpty(): boolean {
    return this.#sends.length + this.#answers.length === 0 && this.#transaction.isEmpty()
  }

  /** Numbers of one of its destinations may not be used for now. */
  isBusy(): boolean {
    const { outbox, route } = this.#deps
    return this.#sends.some((prepared) => outbox.isBusy(route(prepared)))
  }

  /** Resolves while numbers of its destinations may be used; `finish` follows in the same turn. */
  async ready(): Promise<void> {
    const { outbox, route } = this.#deps
    for (const prepared of this.#sends) await outbox.ready(route(prepared))
  }

  /** What is to be committed in the same turn. */
  finish(): StagedChanges {
    const { stage, topicAnswers } = this.#deps
    this.#isOpen = false
    const changes = this.#transaction.close()
    const staged: StagedChanges[] = [
      ...this.#sends.map((prepared) => stage(prepared)),
      ...this.#answers.map(topicAnswers.stage),
    ]
    this.#giveBack()
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
  }

  /** Nothing of it counts. */
  abandon(): void {
    this.#isOpen = false
    this.#giveBack()
    this.#transaction.abandon()
  }
}
