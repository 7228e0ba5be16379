/**
 * The outbox: messages from the moment that they are durable here until they were processed, given up or expired.
 *
 * A message becomes rows in the same commit as whatever caused it (`stage`), and is handed to its destination once that is
 * durable (`launch`); peer-sender.ts brings it there. State: the destinations, and how much is in the outbox. Bounds: in
 * messages and bytes, and the quota of the disk; who wants to send more waits for room, in order.
 */
import { ParleyError } from '../../errors.ts'
import type { Quota } from '../../limits/quota.ts'
import type { Port } from '../../port.ts'
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

export interface Outbox {
  /**
   * Resolves once there is room, and takes it: `count` gives it back once the messages are staged, or will not be.
   * @throws COM003 after `roomTimeoutMs`, the signal's reason
   */
  room(messages: number, bytes: number, signal?: AbortSignal): Promise<void>
  /**
   * True where nobody has to wait. Handlers that answer may fill the outbox to twice its bounds: where two nodes wait for
   * room to answer each other, neither would ever have some.
   */
  hasRoom(messages: number, bytes: number, isAnswer?: boolean): boolean
  /** Numbers of one of these may not be used for now; `ready` resolves when it is worth another look. */
  isBusy(peers: readonly string[]): boolean
  ready(peers: readonly string[]): Promise<void>
  stage(peer: string, draft: MessageDraft, told?: OutcomeListener): StagedChanges
  /** What waits elsewhere counts as well. */
  count(messages: number, bytes: number): void
  /** Frames of answers. */
  handleAckFrame(peer: string, bytes: Uint8Array): void
  tick(): void
  size(): number
  bytes(): number
  destinations(): PeerSender[]
  stop(): void
}

/** What a message takes beside its own bytes. */
const ROW_BYTES = 128

export const outboxFull = (retryAfterMs: number): ParleyError =>
  new ParleyError('COM003', 'the outbox of this node is full', {
    hint: 'send less, see which peer takes nothing (figures().destinations), or raise delivery.outboxMessages and outboxBytes',
    details: { retryAfterMs },
  })

const quotaFull = (retryAfterMs: number, { maxBytes }: { maxBytes: number }): ParleyError =>
  new ParleyError('COM003', `this node keeps as much on disk as it may, ${maxBytes} bytes`, {
    hint: 'work off the inbox and the dead letters, see which peer takes nothing (figures().destinations), or raise limits.maxDiskBytes',
    details: { retryAfterMs, reason: 'disk-quota' },
  })

