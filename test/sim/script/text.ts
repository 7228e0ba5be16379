/** How scripts show entries, messages and what has changed. Pure. */
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  type RaftMessage,
} from '../../../protocols/consensus/raft/raft-messages.ts'
import type { Actor } from './actor.ts'

export const membersText = ({ voters, learners }: Configuration): string =>
  [voters.join(' '), ...(learners.length > 0 ? [`and ${learners.join(' ')} learning`] : [])].join(' ')

/** `index/term` and what it says: a word, the members, or `-` for the first entry of a leader. */
export const entryText = ({ index, term, kind, data }: Entry): string => {
  const said = {
    empty: () => '-',
    command: () => new TextDecoder().decode(data),
    configuration: () => `[${membersText(decodeConfiguration(data))}]`,
  }
  return `${index}/${term} ${said[kind]()}`
}

const entriesText = (entries: readonly Entry[]): string => entries.map(entryText).join(', ') || 'nothing'

export const messageText = (m: RaftMessage): string => {
  const of = `term ${m.term}`
  switch (m.type) {
    case 'vote':
      return `${m.isPre ? 'would you vote' : 'vote'} for me in ${of}, log ends ${m.lastIndex}/${m.lastTerm}`
    case 'voted':
      return `${m.granted ? 'yes' : 'no'}${m.isPre ? ', I would' : ''}, ${of}`
    case 'append':
      return `${of}, after ${m.previousIndex}/${m.previousTerm}: ${entriesText(m.entries)}; commit ${m.commit}`
    case 'appended':
      return m.accepted
        ? `${of}, same up to ${m.index}`
        : `${of}, does not fit at ${m.index}, try ${m.hintIndex}/${m.hintTerm}`
    case 'snapshot':
      return `${of}, snapshot ${m.meta.index}/${m.meta.term}`
    case 'timeout-now':
      return `${of}, elect yourself now`
    case 'read':
      return `${of}, from where may I answer read ${m.id}`
    case 'read-at':
      return m.index === 0 ? `${of}, read ${m.id}: ask again` : `${of}, read ${m.id}: from ${m.index} on`
  }
}

/** Committed entries stand before the bar; what a snapshot holds is in brackets before that. */
export const logText = ({ disk, raft }: Actor): string => {
  const { snapshot, entries } = disk
  const before = snapshot === undefined ? [] : [`(${snapshot.meta.index}/${snapshot.meta.term})`]
  if (raft === undefined) return [...before, ...entries.map(entryText), 'is down'].join(', ')
  const { commit } = raft.status()
  const decided = [...before, ...entries.filter(({ index }) => index <= commit).map(entryText)]
  const open = entries.filter(({ index }) => index > commit).map(entryText)
  return [decided.join(', ') || 'nothing', ...(open.length === 0 ? [] : [open.join(', ')])].join(' | ')
}

/** What the audience sees of a member. */
export interface View {
  readonly role: string
  readonly vote: string | undefined
  readonly base: string | undefined
  readonly entries: readonly Entry[]
  readonly commit: number
  readonly words: readonly string[]
}

const roleText = ({ raft, isFrozen }: Actor): string => {
  if (raft === undefined) return 'is down'
  const { role, term, leader } = raft.status()
  const said = {
    leader: `leads in term ${term}`,
    follower: `follows ${leader ?? 'nobody'} in term ${term}`,
    candidate: `stands for election in term ${term}`,
    'pre-candidate': `asks whether it would be elected, in term ${term}`,
  }
  return `${said[role]}${isFrozen ? ', and is frozen' : ''}`
}

export const viewOf = (actor: Actor): View => {
  const { hard, snapshot, entries } = actor.disk
  const isUp = actor.raft !== undefined
  return {
    role: roleText(actor),
    vote: hard.votedFor === undefined ? undefined : `${hard.votedFor} in term ${hard.term}`,
    base: snapshot && `${snapshot.meta.index}/${snapshot.meta.term}`,
    entries: [...entries],
    commit: isUp ? (actor.raft?.status().commit ?? 0) : 0,
    words: isUp ? [...actor.words] : [],
  }
}

const sameEntry = (a: Entry | undefined, b: Entry | undefined): boolean =>
  a !== undefined && b !== undefined && a.index === b.index && a.term === b.term

const logChange = (before: View, after: View): string[] => {
  const lost = before.entries.filter((entry) => !after.entries.some((other) => sameEntry(entry, other)))
  const fresh = after.entries.filter((entry) => !before.entries.some((other) => sameEntry(entry, other)))
  const hasNewBase = before.base !== after.base
  return [
    ...(hasNewBase ? [`has a snapshot up to ${after.base}`] : []),
    ...(lost.length > 0 && !hasNewBase ? [`cuts off ${lost.map(entryText).join(', ')}`] : []),
    ...(fresh.length > 0 ? [`writes ${fresh.map(entryText).join(', ')}`] : []),
  ]
}

/** @returns undefined where nothing has changed */
export const changeText = (before: View | undefined, after: View): string | undefined => {
  const was = before ?? { role: '', vote: undefined, base: undefined, entries: [], commit: 0, words: [] }
  const isDown = after.role === 'is down'
  const isSamePast = was.words.every((word, i) => after.words[i] === word)
  const words = isSamePast ? after.words.slice(was.words.length) : after.words
  const parts = [
    ...(was.role === after.role ? [] : [after.role]),
    ...(was.vote === after.vote || after.vote === undefined ? [] : [`votes for ${after.vote}`]),
    ...logChange(was, after),
    ...(isDown || was.commit === after.commit ? [] : [`commits ${after.commit}`]),
    ...(words.length > 0 ? [`applies ${words.join(' ')}`] : []),
  ]
  return parts.length === 0 ? undefined : parts.join('; ')
}
