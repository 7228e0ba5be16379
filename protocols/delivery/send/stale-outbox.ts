/**
 * An outbox that is older than its peer knows it: a backup that was restored twice, or one whose restoring nobody noticed.
 *
 * What was delivered meanwhile is not known then. EXACTLY_ONCE is not sent again, and goes to the dead letters with the
 * reason; AT_LEAST_ONCE may come twice. Keeps no state.
 */
import type { Fault } from '../../errors.ts'
import { ParleyError } from '../../errors.ts'
import type { AckRanges } from '../ack-ranges.ts'
import { decodeMessage } from '../durable-message.ts'
import type { BodyCache } from './body-cache.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { SendWindow } from './send-window.ts'

const SET_BACK: Fault = {
  code: 'STA003',
  message: 'the outbox was set back: whether the message was processed is not known',
  hint: 'see at the receiver, then retry or purge it',
}

const failAsSetBack = (entry: OutgoingMessage, wallMs: number): void => {
  entry.stage = 'judged'
  entry.fault = SET_BACK
  entry.firstFailureAt ??= wallMs
  entry.lastFailureAt = wallMs
}

/**
 * The receiver knows an outbox between that of these rows and this one: what the rows hold may have been delivered under
 * numbers of that one.
 * @param isOld what may have been in the other one as well
 * @returns how many were buried, and how many are sent again. @throws STA003 where the disk does not take them
 */
export const deadLetterUnknown = async (
  outgoing: SendWindow<OutgoingMessage>,
  bodies: BodyCache,
  isOld: (entry: OutgoingMessage) => boolean,
  judge: (entry: OutgoingMessage) => Promise<void>,
  wallMs: number,
): Promise<{ buried: number; again: number }> => {
  const old = outgoing.entries().filter((entry) => !entry.isSkip && isOld(entry))
  await bodies.load(old)
  const buried = old.filter(({ body }) => body !== undefined && decodeMessage(body).guarantee === 'EXACTLY_ONCE')
  for (const entry of buried) failAsSetBack(entry, wallMs)
  await Promise.all(buried.map(judge))
  if (buried.some(({ isSkip }) => !isSkip))
    throw new ParleyError('STA003', 'messages could not be put with the dead letters', {
      hint: 'it is tried again by itself; see whether the disk is full',
      details: { reason: 'disk-failed' },
    })
  return { buried: buried.length, again: old.length - buried.length }
}

/** The receiver processed numbers that this outbox never gave. */
export const isBehind = (outgoing: SendWindow<OutgoingMessage>, positions: ReadonlyMap<number, AckRanges>): boolean => {
  const next = outgoing.next()
  return [...positions].some(([lane, { upTo }]) => upTo >= (next.get(lane) ?? 1))
}

/**
 * Lanes in which the receiver processed numbers that this outbox never gave: it went back in time, and nobody noticed. What
 * waits in them is condemned, and their numbers go on above.
 */
export const catchUpNumbers = (
  outgoing: SendWindow<OutgoingMessage>,
  positions: ReadonlyMap<number, AckRanges>,
  wallMs: number,
): { lanes: number[]; failed: OutgoingMessage[] } => {
  const next = outgoing.next()
  const lanes: number[] = []
  const condemned: OutgoingMessage[] = []
  for (const [lane, { upTo }] of positions) {
    if (upTo < (next.get(lane) ?? 1)) continue
    lanes.push(lane)
    for (const entry of outgoing.entries()) {
      if (entry.lane !== lane || entry.isSkip || entry.stage === 'judged') continue
      failAsSetBack(entry, wallMs)
      condemned.push(entry)
    }
    outgoing.raiseNext(lane, upTo + 1)
  }
  return { lanes, failed: condemned }
}
