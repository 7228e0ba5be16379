/**
 * A RowStore over a RowsDisk in virtual time, that promises what protocols/delivery/store/row-storage.ts says and no more: commits
 * take their time and go in groups, what is put off is lost with the process, a failure leaves open what was written.
 *
 * State: the group that gathers, the one that is written, its state. After `kill` nothing of it happens or is answered.
 */

import type { RowChange, RowStore, RowStoreState, StoredRow } from '../../../protocols/delivery/store/row-storage.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { RowWrites } from '../../store/rows/group-commit.ts'
import type { RowsDisk } from './rows-disk.ts'
import type { VirtualTime } from './virtual-time.ts'

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
  new ParleyError('STA003', `the virtual disk is ${reason}`, { details: { reason } })

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export interface ModelStore extends RowStore {
  /** As SIGKILL does: what the operating system has stays on the disk. */
  kill(): void
}

const never = <T>(): Promise<T> => new Promise(() => {})

/** The groups that are written one after the other, and what becomes of them where the disk fails. */
class GroupWriter {
  readonly #disk: RowsDisk
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly listeners = new Set<(state: RowStoreState) => void>()
  state: RowStoreState = 'open'
  isOver = false
  isClosed = false
  #gathering = emptyGroup()
  #writing: { readonly rows: RowWrites; readonly done: Promise<void> } | undefined
  #isDue = false
  #isPutOff = false

  constructor(disk: RowsDisk, time: VirtualTime, random: () => number) {
    this.#disk = disk
    this.#time = time
    this.#random = random
  }

  /** @throws STA003 where it is closed or the disk does not take rows */
  check(): void {
    if (this.isClosed) throw refused('closed')
    if (this.state !== 'open') throw refused(this.state === 'full' ? 'disk-full' : 'disk-failed')
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#time.after(ms, () => {
        if (!this.isOver) resolve()
      })
    })
  }

  commit(changes: readonly RowChange[]): Promise<void> {
    this.#put(changes)
    const { promise } = this.#gathering.done
    this.#start()
    return promise
  }

  /** With the next group, or by itself a moment later. */
  later(changes: readonly RowChange[]): void {
    this.#put(changes)
    if (this.#isDue || this.#isPutOff) return
    this.#isPutOff = true
    const group = this.#gathering
    this.#time.after(LATER_MS, () => {
      if (group === this.#gathering) this.#start()
    })
  }

  /** All that was given is on the disk. */
  async settled(): Promise<void> {
    this.check()
    if (this.#gathering.changes.size > 0) this.#start()
    await (this.#isDue ? this.#gathering.done.promise : this.#writing?.done)
    if (this.isOver) await never()
  }

  /** What is not on the disk yet; `asked`: it is known once its group is written. */
  pending(key: string): { value: Uint8Array | undefined } | 'none' | 'asked' {
    if (this.#gathering.changes.has(key)) {
      const value = this.#gathering.changes.get(key)
      return typeof value === 'function' ? 'asked' : { value }
    }
    return this.#writing?.rows.has(key) ? { value: this.#writing.rows.get(key) } : 'none'
  }

  #put(changes: readonly RowChange[]): void {
    for (const { key, value } of changes) this.#gathering.changes.set(key, value)
  }

  #start(): void {
    if (this.#isDue || this.isOver) return
    this.#isDue = true
    if (this.#writing === undefined) this.#time.after(0, () => void this.#run())
  }

  #takesMs(): number {
    const [least, most] = this.#disk.takesMs
    return least + this.#random() * (most - least)
  }

  async #run(): Promise<void> {
    if (this.isOver || this.state !== 'open') return
    const disk = this.#disk
    const group = this.#gathering
    this.#gathering = emptyGroup()
    this.#isDue = false
    this.#isPutOff = false
    const rows = new Map<string, Uint8Array | undefined>()
    for (const [key, value] of group.changes) rows.set(key, typeof value === 'function' ? value() : value)
    this.#writing = { rows, done: group.done.promise }
    await this.sleep(this.#takesMs())
    if (disk.health !== 'well') {
      // Written or not, nobody knows.
      if (this.#random() < 0.5) disk.write(rows)
      this.#fail(group)
      return
    }
    disk.write(rows)
    await this.sleep(this.#takesMs())
    if (disk.health !== 'well') {
      this.#fail(group)
      return
    }
    disk.sync()
    this.#writing = undefined
    group.done.resolve()
    if (this.#isDue) this.#time.after(0, () => void this.#run())
  }

  #fail(group: Group): void {
    const why = refused(this.#disk.health === 'full' ? 'disk-full' : 'disk-failed')
    const gathered = this.#gathering
    this.#gathering = emptyGroup()
    this.#writing = undefined
    this.#isDue = false
    this.#isPutOff = false
    this.#reopenLater(REOPEN_MS)
    this.#become(this.#disk.health === 'full' ? 'full' : 'failed')
    group.done.reject(why)
    gathered.done.reject(why)
  }

  #become(next: RowStoreState): void {
    if (this.state === next) return
    this.state = next
    for (const fn of [...this.listeners]) fn(next)
  }

  #reopenLater(waitMs: number): void {
    this.#time.after(waitMs, () => {
      if (this.isOver || this.isClosed) return
      if (this.#disk.health !== 'well') {
        this.#reopenLater(Math.min(MAX_REOPEN_MS, 2 * waitMs))
        this.#become(this.#disk.health === 'full' ? 'full' : 'failed')
        return
      }
      this.#disk.sync()
      this.#become('open')
    })
  }
}

