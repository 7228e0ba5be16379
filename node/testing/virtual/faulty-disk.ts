/**
 * A disk in memory that can lose what was not synced, tear it, run full and fail, as disks do.
 *
 * State: for each file what a power cut would leave, and what was written since, as single writes; names that were not
 * synced yet come and go with a power cut too.
 */
import type { Disk, DiskFile } from '../../store/files/disk.ts'

const SECTOR = 512
const SYNC_TURNS = 6

type Write = { readonly at: number; readonly bytes: Uint8Array } | { readonly size: number }

/** Bytes that writes are made to. State: them, with room for more behind. */
class Bytes {
  #room: Uint8Array
  size: number

  constructor(bytes: Uint8Array) {
    this.#room = bytes.slice()
    this.size = bytes.length
  }

  write(write: Write): void {
    const size = 'size' in write ? write.size : Math.max(this.size, write.at + write.bytes.length)
    if (size > this.#room.length) {
      const grown = new Uint8Array(2 * size)
      grown.set(this.#room.subarray(0, this.size))
      this.#room = grown
    }
    if ('bytes' in write) this.#room.set(write.bytes, write.at)
    else this.#room.fill(0, size)
    this.size = size
  }

  slice(from = 0, to = this.size): Uint8Array {
    return this.#room.slice(from, Math.min(to, this.size))
  }
}

interface Contents {
  /** What a power cut leaves. */
  readonly safe: Bytes
  /** Since then. */
  writes: Write[]
  /** What is read: `safe` with all writes. */
  readonly current: Bytes
}

const contentsOf = (safe: Uint8Array): Contents => ({ safe: new Bytes(safe), writes: [], current: new Bytes(safe) })

/** What was written is read at once. */
const put = (contents: Contents, write: Write): void => {
  contents.writes.push(write)
  contents.current.write(write)
}

const keep = (contents: Contents): void => {
  for (const write of contents.writes) contents.safe.write(write)
  contents.writes = []
}

class SystemError extends Error {
  readonly code: string
  constructor(code: string) {
    super(`${code}: the disk of this test says so`)
    this.code = code
  }
}

export interface FaultyDisk extends Disk {
  /** Bytes that there is room for. */
  room: number
  /** The next sync fails, and what it should have kept may be lost. */
  failSync: boolean
  failRemove: boolean
  /** The disk as one process has it: nothing of it works any more once that process is gone. */
  mount(): Disk
  /** The machine loses power: of what was not synced, any part is left. Files that are open fail from now on. */
  crash(random: () => number): void
  /** The process dies, and the machine does not: what it wrote stays, and its files are closed. */
  release(): void
  /** Changes a byte that is on the disk. */
  flip(name: string, at: number): void
  size(name: string): number
  /** Bytes of all files. */
  used(): number
}

interface FileRules {
  /** @throws where the process that opened the file is gone */
  check(): void
  /** Bytes that the disk still takes. */
  left(): number
  /** Whether this sync fails. */
  failsSync(): boolean
}

const fileOf = (contents: Contents, rules: FileRules): DiskFile => {
  const writeNow = (bytes: Uint8Array, at: number): void => {
    rules.check()
    const grows = Math.max(0, at + bytes.length - contents.current.size)
    const left = rules.left()
    if (grows > left) {
      // A write that finds no room has done a part of it.
      const part = bytes.slice(0, Math.max(0, bytes.length - (grows - left)))
      if (part.length > 0) put(contents, { at, bytes: part })
      throw new SystemError('ENOSPC')
    }
    put(contents, { at, bytes: bytes.slice() })
  }
  return {
    write: async (bytes, at) => writeNow(bytes, at),
    writeNow,
    async size() {
      rules.check()
      return contents.current.size
    },
    async read(bytes, at) {
      rules.check()
      return contents.current.slice(at, at + bytes)
    },
    async truncate(size) {
      rules.check()
      put(contents, { size })
    },
    async sync() {
      // It takes a while, in which the power may go.
      for (let turn = 0; turn < SYNC_TURNS; turn += 1) await Promise.resolve()
      rules.check()
      if (rules.failsSync()) throw new SystemError('EIO')
      keep(contents)
    },
    async close() {},
  }
}

/** Any prefix of the writes, the last of which is torn at a sector, or has some of its sectors only. */
const tear = ({ safe, writes }: Contents, random: () => number): Contents => {
  const count = Math.floor(random() * (writes.length + 1))
  for (const write of writes.slice(0, count)) safe.write(write)
  const torn = writes[count]
  if (torn !== undefined && 'bytes' in torn) {
    for (let at = 0; at < torn.bytes.length; at += SECTOR)
      if (random() < 0.5) safe.write({ at: torn.at + at, bytes: torn.bytes.subarray(at, at + SECTOR) })
  }
  return contentsOf(safe.slice())
}

export const createFaultyDisk = (): FaultyDisk => {
  let files = new Map<string, Contents>()
  /** As a power cut would leave the names. */
  let safeNames = new Map<string, Contents>()
  let life = 0

  const used = (): number => [...files.values()].reduce((sum, { current }) => sum + current.size, 0)
  const find = (name: string): Contents => {
    const contents = files.get(name)
    if (contents === undefined) throw new SystemError('ENOENT')
    return contents
  }

  const opened = (contents: Contents): DiskFile => {
    const born = life
    return fileOf(contents, {
      check() {
        if (born !== life) throw new SystemError('EBADF')
      },
      left: () => disk.room - used(),
      failsSync() {
        const { failSync } = disk
        disk.failSync = false
        return failSync
      },
    })
  }

  const disk: FaultyDisk = {
    room: Number.POSITIVE_INFINITY,
    failSync: false,
    failRemove: false,
    list: async () => [...files.keys()],
    read: async (name) => find(name).current.slice(),
    async create(name) {
      if (files.has(name)) throw new SystemError('EEXIST')
      const contents = contentsOf(new Uint8Array(0))
      files.set(name, contents)
      return opened(contents)
    },
    open: async (name) => opened(find(name)),
    async rename(from, to) {
      files.set(to, find(from))
      files.delete(from)
    },
    async remove(name) {
      if (disk.failRemove) throw new SystemError('EACCES')
      files.delete(name)
    },
    async syncNames() {
      safeNames = new Map(files)
    },
    mount() {
      const born = life
      /** Each of its functions, for this life only. */
      const bound =
        <A extends readonly unknown[], R>(run: (...given: A) => Promise<R>) =>
        async (...given: A): Promise<R> => {
          if (born !== life) throw new SystemError('EBADF')
          return run(...given)
        }
      const { list, read, create, open, rename, remove, syncNames } = disk
      return {
        list: bound(list),
        read: bound(read),
        create: bound(create),
        open: bound(open),
        rename: bound(rename),
        remove: bound(remove),
        syncNames: bound(syncNames),
      }
    },
    crash(random) {
      life += 1
      const left = new Map<string, Contents>()
      for (const name of new Set([...files.keys(), ...safeNames.keys()])) {
        // A name that was not synced is there or not.
        const kept = files.has(name) === safeNames.has(name) || random() < 0.5
        const contents = kept ? files.get(name) : safeNames.get(name)
        if (contents !== undefined) left.set(name, tear(contents, random))
      }
      files = left
      safeNames = new Map(left)
    },
    release() {
      life += 1
    },
    flip(name, at) {
      const contents = find(name)
      const [byte = 0] = contents.current.slice(at, at + 1)
      put(contents, { at, bytes: Uint8Array.of(byte ^ 0x40) })
      keep(contents)
    },
    size: (name) => find(name).current.size,
    used,
  }
  return disk
}
