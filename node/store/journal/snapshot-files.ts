/**
 * Snapshots on disk: one file each, whole or not there at all.
 *
 * A snapshot is written under another name, synced, and renamed; its contents are frames that follow one another (frames.ts),
 * with what it is in the first and how many there are in the last, so that a file that is cut short or damaged is found
 * when it is read.
 */
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

const NAME = /^(\d{16})-(\d+)\.snapshot$/
const PART = '.part'

const nameOf = ({ index, term }: Pick<SnapshotMeta, 'index' | 'term'>): string =>
  `${String(index).padStart(16, '0')}-${term}.snapshot`

export interface SnapshotStore {
  /** Resolves once it is durable. @throws what the disk says; nothing is left of it then */
  save(meta: SnapshotMeta, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>
  /** @throws STA003 with `details.reason` `damaged` for one that is not there or not whole */
  read(meta: Pick<SnapshotMeta, 'index' | 'term'>): Promise<{ meta: SnapshotMeta; chunks: Uint8Array[] }>
  /** Removes all but these, and what is left of unfinished ones. */
  keepOnly(metas: readonly Pick<SnapshotMeta, 'index' | 'term'>[]): Promise<void>
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const damaged = (name: string, what: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', `the snapshot ${name} ${what}`, {
    hint: 'parley store verify shows what is left; a node without it comes back as a new learner',
    details: { reason: 'damaged' },
    ...(cause === undefined ? {} : { cause }),
  })

export const createSnapshotStore = (disk: Disk, random: (bytes: number) => Uint8Array): SnapshotStore => ({
  async save(meta, chunks) {
    const name = nameOf(meta)
    const part = `${name}${PART}`
    await disk.remove(part)
    const file = await disk.create(part)
    try {
      const salt = random(SALT_BYTES)
      const storageId = new Uint8Array(ID_BYTES)
      let crc = 0
      let at = 0
      const put = async (bytes: Uint8Array): Promise<void> => {
        await file.write(bytes, at)
        at += bytes.length
      }
      const putFrame = async (payload: Uint8Array): Promise<void> => {
        const frame = encodeFrame(salt, crc, payload)
        crc = frame.crc
        await put(frame.bytes)
      }
      await put(encodeHeader({ format: LOG_FORMAT, sequence: 0, salt, storageId, previous: 0 }))
      await putFrame(text(meta))
      let count = 0
      for await (const chunk of chunks) {
        await putFrame(chunk)
        count += 1
      }
      await putFrame(text({ count }))
      await file.sync()
    } catch (error) {
      await file.close().catch(() => {})
      await disk.remove(part).catch(() => {})
      throw error
    }
    await file.close()
    await disk.rename(part, name)
    await disk.syncNames()
  },

  async read(meta) {
    const name = nameOf(meta)
    let bytes: Uint8Array
    try {
      bytes = await disk.read(name)
    } catch (error) {
      throw damaged(name, 'cannot be read', error)
    }
    const header = decodeHeader(bytes)
    if (header === undefined) throw damaged(name, 'has no header')
    const { payloads, fault } = readFrames(bytes, header)
    if (fault !== undefined || payloads.length < 2) throw damaged(name, 'is not whole')
    try {
      const [first, ...rest] = payloads
      const found: SnapshotMeta = JSON.parse(new TextDecoder().decode(first))
      const { count }: { count: number } = JSON.parse(new TextDecoder().decode(rest.pop()))
      const isIt = found.index === meta.index && found.term === meta.term && count === rest.length
      if (!isIt) throw damaged(name, 'is not what its name says')
      return { meta: found, chunks: rest }
    } catch (error) {
      throw isParleyError(error) ? error : damaged(name, 'is not readable', error)
    }
  },

  async keepOnly(metas) {
    // One that is being saved now is kept under both its names.
    const kept = metas.flatMap((meta) => [nameOf(meta), `${nameOf(meta)}${PART}`])
    const old = (await disk.list()).filter((name) => !kept.includes(name) && NAME.test(name.replace(PART, '')))
    for (const name of old) await disk.remove(name)
    if (old.length > 0) await disk.syncNames()
  },
})