export const openRowsStore = (disk: RowsDisk, time: VirtualTime, random: () => number): ModelStore => {
  const writer = new GroupWriter(disk, time, random)
  const { id, formerIds } = { id: disk.id(), formerIds: disk.formerIds() }
  // What a store reads when it is opened it writes anew, so it is there from then on.
  disk.sync()

  const getMany = async (keys: readonly string[]): Promise<(Uint8Array | undefined)[]> => {
    if (writer.isOver) return never()
    writer.check()
    if (keys.some((key) => writer.pending(key) === 'asked')) await writer.settled()
    const waiting = keys.map((key) => writer.pending(key))
    if (random() < 0.5) await writer.sleep(random() * READ_MS)
    if (writer.isOver) return never()
    writer.check()
    return keys.map((key, i) => {
      const known = waiting[i]
      return typeof known === 'object' ? known.value : disk.rows().get(key)
    })
  }

  return {
    id,
    formerIds,
    state: () => writer.state,
    onState(fn) {
      writer.listeners.add(fn)
      return () => void writer.listeners.delete(fn)
    },
    get: async (key) => (await getMany([key]))[0],
    getMany,
    async *rows(prefix, { after, limit = Number.POSITIVE_INFINITY } = {}): AsyncGenerator<StoredRow> {
      if (writer.isOver) await never()
      await writer.settled()
      const snapshot = disk.rows()
      const keys = [...snapshot.keys()].filter(
        (key) => key.startsWith(prefix) && (after === undefined || compare(key, after) > 0),
      )
      for (const [index, key] of keys.sort(compare).slice(0, limit).entries()) {
        if (index % CHUNK_ROWS === 0) await writer.sleep(random() * READ_MS)
        if (writer.isOver) await never()
        writer.check()
        const value = snapshot.get(key)
        if (value !== undefined) yield { key, value }
      }
    },
    async commit(changes) {
      if (writer.isOver) return never()
      writer.check()
      return writer.commit(changes)
    },
    later(changes) {
      if (writer.isOver || writer.isClosed || writer.state !== 'open') return
      writer.later(changes)
    },
    bytes: () => 0,
    async close() {
      if (writer.isClosed) return
      try {
        if (writer.state === 'open') await writer.settled()
      } finally {
        writer.isClosed = true
      }
    },
    kill() {
      writer.isOver = true
      writer.listeners.clear()
    },
  }
}
