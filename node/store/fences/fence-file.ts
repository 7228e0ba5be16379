/**
 * The file of fences as it lies on the disk: read as far as it is good, with what is wrong behind that. Changes nothing,
 * keeps no state.
 *
 * It has the form of a log's file (frames.ts), a mark beside it says how far it was durable (log-marker.ts), and an empty list,
 * the seal, stands behind the last line while nothing is written. Each time that it is written anew its sequence number
 * grows, so that the mark of the file before says nothing of this one. A fence that was answered and is gone is damage, a
 * torn frame behind the mark is what a crash leaves: nobody was let through for it. Files of versions before this form have
 * no mark, and nobody misses what is gone from their end.
 */
import type { ParleyError } from '../../../protocols/errors.ts'
import { type Fence, NO_FENCE } from '../../../protocols/journal/fencing/fence.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { decodeHeader, LOG_FORMAT, LOG_HEADER_BYTES, type LogFileHeader, readFrames } from '../log/log-frames.ts'
import { missingByMarker, type ReadLogMarker, readLogMarker } from '../log/log-marker.ts'
import { hex, storeError } from '../log/log-segments.ts'

export const FENCE_FILE = 'fences.log'

export type FenceLine = readonly [scope: string, term: number, index: number, floorTerm: number, floorIndex: number]

/** The highest fence of each scope, the one that was used last at the end, and the floor under those that were forgotten. */
export interface FenceTable {
  readonly scopes: Map<string, Fence>
  floor: Fence
}

export const applyLine = (table: FenceTable, [scope, term, index, floorTerm, floorIndex]: FenceLine): void => {
  table.scopes.delete(scope)
  if (scope !== '') table.scopes.set(scope, { term, index })
  table.floor = { term: floorTerm, index: floorIndex }
}

/** All of it. */
export const linesOf = ({ scopes, floor }: FenceTable): FenceLine[] => {
  const lines = [...scopes].map(([scope, { term, index }]): FenceLine => [scope, term, index, floor.term, floor.index])
  return lines.length > 0 ? lines : [['', 0, 0, floor.term, floor.index]]
}

export interface ReadFences {
  /** Of the good part. */
  readonly table: FenceTable
  /** In the file; a seal counts as one. */
  readonly lines: number
  /** Undefined: there is no file, or its header is damaged. */
  readonly header: LogFileHeader | undefined
  readonly end: number
  /** Checksum of the last frame. */
  readonly crc: number
  /** Bytes behind `end` that are no frame. */
  readonly torn: number
  readonly isSealed: boolean
  readonly mark: ReadLogMarker
  /** STA003 with `details.reason` `damaged` or `newer`. */
  readonly problem: ParleyError | undefined
}

const damaged = (what: string, cause?: unknown): ParleyError =>
  storeError(
    'damaged',
    `${FENCE_FILE} is damaged: it ${what}`,
    'put the folder back from a backup; or parley store accept-loss, which keeps what is good: an old effect of a ' +
      'coordinator that was replaced may be let through then',
    cause,
  )
const newer = (what: string): ParleyError =>
  storeError('newer', `${what} was written by a later version`, 'start the version that wrote it, or a later one')

const readBytes = async (disk: Pick<Disk, 'read'>): Promise<Uint8Array | undefined> => {
  try {
    return await disk.read(FENCE_FILE)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const noFile = { lines: 0, header: undefined, end: LOG_HEADER_BYTES, crc: 0, torn: 0, isSealed: true }

/** @throws what the disk says */
export const readFences = async (disk: Pick<Disk, 'read'>): Promise<ReadFences> => {
  const mark = await readLogMarker(disk)
  const bytes = await readBytes(disk)
  const table: FenceTable = { scopes: new Map(), floor: NO_FENCE }
  const header = bytes && decodeHeader(bytes)
  if (mark.kind === 'newer') return { ...noFile, table, header, mark, problem: newer('the mark of the fences') }
  if (bytes === undefined || header === undefined) {
    const none = { id: undefined, firstSequence: 0, lastSequence: 0, end: 0, crcAtMark: undefined, wasMarked: false }
    // A mark beside it that is damaged says nothing of a file that may never have been.
    const missed = mark.kind === 'damaged' ? undefined : missingByMarker(mark, none, LOG_HEADER_BYTES)
    const what = bytes !== undefined ? 'has no header' : missed && 'is gone, and was on the disk'
    return { ...noFile, table, header, mark, problem: what === undefined ? undefined : damaged(what) }
  }
  if (header.format > LOG_FORMAT) return { ...noFile, table, header, mark, problem: newer(FENCE_FILE) }
  const { sequence } = header
  const asked = mark.kind === 'whole' && mark.value.sequence === sequence ? mark.value.end : undefined
  const { payloads, end, crc, fault, crcAt: crcAtMark } = readFrames(bytes, header, asked)
  let [lines, isSealed, wasMarked] = [0, false, header.marked === true]
  const judge = (): ParleyError | undefined => {
    // The first frame was there before the file had its name: no write to come can have torn it.
    if (fault === 'damaged' || payloads.length === 0) return damaged(`is bad at byte ${end}`)
    const good = {
      id: hex(header.storageId),
      firstSequence: sequence,
      lastSequence: sequence,
      end,
      crcAtMark,
      wasMarked,
    }
    const missed = missingByMarker(mark, good, LOG_HEADER_BYTES)
    return missed === undefined ? undefined : damaged(missed)
  }
  let problem: ParleyError | undefined
  try {
    for (const payload of payloads) {
      // What has a right checksum was written by this node.
      const some = JSON.parse(new TextDecoder().decode(payload)) as FenceLine[]
      for (const line of some) applyLine(table, line)
      isSealed = some.length === 0
      wasMarked ||= isSealed
      lines += Math.max(1, some.length)
    }
    problem = judge()
  } catch (error) {
    problem = damaged('has a line that does not fit', error)
  }
  return { table, lines, header, end, crc, torn: bytes.length - end, isSealed, mark, problem }
}
