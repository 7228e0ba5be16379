/**
 * Calls without a pause for as long as it runs, in a container of its own: who answers is left to the mesh.
 *
 * Prints a line of JSON twice a second, and the last one when SIGTERM has ended it. Started by the smoke test with the
 * method to call: `hello`, which is idempotent and must never fail, or `welcome`, which is not and must not fail while
 * nodes are stopped in order.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createMesh, isParleyError, readSecretFile } from 'parley-mesh'
import { greeter } from '../agents/greeter.ts'

export interface Tally {
  calls: number
  failed: number
  /** What the first failures said. */
  failures: string[]
  /** Answers of each container, by its host name. */
  answers: Record<string, number>
  slowestMs: number
  done: boolean
}

export type Method = 'hello' | 'welcome'

const CALLERS = 4
/** Between two calls of one caller: a steady load, which leaves the two cores of a small machine some room. */
const PAUSE_MS = 10
const MAX_FAILURES_TOLD = 10

const tally: Tally = { calls: 0, failed: 0, failures: [], answers: {}, slowestMs: 0, done: false }
const print = (): void => void process.stdout.write(`${JSON.stringify(tally)}\n`)

const method: Method = process.argv[2] === 'welcome' ? 'welcome' : 'hello'
const secret = await readSecretFile(process.env.PARLEY_SECRET_FILE ?? '')
const mesh = await createMesh({
  name: `load-${method}`,
  secret,
  listen: [],
  join: ['/dns4/parley-seed/tcp/4001'],
  log: 'error',
})
const client = mesh.any(greeter)
let stopping = false
process.on('SIGTERM', () => {
  stopping = true
})
await mesh.joined()
// Whoever offers it is known a moment after joining; calls before that would fail by right.
while (mesh.directory.offers(greeter.name, 1).length === 0 && !stopping) await sleep(50)

const told = (error: unknown): string =>
  isParleyError(error)
    ? `${error.code} ${error.message} ${JSON.stringify(error.details)}`
    : error instanceof Error
      ? error.message
      : String(error)

const callAgainAndAgain = async (): Promise<void> => {
  while (!stopping) {
    const startedAt = performance.now()
    try {
      const { host } = await client[method]({ name: 'load' })
      tally.answers[host] = (tally.answers[host] ?? 0) + 1
    } catch (error) {
      tally.failed += 1
      if (tally.failures.length < MAX_FAILURES_TOLD) tally.failures.push(`${new Date().toISOString()} ${told(error)}`)
    }
    tally.calls += 1
    tally.slowestMs = Math.max(tally.slowestMs, Math.round(performance.now() - startedAt))
    await sleep(PAUSE_MS)
  }
}

const printing = setInterval(print, 500)
await Promise.all(Array.from({ length: CALLERS }, callAgainAndAgain))
clearInterval(printing)
tally.done = true
print()
await mesh.stop()
process.exit()
