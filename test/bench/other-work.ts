/**
 * How busy the machine is with work that is not the bench's: looked at just before a system starts, when nothing of
 * the bench runs. A busy machine changes figures by a factor (two ends on one core instead of two), so a reader of
 * the report must see it.
 */
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { rounded, spread } from './statistics.ts'

export interface CpuTimes {
  readonly busy: number
  readonly idle: number
}

/** Shares of all cores, 0 to 1. */
export interface OtherWork {
  readonly median: number
  readonly max: number
}

/** Above this share the absolute figures of a run say little. */
export const QUIET_SHARE = 0.1

const LOOK_MS = 200

const read = (): CpuTimes => {
  let busy = 0
  let idle = 0
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq
    idle += times.idle
  }
  return { busy, idle }
}

/** Busy share between two readings; 0 when the counters did not move. */
export const busyShare = (before: CpuTimes, after: CpuTimes): number => {
  const busy = after.busy - before.busy
  const all = busy + after.idle - before.idle
  return all > 0 ? busy / all : 0
}

export const lookAtOtherWork = async (): Promise<number> => {
  const before = read()
  await delay(LOOK_MS)
  return busyShare(before, read())
}

export const summarise = (shares: readonly number[]): OtherWork => {
  const { median, max } = spread(shares.length === 0 ? [0] : shares)
  return { median: rounded(median), max: rounded(max) }
}
