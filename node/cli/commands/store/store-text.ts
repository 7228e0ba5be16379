/** What `parley store` says of a store, for programs and for people. Pure. */
import { majority } from '../../../../protocols/consensus/raft/quorum.ts'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import type { LossNote } from '../../../store/journal/journal-loss.ts'
import type { JournalRecovered } from '../../../store/journal/journal-recovery.ts'
import { meshIdOfJournal } from '../../../store/journal/journal-recovery.ts'
import type { JournalRepaired } from '../../../store/journal/journal-repair.ts'
import type { JournalSurvey } from '../../../store/journal/journal-survey.ts'

/** Whose store it is. */
export interface StoreOwner {
  readonly dataDir: string
  /** Peer id; undefined: there is no identity, or a damaged one. */
  readonly peer: string | undefined
  readonly problem: ParleyError | undefined
}

const memberOf = ({ peer }: StoreOwner, { storageId }: JournalSurvey): string | undefined =>
  peer === undefined || storageId === undefined ? undefined : `${peer}.${storageId}`

const belonging = ({ founding: { record, problem } }: JournalSurvey): string => {
  if (problem !== undefined) return 'unknown'
  if (record?.founded !== undefined) return 'founded'
  if (record?.adopted !== undefined) return 'adopted'
  return record?.promise === undefined ? 'none' : 'promised'
}

const isNamed = ({ log }: JournalSurvey, { index, term }: { index: number; term: number }): boolean =>
  log.state.snapshot?.index === index && log.state.snapshot.term === term

export const problemFacts = (
  problems: readonly { readonly part: string; readonly error: ParleyError }[],
): { part: string; message: string; hint: string | undefined }[] =>
  problems.map(({ part, error: { message, hint } }) => ({ part, message, hint }))

/** As `--json` prints it. @param problems of all its stores, where they were looked at */
export const factsOf = (
  found: JournalSurvey,
  owner: StoreOwner,
  problems: readonly { readonly part: string; readonly error: ParleyError }[] = found.problems,
) => {
  const { storageId, log, lastIndex, files, bytes, configuration, snapshots, aside } = found
  const { term, votedFor, commit } = log.state.hardState
  return {
    dataDir: owner.dataDir,
    meshId: meshIdOfJournal(found),
    belonging: belonging(found),
    member: memberOf(owner, found),
    storageId,
    term,
    votedFor,
    commit,
    firstIndex: log.state.entries[0]?.index,
    lastIndex,
    snapshotIndex: log.state.snapshot?.index,
    segments: files.length,
    bytes,
    /** Bytes of a write that a crash cut off: opening the log removes them, and nothing is lost by it. */
    torn: log.problem === undefined ? log.torn : 0,
    voters: configuration.voters,
    learners: configuration.learners,
    snapshots: snapshots.map(({ name, index, meta, ...at }) => ({
      name,
      index,
      whole: meta !== undefined,
      leftOver: !isNamed(found, { index, ...at }),
    })),
    aside,
    problems: problemFacts(problems),
  }
}
export type JournalFacts = ReturnType<typeof factsOf>

const BELONGING: Record<string, string> = {
  founded: 'one of those who founded it',
  adopted: 'others founded it',
  promised: 'not founded yet: this node has promised to found one',
  none: 'none yet',
  unknown: 'unknown: the founding file is damaged',
}

/** Rows of names and values. */
export const block = (rows: readonly (readonly [string, string])[]): string =>
  rows.map(([what, is]) => `  ${what.padEnd(13)}${escapeText(is)}`).join('\n')

export const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

const logLine = ({ firstIndex, lastIndex, snapshotIndex }: JournalFacts): string => {
  const after = snapshotIndex === undefined ? '' : ` after a snapshot at ${snapshotIndex}`
  if (firstIndex === undefined) return snapshotIndex === undefined ? 'no entries' : `no entries${after}`
  return `entries ${firstIndex} to ${lastIndex}${after}`
}

const members = (list: readonly string[], own: string | undefined): [string, string][] =>
  list.map((member, i) => [i === 0 ? 'voters' : '', member === own ? `${member} (this node)` : member])

export const noJournalText = ({ dataDir }: StoreOwner, problems: readonly { readonly part: string }[]): string => {
  const isGone = problems.some(({ part }) => part === 'journal')
  const log = isGone ? 'gone: this node kept a journal' : 'none: this node keeps no journal'
  return `the store in ${escapeText(dataDir)}\n${block([['log', log]])}`
}

