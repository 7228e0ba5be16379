/**
 * A process that takes data directories, for the tests of the lock.
 *
 * Started by fork it answers each message. `lock`: tries once. `release`: gives it back. `contend`: takes the lock
 * `times` times in competition with others; while inside, it watches that the lock is its own and that nobody else is
 * inside; three times of four it leaves the lock as a killed process would. Started with `hold` it takes the lock,
 * prints its pid and stays.
 */
import { open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DirectoryLock, lockDataDirectory } from '../../node/store/data-directory.ts'
import { isParleyError } from '../../protocols/errors.ts'

/** Larger than any pid that Linux gives (2^22). */
const NO_PID = 999_999_999

export type Order = { do: 'lock' | 'release' } | { do: 'contend'; times: number }
export interface Answer {
  held?: boolean
  holderPid?: number
  /** How often someone else was inside at the same time. */
  violations?: number
  wins?: number
}

const [directory = '', mode] = process.argv.slice(2)
let lock: DirectoryLock | undefined

const tryLock = async (): Promise<Answer> => {
  try {
    lock = await lockDataDirectory(directory)
    return { held: true }
  } catch (error) {
    if (!isParleyError(error, 'STA003')) throw error
    const { pid } = error.details
    // Without a holder it is another fault, which the test must see.
    if (typeof pid !== 'number') throw error
    return { held: false, holderPid: pid }
  }
}

/** Leaves the holder's file behind under the name of a process that is gone: what a SIGKILL right here would leave. */
const abandon = async (): Promise<void> => {
  const held = join(directory, 'lock')
  for (const file of await readdir(held)) {
    await rename(join(held, file), join(held, file.replace(/^\d+/, String(NO_PID))))
  }
}

/** How often the lock on disk was not this process's own while it was inside, or someone else was inside too. */
const stayInside = async (looks: number): Promise<number> => {
  const marker = join(directory, 'inside')
  let violations = 0
  try {
    await (await open(marker, 'wx')).close()
  } catch {
    violations += 1
  }
  for (let look = 0; look < looks; look += 1) {
    const holders = await readdir(join(directory, 'lock')).catch(() => [])
    if (holders.length !== 1 || holders[0]?.startsWith(`${process.pid}.`) !== true) violations += 1
  }
  await rm(marker, { force: true })
  return violations
}

const contend = async (times: number): Promise<Answer> => {
  let wins = 0
  let violations = 0
  while (wins < times) {
    if ((await tryLock()).held !== true) continue
    wins += 1
    violations += await stayInside(10)
    if (wins % 4 === 0) await lock?.release()
    else await abandon()
  }
  return { wins, violations }
}

if (mode === 'hold') {
  await tryLock()
  process.stdout.write(`${process.pid}\n`)
  setInterval(() => {}, 60_000)
} else {
  process.on('message', async (order: Order) => {
    if (order.do === 'release') await lock?.release()
    const answer = order.do === 'lock' ? await tryLock() : order.do === 'contend' ? await contend(order.times) : {}
    process.send?.(answer)
  })
  process.send?.({})
}
