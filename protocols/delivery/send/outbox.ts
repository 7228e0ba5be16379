/**
 * The outbox: messages from the moment that they are durable here until they were processed, given up or expired.
 *
 * A message becomes rows in the same commit as whatever caused it (`stage`), and is handed to its destination once that is
 * durable (`launch`); peer-sender.ts brings it there. State: the senders to each peer. Bounds: outbox-room.ts.
 */
import { ParleyError } from '../../errors.ts'
import type { Quota } from '../../limits/quota.ts'
import type { Port, Stop } from '../../port.ts'
import { PRIORITIES, type Priority } from '../../wire/envelope.ts'
import { type DurableMessage, decodeMessage, laneOf } from '../durable-message.ts'
import type { ResolvedDeliveryOptions, RetryPolicy } from '../options.ts'
import {
  decodeOutboxRow,
  decodePeerSenderRow,
  encodeOutboxRow,
  OUTBOX,
  outboxKey,
  PEER_SENDERS,
  type PeerSenderRow,
  parseOutboxKey,
} from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import { OutboxRoom } from './outbox-room.ts'
import {
  type CapabilityTarget,
  capabilityTargetOf,
  type OutcomeListener,
  type OutgoingMessage,
} from './outgoing-message.ts'
import { PeerSender } from './peer/peer-sender.ts'
import type { PeerSenderDeps } from './peer/peer-sender-api.ts'

/** A message that is written and checked, and has no number yet. */
export interface MessageDraft {
  readonly bytes: Uint8Array
  readonly conversationId: string | undefined
  readonly priority: Priority
  readonly policy: RetryPolicy
  /** Milliseconds since 1970 by this node's clock. */
  readonly expiresAt: number | undefined
  /** Of one to a capability. */
  readonly bound?: CapabilityTarget | undefined
}

export interface StagedChanges {
  readonly changes: RowChange[]
  /** Once the changes are durable. */
  launch(): void
  /** They will not be. */
  drop(): void
}

export interface OutboxDeps extends Omit<PeerSenderDeps, 'removed' | 'peer' | 'epoch' | 'frontier' | 'next'> {
  readonly port: PeerSenderDeps['port'] & Pick<Port, 'onMember'>
  readonly store: RowStore
  readonly settings: ResolvedDeliveryOptions
  /** Over all that the node keeps on disk. */
  readonly quota: Quota
  /** A message to a capability is in the outbox, for this peer; it is not any more. */
  messageAdded?(bound: CapabilityTarget, peer: string): void
  messageRemoved?(bound: CapabilityTarget): void
}

/** What a message takes beside its own bytes. */
const ROW_BYTES = 128

export class Outbox {
  readonly #deps: OutboxDeps
  readonly #room: OutboxRoom
  readonly #senders = new Map<string, PeerSender>()
  #turn = 0
  #isStopped = false
  #stopListening: Stop = () => {}