export const nothingRepairedText = ({ dataDir }: StoreOwner, isLeft: boolean): string =>
  isLeft
    ? `nothing in ${escapeText(dataDir)} can be repaired`
    : `there is nothing to repair: ${escapeText(dataDir)} has neither a journal nor messages`

export const factsText = (facts: JournalFacts): string => {
  const { dataDir, meshId, member, storageId, term, votedFor, commit, segments, bytes, torn, learners, aside } = facts
  const leftOver = facts.snapshots.filter((one) => one.leftOver)
  const named = facts.snapshots.find((one) => !one.leftOver)
  const rows: [string, string][] = [
    ['mesh id', meshId === undefined ? (BELONGING[facts.belonging] ?? '') : `${meshId}, ${BELONGING[facts.belonging]}`],
    [
      'member',
      member ?? (storageId === undefined ? 'none: there is no log' : `unknown; its storage id is ${storageId}`),
    ],
    ['term', `${term}${votedFor === undefined ? '' : `, voted for ${votedFor}`}`],
    ['log', `${logLine(facts)}; known as decided: up to ${commit}`],
    ['on disk', `${count(segments, 'file')}, ${count(bytes, 'byte')}`],
    ...(torn > 0
      ? [['torn', `${count(torn, 'byte')} of a write that a crash cut off; opening removes them`] as [string, string]]
      : []),
    ...(named === undefined
      ? []
      : [['snapshot', `${named.name}, ${named.whole ? 'whole' : 'damaged'}`] as [string, string]]),
    ...leftOver.map(({ name, whole }, i): [string, string] => [
      i === 0 ? 'left over' : '',
      `${name}, ${whole ? 'whole' : 'damaged'}`,
    ]),
    ...members(facts.voters, member),
    ...(learners.length > 0 ? [['learners', learners.join(', ')] as [string, string]] : []),
    ...(aside.length > 0 ? [['put aside', `${count(aside.length, 'file')} earlier`] as [string, string]] : []),
  ]
  return `the store in ${escapeText(dataDir)}\n${block(rows)}`
}

/** What became of the vote that this node had: the member that it was is gone. */
const voteText = (was: string | undefined, { configuration: { voters } }: JournalSurvey): string => {
  if (voters.length === 0) return 'What it kept does not say who votes.'
  if (was === undefined || !voters.includes(was)) return 'It did not vote, as far as its log knows: nobody misses it.'
  const needed = majority(voters.length)
  const others = voters.length - 1
  const stuck = 'nothing can be decided any more, unless `parley store force-recover` goes on with what is here.'
  if (others === 0) return `It was the only voter, as far as its log knows: ${stuck}`
  if (others < needed)
    return `It was one of ${voters.length} voters, as far as its log knows, and the others are no majority: ${stuck}`
  return `It was one of ${voters.length} voters, as far as its log knows: until it votes again, ${needed} of the other ${others} have to run.`
}

const cutOf = ({ before, after }: JournalRepaired): { from: number; to: number } | undefined =>
  before.seenIndex > after.lastIndex ? { from: after.lastIndex + 1, to: before.seenIndex } : undefined

export const repairedFacts = (done: JournalRepaired, owner: StoreOwner) => ({
  repaired: done.aside.length > 0 || done.founding,
  was: memberOf(owner, done.before),
  /** Entries that were seen and are not kept; there may have been more behind them. */
  cut: cutOf(done),
  putAside: done.aside,
  founding: done.founding,
  store: factsOf(done.after, owner),
})

export const repairedText = (done: JournalRepaired, owner: StoreOwner): string => {
  const { before, after, aside, founding, left } = done
  const cut = cutOf(done)
  const isRenewed = before.storageId !== after.storageId
  if (aside.length === 0 && !founding)
    return left === undefined
      ? 'there is nothing to repair: the journal is whole'
      : 'the log and its snapshot are whole'
  const now = factsOf(after, owner)
  const rows: [string, string][] = isRenewed
    ? [
        ['kept', after.lastIndex === 0 ? 'nothing: there is nothing that could stand alone' : logLine(now)],
        [
          'cut off',
          cut === undefined
            ? 'no entry that can be seen; there may have been some'
            : `entries ${cut.from} to ${cut.to}, and what there was after them`,
        ],
        ['was', memberOf(owner, before) ?? 'unknown'],
        ['member', now.member ?? 'unknown'],
      ]
    : [['log', `${logLine(now)}, as it was`]]
  if (founding) rows.push(['mesh id', `${now.meshId}, written anew`])
  for (const [i, name] of aside.entries()) rows.push([i === 0 ? 'put aside' : '', name])
  const means = isRenewed
    ? '\nThis node said that it had what is cut off, and may have given a vote in it, so it may not go on as the member that\n' +
      'it was. When it is started it is a new member: it learns from the others what it lacks, and votes once it kept up.\n' +
      voteText(memberOf(owner, before), after)
    : ''
  return `repaired the store in ${escapeText(owner.dataDir)}\n${block(rows)}${means}`
}

