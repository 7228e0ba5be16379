/**
 * The journal as Raft's state machine: entries in, records and answers out; snapshots of both.
 *
 * Guarantees: the same entries give the same records, sessions and answers on every member, whether they came as entries
 * or as a snapshot. A kind that this member does not know ends it: it may not guess what the others did (feature levels and
 * those of parts keep that from happening to a voter, see `part-kinds.ts`).
 * State: the records, the sessions, the clock of the entries.
 */

import type { StateChanges, StateMachine } from '../../consensus/group/group-api.ts'
import type { SavedRows } from '../../consensus/group/group-storage.ts'
import { isParleyError, ParleyError, stateError, toFault } from '../../errors.ts'
import type { Fence } from '../fencing/fence.ts'
import { type KnownKinds, PARTS_LEVEL } from '../part-kinds.ts'
import { beginEpoch, FEATURE_LEVEL_KEY, featureLevelOf } from './built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from './collection-rows.ts'
import type { JournalTx, Json } from './command-kind.ts'
import { CommandReader, type ReadCommand, rowsNamedBy } from './command-reader.ts'
import { JournalRecords } from './journal-records.ts'
import { decodeJournal, encodeJournal, readJournal, rowsOfChanges } from './journal-snapshot.ts'
import { freezeJson, isJson } from './json-value.ts'
import { SHARES_LEVEL } from './record-shares.ts'
import { NO_PART } from './record-transaction.ts'
import { type CommandAnswer, createSessionTable, type SessionTable } from './session-table.ts'

/** Opens a session; its id is the answer's version. */
export const OPEN_SESSION = 'session.open'
/** What a command may be answered with, as text: it is kept until its client says that it has it. */
export const MAX_RESULT_BYTES = 65_536
const MAX_FAULT_BYTES = 4_096
/** Of the message of an error that says too much. */
const MAX_MESSAGE = 1_024

export interface JournalMachine extends StateMachine {
  readonly records: JournalRecords
  readonly sessions: SessionTable
  /** Index of the last entry that was applied here. */
  version(): number
  /** Its time: milliseconds since 1970 by the clocks of leaders; it never goes back. */
  at(): number
  /** Called after each entry, and after a snapshot was restored. */
  onApplied(fn: (version: number) => void): () => void
  apply(command: Uint8Array, at: Fence): CommandAnswer
}

/** Of an error as its kind threw it, which may hold anything. */
const faultOf = (error: unknown): Json => {
  const { code, message, hint, details } = toFault(error)
  const full = { code, message, hint, details } as unknown
  if (isJson(full)) {
    const sealed = freezeJson(full)
    if (JSON.stringify(sealed).length <= MAX_FAULT_BYTES) return sealed
  }
  return freezeJson({ code, message: String(message).slice(0, MAX_MESSAGE) })
}

/** @throws MSG001 for what cannot be told and kept */
const resultOf = (kind: string, result: unknown): Json => {
  // As most are answered.
  if (result === undefined || result === null) return null
  const sealed = isJson(result) ? freezeJson(result) : undefined
  if (sealed !== undefined && JSON.stringify(sealed).length <= MAX_RESULT_BYTES) return sealed
  throw new ParleyError('MSG001', `${kind} cannot be answered: ${sealed === undefined ? 'no JSON' : 'too long'}`, {
    hint: `let its kind return JSON of at most ${MAX_RESULT_BYTES} bytes; nothing was changed`,
  })
}

const REFUSALS = {
  gone: stateError(
    'session-expired',
    'the session of this command is not known any more',
    'open another session; whether the command had an effect is seen by reading',
  ),
  old: stateError('serial-done', 'this serial was answered and acknowledged before', 'take the next serial'),
  'too-many': stateError(
    'session-full',
    'too many commands of this session are not acknowledged',
    'acknowledge answers',
  ),
}

const UNKNOWN_KIND = 'unknown-kind'
/** Of a member that cannot go on: which command it was, and what to do. */
const unknownKind = (kind: string): ParleyError => {
  const [part] = kind.split('.')
  const what = kind.includes('/')
    ? `which this node has not: it is of the part ${part}`
    : 'which this version does not know'
  return new ParleyError('STA003', `the journal has a command ${kind}, ${what}`, {
    hint: kind.includes('/')
      ? `start this node with createMesh({ parts }) and the part ${part}, as the voters are`
      : 'start this node with the version and the commands that the voters have',
    details: { reason: UNKNOWN_KIND, kind },
  })
}
export const isUnknownKind = (error: unknown): error is ParleyError =>
  isParleyError(error, 'STA003') && error.details.reason === UNKNOWN_KIND

