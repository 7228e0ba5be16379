/**
 * What the commands share that read or change what a stopped node keeps: who confirms, what is printed, when it fails.
 *
 * All of them hold the lock of the data directory, so that no node runs there meanwhile. What they do, and why it is safe:
 * node/store/. Results go to stdout, warnings and questions to stderr.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { MeshIdSchema } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { JOURNAL_FOLDER } from '../../../coordination/raft-member.ts'
import { recordFileIdentity } from '../../../store/files/copy-detection.ts'
import type { Disk } from '../../../store/files/disk.ts'
import type { JournalSurvey } from '../../../store/journal/journal-survey.ts'
import { openMemberWithdrawal } from '../../../store/journal/member-withdrawal.ts'
import type { TerminalPrompt } from '../../input/terminal-prompt.ts'
import { usageError } from '../../output/exit-codes.ts'
import { print } from '../../output/print.ts'
import type { StoreCommandOptions } from './stopped-node.ts'
import type { StoreProblem } from './store-condition.ts'
import type { StoreOwner } from './store-facts.ts'

export interface ConfirmedCommandOptions extends StoreCommandOptions {
  /** Nobody is asked. */
  yes?: boolean
}

export const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

export const folderOf = ({ dataDir }: StoreOwner): string => join(dataDir, JOURNAL_FOLDER)

/** What has become another member has promised nothing yet: wherever it came from, it may go on from here. */
export const recordNewMember = async (
  owner: StoreOwner,
  { before, after }: { before: JournalSurvey; after: JournalSurvey },
): Promise<void> => {
  if (before.storageId !== after.storageId) await recordFileIdentity(folderOf(owner))
}

/** Who is to vote in another mesh did not give up the seat there. */
export const keepMembership = async (disk: Disk): Promise<void> => {
  const { isWithdrawn, save } = await openMemberWithdrawal(disk)
  if (isWithdrawn) await save(false)
}

export const printResult = (options: StoreCommandOptions, facts: unknown, words: string): void =>
  print(options.json === true ? JSON.stringify(facts) : words)

/** The first one, as a start would say it, with what else there is. */
export const refuseFor = (problems: readonly StoreProblem[]): void => {
  const [first, ...more] = problems
  if (first === undefined) return
  const { message, hint = 'parley store repair keeps what is good', details } = first.error
  const and = more.map(({ error }) => `; ${error.message}`).join('')
  throw new ParleyError('STA003', `${message}${and}`, { hint, details: { reason: details.reason ?? 'damaged' } })
}

export const meshIdOf = (meshId: string): string => {
  if (MeshIdSchema.safeParse(meshId).success) return meshId
  throw usageError(
    `${JSON.stringify(meshId)} is no mesh id`,
    'it is 32 hexadecimal digits, see `parley coordinator status`',
  )
}

/** @param expected what a person types; a program gives it as an option, and says that it means it */
export const confirm = async (
  question: string,
  expected: string,
  yes: boolean | undefined,
  inScripts: string,
  terminal: TerminalPrompt,
): Promise<void> => {
  if (yes === true) return
  if (!terminal.isInteractive)
    throw usageError('somebody has to confirm this', `run it on a terminal, or with ${inScripts}`)
  const typed = await terminal.ask(question)
  if (typed === expected) return
  const what = typed === undefined || typed === '' ? 'nothing was typed' : `${JSON.stringify(typed)} is not ${expected}`
  throw usageError(`${what}; nothing was changed`, 'run it again if you mean it')
}
