/**
 * What `parley doctor` says of the stores of a node that does not run: what is not too large is read and checked. Everything
 * is read only; `parley store verify` looks at all of it.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isParleyError } from '../../../protocols/errors.ts'
import { JOURNAL_FOLDER } from '../../coordination/raft-member.ts'
import { DeliverySchema } from '../../observe/debug/message-schemas.ts'
import { type FoundNode, readHolder } from '../../store/data-directory.ts'
import { readFences } from '../../store/fences/fence-file.ts'
import { detectCopy } from '../../store/files/copy-detection.ts'
import { lookIntoFolder } from '../../store/files/disk.ts'
import { readLossNote } from '../../store/journal/journal-loss.ts'
import { surveyJournal } from '../../store/journal/journal-survey.ts'
import { FENCE_FOLDER, MESSAGES_FOLDER, missingStores, ROWS_FOLDER, readKnown } from '../../store/known-stores.ts'
import { surveyMessages } from '../../store/messages/message-repair.ts'
import { controlClientOf } from '../connect/node-endpoint.ts'
import { type DoctorCheck, type Finding, fail, messageOf, ok, skipped, warn } from './check-finding.ts'
import { directoryOf, noDirectory } from './disk-checks.ts'

/** A larger store is left to `parley store verify`. */
const MAX_BYTES = 256 * 1024 * 1024
const VERIFY = 'parley store verify reads all of it'

const namesIn = (folder: string): Promise<string[] | undefined> => readdir(folder).catch(() => undefined)

const bytesIn = async (folder: string, names: readonly string[]): Promise<number> => {
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name)).catch(() => undefined))?.size),
  )
  return sizes.reduce<number>((sum, size = 0) => sum + size, 0)
}

const placeOf = async (name: string, folder: string): Promise<Finding | undefined> =>
  (await detectCopy(folder)) === 'copied'
    ? warn(
        name,
        `${folder} was copied or restored: the node comes back as another member`,
        'if it was moved and is the newest there is: parley store moved',
      )
    : undefined

const journal = async (dataDir: string): Promise<Finding> => {
  const name = 'journal'
  const folder = join(dataDir, JOURNAL_FOLDER)
  const names = await namesIn(folder)
  if (names === undefined) return ok(name, 'there is none yet')
  const bytes = await bytesIn(folder, names)
  if (bytes > MAX_BYTES) return skipped(name, `${bytes} bytes are much to read here; ${VERIFY}`)
  const { problems, lastIndex } = await surveyJournal(lookIntoFolder(folder))
  const [first] = problems
  if (first !== undefined) return fail(name, first.error.message, first.error.hint ?? VERIFY)
  const lost = await readLossNote(lookIntoFolder(folder))
  if (lost !== undefined)
    return warn(
      name,
      `it lost what it had acknowledged: ${lost.why}`,
      'start it: it learns from the others, and votes again',
    )
  return (await placeOf(name, folder)) ?? ok(name, `whole, up to entry ${lastIndex}`)
}

const messages = async (dataDir: string): Promise<Finding> => {
  const name = 'messages'
  const folder = join(dataDir, MESSAGES_FOLDER)
  if ((await namesIn(folder)) === undefined) return ok(name, 'there are none yet')
  const rows = join(folder, ROWS_FOLDER)
  const bytes = await bytesIn(rows, (await namesIn(rows)) ?? [])
  if (bytes > MAX_BYTES) return skipped(name, `${bytes} bytes are much to read here; ${VERIFY}`)
  const { problem, group, isEarlier } = await surveyMessages(folder)
  if (problem !== undefined) return fail(name, problem.message, problem.hint ?? VERIFY)
  const moved = await placeOf(name, folder)
  return (
    moved ??
    ok(name, isEarlier ? 'an earlier version wrote them; the node takes them over' : `whole, up to group ${group}`)
  )
}

const fences = async (dataDir: string): Promise<Finding> => {
  const name = 'fences'
  const { problem, table, segments } = await readFences(lookIntoFolder(join(dataDir, FENCE_FOLDER)))
  if (problem !== undefined) return fail(name, problem.message, problem.hint ?? VERIFY)
  return ok(name, segments.length === 0 ? 'there are none yet' : `whole, of ${table.scopes.size} scopes`)
}

const LOOKS = { journal, messages, fences }

const ASK_MS = 3_000

/** What is being written cannot be judged from outside; the node that writes says whether it can. */
const ofRunning = async (node: FoundNode): Promise<Finding> => {
  const name = 'stores'
  const control = controlClientOf(node)
  if (control === undefined) return skipped(name, `${node.name} has them open, and no control socket to be asked by`)
  try {
    const { problem } = await control.ask('GET', '/api/delivery', DeliverySchema, { timeoutMs: ASK_MS })
    if (problem !== undefined) return fail(name, `${node.name} says: ${problem}`, 'see its log')
    return ok(name, `${node.name} has them open, and says that they take what it keeps`)
  } catch (error) {
    return skipped(name, `${node.name} has them open, and was asked in vain: ${messageOf(error)}`)
  }
}

const stores: DoctorCheck = {
  name: 'stores',
  async run(subject) {
    const { node } = subject
    const dataDir = directoryOf(subject)
    if (dataDir === undefined) return [noDirectory('stores', subject)]
    if (node !== undefined) return [await ofRunning(node)]
    const missing = await missingStores(dataDir, await readKnown(dataDir))
    const found: Finding[] = missing.map(({ part, error }) => fail(part, error.message, error.hint ?? VERIFY))
    for (const [name, look] of Object.entries(LOOKS)) {
      try {
        found.push(await look(dataDir))
      } catch (error) {
        if (!isParleyError(error)) throw error
        found.push(fail(name, error.message, error.hint ?? VERIFY))
      }
    }
    // What is being written cannot be judged: somebody may have started meanwhile.
    if ((await readHolder(dataDir))?.runs === true) return [skipped('stores', 'a node has just started there')]
    return found
  },
}

export const checkStores = stores.run
