/** What several steps of the core ask for, as few writes. Pure. */

import type { RaftOutput } from '../raft/raft.ts'
import type { AddressedMessage } from '../raft/raft-messages.ts'

/** Entries of `next` may be written together with those of `last`. */
const follows = (last: RaftOutput, next: RaftOutput): boolean => {
  const first = next.entries[0]?.index
  const end = last.entries.at(-1)?.index
  return next.snapshot === undefined && (first === undefined || end === undefined || first === end + 1)
}

/**
 * Outputs of steps that followed one another, joined as far as nothing stands between them: a snapshot, or entries that
 * take the place of those before. What leaves a node still leaves after everything that it rests on was written.
 */
export const mergeOutputs = (outputs: readonly RaftOutput[]): RaftOutput[] => {
  const all: RaftOutput[] = []
  for (const output of outputs) {
    const last = all.at(-1)
    if (last === undefined || !follows(last, output)) {
      all.push({ ...output })
      continue
    }
    last.hardState = output.hardState ?? last.hardState
    last.entries = [...last.entries, ...output.entries]
    last.committed = [...last.committed, ...output.committed]
    last.reads = [...last.reads, ...output.reads]
    last.contradictions = [...last.contradictions, ...output.contradictions]
    last.messages = [...last.messages, ...output.messages]
  }
  return all
}

/** Entries of one message, at most; as a leader sends them by itself. */
const MAX_ENTRIES = 512

/**
 * Messages of one batch of steps, with fewer of them where one goes on where the one before it to the same member ended:
 * as often a commit index and the next entries, which are one message then.
 */
export const mergeAppends = (messages: readonly AddressedMessage[]): AddressedMessage[] => {
  const all: AddressedMessage[] = []
  /** Place of the last message to each member. */
  const last = new Map<string, number>()
  for (const next of messages) {
    const at = last.get(next.to)
    const before = at === undefined ? undefined : all[at]?.message
    const { message } = next
    if (at !== undefined && before?.type === 'append' && message.type === 'append') {
      const { entries, previousIndex, term, commit, round } = before
      const goesOn =
        message.previousIndex === previousIndex + entries.length &&
        message.term === term &&
        entries.length + message.entries.length <= MAX_ENTRIES
      if (goesOn) {
        const joined = { ...before, entries: [...entries, ...message.entries] }
        const latest = { commit: Math.max(commit, message.commit), round: Math.max(round, message.round) }
        all[at] = { to: next.to, message: { ...joined, ...latest } }
        continue
      }
    }
    last.set(next.to, all.length)
    all.push(next)
  }
  return all
}

/**
 * Which messages of a step may leave before its entries are on this node's disk: a leader's appends, so that its disk and
 * those of the others work at the same time (dissertation, section 10.2.1). It counts itself only afterwards, in the next
 * step. Its term was durable before it led, and none of them says that an entry is committed which is not on the disk yet,
 * as the only voter's would.
 */
export const canSendBeforeWrite = (
  { hardState, snapshot, entries }: RaftOutput,
  { message }: AddressedMessage,
): boolean => {
  const [first] = entries
  if (first === undefined || hardState !== undefined || snapshot !== undefined) return false
  return message.type === 'append' && message.commit < first.index
}
