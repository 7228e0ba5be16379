/** `parley store backup` and `parley store moved`: copies of a data directory that are made here, and those that were made elsewhere. */
import { join, resolve } from 'node:path'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { backUpDataDirectory } from '../../../store/backup.ts'
import { type CopyVerdict, detectCopy, recordFileIdentity } from '../../../store/files/copy-detection.ts'
import { surveyJournal } from '../../../store/journal/journal-survey.ts'
import { KNOWN_FILE } from '../../../store/known-stores.ts'
import { processTerminalPrompt, type TerminalPrompt } from '../../input/terminal-prompt.ts'
import { usageError } from '../../output/exit-codes.ts'
import { remark } from '../../output/print.ts'
import { directoryOf, exists, type StoreCommandOptions, withStoppedJournal } from './stopped-node.ts'
import { type ConfirmedCommandOptions, confirm, folderOf, printResult } from './store-change.ts'
import { block, count, factsOf, type JournalFacts } from './store-facts.ts'

const isOnlyVoter = ({ voters, member }: JournalFacts): boolean => voters.length === 1 && voters[0] === member

const movedPlanText = (facts: JournalFacts, place: CopyVerdict): string => {
  const { dataDir, member, meshId, term, lastIndex } = facts
  const needless = place === 'same' ? 'It is where it was, as far as can be seen: there is no need to say it.\n' : ''
  const sole = isOnlyVoter(facts) ? 'It votes alone, as far as it knows: it goes on as it was in any case.\n' : ''
  return `This says that the store in ${escapeText(dataDir)} was moved or copied while its node was stopped, and that it is the
newest there is: the node goes on as the member that it was, with its vote.
  member       ${member ?? 'unknown'}
  mesh id      ${meshId ?? 'none'}
  has          entries to ${lastIndex}, term ${term}
${needless}${sole}What may be lost where that is not so: a node that starts on an older copy has forgotten what it promised, and one of
which two copies run promises twice. Both can lose decisions that were answered as done. If you are not sure, do not say it:
just start the node, and it comes back as a new member that learns from the others.
`
}

const movedFacts = ({ dataDir, meshId, member, lastIndex }: JournalFacts, before: CopyVerdict, place: CopyVerdict) => ({
  dataDir,
  meshId,
  member,
  lastIndex,
  before,
  place,
})

const movedText = ({ dataDir, member }: JournalFacts): string =>
  `the store in ${escapeText(dataDir)} counts as moved: its node goes on as ${member ?? 'the member that it was'}.
Never start the directory that it was copied from again.`

export const acknowledgeMove = (
  options: ConfirmedCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner, messages) => {
    const folder = folderOf(owner)
    const facts = factsOf(await surveyJournal(disk), owner)
    const before = await detectCopy(folder)
    remark(movedPlanText(facts, before))
    await confirm('Type moved to go on: ', 'moved', options.yes, '--yes', terminal)
    await recordFileIdentity(folder)
    if (messages !== undefined) await recordFileIdentity(messages)
    printResult(options, movedFacts(facts, before, await detectCopy(folder)), movedText(facts))
  })

const KEY_FILE = 'identity.key'

export const backUpStore = async (to: string, options: StoreCommandOptions): Promise<void> => {
  const dataDir = await directoryOf({ ...options, readsOnly: true })
  const isOne = (await exists(join(dataDir, KEY_FILE))) || (await exists(join(dataDir, KNOWN_FILE)))
  if (!isOne) throw usageError(`${dataDir} is no data directory of a node`, 'name one with --data-dir, or --node NAME')
  const folder = resolve(to)
  if (folder === dataDir || folder.startsWith(`${dataDir}/`))
    throw usageError('a backup cannot lie in what it is of', 'name a folder outside of the data directory')
  const { files, bytes, lastIndex, rows } = await backUpDataDirectory(dataDir, folder)
  const words = `backed up ${escapeText(dataDir)}
${block([
  ['to', escapeText(folder)],
  ['copied', `${count(files, 'file')}, ${count(bytes, 'byte')}`],
  ['journal', lastIndex === undefined ? 'none' : `up to entry ${lastIndex}`],
  ['messages', rows === undefined ? 'none' : count(rows, 'row')],
])}
All of it was read again. It holds the node's key: keep it as safe as the node. To restore it, stop the node, put the copy in
the place of the data directory, and start it: it comes back as a new member and a new sender.`
  printResult(options, { dataDir, to: folder, files, bytes, lastIndex, rows }, words)
}