export const openOutbox = async (deps: OutboxDeps): Promise<Outbox> => {
  const { port, store, settings, quota } = deps
  const destinations = new Map<string, PeerSender>()
  let size = 0
  let bytes = 0
  let turn = 0
  let isStopped = false
  const waiters: { messages: number; bytes: number; resolve: () => void }[] = []

  const fits = (messages: number, more: number, times = 1): boolean =>
    size + messages <= times * settings.outboxMessages &&
    (size === 0 || bytes + more <= times * settings.outboxBytes) &&
    quota.fits(more, times > 1)

  const wake = (): void => {
    for (let first = waiters[0]; first !== undefined && fits(first.messages, first.bytes); first = waiters[0]) {
      waiters.shift()
      // Taken for it now: it goes on in a later turn, and others are to see that.
      size += first.messages
      bytes += first.bytes
      first.resolve()
    }
  }

  const gone = (entry: OutgoingMessage): void => {
    size -= 1
    bytes -= entry.size
    if (entry.bound !== undefined) deps.messageRemoved?.(entry.bound)
    if (waiters.length > 0) wake()
  }

  const make = (peer: string, row?: PeerSenderRow): PeerSender => {
    const destination = new PeerSender({
      ...deps,
      peer,
      removed: gone,
      epoch: row?.epoch ?? store.id,
      next: row?.next ?? new Map(),
      frontier: row === undefined || row.epoch === store.id ? undefined : row.frontier,
    })
    destinations.set(peer, destination)
    return destination
  }

  const at = (peer: string): PeerSender => destinations.get(peer) ?? make(peer)

  const load = async (): Promise<void> => {
    /** Of outboxes that are others now: what is on disk may have been sent, also where the row of numbers is an older one. */
    const frontiers = new Map<string, Map<number, number>>()
    const makeFormer = (peer: string, { epoch, next }: Pick<PeerSenderRow, 'epoch' | 'next'>): PeerSender => {
      const frontier = new Map(next)
      frontiers.set(peer, frontier)
      return make(peer, { epoch, next, frontier })
    }
    for await (const { key, value } of store.rows(PEER_SENDERS)) {
      const peer = key.slice(PEER_SENDERS.length)
      const row = decodePeerSenderRow(value)
      if (row.epoch !== store.id && row.frontier === undefined) makeFormer(peer, row)
      else make(peer, row)
    }
    for await (const { key, value } of store.rows(OUTBOX)) {
      const place = parseOutboxKey(key)
      if (place === undefined) continue
      const { peer, lane, sequence } = place
      // A repair may have lost the row with the numbers; whose they are is not known then.
      const destination = destinations.get(peer) ?? makeFormer(peer, { epoch: '', next: new Map() })
      const frontier = frontiers.get(peer)
      if (frontier !== undefined) frontier.set(lane, Math.max(frontier.get(lane) ?? 0, sequence + 1))
      const row = value.length === 0 ? undefined : decodeOutboxRow(value)
      const taken = value.length + ROW_BYTES
      const message: DurableMessage | undefined = row?.message && decodeMessage(row.message)
      const bound = row && message && capabilityTargetOf(message, row.capability, row.mayRebind)
      const rank = message === undefined ? 0 : PRIORITIES.indexOf(message.priority)
      destination.restore(lane, sequence, row, { size: taken, rank, bound })
      if (bound !== undefined) deps.messageAdded?.(bound, peer)
      size += 1
      bytes += taken
    }
  }
  await load()

  const stopListening = port.onMember((member, change) => {
    const destination = destinations.get(member.id)
    if (change === 'joined') destination?.peerJoined()
    else destination?.peerLeft()
  })

  return {
    hasRoom: (messages, more, isAnswer = false) =>
      isAnswer ? fits(messages, more, 2) : waiters.length === 0 && fits(messages, more),
    async room(messages, more, signal) {
      if (waiters.length === 0 && fits(messages, more)) {
        size += messages
        bytes += more
        return
      }
      if (more > settings.outboxBytes || messages > settings.outboxMessages) throw outboxFull(0)
      if (!quota.couldEverFit(more)) throw quotaFull(0, quota.figures())
      signal?.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const waiter = { messages, bytes: more, resolve: () => end(resolve) }
        const end = (settle: () => void): void => {
          stop()
          signal?.removeEventListener('abort', onAbort)
          const index = waiters.indexOf(waiter)
          if (index >= 0) waiters.splice(index, 1)
          settle()
        }
        const onAbort = (): void => end(() => reject(signal?.reason))
        const stop = port.timers.after(settings.roomTimeoutMs, () => {
          const waitedMs = settings.roomTimeoutMs
          end(() => reject(quota.fits(more) ? outboxFull(waitedMs) : quotaFull(waitedMs, quota.figures())))
        })
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters.push(waiter)
      })
    },
    isBusy: (peers) => peers.some((peer) => destinations.get(peer)?.isBusy() === true),
    async ready(peers) {
      for (const peer of peers) await destinations.get(peer)?.ready()
    },
    stage(peer, draft, told) {
      if (isStopped) throw new ParleyError('COM002', 'this node is stopping', { hint: 'send before stop()' })
      const destination = at(peer)
      turn += 1
      const lane = laneOf(draft.conversationId, draft.priority, turn)
      const sequence = destination.reserveNumber(lane)
      const row = encodeOutboxRow(draft.bytes, draft.policy, draft.expiresAt, draft.bound)
      const entry = destination.createEntry(lane, sequence, {
        size: row.length + ROW_BYTES,
        rank: PRIORITIES.indexOf(draft.priority),
        policy: draft.policy,
        expiresAt: draft.expiresAt,
        bound: draft.bound,
        body: draft.bytes,
        onOutcome: told,
      })
      if (draft.bound !== undefined) deps.messageAdded?.(draft.bound, peer)
      size += 1
      bytes += entry.size
      quota.recordGrowth(entry.size)
      return {
        changes: [
          { key: outboxKey(peer, lane, sequence), value: row },
          { key: PEER_SENDERS + peer, value: destination.row },
        ],
        launch: () => destination.enqueue(entry),
        drop() {
          destination.discard(entry)
          told?.(
            new ParleyError('STA003', 'the message could not be kept', {
              hint: 'see whether the disk is full',
              details: { reason: 'disk-failed' },
            }),
          )
        },
      }
    },
    count(messages, more) {
      size += messages
      bytes += more
      if (more > 0) quota.recordGrowth(more)
      if (messages < 0) wake()
    },
    handleAckFrame: (peer, frame) => destinations.get(peer)?.handleAckFrame(frame),
    tick() {
      // Room that others gave back.
      if (waiters.length > 0) wake()
      for (const destination of destinations.values()) destination.tick()
    },
    size: () => size,
    bytes: () => bytes,
    destinations: () => [...destinations.values()],
    stop() {
      isStopped = true
      stopListening()
      for (const destination of destinations.values()) destination.stop()
      for (const waiter of waiters.splice(0)) waiter.resolve()
    },
  }
}
