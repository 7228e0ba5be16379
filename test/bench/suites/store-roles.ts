/** The one process of the store suite: rows that are written in groups, read by key, and found again. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { createGroupCommit } from '../../../node/store/rows/group-commit.ts'
import { sharedNowMs } from '../body.ts'
import type { Roles } from '../role.ts'
import { latencies, percentile } from '../statistics.ts'
import { benchDirectory } from '../surroundings.ts'
import type { KeptRows, System } from '../system.ts'

const VALUE_BYTES = 300
const KEPT_VALUE_BYTES = 1_024
/** A row goes again once so many more were put, as a message does that was acknowledged. */
const LIVE_ROWS = 4_096
const FILL_GROUP = 2_000
const SETTLE_MS = 20_000
const SETTLED_MS = 2_000

export const runSchema = z.object({ waiting: z.int().positive(), durationMs: z.number().positive() })
export const fillSchema = z.object({ bytes: z.int().positive() })
export const readsSchema = z.object({ durationMs: z.number().positive() })

/** Bytes that no store makes smaller. */
const noise = (bytes: number): Uint8Array => {
  const value = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(value.subarray(at, at + 65_536))
  return value
}

const folderBytes = async (folder: string): Promise<number> => {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0
  }
  return bytes
}

const keyOf = (i: number): string => `kept/${String(i).padStart(10, '0')}`
const rssMib = (): number => process.memoryUsage.rss() / (1024 * 1024)

const playStore = async ({ store }: System) => {
  if (store === undefined) throw new Error('this system keeps no rows')
  const folder = join(benchDirectory(), `store-${process.pid}`)
  let rows: KeptRows = await store.open(folder)
  let kept = 0

  /** Rows that are put and removed, each by somebody who waits for it. */
  const run = async ({ waiting, durationMs }: z.output<typeof runSchema>) => {
    const groups = createGroupCommit({
      timers: {
        after: (ms, fn) => {
          const timer = setTimeout(fn, ms)
          return () => clearTimeout(timer)
        },
      },
      write: (group) => rows.write(group),
      onFailure: (error) => error as Error,
    })
    const took = latencies()
    const value = noise(VALUE_BYTES)
    const before = process.cpuUsage()
    const beginMs = sharedNowMs()
    let count = 0
    const lane = async (): Promise<void> => {
      while (sharedNowMs() - beginMs < durationMs) {
        const i = count
        count += 1
        const atMs = sharedNowMs()
        const changes = [{ key: `live/${i}`, value }]
        await groups.commit(i < LIVE_ROWS ? changes : [...changes, { key: `live/${i - LIVE_ROWS}`, value: undefined }])
        took.add(sharedNowMs() - atMs)
      }
    }
    await Promise.all(Array.from({ length: waiting }, lane))
    const seconds = (sharedNowMs() - beginMs) / 1_000
    const { user, system } = process.cpuUsage(before)
    const values = took.values()
    return {
      perSecond: count / seconds,
      p50Ms: percentile(values, 0.5),
      p99Ms: percentile(values, 0.99),
      cpuUs: (user + system) / count,
    }
  }

  const fill = async ({ bytes }: z.output<typeof fillSchema>): Promise<number> => {
    const value = noise(KEPT_VALUE_BYTES)
    const beginMs = sharedNowMs()
    for (const end = Math.ceil(bytes / KEPT_VALUE_BYTES); kept < end; ) {
      const group = new Map<string, Uint8Array>()
      for (let i = 0; i < FILL_GROUP && kept < end; i += 1, kept += 1) group.set(keyOf(kept), value)
      await rows.write(group)
    }
    return (sharedNowMs() - beginMs) / 1_000
  }

  const reopen = async () => {
    await rows.close()
    const beforeMib = rssMib()
    const beginMs = sharedNowMs()
    rows = await store.open(folder)
    if ((await rows.get(keyOf(0)))?.length !== KEPT_VALUE_BYTES) throw new Error('a row is not there')
    return { ms: sharedNowMs() - beginMs, mib: Math.max(0, rssMib() - beforeMib) }
  }

  const read = async ({ durationMs }: z.output<typeof readsSchema>): Promise<number> => {
    const beginMs = sharedNowMs()
    let count = 0
    while (sharedNowMs() - beginMs < durationMs) {
      const value = await rows.get(keyOf(Math.floor(Math.random() * kept)))
      if (value?.length !== KEPT_VALUE_BYTES) throw new Error('a row is not there')
      count += 1
    }
    return (count * 1_000) / (sharedNowMs() - beginMs)
  }

  /** Deletes nine of ten rows, and waits until the files get no smaller. @returns bytes for each byte that is left */
  const thin = async (): Promise<number> => {
    let group = new Map<string, undefined>()
    for (let i = 0; i < kept; i += 1) {
      if (i % 10 !== 0) group.set(keyOf(i), undefined)
      if (group.size < FILL_GROUP && i < kept - 1) continue
      await rows.write(group)
      group = new Map()
    }
    let [least, sinceMs] = [Number.POSITIVE_INFINITY, sharedNowMs()]
    for (const beginMs = sharedNowMs(); sharedNowMs() - beginMs < SETTLE_MS; ) {
      const now = await folderBytes(folder)
      if (now < least) [least, sinceMs] = [now, sharedNowMs()]
      if (sharedNowMs() - sinceMs > SETTLED_MS) break
      await sleep(200)
    }
    return least / ((kept / 10) * KEPT_VALUE_BYTES)
  }

  return {
    hello: null,
    verbs: {
      run: async (what: unknown) => run(runSchema.parse(what)),
      fill: async (what: unknown) => fill(fillSchema.parse(what)),
      read: async (what: unknown) => read(readsSchema.parse(what)),
      reopen,
      thin,
    },
    stop: async () => {
      await rows.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export const roles: Roles = { store: (system) => playStore(system) }