  /** With what is on disk. @throws what the store throws */
  static async open(deps: OutboxDeps): Promise<Outbox> {
    const outbox = new Outbox(deps)
    await outbox.#load()
    outbox.#stopListening = deps.port.onMember((member, change) => {
      const sender = outbox.#senders.get(member.id)
      if (change === 'joined') sender?.peerJoined()
      else sender?.peerLeft()
    })
    return outbox
  }

  private constructor(deps: OutboxDeps) {
    this.#deps = deps
    this.#room = new OutboxRoom(deps)
  }

  readonly #removed = (entry: OutgoingMessage): void => {
    this.#room.add(-1, -entry.size)
    if (entry.bound !== undefined) this.#deps.messageRemoved?.(entry.bound)
    this.#room.wake()
  }

  #addSender(peer: string, row?: PeerSenderRow): PeerSender {
    const { store } = this.#deps
    const sender = new PeerSender({
      ...this.#deps,
      peer,
      removed: this.#removed,
      epoch: row?.epoch ?? store.id,
      next: row?.next ?? new Map(),
      frontier: row === undefined || row.epoch === store.id ? undefined : row.frontier,
    })
    this.#senders.set(peer, sender)
    return sender
  }

  async #load(): Promise<void> {
    const { store } = this.#deps
    /** Of outboxes that are others now: what is on disk may have been sent, also where the row of numbers is an older one. */
    const frontiers = new Map<string, Map<number, number>>()
    const addFormer = (peer: string, { epoch, next }: Pick<PeerSenderRow, 'epoch' | 'next'>): PeerSender => {
      const frontier = new Map(next)
      frontiers.set(peer, frontier)
      return this.#addSender(peer, { epoch, next, frontier })
    }
    for await (const { key, value } of store.rows(PEER_SENDERS)) {
      const peer = key.slice(PEER_SENDERS.length)
      const row = decodePeerSenderRow(value)
      if (row.epoch !== store.id && row.frontier === undefined) addFormer(peer, row)
      else this.#addSender(peer, row)
    }
    for await (const { key, value } of store.rows(OUTBOX)) {
      const place = parseOutboxKey(key)
      if (place === undefined) continue
      const { peer, lane, sequence } = place
      // A repair may have lost the row with the numbers; whose they are is not known then.
      const sender = this.#senders.get(peer) ?? addFormer(peer, { epoch: '', next: new Map() })
      const frontier = frontiers.get(peer)
      if (frontier !== undefined) frontier.set(lane, Math.max(frontier.get(lane) ?? 0, sequence + 1))
      this.#restore(sender, lane, sequence, value)
    }
  }

  /** @param value its row; empty for a skip */
  #restore(sender: PeerSender, lane: number, sequence: number, value: Uint8Array): void {
    const row = value.length === 0 ? undefined : decodeOutboxRow(value)
    const size = value.length + ROW_BYTES
    const message: DurableMessage | undefined = row?.message && decodeMessage(row.message)
    const bound = row && message && capabilityTargetOf(message, row.capability, row.mayRebind)
    const rank = message === undefined ? 0 : PRIORITIES.indexOf(message.priority)
    sender.restore(lane, sequence, row, { size, rank, bound })
    if (bound !== undefined) this.#deps.messageAdded?.(bound, sender.peer)
    this.#room.add(1, size)
  }

  /**
   * Resolves once there is room, and takes it: `count` gives it back once the messages are staged, or will not be.
   * @throws COM003 after `roomTimeoutMs`, the signal's reason
   */
  room(messages: number, bytes: number, signal?: AbortSignal): Promise<void> {
    return this.#room.wait(messages, bytes, signal)
  }

  /**
   * True where nobody has to wait. Handlers that answer may fill the outbox to twice its bounds: where two nodes wait for
   * room to answer each other, neither would ever have some.
   */
  hasRoom(messages: number, bytes: number, isAnswer = false): boolean {
    return this.#room.has(messages, bytes, isAnswer)
  }

  /** What waits elsewhere counts as well; negative: no more. */
  count(messages: number, bytes: number): void {
    if (bytes > 0) this.#room.grow(messages, bytes)
    else this.#room.add(messages, bytes)
    if (messages < 0) this.#room.wake()
  }

  /** Numbers of one of these may not be used for now; `ready` resolves when it is worth another look. */
  isBusy(peers: readonly string[]): boolean {
    return peers.some((peer) => this.#senders.get(peer)?.isBusy() === true)
  }

  async ready(peers: readonly string[]): Promise<void> {
    for (const peer of peers) await this.#senders.get(peer)?.ready()
  }

  /** Gives it a number, in the turn in which the changes are handed over. @throws COM002 */
  stage(peer: string, draft: MessageDraft, onOutcome?: OutcomeListener): StagedChanges {
    if (this.#isStopped) throw new ParleyError('COM002', 'this node is stopping', { hint: 'send before stop()' })
    const sender = this.#senders.get(peer) ?? this.#addSender(peer)
    this.#turn += 1
    const lane = laneOf(draft.conversationId, draft.priority, this.#turn)
    const sequence = sender.reserveNumber(lane)
    const row = encodeOutboxRow(draft.bytes, draft.policy, draft.expiresAt, draft.bound)
    const entry = sender.createEntry(lane, sequence, {
      size: row.length + ROW_BYTES,
      rank: PRIORITIES.indexOf(draft.priority),
      policy: draft.policy,
      expiresAt: draft.expiresAt,
      bound: draft.bound,
      body: draft.bytes,
      onOutcome,
    })
    if (draft.bound !== undefined) this.#deps.messageAdded?.(draft.bound, peer)
    this.#room.grow(1, entry.size)
    return {
      changes: [
        { key: outboxKey(peer, lane, sequence), value: row },
        { key: PEER_SENDERS + peer, value: sender.row },
      ],
      launch: () => sender.enqueue(entry),
      drop() {
        sender.discard(entry)
        onOutcome?.(
          new ParleyError('STA003', 'the message could not be kept', {
            hint: 'see whether the disk is full',
            details: { reason: 'disk-failed' },
          }),
        )
      },
    }
  }

  handleAckFrame(peer: string, frame: Uint8Array): void {
    this.#senders.get(peer)?.handleAckFrame(frame)
  }

  tick(): void {
    // Room that others gave back.
    this.#room.wake()
    for (const sender of this.#senders.values()) sender.tick()
  }

  /** Messages that are in it. */
  size(): number {
    return this.#room.messages
  }

  bytes(): number {
    return this.#room.bytes
  }

  destinations(): PeerSender[] {
    return [...this.#senders.values()]
  }

  stop(): void {
    this.#isStopped = true
    this.#stopListening()
    for (const sender of this.#senders.values()) sender.stop()
    this.#room.stop()
  }
}
