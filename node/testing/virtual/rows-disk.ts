/**
 * The rows of one node as its disk has them, in memory: what was synced, what was only written, and copies of it.
 *
 * State: the rows, which outlive the processes; whose rows they are. A group of rows is there wholly or not at all.
 */
import type { RowWrites } from '../../store/rows/group-commit.ts'

export type Health = 'well' | 'full' | 'failing'

export interface RowsCopy {
  readonly id: string
  readonly formerIds: readonly string[]
  readonly rows: ReadonlyMap<string, Uint8Array>
}

export interface RowsDisk {
  id(): string
  formerIds(): readonly string[]
  /** Counts up each time that it was lost or set back. */
  generation(): number
  health: Health
  /** Milliseconds until a group is written, and again until it is synced, least and most. */
  takesMs: readonly [number, number]
  /** As a process reads it. */
  rows(): ReadonlyMap<string, Uint8Array>
  /** What is there after a power cut for sure. */
  synced(): ReadonlyMap<string, Uint8Array>
  /** The operating system has it. */
  write(rows: RowWrites): void
  sync(): void
  /** Of what was not synced all or nothing is left. */
  losePower(): void
  copy(): RowsCopy
  /** The copy takes the place of what there is, under another id. */
  restore(copy: RowsCopy): void
  /** A new disk. */
  lose(): void
}

/** As row-storage.ts has it. */
const MAX_FORMER = 16

const applied = (rows: ReadonlyMap<string, Uint8Array>, group: RowWrites): Map<string, Uint8Array> => {
  const all = new Map(rows)
  for (const [key, value] of group) {
    if (value === undefined) all.delete(key)
    else all.set(key, value.slice())
  }
  return all
}

export const createRowsDisk = (random: () => number): RowsDisk => {
  const newId = (): string => Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  let id = newId()
  let formerIds: readonly string[] = []
  let generation = 0
  let synced: ReadonlyMap<string, Uint8Array> = new Map()
  let current = synced

  const disk: RowsDisk = {
    id: () => id,
    formerIds: () => formerIds,
    generation: () => generation,
    health: 'well',
    takesMs: [0.1, 2],
    rows: () => current,
    synced: () => synced,
    write(group) {
      current = applied(current, group)
    },
    sync() {
      synced = current
    },
    losePower() {
      if (random() < 0.5) synced = current
      else current = synced
    },
    copy: () => ({ id, formerIds, rows: current }),
    restore(copy) {
      id = newId()
      formerIds = [copy.id, ...copy.formerIds].slice(0, MAX_FORMER)
      generation += 1
      current = copy.rows
      synced = current
    },
    lose() {
      id = newId()
      formerIds = []
      generation += 1
      current = new Map()
      synced = current
    },
  }
  return disk
}
