/** What `parley store` says of where a store is: the same place, or a copy. Pure. */
import { escapeText } from '../../../observe/log/log-fields.ts'
import type { CopyVerdict } from '../../../store/files/copy-detection.ts'
import type { JournalFacts } from './store-text.ts'

const MEANS: Record<CopyVerdict, string> = {
  same: 'the same: it is where it was',
  copied: 'copied: it was restored from a backup or copied; when it is started the node is a new member that learns',
  unknown: 'unknown: nothing says where it was, or the file system tells no creation times',
}

/** A row below the facts. */
export const locationText = (place: CopyVerdict): string => `  ${'place'.padEnd(13)}${MEANS[place]}`

const isOnlyVoter = ({ voters, member }: JournalFacts): boolean => voters.length === 1 && voters[0] === member

export const movedPlanText = (facts: JournalFacts, place: CopyVerdict): string => {
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

export const movedFacts = (
  { dataDir, meshId, member, lastIndex }: JournalFacts,
  before: CopyVerdict,
  place: CopyVerdict,
) => ({
  dataDir,
  meshId,
  member,
  lastIndex,
  before,
  place,
})

export const movedText = ({ dataDir, member }: JournalFacts): string =>
  `the store in ${escapeText(dataDir)} counts as moved: its node goes on as ${member ?? 'the member that it was'}.
Never start the directory that it was copied from again.`
