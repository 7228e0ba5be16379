/**
 * What a node has told others, and so must remember: terms do not go back over a restart, and entries that it said it has
 * are there (dissertation, section 3.8). Pure.
 */

import type { RaftStatus } from '../../../protocols/consensus/raft/raft.ts'
import { decodeRaftPacket } from '../../../protocols/consensus/raft/raft-codec.ts'
import type { RaftMessage } from '../../../protocols/consensus/raft/raft-messages.ts'

export interface Said {
  /** The highest in which it spoke, but for questions about a term to come. */
  term: number
  /** How far it said its log is the same as that of the leader of the latest such term. */
  same: { readonly term: number; readonly index: number }
}

export const silence = (): Said => ({ term: 0, same: { term: 0, index: 0 } })

const isOfTermToCome = (m: RaftMessage): boolean => (m.type === 'vote' || (m.type === 'voted' && m.granted)) && m.isPre

/** @param input of the method `step` of the protocol, as it travels, or of another method */
export const hear = (said: Said, input: unknown): void => {
  if (!(input instanceof Uint8Array)) return
  const { message: m } = decodeRaftPacket(input)
  if (isOfTermToCome(m)) return
  said.term = Math.max(said.term, m.term)
  if (m.type !== 'appended' || !m.accepted || m.term < said.same.term) return
  const index = m.term > said.same.term ? m.index : Math.max(m.index, said.same.index)
  said.same = { term: m.term, index }
}

/** @returns what it does not remember, after a restart */
export const forgets = ({ term, same }: Said, status: RaftStatus): string | undefined => {
  if (status.term < term) return `is in term ${status.term}, and has spoken in term ${term}`
  // In a later term a leader may have cut its log off before it could say so.
  if (status.term === same.term && status.lastIndex < same.index)
    return `has entries up to ${status.lastIndex}, and has said that it has ${same.index}`
  return undefined
}
