/**
 * `npm run crash -- [--kills N] [--only NAME] [--seed S] [--json FILE]`: five nodes as real processes that are killed,
 * frozen, stopped, blocked, filled and damaged, while programs use the journal; what was answered is compared with what is
 * there.
 *
 * Exit code: 0 all is well, 1 something is wrong, 2 wrong command line, 130 Ctrl-C.
 */
import { writeFile } from 'node:fs/promises'
import { killAll } from '../soak/child.ts'
import { UsageError } from '../support/usage.ts'
import { type CrashArguments, parseCrashArguments } from './arguments.ts'
import { type Result, summary, verdictOf } from './report.ts'
import { broken, SCENARIOS, type Scenario } from './scenarios.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const playOne = async (scenario: Scenario, seed: number, kills: number): Promise<Result> => {
  const { name, about } = scenario
  const skipped = scenario.skip?.()
  if (skipped !== undefined) return { name, seconds: 0, skipped, figures: {}, violations: [] }
  say(`${name}: ${about}`)
  const startedAt = performance.now()
  const told = (line: string): void => say(`  ${line}`)
  const { figures, violations } = await scenario.play({ seed, kills, say: told }).catch(broken)
  const result = { name, seconds: (performance.now() - startedAt) / 1_000, skipped, figures, violations }
  say(`${name}: ${verdictOf(result)}`)
  for (const what of violations) say(`  ${what}`)
  return result
}

const run = async ({ kills, only, seed: given, json }: CrashArguments): Promise<number> => {
  const seed = given ?? Math.floor(Math.random() * 2 ** 32)
  const chosen = SCENARIOS.filter(({ name }) => only === undefined || name === only)
  const results: Result[] = []
  for (const scenario of chosen) results.push(await playOne(scenario, seed, kills))
  console.log(summary(results, seed))
  const ok = results.every(({ violations }) => violations.length === 0)
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ ok, seed, kills, results }, null, 1)}\n`)
  return ok ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
try {
  const names = SCENARIOS.map(({ name }) => name)
  process.exitCode = await run(parseCrashArguments(process.argv.slice(2), names))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  say(error.message)
  process.exitCode = 2
} finally {
  killAll()
}
process.exit()
