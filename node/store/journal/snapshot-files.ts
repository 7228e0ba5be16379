/**
 * The file of a snapshot: what it is, and the tables that hold its rows (snapshot-store.ts). Versions before tables wrote all
 * that it holds into it. It is written under another name, synced, and renamed, so that it is whole or not there.
 */
import type { SnapshotAt } from '../../../protocols/consensus/group/group-storage.ts'
import type { SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Disk } from '../files/disk.ts'
import {
  decodeHeader,
  encodeFrame,
  encodeHeader,
  ID_BYTES,
  LOG_FORMAT,
  readFrames,
  SALT_BYTES,
} from '../log/log-frames.ts'
import { decodeManifest, encodeManifest, ROWS_FORMAT, type RowManifest, type Run } from '../rows/row-manifest.ts'

const NAME = /^(\d{16})-(\d+)\.snapshot$/
const PART = '.part'
/** Of what says which tables; earlier ones begin with something else. */
const TABLES_FORMAT = 2

export const snapshotName = ({ index, term }: SnapshotAt): string =>
  `${String(index).padStart(16, '0')}-${term}.snapshot`

/** @returns undefined: it is not the name of a snapshot */
export const snapshotAt = (name: string): SnapshotAt | undefined => {
  const [, index, term] = NAME.exec(name) ?? []
  return index === undefined || term === undefined ? undefined : { index: Number(index), term: Number(term) }
}

/** With what is left of unfinished ones, sorted. */
export const snapshotFileNames = async (disk: Disk): Promise<string[]> =>
  (await disk.list()).filter((name) => NAME.test(name.replace(PART, ''))).sort()

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const parse = (bytes: Uint8Array | undefined): unknown => JSON.parse(new TextDecoder().decode(bytes))

export const damagedSnapshot = (name: string, what: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', `the snapshot ${name} ${what}`, {
    hint: 'parley store verify shows what is left; a node without it comes back as a new learner',
    details: { reason: 'damaged' },
    ...(cause === undefined ? {} : { cause }),
  })

/** Whose the rows are stands in the journal's log: this says nobody's. @param upTo index of the last entry that they have */
export const snapshotManifest = (runs: readonly Run[], upTo: number): RowManifest => ({
  format: ROWS_FORMAT,
  id: '0'.repeat(32),
  formerIds: [],
  flushed: upTo,
  runs,
})

const payloadsOf = (meta: SnapshotMeta, runs: readonly Run[]): Uint8Array[] => {
  const manifest = encodeManifest(snapshotManifest(runs, meta.index))
  return [text(meta), text({ format: TABLES_FORMAT, rows: parse(manifest) }), text({ count: 1 })]
}

/** Resolves once it is durable. @throws what the disk says; nothing is left of it then */
export const writeSnapshotFile = async (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  meta: SnapshotMeta,
  runs: readonly Run[],
): Promise<void> => {
  const name = snapshotName(meta)
  const part = `${name}${PART}`
  await disk.remove(part)
  const salt = random(SALT_BYTES)
  const parts = [
    encodeHeader({ format: LOG_FORMAT, sequence: 0, salt, storageId: new Uint8Array(ID_BYTES), previous: 0 }),
  ]
  let previous = 0
  for (const payload of payloadsOf(meta, runs)) {
    const { bytes, crc } = encodeFrame(salt, previous, payload)
    parts.push(bytes)
    previous = crc
  }
  const file = await disk.create(part)
  try {
    await file.write(Buffer.concat(parts), 0)
    await file.sync()
  } catch (error) {
    await file.close().catch(() => {})
    await disk.remove(part).catch(() => {})
    throw error
  }
  await file.close()
  await disk.rename(part, name)
  await disk.syncNames()
}

/** What a snapshot's file says: where its rows are, or, in one of an earlier version, all that it holds. */
export interface SnapshotFileContents {
  readonly meta: SnapshotMeta
  readonly runs: readonly Run[] | undefined
  readonly chunks: readonly Uint8Array[]
}

/** @throws STA003 with `details.reason` `damaged` for one that is not there or not whole */
export const readSnapshotFile = async (disk: Disk, at: SnapshotAt): Promise<SnapshotFileContents> => {
  const name = snapshotName(at)
  let bytes: Uint8Array
  try {
    bytes = await disk.read(name)
  } catch (error) {
    throw damagedSnapshot(name, 'cannot be read', error)
  }
  const header = decodeHeader(bytes)
  if (header === undefined) throw damagedSnapshot(name, 'has no header')
  const { payloads, fault } = readFrames(bytes, header)
  if (fault !== undefined || payloads.length < 2) throw damagedSnapshot(name, 'is not whole')
  try {
    const [first, ...chunks] = payloads
    const meta = parse(first) as SnapshotMeta
    const { count } = parse(chunks.pop()) as { count: number }
    if (meta.index !== at.index || meta.term !== at.term || count !== chunks.length)
      throw damagedSnapshot(name, 'is not what its name says')
    return { meta, ...tablesIn(chunks) }
  } catch (error) {
    throw isParleyError(error, 'STA003') ? error : damagedSnapshot(name, 'is not readable', error)
  }
}

const BRACE = 0x7b

const tablesIn = (chunks: readonly Uint8Array[]): Pick<SnapshotFileContents, 'runs' | 'chunks'> => {
  const [only] = chunks
  if (chunks.length !== 1 || only?.[0] !== BRACE) return { runs: undefined, chunks }
  const { format, rows } = parse(only) as { format?: unknown; rows?: unknown }
  return format === TABLES_FORMAT ? { runs: decodeManifest(text(rows)).runs, chunks: [] } : { runs: undefined, chunks }
}
