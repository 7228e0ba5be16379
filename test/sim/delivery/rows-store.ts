/**
 * A RowStore over a RowsDisk in virtual time, that promises what protocols/delivery/store/row-storage.ts says and no more: commits
 * take their time and go in groups, what is put off is lost with the process, a failure leaves open what was written.
 *
 * State: the group that gathers, the one that is written, its state. After `kill` nothing of it happens or is answered.
 */
import type { RowWrites } from '../../../node/store/messages/group-commit.ts'
import type { RowChange, RowStore, RowStoreState, StoredRow } from '../../../protocols/delivery/store/row-storage.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { VirtualTime } from '../../support/virtual-time.ts'
import type { RowsDisk } from './rows-disk.ts'

const LATER_MS = 50
const REOPEN_MS = 1_000
const MAX_REOPEN_MS = 4_000
const CHUNK_ROWS = 16
const READ_MS = 0.5

interface Group {
  readonly changes: Map<string, RowChange['value']>
  readonly done: PromiseWithResolvers<void>
}

const emptyGroup = (): Group => {
  const done = Promise.withResolvers<void>()
  done.promise.catch(() => {})
  return { changes: new Map(), done }
}

const refused = (reason: string): ParleyError =>
  new ParleyError('STA003', `the disk of this simulation is ${reason}`, { details: { reason } })

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export interface ModelStore extends RowStore {
  /** As SIGKILL does: what the operating system has stays on the disk. */
  kill(): void
}

export const openRowsStore = (disk: RowsDisk, time: VirtualTime, random: () => number): ModelStore => {
  const listeners = new Set<(state: RowStoreState) => void>()
  let state: RowStoreState = 'open'
  let gathering = emptyGroup()
  let writing: { readonly rows: RowWrites; readonly done: Promise<void> } | undefined
  let isDue = false
  let isPutOff = false
  let isOver = false
  let isClosed = false
  const { id, formerIds } = { id: disk.id(), formerIds: disk.formerIds() }
  // What a store reads when it is opened it writes anew, so it is there from then on.
  disk.sync()

  const never = <T>(): Promise<T> => new Promise(() => {})
  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      time.after(ms, () => {
        if (!isOver) resolve()
      })
    })
  const between = ([least, most]: readonly [number, number]): number => least + random() * (most - least)
  const check = (): void => {
    if (isClosed) throw refused('closed')
    if (state !== 'open') throw refused(state === 'full' ? 'disk-full' : 'disk-failed')
  }

  const become = (next: RowStoreState): void => {
    if (state === next) return
    state = next
    for (const fn of [...listeners]) fn(next)
  }

  const reopenLater = (waitMs: number): void => {
    time.after(waitMs, () => {
      if (isOver || isClosed) return
      if (disk.health !== 'well') {
        reopenLater(Math.min(MAX_REOPEN_MS, 2 * waitMs))
        become(disk.health === 'full' ? 'full' : 'failed')
        return
      }
      disk.sync()
      become('open')
    })
  }

  const fail = (group: Group): void => {
    const why = refused(disk.health === 'full' ? 'disk-full' : 'disk-failed')
    const gathered = gathering
    gathering = emptyGroup()
    writing = undefined
    isDue = false
    isPutOff = false
    reopenLater(REOPEN_MS)
    become(disk.health === 'full' ? 'full' : 'failed')
    group.done.reject(why)
    gathered.done.reject(why)
  }

  const run = async (): Promise<void> => {
    if (isOver || state !== 'open') return
    const group = gathering
    gathering = emptyGroup()
    isDue = false
    isPutOff = false
    const rows = new Map<string, Uint8Array | undefined>()
    for (const [key, value] of group.changes) rows.set(key, typeof value === 'function' ? value() : value)
    writing = { rows, done: group.done.promise }
    await sleep(between(disk.takesMs))
    if (disk.health !== 'well') {
      // Written or not, nobody knows.
      if (random() < 0.5) disk.write(rows)
      fail(group)
      return
    }
    disk.write(rows)
    await sleep(between(disk.takesMs))
    if (disk.health !== 'well') {
      fail(group)
      return
    }
    disk.sync()
    writing = undefined
    group.done.resolve()
    if (isDue) time.after(0, () => void run())
  }

  const start = (): void => {
    if (isDue || isOver) return
    isDue = true
    if (writing === undefined) time.after(0, () => void run())
  }

  const put = (changes: readonly RowChange[]): void => {
    for (const { key, value } of changes) gathering.changes.set(key, value)
  }

  const settled = async (): Promise<void> => {
    check()
    if (gathering.changes.size > 0) start()
    await (isDue ? gathering.done.promise : writing?.done)
    if (isOver) await never()
  }

  const pending = (key: string): { value: Uint8Array | undefined } | 'none' | 'asked' => {
    if (gathering.changes.has(key)) {
      const value = gathering.changes.get(key)
      return typeof value === 'function' ? 'asked' : { value }
    }
    return writing?.rows.has(key) ? { value: writing.rows.get(key) } : 'none'
  }

  const getMany = async (keys: readonly string[]): Promise<(Uint8Array | undefined)[]> => {
    if (isOver) return never()
    check()
    if (keys.some((key) => pending(key) === 'asked')) await settled()
    const waiting = keys.map(pending)
    if (random() < 0.5) await sleep(random() * READ_MS)
    if (isOver) return never()
    check()
    return keys.map((key, i) => {
      const known = waiting[i]
      return typeof known === 'object' ? known.value : disk.rows().get(key)
    })
  }

  return {
    id,
    formerIds,
    state: () => state,
    onState(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    get: async (key) => (await getMany([key]))[0],
    getMany,
    async *rows(prefix, { after, limit = Number.POSITIVE_INFINITY } = {}): AsyncGenerator<StoredRow> {
      if (isOver) await never()
      await settled()
      const snapshot = disk.rows()
      const keys = [...snapshot.keys()].filter(
        (key) => key.startsWith(prefix) && (after === undefined || compare(key, after) > 0),
      )
      for (const [index, key] of keys.sort(compare).slice(0, limit).entries()) {
        if (index % CHUNK_ROWS === 0) await sleep(random() * READ_MS)
        if (isOver) await never()
        check()
        const value = snapshot.get(key)
        if (value !== undefined) yield { key, value }
      }
    },
    async commit(changes) {
      if (isOver) return never()
      check()
      put(changes)
      const { promise } = gathering.done
      start()
      return promise
    },
    later(changes) {
      if (isOver || isClosed || state !== 'open') return
      put(changes)
      if (isDue || isPutOff) return
      isPutOff = true
      const group = gathering
      time.after(LATER_MS, () => {
        if (group === gathering) start()
      })
    },
    bytes: () => 0,
    async close() {
      if (isClosed) return
      try {
        if (state === 'open') await settled()
      } finally {
        isClosed = true
      }
    },
    kill() {
      isOver = true
      listeners.clear()
    },
  }
}
