/** `parley store repair`: keeps what is good, puts the rest aside. */
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type JournalRepaired, repairJournal } from '../../../store/journal/journal-repair.ts'
import type { KnownPart } from '../../../store/known-stores.ts'
import { type StoreCommandOptions, withStoppedNode } from './stopped-node.ts'
import { meshIdOf, printResult, random, recordNewMember, refuseFor } from './store-change.ts'
import { conditionOf } from './store-condition.ts'
import { block, factsOf, logLine, memberOf, problemFacts, type StoreOwner, voteText } from './store-facts.ts'
import { repairEvents } from './stored-events.ts'
import { repairMessages } from './stored-messages.ts'
import { repairBytes } from './stored-values.ts'

export interface RepairCommandOptions extends StoreCommandOptions {
  meshId?: string
}

const nothingRepairedText = ({ dataDir }: StoreOwner, isLeft: boolean): string =>
  isLeft
    ? `nothing in ${escapeText(dataDir)} can be repaired`
    : `there is nothing to repair: ${escapeText(dataDir)} has neither a journal nor messages`

const cutOf = ({ before, after }: JournalRepaired): { from: number; to: number } | undefined =>
  before.seenIndex > after.lastIndex ? { from: after.lastIndex + 1, to: before.seenIndex } : undefined

const repairedFacts = (done: JournalRepaired, owner: StoreOwner) => ({
  repaired: done.aside.length > 0 || done.founding,
  was: memberOf(owner, done.before),
  /** Entries that were seen and are not kept; there may have been more behind them. */
  cut: cutOf(done),
  putAside: done.aside,
  founding: done.founding,
  store: factsOf(done.after, owner),
})

const repairedText = (done: JournalRepaired, owner: StoreOwner): string => {
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

/** What another command or a person has to see to is left as it is, and said as `verify` and a start say it. */
export const repairStoppedStore = (options: RepairCommandOptions): Promise<void> =>
  withStoppedNode(options, async (stopped) => {
    const { disk, owner, messages: folder, events: eventFolder, bytes: bytesFolder } = stopped
    const meshId = options.meshId === undefined ? undefined : meshIdOf(options.meshId)
    const { known, missing, alone } = await conditionOf(stopped)
    const isThere = (part: KnownPart): boolean => !missing.some((one) => one.part === part)
    const noted = known.journal
    const done =
      disk === undefined || alone !== undefined || !isThere('journal')
        ? undefined
        : await repairJournal(disk, { random, peer: owner.peer, meshId, noted })
    if (done !== undefined) await recordNewMember(owner, done)
    const messages = folder === undefined || !isThere('messages') ? undefined : await repairMessages(folder, random)
    const events = eventFolder === undefined ? undefined : await repairEvents(eventFolder, random)
    const bytes = bytesFolder === undefined ? undefined : await repairBytes(bytesFolder)
    const { problems } = await conditionOf(stopped)
    const left = problems.map((one) => (one.part === 'founding' && done?.left ? { ...one, error: done.left } : one))
    const facts = done === undefined ? { repaired: false } : repairedFacts(done, owner)
    const words = [done && repairedText(done, owner), messages?.words, events?.words, bytes?.words].filter(
      (some) => some !== undefined,
    )
    if (words.length === 0) words.push(nothingRepairedText(owner, left.length > 0))
    printResult(
      options,
      {
        ...facts,
        ...{ messages: messages?.facts, events: events?.facts, bytes: bytes?.facts },
        left: problemFacts(left),
      },
      words.join('\n'),
    )
    refuseFor(left)
  })
