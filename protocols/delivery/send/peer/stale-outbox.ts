/**
 * An outbox that is another one than the numbers are of: it was lost, repaired, or restored from a backup, once or several
 * times, noticed or not.
 *
 * What the receiver processed of the former outbox is dropped, and the rest gets new numbers, in one commit; messages that
 * were kept after the change were never sent by the former one, and stay, whatever their numbers. Where it is not known
 * what was delivered, EXACTLY_ONCE is not sent again, and goes to the dead letters with the reason; AT_LEAST_ONCE may come
 * twice.
 */
import { type Fault, ParleyError } from '../../../errors.ts'
import { type AckRanges, ackRangesOf, isDone, newAckRanges } from '../../ack-ranges.ts'
import type { WireAckRanges } from '../../contract.ts'
import { decodeMessage } from '../../durable-message.ts'
import { encodeOutboxRow, encodePeerSenderRow, outboxKey, PEER_SENDERS } from '../../store/delivery-rows.ts'
import type { RowStore } from '../../store/row-storage.ts'
import type { OutgoingMessage } from '../outgoing-message.ts'
import type { BodyCache } from './body-cache.ts'
import { noteFailure } from './message-retry.ts'
import type { PeerSenderDeps } from './peer-sender-api.ts'
import type { SendWindowLimits } from './send-lane.ts'
import { SendWindow } from './send-window.ts'

const SET_BACK: Fault = {
  code: 'STA003',
  message: 'the outbox was set back: whether the message was processed is not known',
  hint: 'see at the receiver, then retry or purge it',
}

const failAsSetBack = (entry: OutgoingMessage, wallMs: number): void => {
  entry.stage = 'failed'
  noteFailure(entry, SET_BACK, wallMs)
}

/**
 * The receiver knows an outbox between that of these rows and this one: what the rows hold may have been delivered under
 * numbers of that one.
 * @param isOld what may have been in the other one as well
 * @returns how many became dead letters, and how many are sent again. @throws STA003 where the disk does not take them
 */
const deadLetterUnknown = async (
  window: SendWindow<OutgoingMessage>,
  bodies: BodyCache,
  isOld: (entry: OutgoingMessage) => boolean,
  giveUp: (entry: OutgoingMessage) => Promise<void>,
  wallMs: number,
): Promise<{ buried: number; again: number }> => {
  const old = window.entries().filter((entry) => !entry.isSkip && isOld(entry))
  await bodies.load(old)
  const unknown = old.filter(({ body }) => body !== undefined && decodeMessage(body).guarantee === 'EXACTLY_ONCE')
  for (const entry of unknown) failAsSetBack(entry, wallMs)
  await Promise.all(unknown.map(giveUp))
  if (unknown.some(({ isSkip }) => !isSkip))
    throw new ParleyError('STA003', 'messages could not be put with the dead letters', {
      hint: 'it is tried again by itself; see whether the disk is full',
      details: { reason: 'disk-failed' },
    })
  return { buried: unknown.length, again: old.length - unknown.length }
}

/** The receiver processed numbers that this outbox never gave. */
export const isBehind = (window: SendWindow<OutgoingMessage>, positions: ReadonlyMap<number, AckRanges>): boolean => {
  const next = window.next()
  return [...positions].some(([lane, { upTo }]) => upTo >= (next.get(lane) ?? 1))
}

/**
 * Lanes in which the receiver processed numbers that this outbox never gave: it went back in time, and nobody noticed. What
 * waits in them has failed, and their numbers go on above.
 */
export const catchUpNumbers = (
  window: SendWindow<OutgoingMessage>,
  positions: ReadonlyMap<number, AckRanges>,
  wallMs: number,
): { lanes: number[]; failed: OutgoingMessage[] } => {
  const next = window.next()
  const lanes: number[] = []
  const failed: OutgoingMessage[] = []
  for (const [lane, { upTo }] of positions) {
    if (upTo < (next.get(lane) ?? 1)) continue
    lanes.push(lane)
    for (const entry of window.entries()) {
      if (entry.lane !== lane || entry.isSkip || entry.stage === 'failed') continue
      failAsSetBack(entry, wallMs)
      failed.push(entry)
    }
    window.raiseNext(lane, upTo + 1)
  }
  return { lanes, failed }
}

interface RenumberDeps {
  readonly peer: string
  readonly store: Pick<RowStore, 'id' | 'commit'>
  readonly limits: SendWindowLimits
  readonly bodies: BodyCache
  chance(): number
}

interface Renumbering {
  readonly window: SendWindow<OutgoingMessage>
  readonly kept: number
  /** No longer in the outbox. */
  readonly gone: readonly OutgoingMessage[]
}

