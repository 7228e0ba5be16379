/**
 * The name of a member of a group: `<peer id>.<storage id>`. A node whose disk was lost or replaced has another storage id,
 * and so is another member, which knows nothing and learns: it cannot vote as who it was. Pure.
 */
import { ParleyError } from '../errors.ts'

/** Peer ids are base58 and have no dot; a storage id is hexadecimal. */
const MEMBER_ID = /^[A-Za-z0-9]{1,128}\.[0-9a-f]{8,64}$/

export const memberIdOf = (peer: string, storage: string): string => checkMemberId(`${peer}.${storage}`)

/** The peer that a member is reached at. */
export const peerOf = (member: string): string => {
  const dot = member.indexOf('.')
  return dot < 0 ? member : member.slice(0, dot)
}

export const isMemberId = (text: string): boolean => MEMBER_ID.test(text)

/** @throws MSG001 */
export const checkMemberId = (text: string): string => {
  if (isMemberId(text)) return text
  throw new ParleyError('MSG001', `${JSON.stringify(text.slice(0, 80))} is no member id`, {
    hint: 'a member id is a peer id, a dot, and the storage id of its log',
  })
}
