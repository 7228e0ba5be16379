/** What was decided, as it lies on the disks of voters that do not run. Keeps no state. */
import { lookIntoFolder } from '../../../node/store/files/disk.ts'
import { readRaftLog } from '../../../node/store/log/log-store.ts'

export interface LogEntry {
  readonly index: number
  readonly term: number
  readonly data: Uint8Array
}

/** @param folder of the journal of a voter that kept all of its log */
export const decidedIn = async (folder: string): Promise<LogEntry[]> => {
  const { state } = await readRaftLog(lookIntoFolder(folder))
  if (state.snapshot !== undefined)
    throw new Error('a part of the log is gone: it cannot be checked from its beginning')
  return state.entries.filter(({ kind, index }) => kind === 'command' && index <= state.hardState.commit)
}

export interface ComparedLogs {
  readonly longest: readonly LogEntry[]
  /** Where another one is not the beginning of that. */
  readonly wrong: readonly string[]
}

export const compareLogs = (logs: readonly (readonly LogEntry[])[]): ComparedLogs => {
  const [longest = [], ...others] = logs.toSorted((a, b) => b.length - a.length)
  const isSame = ({ index, term, data }: LogEntry, i: number): boolean =>
    longest[i]?.index === index && longest[i].term === term && Buffer.compare(longest[i].data, data) === 0
  const wrong = others.flatMap((other) => {
    const at = other.findIndex((one, i) => !isSame(one, i))
    return at < 0 ? [] : [`a voter has another entry at ${other[at]?.index}`]
  })
  return { longest, wrong }
}
