/**
 * Tells whether a process that was seen once still runs, also when its pid was given to another process since.
 *
 * A process is named by its pid and its birth: the start time in clock ticks since boot (proc(5),
 * field 22 of /proc/<pid>/stat) and the boot it belongs to. Where there is no /proc, only the pid can be compared.
 */
import { readFile } from 'node:fs/promises'
import { systemCode } from './private-file.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** `<ticks>-<boot>`, or `unknown` where the platform does not tell. */
  readonly birth: string
}

export const UNKNOWN_BIRTH = 'unknown'

const bootId = async (): Promise<string> => {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim().replaceAll('-', '').slice(0, 12)
  } catch {
    // Without it two boots cannot be told apart, which only matters where ticks and pid are the same too.
    return 'boot'
  }
}

/** The birth of a process; undefined where it is over (a zombie is over: it holds nothing any more). */
const birthOf = async (pid: number): Promise<string | undefined> => {
  let stat: string
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  } catch {
    // No /proc here, or it hides other users' processes.
    return UNKNOWN_BIRTH
  }
  // The second field is the program's name in brackets and may hold spaces and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  const startTicks = fields[19]
  if (state === 'Z' || state === 'X') return undefined
  return startTicks === undefined ? UNKNOWN_BIRTH : `${startTicks}-${await bootId()}`
}

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM says that it runs and belongs to someone else.
    return systemCode(error) === 'EPERM'
  }
}

/** The name of this process. */
export const thisProcess = async (): Promise<ProcessIdentity> => ({
  pid: process.pid,
  birth: (await birthOf(process.pid)) ?? UNKNOWN_BIRTH,
})

/** Whether that very process still runs. Where the platform cannot tell, a process with this pid counts as it. */
export const isStillRunning = async ({ pid, birth }: ProcessIdentity): Promise<boolean> => {
  if (!exists(pid)) return false
  const now = await birthOf(pid)
  return now !== undefined && (now === birth || now === UNKNOWN_BIRTH || birth === UNKNOWN_BIRTH)
}
