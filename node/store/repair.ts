/**
 * What a person does with a damaged log: look, and keep what is good.
 *
 * A log that was cut short has lost entries that this node said it had, and perhaps a vote: it may not take part as who it
 * was. So a repaired log has a storage id of its own, by which the group takes the node for a new one that learns.
 */
import type { LogState } from '../../protocols/consensus/storage.ts'
import type { Disk } from './disk.ts'
import { emptyLog, isWhole } from './log-items.ts'
import { openLogStore } from './log-store.ts'
import { hex, readSegments, refuse } from './segments.ts'

export interface Verification {
  readonly storageId: string | undefined
  readonly files: number
  /** Of the good part. */
  readonly term: number
  readonly snapshotIndex: number
  readonly firstIndex: number
  readonly lastIndex: number
  /** Bytes of a write that a crash cut off; they are cut off on opening, and nothing is lost by it. */
  readonly torn: number
  /** What is wrong, for a person; undefined: nothing. */
  readonly problem: string | undefined
}

/** Reads everything and changes nothing. @throws what the disk says */
export const verifyLog = async (disk: Disk): Promise<Verification> => {
  const { state, segments, torn, problem } = await readSegments(disk)
  const snapshotIndex = state.snapshot?.index ?? 0
  const [first] = segments
  return {
    storageId: first === undefined ? undefined : hex(first.header.storageId),
    files: segments.length,
    term: state.hardState.term,
    snapshotIndex,
    firstIndex: state.entries[0]?.index ?? 0,
    lastIndex: state.entries.at(-1)?.index ?? snapshotIndex,
    torn: problem === undefined ? torn : 0,
    problem: problem?.message,
  }
}

const DAMAGED = '.damaged'

/**
 * Puts what is damaged aside, under the same name with `.damaged`, and writes what is good into a new log.
 * @returns what is kept
 * @throws STA003 with `details.reason`: `whole` where there is nothing to repair, `newer` for a log of a later version
 */
export const repairLog = async (disk: Disk, random: (bytes: number) => Uint8Array): Promise<Verification> => {
  const { state, problem } = await readSegments(disk)
  if (problem === undefined) throw refuse('whole', 'the log is whole', 'there is nothing to repair')
  if (problem.details.reason === 'newer') throw problem
  // Entries without what they follow say nothing.
  const kept: LogState = isWhole(state) ? state : { ...emptyLog(), snapshot: state.snapshot }
  const files = (await disk.list()).filter((name) => name.endsWith('.log'))
  for (const name of files) await disk.rename(name, `${name}${DAMAGED}`)
  await disk.syncNames()
  const store = await openLogStore(disk, { random })
  const { hardState, snapshot: meta, entries } = kept
  await store.write({ hardState, base: meta && { meta, keeps: false }, entries })
  await store.close()
  return verifyLog(disk)
}
