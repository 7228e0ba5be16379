/** `parley store verify`: reads all of it and changes nothing. */
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type CopyVerdict, detectCopy } from '../../../store/files/copy-detection.ts'
import type { Disk } from '../../../store/files/disk.ts'
import { type LossNote, readLossNote } from '../../../store/journal/journal-loss.ts'
import type { JournalSurvey } from '../../../store/journal/journal-survey.ts'
import { print } from '../../output/print.ts'
import { type StoreCommandOptions, withStoppedNode } from './stopped-node.ts'
import { folderOf, printResult, refuseFor } from './store-change.ts'
import { inspectStores, type StoreProblem } from './store-condition.ts'
import { block, count, factsOf, type JournalFacts, logLine, problemFacts, type StoreOwner } from './store-facts.ts'

const BELONGING: Record<string, string> = {
  founded: 'one of those who founded it',
  adopted: 'others founded it',
  promised: 'not founded yet: this node has promised to found one',
  none: 'none yet',
  unknown: 'unknown: the founding file is damaged',
}

const members = (list: readonly string[], own: string | undefined): [string, string][] =>
  list.map((member, i) => [i === 0 ? 'voters' : '', member === own ? `${member} (this node)` : member])

const noJournalText = ({ dataDir }: StoreOwner, problems: readonly { readonly part: string }[]): string => {
  const isGone = problems.some(({ part }) => part === 'journal')
  const log = isGone ? 'gone: this node kept a journal' : 'none: this node keeps no journal'
  return `the store in ${escapeText(dataDir)}\n${block([['log', log]])}`
}

const factsText = (facts: JournalFacts): string => {
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

/** A row below the facts. */
const lostText = ({ why, was, kept }: LossNote): string =>
  block([['lost', `${why}; it kept entries up to ${kept}, and is a new member since; it was ${was ?? 'unknown'}`]])

const MEANS: Record<CopyVerdict, string> = {
  same: 'the same: it is where it was',
  copied: 'copied: it was restored from a backup or copied; when it is started the node is a new member that learns',
  unknown: 'unknown: nothing says where it was, or the file system tells no creation times',
}

/** A row below the facts. */
const locationText = (place: CopyVerdict): string => `  ${'place'.padEnd(13)}${MEANS[place]}`

/** The journal of a node that has one. */
const lookAtJournal = async (
  disk: Disk,
  owner: StoreOwner,
  journal: JournalSurvey,
  problems: readonly StoreProblem[],
) => {
  const facts = factsOf(journal, owner, problems)
  const place = await detectCopy(folderOf(owner))
  const lost = await readLossNote(disk)
  const words = [factsText(facts), locationText(place), ...(lost === undefined ? [] : [lostText(lost)])]
  return { facts: { ...facts, place, lost }, words: words.join('\n') }
}

const withoutJournal = (owner: StoreOwner, problems: readonly StoreProblem[]) => ({
  facts: { dataDir: owner.dataDir, problems: problemFacts(problems) },
  words: noJournalText(owner, problems),
})

export const verifyStore = (options: StoreCommandOptions): Promise<void> =>
  withStoppedNode({ ...options, readsOnly: true }, async (stopped) => {
    const { disk, owner } = stopped
    const { condition, messages, events, bytes } = await inspectStores(stopped)
    const { journal, problems } = condition
    const { facts, words } =
      disk === undefined || journal === undefined
        ? withoutJournal(owner, problems)
        : await lookAtJournal(disk, owner, journal, problems)
    const all = [words, messages?.words, events?.words, bytes?.words].filter((some) => some !== undefined)
    printResult(
      options,
      { ...facts, messages: messages?.facts, events: events?.facts, bytes: bytes?.facts },
      all.join('\n'),
    )
    refuseFor(problems)
    if (options.json !== true) print('all is well')
  })
