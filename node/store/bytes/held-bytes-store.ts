/**
 * Values of tasks that this node holds, on disk: a file each (held-bytes-file.ts).
 *
 * A file gets its name once all of it is on disk, so that what has a name is whole. Opening reads the head of each; one that
 * is damaged is left where it is and does not count: others hold the value too, and `parley store verify` tells of it. State:
 * what there is, by place and by task.
 */
import { join } from 'node:path'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Quota } from '../../../protocols/limits/quota.ts'
import type { ByteStore, HeldBytes } from '../../../protocols/task/bytes/byte-store.ts'
import type { BytesPlace } from '../../../protocols/task/bytes/stored-bytes.ts'
import { TaskBytes, type TaskBytesDeps } from '../../../protocols/task/bytes/task-bytes.ts'
import { systemCode } from '../../platform/private-file.ts'
import { type Disk, lookIntoFolder, openFolder } from '../files/disk.ts'
import { BYTES_FOLDER } from '../known-stores.ts'
import { storeError } from '../log/log-segments.ts'
import { encodeHead, heldFileName, isHeldFile, readHead } from './held-bytes-file.ts'

const PART = '.part'
const NOTHING = { values: 0, bytes: 0 } as const
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

const failure = (what: string, error: unknown): ParleyError => {
  if (isParleyError(error)) return error
  return FULL.has(systemCode(error) ?? '')
    ? storeError('disk-full', `${what}: the disk is full`, 'make room on the disk of this node', error)
    : storeError('disk-failed', `${what}: the disk does not do what it should`, 'look at the disk of this node', error)
}

const gone = ({ task, hash }: HeldBytes): ParleyError =>
  new ParleyError('STA001', `the bytes ${hash} of the task ${task} are not on this node`, {
    hint: 'ask another one that holds them',
    details: { task, hash },
  })

export class HeldBytesStore implements ByteStore {
  readonly #disk: Disk
  readonly #held = new Map<string, HeldBytes>()
  readonly #ofTask = new Map<string, Set<HeldBytes>>()
  readonly #ofPeer = new Map<string, { readonly values: number; readonly bytes: number }>()
  #bytes = 0
  #turn: Promise<void> = Promise.resolve()
  /** Files that are damaged. */
  damaged = 0

  private constructor(disk: Disk) {
    this.#disk = disk
  }

  /** @throws STA003 `disk-failed` */
  static async open(disk: Disk): Promise<HeldBytesStore> {
    const store = new HeldBytesStore(disk)
    try {
      for (const name of await disk.list()) {
        // Of a write that a crash cut off.
        if (name.endsWith(PART)) await disk.remove(name)
        else if (isHeldFile(name)) await store.#look(name)
      }
    } catch (error) {
      throw failure('what this node holds for tasks cannot be read', error)
    }
    return store
  }

