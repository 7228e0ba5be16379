/** The folder that a store lives in, as it sees it: so that tests can tear, fill and break it. */
import { constants, fdatasync, read, writeSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ensurePrivateDirectory, FILE_MODE, systemCode } from '../../platform/private-file.ts'

export interface DiskFile {
  /** Writes all of it there, or fails. */
  write(bytes: Uint8Array, at: number): Promise<void>
  /** The same, done on return: for a few bytes within the file, where another thread would cost more than the write. */
  writeNow(bytes: Uint8Array, at: number): void
  /** Bytes. */
  size(): Promise<number>
  /** Fewer bytes where the file ends before. */
  read(bytes: number, at: number): Promise<Uint8Array>
  truncate(size: number): Promise<void>
  /** What was written survives a power cut once this resolves (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  /** Names of the files. */
  list(): Promise<string[]>
  read(name: string): Promise<Uint8Array>
  /** A new file; fails where there is one. */
  create(name: string): Promise<DiskFile>
  open(name: string): Promise<DiskFile>
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** Names that were made, changed or removed survive a power cut once this resolves. */
  syncNames(): Promise<void>
}

/** By a callback, as `syncData`: a handle's own `read` takes twice as long. @returns bytes */
const readAt = (fd: number, into: Buffer, from: number, at: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, into, from, into.length - from, at, (error, bytes) => (error === null ? resolve(bytes) : reject(error)))
  })

const syncData = (fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)))
  })

const fileOf = (handle: FileHandle): DiskFile => ({
  async write(bytes, at) {
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done)
      done += bytesWritten
    }
  },
  writeNow(bytes, at) {
    let done = 0
    while (done < bytes.length) done += writeSync(handle.fd, bytes, done, bytes.length - done, at + done)
  },
  size: async () => (await handle.stat()).size,
  async read(bytes, at) {
    const buffer = Buffer.allocUnsafeSlow(bytes)
    let done = 0
    while (done < bytes) {
      const more = await readAt(handle.fd, buffer, done, at + done)
      if (more === 0) break
      done += more
    }
    return buffer.subarray(0, done)
  },
  truncate: (size) => handle.truncate(size),
  sync: () => syncData(handle.fd),
  close: () => handle.close(),
})

const folderAt = (path: string): Disk => {
  const at = (name: string): string => join(path, name)
  return {
    list: () => readdir(path),
    async read(name) {
      const handle = await open(at(name), 'r')
      try {
        return await handle.readFile()
      } finally {
        await handle.close()
      }
    },
    create: async (name) =>
      fileOf(await open(at(name), constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, FILE_MODE)),
    open: async (name) => fileOf(await open(at(name), 'r+')),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    async syncNames() {
      // Windows cannot open a folder for fsync; its file system journals names.
      if (process.platform === 'win32') return
      const handle = await open(path, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
  }
}

/** Makes the folder, with mode 0700. @throws STA003 where that is not possible */
export const openFolder = async (path: string): Promise<Disk> => {
  await ensurePrivateDirectory(path)
  return folderAt(path)
}

const notHere = (): never => {
  throw new Error('this folder is only looked at')
}

/** A folder that is looked at and not changed; one that is not there is empty. */
export const lookIntoFolder = (path: string): Disk => ({
  async list() {
    try {
      return await readdir(path)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    }
  },
  read: (name) => readFile(join(path, name)),
  async open(name) {
    const file = fileOf(await open(join(path, name), 'r'))
    return { ...file, write: notHere, writeNow: notHere, truncate: notHere, sync: notHere }
  },
  create: notHere,
  rename: notHere,
  remove: notHere,
  syncNames: notHere,
})

/** A folder that is made with its first file; until then it is empty. */
export const folderToCome = (path: string): Disk => ({
  ...folderAt(path),
  list: lookIntoFolder(path).list,
  create: async (name) => (await openFolder(path)).create(name),
})

/** A whole file takes the place of the one of that name, or nothing changes. Resolves once it survives a power cut. */
export const replaceFile = async (disk: Disk, name: string, content: string | Uint8Array): Promise<void> => {
  const part = `${name}.part`
  await disk.remove(part)
  const file = await disk.create(part)
  try {
    await file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(part, name)
  await disk.syncNames()
}
