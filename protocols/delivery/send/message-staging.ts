/**
 * From a message that is ready to rows of the outbox: who it goes to, and its place there.
 *
 * A message to a capability is bound to one peer when it is sent first, its conversation with it (conversation-bindings.ts);
 * while nobody offers the capability it waits, within its ttl and the outbox's bounds (`u/` rows).
 */
import type { SendChain } from '../../interceptors/chains.ts'
import { type DelegationChain, requireNoCycle, wouldCycle } from '../../wire/delegation-chain.ts'
import { type DurableMessage, messageLabel } from '../durable-message.ts'
import { CAPABILITY_PREFIX } from '../store/delivery-rows.ts'
import type { Transactions } from '../store/transactions.ts'
import type { ConversationBindings } from './conversation-bindings.ts'
import type { Outbox, StagedChanges } from './outbox.ts'
import type { OutcomeListener } from './outgoing-message.ts'
import {
  createPrepareMessage,
  type PreparedMessage,
  type PrepareMessage,
  type PrepareMessageDeps,
} from './prepare-message.ts'
import { SendingTransaction, type SendingTransactionDeps } from './sending-transaction.ts'
import type { TopicAnswers } from './topic-answers.ts'
import type { UnroutedMessages } from './unrouted.ts'

/** Where it goes; nowhere while nobody offers the capability. */
export type RoutedMessage = StagedChanges & { readonly peers: readonly string[] }

export interface MessageStagingDeps extends PrepareMessageDeps {
  readonly outbox: Outbox
  readonly unrouted: UnroutedMessages
  readonly bindings: Pick<ConversationBindings, 'peerOf' | 'bind' | 'waiting'>
  readonly topicAnswers: Pick<TopicAnswers, 'stage'>
  readonly transactions: Transactions
  /** Interceptors of what transactions send, where there are any. */
  readonly chain: SendChain | undefined
  /** A message of a conversation goes out. @returns what is told of its end; undefined where nobody wants to know */
  note(message: DurableMessage, peer: string): OutcomeListener | undefined
  /** Who offers it, the least loaded first. */
  choose(capability: string, except?: (peer: string) => boolean): string | undefined
  /** It has been away for so long that nobody waits for it, or offers this no more. */
  isAway(peer: string, capability: string): boolean
}

export class MessageStaging {
  readonly #deps: MessageStagingDeps
  readonly #sending: SendingTransactionDeps
  /** @throws MSG001, MSG002, STA003 `delegation-depth`, `delegation-cycle` */
  readonly prepare: PrepareMessage

  constructor(deps: MessageStagingDeps) {
    const { outbox, topicAnswers, chain } = deps
    this.#deps = deps
    const prepare = createPrepareMessage(deps)
    this.prepare = (...given) => {
      const prepared = prepare(...given)
      const { chain } = prepared.message
      if (chain !== undefined) this.#requireTaker(prepared, chain)
      return prepared
    }
    this.#sending = {
      outbox,
      topicAnswers,
      prepare: this.prepare,
      chain,
      route: (prepared) => this.route(prepared),
      stage: (prepared) => this.stage(prepared),
    }
  }

  /** One that was not asked for it in the chain. @throws STA003 `delegation-cycle` */
  #requireTaker(prepared: PreparedMessage, chain: DelegationChain): void {
    const { choose } = this.#deps
    const { capability, peers, message } = prepared
    const label = messageLabel(message.type)
    for (const peer of peers) requireNoCycle(chain, peer, label)
    if (capability === undefined) return
    prepared.chosen = choose(capability, (peer) => wouldCycle(chain, peer, label))
    const only = prepared.chosen === undefined ? choose(capability) : undefined
    if (only !== undefined) requireNoCycle(chain, only, label)
  }

  /** To whom it would go now. */
  route(prepared: PreparedMessage): readonly string[] {
    const { unrouted, bindings, isAway, choose } = this.#deps
    const { capability, peers, message } = prepared
    if (capability === undefined) return peers
    const of = { capability, conversationId: message.conversationId }
    // Its messages stay in their order: this one after those that wait.
    if (unrouted.holds(of)) return []
    const bound = bindings.peerOf(of)
    if (bound !== undefined && (bindings.waiting(of) > 0 || !isAway(bound, capability))) return [bound]
    prepared.chosen ??= choose(capability) ?? bound
    return prepared.chosen === undefined ? [] : [prepared.chosen]
  }

  /** In the turn in which the changes are handed over. @param listenerOf what hears of each peer */
  stage(prepared: PreparedMessage, listenerOf?: (peer: string) => OutcomeListener): RoutedMessage {
    const { message, draft, capability } = prepared
    const peers = this.route(prepared)
    const [first] = peers
    if (capability !== undefined)
      return { ...this.#stageBound(prepared, capability, first, listenerOf?.(first ?? '')), peers }
    const staged = peers.map((peer) => {
      const onOutcome = this.#withNote(message, peer, listenerOf?.(peer))
      return this.#deps.outbox.stage(peer, draft, onOutcome)
    })
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

  /** To one peer of those that offer it, or to nobody yet. */
  #stageBound(
    { message, draft }: PreparedMessage,
    capability: string,
    peer: string | undefined,
    listener: OutcomeListener | undefined,
  ): StagedChanges {
    const { unrouted, outbox, bindings } = this.#deps
    if (peer === undefined)
      return unrouted.stage(capability, draft, this.#withNote(message, CAPABILITY_PREFIX + capability, listener))
    // The message first: a conversation with messages in the outbox is not forgotten.
    const staged = outbox.stage(peer, draft, this.#withNote(message, peer, listener))
    const changes = bindings.bind({ capability, conversationId: message.conversationId }, peer)
    return changes.length === 0 ? staged : { ...staged, changes: [...staged.changes, ...changes] }
  }

  /** Of a message of a conversation: what became of it is told there too. */
  #withNote(message: DurableMessage, peer: string, listener: OutcomeListener | undefined): OutcomeListener | undefined {
    const note = message.conversationId === undefined ? undefined : this.#deps.note(message, peer)
    if (note === undefined) return listener
    return (error, movedTo) => {
      note(error, movedTo)
      listener?.(error, movedTo)
    }
  }

  /** Numbers of a peer that it goes to may not be used for now; `ready` resolves when it is worth another look. */
  isBusy(prepared: PreparedMessage): boolean {
    return this.#deps.outbox.isBusy(this.route(prepared))
  }

  ready(prepared: PreparedMessage): Promise<void> {
    return this.#deps.outbox.ready(this.route(prepared))
  }

  /** @param isHandler of a message: it answers, and does not wait for room */
  begin(isHandler: boolean): SendingTransaction {
    return new SendingTransaction(this.#sending, this.#deps.transactions.begin(), isHandler)
  }
}
