/**
 * The log of fences as it lies on the disk: read as far as it is good, with what is wrong behind that. Changes nothing, keeps no
 * state.
 *
 * Its records (append-log.ts) are lists of lines in JSON; a new segment begins with all that is known. Versions before had one
 * file of the same form under another name, `fences.log`, with the number that it would have as a segment in its header: so
 * it becomes one by its name. A fence that was answered and is gone is damage, a torn frame behind the mark is what a crash
 * leaves: nobody was let through for it.
 */
import type { ParleyError } from '../../../protocols/errors.ts'
import { type Fence, NO_FENCE } from '../../../protocols/journal/fencing/fence.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { decodeHeader, LOG_HEADER_BYTES } from '../log/log-frames.ts'
import { type LogReader, type LogSegments, readSegments, segmentName, storeError } from '../log/log-segments.ts'

/** Of earlier versions. */
export const FENCE_FILE = 'fences.log'

export type FenceLine = readonly [scope: string, term: number, index: number, floorTerm: number, floorIndex: number]

/** The highest fence of each scope, the one that was used last at the end, and the floor under those that were forgotten. */
export class FenceTable {
  readonly scopes = new Map<string, Fence>()
  floor: Fence = NO_FENCE
  /** That were applied; a list without any counts as one. */
  lines = 0

  apply([scope, term, index, floorTerm, floorIndex]: FenceLine): void {
    this.scopes.delete(scope)
    if (scope !== '') this.scopes.set(scope, { term, index })
    this.floor = { term: floorTerm, index: floorIndex }
  }

  get isEmpty(): boolean {
    return this.scopes.size === 0 && this.floor === NO_FENCE
  }

  /** All of it, as one record. */
  record(): Uint8Array {
    const { term, index } = this.floor
    const lines = [...this.scopes].map(([scope, fence]): FenceLine => [scope, fence.term, fence.index, term, index])
    return encodeLines(lines.length > 0 ? lines : [['', 0, 0, term, index]])
  }
}

export const encodeLines = (lines: readonly FenceLine[]): Uint8Array => new TextEncoder().encode(JSON.stringify(lines))

/** What errors of a log begin with. */
const OF_LOG = 'the log is damaged: '

/** Fills a table. */
export const readerOf = (table: FenceTable): LogReader => ({
  apply(payload) {
    // What has a right checksum was written by this node.
    const lines = JSON.parse(new TextDecoder().decode(payload)) as FenceLine[]
    for (const line of lines) table.apply(line)
    table.lines += Math.max(1, lines.length)
    return 0
  },
  covered: () => 0,
  missing: () => undefined,
})

const damagedFences = (what: string, cause?: unknown): ParleyError =>
  storeError(
    'damaged',
    `the fences are damaged: ${what}`,
    'put the folder back from a backup; or parley store accept-loss, which keeps what is good: an old effect of a ' +
      'coordinator that was replaced may be let through then',
    cause,
  )

/** What the file of an earlier version is called as a segment; undefined: there is none. @throws STA003 `damaged` */
export const earlierSegment = async (disk: Pick<Disk, 'read'>): Promise<string | undefined> => {
  try {
    const header = decodeHeader((await disk.read(FENCE_FILE)).subarray(0, LOG_HEADER_BYTES))
    if (header === undefined) throw damagedFences(`${FENCE_FILE} has no header`)
    return segmentName(header.sequence)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** With the file of an earlier version as the segment that it is. */
const withEarlier = (disk: Disk, name: string): Disk => ({
  ...disk,
  list: async () => (await disk.list()).map((one) => (one === FENCE_FILE ? name : one)),
  read: (one) => disk.read(one === name ? FENCE_FILE : one),
})

export interface ReadFences extends LogSegments {
  /** Of the good part. */
  readonly table: FenceTable
}

/** `problem` of what is read: STA003 with `details.reason` `damaged` or `newer`. @throws what the disk says */
export const readFences = async (disk: Disk): Promise<ReadFences> => {
  const table = new FenceTable()
  const reader = readerOf(table)
  const name = await earlierSegment(disk).catch((error: ParleyError) => error)
  if (typeof name === 'object') return { ...(await readSegments(disk, reader)), table, problem: name }
  const found = await readSegments(name === undefined ? disk : withEarlier(disk, name), reader)
  const { problem } = found
  const isDamage = problem?.details.reason === 'damaged'
  return { ...found, table, problem: isDamage ? damagedFences(problem.message.replace(OF_LOG, ''), problem) : problem }
}