const readOrRelease = async <T>(saved: SavedRows, read: () => Promise<T>): Promise<T> => {
  try {
    return await read()
  } catch (error) {
    saved.release()
    throw error
  }
}

const concatenated = async function* <T>(...all: (Iterable<T> | AsyncIterable<T>)[]): AsyncGenerator<T> {
  for (const one of all) yield* one
}

const takeChanges = (
  records: JournalRecords,
  sessions: SessionTable,
  head: { readonly version: number; readonly at: number },
): StateChanges => {
  const [changed, used, more] = [records.takeChanged(), sessions.takeChanged(), records.collections.changes()]
  return {
    // Records are replaced and never changed: what is listed now stays as it is.
    rows: concatenated(rowsOfChanges({ head, records: changed, sessions: used }), more.rows),
    settle(saved) {
      more.settle(saved)
      if (saved !== undefined) return
      records.putBack(changed.map(([key]) => key))
      sessions.putBack(used)
    },
  }
}

/**
 * @param onBug told of a kind that threw anything but a ParleyError, on every member alike
 * @param onBegan told of each epoch that began. `leader`: peer id
 */
export const createJournalMachine = (
  kinds: KnownKinds,
  onBug: (kind: string, error: unknown) => void = () => {},
  onBegan: (leader: string, fence: Fence) => void = () => {},
): JournalMachine => {
  const records = new JournalRecords()
  const sessions = createSessionTable()
  const { collections } = records
  const listeners = new Set<(version: number) => void>()
  const commands = new CommandReader(kinds)
  let version = 0
  let clockAt = 0

  const level = (): number => featureLevelOf(records.get(FEATURE_LEVEL_KEY)?.value)

  const run = ({ command, named: known }: ReadCommand, fence: Fence, level: number): CommandAnswer => {
    const { index, term } = fence
    const kind = kinds.get(command.kind)
    if (kind === undefined) throw unknownKind(command.kind)
    try {
      const facts = { fence, at: clockAt, by: command.by }
      const by = level >= SHARES_LEVEL ? command.by : undefined
      const part = kind.part ?? (level >= PARTS_LEVEL ? NO_PART : undefined)
      const change = (tx: JournalTx): Json => resultOf(kind.name, kind.apply(tx, command.input, facts))
      const named = level >= COLLECTIONS_LEVEL ? (known ?? rowsNamedBy(kind, command.input)) : undefined
      const result = records.transact(fence, clockAt, change, by, part, named)
      if (kind === beginEpoch) onBegan(command.by, fence)
      return { ok: true, version: index, term, result }
    } catch (error) {
      // What fails, fails on every member alike; nothing was changed.
      if (!isParleyError(error)) onBug(kind.name, error)
      return { ok: false, version: index, term, fault: faultOf(error) }
    }
  }

  const answer = (read: ReadCommand, fence: Fence): CommandAnswer => {
    const { command } = read
    const { index, term } = fence
    const now = level()
    // Before every voter knows of shares, none of them counts.
    const shared = now >= SHARES_LEVEL
    if (command.kind === OPEN_SESSION) {
      sessions.open(index, command.by, shared)
      return { ok: true, version: index, term, result: null }
    }
    if (command.session === 0) return run(read, fence, now)
    const check = sessions.check(command.session, command.by, command.serial, command.acked, index)
    if (check.type === 'known') return check.answer
    if (check.type !== 'new') return { ok: false, version: index, term, fault: faultOf(REFUSALS[check.type]) }
    const given = run(read, fence, now)
    sessions.keep(check.session, command.serial, given, shared)
    return given
  }

  const applied = (index: number): void => {
    version = index
    for (const fn of listeners) fn(index)
  }

  return {
    records,
    sessions,
    version: () => version,
    at: () => clockAt,
    onApplied(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    apply(bytes, fence) {
      const read = commands.take(bytes)
      clockAt = Math.max(clockAt, read.command.at)
      const given = answer(read, fence)
      applied(fence.index)
      return given
    },
    prepare(entries) {
      const names = commands.rowsOf(entries)
      return names.length === 0 ? undefined : collections.prepare(names)
    },
    changedBytes: () => collections.changedBytes(),
    changes: () => takeChanges(records, sessions, { version, at: clockAt }),
    async restore(saved) {
      const [found, take] = await readOrRelease(
        saved,
        async () => [await readJournal(saved), await collections.restore(saved)] as const,
      )
      records.restore(found.records, found.head.version)
      sessions.restore(found.sessions)
      take()
      clockAt = found.head.at
      applied(found.head.version)
    },
    encode: encodeJournal,
    decode: decodeJournal,
  }
}

/** The error of an answer, as its caller sees it. */
export const isRefusedFor = (error: unknown, reason: string): boolean =>
  isParleyError(error, 'STA003') && error.details.reason === reason
