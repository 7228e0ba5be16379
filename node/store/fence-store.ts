/**
 * Fences on disk: an append-only file of what was seen, synced before an effect is let through, and written anew when most
 * of it is out of date.
 *
 * A torn tail is cut off: nobody was let through for it. Damage before it is refused. State: what is known, the open file,
 * what waits to be written (one write and one sync for all of it).
 */
import type { Fence } from '../../protocols/journal/fence.ts'
import { NO_FENCE } from '../../protocols/journal/fence.ts'
import type { FenceStore } from '../../protocols/journal/fences.ts'
import type { Disk, DiskFile } from './disk.ts'
import {
  decodeHeader,
  encodeFrame,
  encodeHeader,
  FORMAT,
  HEADER_BYTES,
  ID_BYTES,
  readFrames,
  SALT_BYTES,
} from './frames.ts'
import { refuse } from './segments.ts'

export const FENCE_FILE = 'fences.log'
const PART = `${FENCE_FILE}.part`
/** Lines in the file for each scope before it is written anew, and at least this many. */
const STALE = 8
const LEAST_LINES = 4_096

type Line = readonly [scope: string, term: number, index: number, floorTerm: number, floorIndex: number]

interface Waiting {
  readonly line: Line
  readonly done: PromiseWithResolvers<void>
}

export const createFenceStore = (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  known?: { note(part: 'fences', facts: object): Promise<void> },
): FenceStore & { close(): Promise<void> } => {
  const scopes = new Map<string, Fence>()
  let floor = NO_FENCE
  let file: DiskFile | undefined
  let salt = new Uint8Array(SALT_BYTES)
  let end = 0
  let crc = 0
  let lines = 0
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined

  const take = ([scope, term, index, floorTerm, floorIndex]: Line): void => {
    scopes.delete(scope)
    if (scope !== '') scopes.set(scope, { term, index })
    floor = { term: floorTerm, index: floorIndex }
  }
  const encode = (some: readonly Line[]): { bytes: Uint8Array; crc: number } =>
    encodeFrame(salt, crc, new TextEncoder().encode(JSON.stringify(some)))

  /** Everything that is known, as a new file in place of the old one. */
  const rewrite = async (): Promise<void> => {
    salt = new Uint8Array(random(SALT_BYTES))
    crc = 0
    const all: Line[] = [...scopes].map(([scope, { term, index }]) => [scope, term, index, floor.term, floor.index])
    await disk.remove(PART)
    const next = await disk.create(PART)
    const header = encodeHeader({ format: FORMAT, sequence: 0, salt, storageId: new Uint8Array(ID_BYTES), previous: 0 })
    const frame = encode(all.length > 0 ? all : [['', 0, 0, floor.term, floor.index]])
    await next.write(header, 0)
    await next.write(frame.bytes, HEADER_BYTES)
    await next.sync()
    await known?.note('fences', {})
    await disk.rename(PART, FENCE_FILE)
    await disk.syncNames()
    await file?.close().catch(() => {})
    file = next
    crc = frame.crc
    end = HEADER_BYTES + frame.bytes.length
    lines = all.length
  }

  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        const some = batch.map(({ line }) => line)
        for (const line of some) take(line)
        if (file === undefined || lines > LEAST_LINES + STALE * scopes.size) await rewrite()
        else {
          const frame = encode(some)
          await file.write(frame.bytes, end)
          await file.sync()
          end += frame.bytes.length
          crc = frame.crc
          lines += some.length
        }
        for (const { done } of batch) done.resolve()
      } catch (error) {
        // Nobody knows what is on the disk: the next write makes a whole new file.
        await file?.close().catch(() => {})
        file = undefined
        const why = refuse(
          'disk-failed',
          'a fence could not be kept',
          'the effect is not let through; see the disk',
          error,
        )
        for (const { done } of batch) done.reject(why)
      }
    }
    flushing = undefined
  }

  return {
    async load() {
      if ((await disk.list()).includes(FENCE_FILE)) {
        const bytes = await disk.read(FENCE_FILE)
        const header = decodeHeader(bytes)
        const found = header === undefined ? undefined : readFrames(bytes, header)
        // The first frame was there before the file had its name: no write to come can have torn it.
        const isWhole = found !== undefined && found.fault !== 'damaged' && found.payloads.length > 0
        if (header === undefined || !isWhole || header.format > FORMAT)
          throw refuse(
            'damaged',
            `${FENCE_FILE} is damaged`,
            'remove it only if nothing that was replaced can reach this node any more: old effects would be let through',
          )
        for (const payload of found.payloads)
          for (const line of JSON.parse(new TextDecoder().decode(payload)) as Line[]) take(line)
        // What the process before did not sync may be in the page cache alone, and counts from now on.
        const opened = await disk.open(FENCE_FILE)
        await opened.sync()
        await opened.close()
        await disk.syncNames()
        await known?.note('fences', {})
      }
      return { floor, scopes: [...scopes] }
    },
    save(scope, fence, at) {
      const done = Promise.withResolvers<void>()
      waiting.push({ line: [scope, fence.term, fence.index, at.term, at.index], done })
      flushing ??= Promise.resolve().then(flush)
      return done.promise
    },
    async close() {
      await flushing
      await file?.close()
    },
  }
}