/**
 * New numbers for what waits.
 * @param frontier numbers below these may have been sent by the former outbox
 * @param processed what the receiver says of it; undefined: it does not know it
 * @returns once it is durable. @throws what the store throws
 */
const renumber = async (
  { peer, store, limits, bodies, chance }: RenumberDeps,
  old: SendWindow<OutgoingMessage>,
  frontier: ReadonlyMap<number, number> | undefined,
  processed: WireAckRanges | undefined,
): Promise<Renumbering> => {
  const positions = ackRangesOf(processed ?? [])
  const wasProcessed = ({ lane, sequence }: OutgoingMessage): boolean => {
    const position = positions.get(lane)
    return position !== undefined && sequence < (frontier?.get(lane) ?? 0) && isDone(position, sequence)
  }
  const all = old.entries()
  const kept = all.filter((entry) => !entry.isSkip && !wasProcessed(entry))
  await bodies.load(kept)
  const window = new SendWindow<OutgoingMessage>(limits, chance)
  /** What is removed first, so that a number that is used again is there afterwards. */
  const changes = new Map<string, Uint8Array | undefined>()
  for (const { lane, sequence } of all) changes.set(outboxKey(peer, lane, sequence), undefined)
  const renewed: OutgoingMessage[] = []
  const stays = new Set<OutgoingMessage>()
  for (const entry of kept) {
    if (entry.body === undefined) continue
    const sequence = window.reserveNumber(entry.lane)
    renewed.push({ ...entry, sequence, stage: 'queued', dueAt: 0 })
    stays.add(entry)
    changes.set(
      outboxKey(peer, entry.lane, sequence),
      encodeOutboxRow(entry.body, entry.policy, entry.expiresAt, entry.bound),
    )
  }
  const row = encodePeerSenderRow({ epoch: store.id, next: window.next(), frontier: undefined })
  changes.set(PEER_SENDERS + peer, row)
  await store.commit([...changes].map(([key, value]) => ({ key, value })))
  for (const entry of renewed) {
    if (bodies.isFull()) bodies.release(entry)
    window.enqueue(entry)
  }
  return { window, kept: renewed.length, gone: all.filter((entry) => !stays.has(entry)) }
}

/** What the receiver processed of the outbox that this one took the place of. */
export interface FormerOutbox {
  readonly epoch: string
  readonly positions: WireAckRanges
}

export interface RenewOutboxDeps
  extends Pick<PeerSenderDeps, 'port' | 'store' | 'settings' | 'peer' | 'chance' | 'count'> {
  readonly bodies: BodyCache
  giveUp(entry: OutgoingMessage): Promise<void>
}

/**
 * What the former outbox had delivered is dropped, the rest gets numbers of this one.
 * @param numbers which outbox they are of, and what that one may have sent; `isOld`: what was on disk when this process began
 * @param former undefined: the receiver knows none
 */
export const renewOutbox = async (
  { port, store, settings, peer, chance, count, bodies, giveUp }: RenewOutboxDeps,
  old: SendWindow<OutgoingMessage>,
  numbers: {
    readonly epoch: string
    readonly frontier: ReadonlyMap<number, number> | undefined
    isOld(entry: OutgoingMessage): boolean
  },
  former: FormerOutbox | undefined,
): Promise<Pick<Renumbering, 'window' | 'gone'>> => {
  const { epoch, frontier, isOld } = numbers
  // Where the row of numbers was lost, they are taken for those of the outbox that the receiver knows.
  const isOurs =
    former === undefined || former.epoch === epoch || (epoch === '' && store.formerIds.includes(former.epoch))
  const processed = ackRangesOf(former?.positions ?? [])
  // Since the backup was taken it may have been moved, and processed elsewhere.
  const mayHaveMoved = (entry: OutgoingMessage): boolean =>
    entry.bound?.mayRebind === true &&
    isOld(entry) &&
    !isDone(processed.get(entry.lane) ?? newAckRanges(), entry.sequence)
  const found = await deadLetterUnknown(old, bodies, isOurs ? mayHaveMoved : isOld, giveUp, port.clock.now())
  if (!isOurs)
    port.log.error('the outbox is older than one that a peer knows; messages of it may have been delivered', {
      destination: peer,
      ...found,
    })
  const deps = { peer, store, limits: settings, bodies, chance }
  const { window, kept, gone } = await renumber(deps, old, frontier, isOurs ? former?.positions : undefined)
  count('renumbered', kept)
  port.log.warn('the outbox is another one than before; its messages to a peer have new numbers', {
    destination: peer,
    kept,
    gone: gone.length,
    known: former !== undefined && isOurs,
  })
  return { window, gone }
}
