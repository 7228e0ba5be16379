/** What `parley doctor` says of this machine's clock, by itself and by the files of the data directory. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type DoctorCheck, type Finding, fail, ok, warn } from './check-finding.ts'
import { directoryOf, noDirectory } from './disk-checks.ts'

/** No clock that was ever set shows an earlier time. */
const LEAST_MS = Date.UTC(2025, 0, 1)
/** File systems round, and those over the network have a clock of their own. */
const TOLERATED_MS = 5_000
const MAX_FILES = 200
const SET_IT = 'set the clock by NTP: timedatectl set-ntp true, or chrony; in a container that of the host'

const secondsText = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

const byFiles = async (dataDir: string): Promise<Finding> => {
  const name = 'clock and files'
  const names = await readdir(dataDir).catch(() => [])
  const times = await Promise.all(
    names
      .slice(0, MAX_FILES)
      .map(async (one) => ({ one, at: (await stat(join(dataDir, one)).catch(() => undefined))?.mtimeMs })),
  )
  const newest = times.reduce((best, next) => ((next.at ?? 0) > (best.at ?? 0) ? next : best), { one: '', at: 0 })
  if (newest.at === 0) return ok(name, `there are no files in ${dataDir} yet`)
  const aheadMs = (newest.at ?? 0) - Date.now()
  if (aheadMs <= TOLERATED_MS) return ok(name, 'no file is newer than now')
  const seen = `${join(dataDir, newest.one)} was written ${secondsText(aheadMs)} from now: the clock was set back, or that of the file system is ahead`
  return warn(name, seen, SET_IT)
}

const clock: DoctorCheck = {
  name: 'clock',
  async run(subject) {
    const { name } = clock
    const now = Date.now()
    const shown = Number.isFinite(now) ? new Date(now).toISOString() : 'nothing'
    if (!(now >= LEAST_MS)) return [fail(name, `it shows ${shown}, which is past`, SET_IT)]
    const dataDir = directoryOf(subject)
    const files = dataDir === undefined ? noDirectory('clock and files', subject) : await byFiles(dataDir)
    return [ok(name, `it shows ${shown}`), files]
  },
}

export const CLOCK_CHECKS: readonly DoctorCheck[] = [clock]
