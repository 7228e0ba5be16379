/** What is known of the store of a stopped node, as `--json` prints it, and the rows that all words for people are made of. */
import { majority } from '../../../../protocols/consensus/raft/quorum.ts'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { meshIdOfJournal } from '../../../store/journal/journal-recovery.ts'
import type { JournalSurvey } from '../../../store/journal/journal-survey.ts'

/** Whose store it is. */
export interface StoreOwner {
  readonly dataDir: string
  /** Peer id; undefined: there is no identity, or a damaged one. */
  readonly peer: string | undefined
  readonly problem: ParleyError | undefined
}

export const memberOf = ({ peer }: StoreOwner, { storageId }: JournalSurvey): string | undefined =>
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

/** Rows of names and values. */
export const block = (rows: readonly (readonly [string, string])[]): string =>
  rows.map(([what, is]) => `  ${what.padEnd(13)}${escapeText(is)}`).join('\n')

export const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

export const logLine = ({ firstIndex, lastIndex, snapshotIndex }: JournalFacts): string => {
  const after = snapshotIndex === undefined ? '' : ` after a snapshot at ${snapshotIndex}`
  if (firstIndex === undefined) return snapshotIndex === undefined ? 'no entries' : `no entries${after}`
  return `entries ${firstIndex} to ${lastIndex}${after}`
}

/** What became of the vote that this node had: the member that it was is gone. */
export const voteText = (was: string | undefined, { configuration: { voters } }: JournalSurvey): string => {
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
