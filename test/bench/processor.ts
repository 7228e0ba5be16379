/** Processor time of other processes, as Linux tells it; elsewhere it is not measured. */
import { readFileSync } from 'node:fs'

/** Ticks of /proc are hundredths of a second on every Linux that Node runs on (USER_HZ, proc(5)). */
const TICK_MS = 10

/** Fields 14 and 15 of /proc/PID/stat. The second field may hold blanks and brackets, so counting begins after it. */
export const ticksIn = (stat: string): number => {
  const [user = Number.NaN, system = Number.NaN] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  return user + system
}

/** Milliseconds that the processes have run so far, all together; undefined where that cannot be read. */
export const busyMsOf = (pids: readonly number[]): number | undefined => {
  try {
    const ticks = pids.map((pid) => ticksIn(readFileSync(`/proc/${pid}/stat`, 'utf8')))
    return ticks.reduce((sum, one) => sum + one, 0) * TICK_MS
  } catch {
    return undefined
  }
}
