/**
 * `npm run attack`: a stranger and a member that lies, with raw libp2p and frames of their own, against real nodes in
 * processes of their own over loopback TCP. Each line of issue 16, part A, is tried; arguments.ts has the command line.
 *
 * Exit code: 0 all were held off, 1 one succeeded or could not be played, 2 wrong command line, 130 Ctrl-C.
 */
import { writeFile } from 'node:fs/promises'
import { killAll } from '../soak/child.ts'
import { UsageError } from '../support/usage.ts'
import { parseAttackArguments } from './arguments.ts'
import type { Attack } from './attack.ts'
import { ATTACKS } from './attacks.ts'
import { allHeld, type Result, summary, verdictOf } from './report.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)
/** Beyond what an attack is given: its mesh starts, what it left behind is looked at, and all of it ends. */
const BESIDE_MS = 240_000

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`it did not end within ${ms / 1_000} s`)), ms)
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

const playOne = async ({ name, line, by, about, play }: Attack, seconds: number): Promise<Result> => {
  say(`${line} ${name}: ${about}`)
  const startedAt = performance.now()
  const told = (text: string): void => say(`  ${text}`)
  const [outcome] = await Promise.allSettled([within(seconds * 2_000 + BESIDE_MS, play({ seconds, say: told }))])
  const result: Result = {
    name,
    line,
    by,
    seconds: (performance.now() - startedAt) / 1_000,
    findings: outcome.status === 'fulfilled' ? outcome.value : undefined,
    broken: outcome.status === 'rejected' ? reasonOf(outcome.reason) : undefined,
  }
  const [first = result.broken] = result.findings?.reached ?? []
  say(`  ${verdictOf(result)}${first === undefined ? '' : `: ${first}`}`)
  return result
}

const run = async (): Promise<number> => {
  const { only, seconds, json } = parseAttackArguments(
    process.argv.slice(2),
    ATTACKS.map(({ name }) => name),
  )
  const results: Result[] = []
  for (const attack of ATTACKS) {
    if (only === undefined || only.includes(attack.name)) results.push(await playOne(attack, seconds))
  }
  console.log(summary(results))
  const ok = allHeld(results)
  const told = results.map((result) => ({ ...result, verdict: verdictOf(result) }))
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ ok, seconds, results: told }, null, 1)}\n`)
  return ok ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
// A stream of an attacker that was reset under its hands is what the node is asked to do.
for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(event, (error) => say(`  (an attacker's own: ${reasonOf(error)})`))
}
try {
  process.exitCode = await run()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  say(error.message)
  process.exitCode = 2
} finally {
  killAll()
}
process.exit()