  async #look(name: string): Promise<void> {
    const file = await this.#disk.open(name)
    try {
      const found = await readHead(file, name)
      if (found === undefined) this.damaged += 1
      else this.#list(found.held)
    } finally {
      await file.close()
    }
  }

  find(place: BytesPlace): HeldBytes | undefined {
    return this.#held.get(heldFileName(place))
  }

  findOf(task: string, hash: string): HeldBytes | undefined {
    for (const held of this.#ofTask.get(task) ?? []) if (held.hash === hash) return held
    return undefined
  }

  all(): Iterable<HeldBytes> {
    return [...this.#held.values()]
  }

  count(): number {
    return this.#held.size
  }

  bytes(): number {
    return this.#bytes
  }

  of(by: string): { readonly values: number; readonly bytes: number } {
    return this.#ofPeer.get(by) ?? NOTHING
  }

  async *read(held: HeldBytes, partBytes: number): AsyncGenerator<Uint8Array, void> {
    const name = heldFileName(held)
    if (this.#held.get(name) === undefined) throw gone(held)
    let file: Awaited<ReturnType<Disk['open']>>
    try {
      file = await this.#disk.open(name)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') this.#unlist(name)
      throw systemCode(error) === 'ENOENT' ? gone(held) : failure('what this node holds cannot be read', error)
    }
    try {
      const from = encodeHead(held).length
      for (let at = 0; at < held.size; at += partBytes) {
        const part = await file.read(Math.min(partBytes, held.size - at), from + at)
        // It was cut off since.
        if (part.length === 0) return
        yield part
      }
    } finally {
      await file.close()
    }
  }

  async keep(held: HeldBytes, bytes: Uint8Array): Promise<void> {
    const { size } = held
    if (bytes.length !== size) throw new RangeError(`${bytes.length} bytes are said to be ${size}`)
    await this.#inTurn(async () => {
      const name = heldFileName(held)
      try {
        await this.#write(name, encodeHead(held), bytes)
      } catch (error) {
        await this.#disk.remove(name + PART).catch(() => {})
        throw failure('the bytes of a task cannot be kept', error)
      }
      this.#unlist(name)
      this.#list(held)
    })
  }

  async #write(name: string, head: Uint8Array, bytes: Uint8Array): Promise<void> {
    const part = name + PART
    await this.#disk.remove(part)
    const file = await this.#disk.create(part)
    try {
      await file.write(head, 0)
      await file.write(bytes, head.length)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#disk.rename(part, name)
    await this.#disk.syncNames()
  }

  async remove(held: HeldBytes): Promise<void> {
    const name = heldFileName(held)
    // It was kept anew since it was found.
    if ((this.#held.get(name)?.at ?? held.at) !== held.at) return
    // From now on nobody is told that it is here.
    this.#unlist(name)
    await this.#inTurn(async () => {
      if (this.#held.has(name)) return
      try {
        await this.#disk.remove(name)
      } catch (error) {
        throw failure('the bytes of a task cannot be removed', error)
      }
    })
  }

  /** One after the other: a name is written or removed, not both. */
  #inTurn(run: () => Promise<void>): Promise<void> {
    const next = this.#turn.then(run)
    this.#turn = next.catch(() => {})
    return next
  }

  #list(held: HeldBytes): void {
    this.#held.set(heldFileName(held), held)
    const ofTask = this.#ofTask.get(held.task) ?? new Set()
    this.#ofTask.set(held.task, ofTask.add(held))
    this.#count(held, 1)
  }

  #unlist(name: string): void {
    const held = this.#held.get(name)
    if (held === undefined) return
    this.#held.delete(name)
    const ofTask = this.#ofTask.get(held.task)
    ofTask?.delete(held)
    if (ofTask?.size === 0) this.#ofTask.delete(held.task)
    this.#count(held, -1)
  }

  #count({ by, size }: HeldBytes, values: 1 | -1): void {
    this.#bytes += values * size
    const now = this.of(by)
    const next = { values: now.values + values, bytes: now.bytes + values * size }
    if (next.values > 0) this.#ofPeer.set(by, next)
    else this.#ofPeer.delete(by)
  }
}

export interface NodeBytesDeps extends Omit<TaskBytesDeps, 'openStore' | 'room'> {
  readonly quota: Quota
  readonly dataDir: string | undefined
}

/** Values that were held before are looked after soon; that none of them can be read keeps no node from starting. */
export const createTaskBytes = async ({ quota, dataDir, ...deps }: NodeBytesDeps): Promise<TaskBytes> => {
  const folder = dataDir === undefined ? undefined : join(dataDir, BYTES_FOLDER)
  const openStore = async (): Promise<HeldBytesStore> => HeldBytesStore.open(await openFolder(folder ?? ''))
  const bytes = new TaskBytes({
    ...deps,
    openStore: folder === undefined ? undefined : openStore,
    room: {
      fits: (size) => quota.fits(size),
      recordGrowth: (size) => quota.recordGrowth(size),
      freeBytes() {
        const { maxBytes, bytes: used } = quota.figures()
        return Math.max(0, maxBytes - used)
      },
    },
  })
  if (folder !== undefined && (await lookIntoFolder(folder).list()).length > 0)
    bytes
      .begin()
      .catch((error: unknown) => deps.port.log.error('what this node holds for tasks cannot be read', { error }))
  return bytes
}
