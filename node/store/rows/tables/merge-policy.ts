/**
 * Which runs of tables are merged next. Pure.
 *
 * Runs of about the same size are merged, four or more at a time, and all of them where what is newer may stand for as much
 * as the oldest: so a store takes at most about twice what it holds, and a row is written again a number of times that grows
 * with the logarithm of their number. A row that only says that another one is gone counts as much as the one that it removes.
 */
import type { Run } from '../row-manifest.ts'

const MIN_RUNS = 4
/** Runs up to this size count as equal, bytes. */
const SMALL_BYTES = 1024 * 1024
/** What is newer counts as this times what it is, against the next run. */
const RATIO = 1.5

/** Runs to merge: the newest is number 0. */
export interface DueMerge {
  readonly from: number
  readonly to: number
}

const sum = (run: Run, of: (ref: Run[number]) => number): number => run.reduce((all, ref) => all + of(ref), 0)

/** Bytes that a run stands for. @param older runs behind it */
const weightOf = (run: Run, older: readonly Run[]): number => {
  const behind = older.flat()
  const rows = sum(behind, (ref) => ref.rows)
  const average = rows === 0 ? 0 : sum(behind, (ref) => ref.bytes) / rows
  return sum(run, (ref) => ref.bytes) + average * sum(run, (ref) => ref.removed)
}

/** @returns undefined: none is due */
export const dueMerge = (runs: readonly Run[]): DueMerge | undefined => {
  if (runs.length < 2) return undefined
  const weights = runs.map((run, i) => weightOf(run, runs.slice(i + 1)))
  const oldest = weights.at(-1) ?? 0
  const newer = weights.slice(0, -1).reduce((all, weight) => all + weight, 0)
  if (newer >= Math.max(oldest, SMALL_BYTES)) return { from: 0, to: runs.length }
  let [gathered, to] = [weights[0] ?? 0, 1]
  for (; to < runs.length; to += 1) {
    const next = weights[to] ?? 0
    if (next > Math.max(SMALL_BYTES, RATIO * gathered)) break
    gathered += next
  }
  return to >= MIN_RUNS ? { from: 0, to } : undefined
}
