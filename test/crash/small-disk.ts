/** A disk with little room, that can be filled and emptied. Needs root. State: what is mounted, unmounted at the end. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemCode } from '../../node/platform/private-file.ts'

const MIB = 16
const FILLER = 'filler'
/** Each step of filling writes half as much as the one before. */
const FIRST_STEP = 1 << 20

export interface SmallDisk {
  readonly path: string
  /** Nothing more has room. */
  fill(): Promise<void>
  /** Until something has. */
  makeRoom(): Promise<void>
  remove(): void
}

const mount = (path: string, mib: number): void =>
  void execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m,mode=0700`, 'tmpfs', path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
/** Lazily: processes that were just killed may still have files open. */
const unmount = (path: string): void =>
  void execFileSync('umount', ['-l', path], { stdio: ['ignore', 'ignore', 'pipe'] })

const folder = (): string => mkdtempSync(join(tmpdir(), 'parley-small-disk-'))

/** Why there can be none here; undefined where there can. */
export const noSmallDisk = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root to mount a small tmpfs'
  const path = folder()
  try {
    mount(path, 1)
    unmount(path)
    return undefined
  } catch (error) {
    return `a tmpfs cannot be mounted: ${error instanceof Error ? error.message.trim() : error}`
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
}

export const createSmallDisk = (): SmallDisk => {
  const path = folder()
  mount(path, MIB)
  let isThere = true
  const remove = (): void => {
    if (!isThere) return
    isThere = false
    unmount(path)
    rmSync(path, { recursive: true, force: true })
  }
  process.once('exit', remove)
  const filler = join(path, FILLER)
  return {
    path,
    async fill() {
      const file = await open(filler, 'a')
      try {
        for (let step = FIRST_STEP; step >= 1; ) {
          try {
            const { bytesWritten } = await file.write(Buffer.alloc(step))
            if (bytesWritten < step) step = Math.floor(step / 2)
          } catch (error) {
            if (systemCode(error) !== 'ENOSPC') throw error
            step = Math.floor(step / 2)
          }
        }
      } finally {
        await file.close()
      }
    },
    makeRoom: () => rm(filler, { force: true }),
    remove,
  }
}