/** What is to be typed, so that nobody recovers another store than the one that was meant. */
export const confirmationOf = (found: JournalSurvey): string => meshIdOfJournal(found) ?? 'unknown'

export const recoveryPlanText = (found: JournalSurvey, owner: StoreOwner): string => {
  const now = factsOf(found, owner)
  const abandoned = now.voters.filter((member) => member !== now.member)
  return `This makes the node in ${escapeText(owner.dataDir)} the only voter of a new mesh that begins with what it has. It is meant for a
mesh that lost the majority of its voters for good.
${block([
  ['mesh id', confirmationOf(found)],
  ['has', `${logLine(now)}, term ${now.term}`],
  ...abandoned.map((member, i): [string, string] => [i === 0 ? 'abandoned' : '', member]),
])}
What may be lost: all that was decided after entry ${now.lastIndex}. Others may have answered it as done, and nothing here knows of it.
What may be new: entries after ${now.commit} may never have been decided; from now on they are.
The abandoned voters must never be started again with the disks that they have now. As a majority they would go on as the
old mesh beside the new one; nodes of the two refuse each other. If one of them has more than this node, recover that one.
`
}

/** A row below the facts. */
export const lostText = ({ why, was, kept }: LossNote): string =>
  block([['lost', `${why}; it kept entries up to ${kept}, and is a new member since; it was ${was ?? 'unknown'}`]])

export const lossPlanText = ({ dataDir }: StoreOwner, losses: readonly string[]): string =>
  `This lets the node in ${escapeText(dataDir)} start although something that it had is gone for good:
${losses.map((loss) => `  ${escapeText(loss)}`).join('\n')}
If there is a backup, put that back instead.
`

export const lossText = ({ dataDir }: StoreOwner, store: JournalFacts | undefined): string => {
  const on =
    store === undefined
      ? 'what is gone is made anew'
      : `its journal goes on with ${logLine(store)}, as the mesh ${store.meshId}; bring other nodes over with parley store adopt`
  return `the loss in ${escapeText(dataDir)} is accepted: ${on}`
}

export const adoptedFacts = (done: JournalRecovered, owner: StoreOwner) => ({
  meshId: done.meshId,
  before: meshIdOfJournal(done.before),
  member: done.member,
  putAside: done.aside,
  store: factsOf(done.after, owner),
})

export const recoveredFacts = (done: JournalRecovered, owner: StoreOwner) => ({
  ...adoptedFacts(done, owner),
  abandoned: done.before.configuration.voters.filter((member) => member !== memberOf(owner, done.before)),
})

export const recoveredText = (done: JournalRecovered, owner: StoreOwner): string => {
  const { voters } = done.before.configuration
  const others = voters.length > 1 || done.before.configuration.learners.length > 0
  return `recovered the store in ${escapeText(owner.dataDir)}
${block([
  ['mesh id', `${done.meshId}, a new one`],
  ['member', `${done.member}, the only voter`],
  ['log', `${logLine(factsOf(done.after, owner))}, all of it decided`],
  ['put aside', `${count(done.aside.length, 'file')} *.abandoned`],
])}
Start it: it decides alone at once. ${
    others
      ? `Then bring the other nodes over:
  - Start those without a data directory again.
  - On each one that has a data directory, the abandoned voters too:
      parley store adopt --mesh-id ${done.meshId} --data-dir ITS_DIRECTORY
    and start it so that it joins this node. It learns, and votes once it kept up.`
      : 'Other nodes join it as ever.'
  }`
}

export const adoptPlanText = (found: JournalSurvey, owner: StoreOwner, meshId: string): string => {
  const now = factsOf(found, owner)
  return `This puts aside all that the node in ${escapeText(owner.dataDir)} has of the journal, and makes it a new member of the mesh
${meshId}.
${block([
  ['of the mesh', confirmationOf(found)],
  ['has', `${logLine(now)}, term ${now.term}`],
])}
${voteText(now.member, found)}
`
}

export const adoptedText = (done: JournalRecovered, owner: StoreOwner): string =>
  `the node in ${escapeText(owner.dataDir)} is a new member of the mesh ${done.meshId}
${block([
  ['member', done.member],
  ['put aside', `${count(done.aside.length, 'file')} *.abandoned`],
])}
Start it so that it joins a node of that mesh: it learns from it, and votes once it kept up.`
