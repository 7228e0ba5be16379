/**
 * Who votes: a peer together with the disk that it votes from, `<peer id>.<storage id>`.
 *
 * A peer that lost its disk has forgotten what it promised; with another storage id it is another member, which learns
 * before it may vote. The storage id is that of the log store, hexadecimal; a peer id has no dot.
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'

const MEMBER_ID = /^([^.\s]{1,128})\.[0-9a-f]{2,64}$/
const HINT = 'a member id is <peer id>.<storage id>, the storage id in 2 to 64 lowercase hexadecimal digits'

export const MemberIdSchema = z.string().regex(MEMBER_ID, HINT)

/** For ids that come from elsewhere, where the other function would throw. */
export const isMemberId = (text: string): boolean => MEMBER_ID.test(text)

/** @throws MSG001 for what cannot be a member id */
export const peerOf = (memberId: string): string => {
  const [, peer] = MEMBER_ID.exec(memberId) ?? []
  if (peer !== undefined) return peer
  throw new ParleyError('MSG001', `${JSON.stringify(memberId).slice(0, 256)} is no member id`, { hint: HINT })
}

/**
 * @param storageId hexadecimal, of the log store
 * @throws MSG001 where the two cannot make a member id
 */
export const memberIdOf = (peer: string, storageId: string): string => {
  const memberId = `${peer}.${storageId}`
  peerOf(memberId)
  return memberId
}
