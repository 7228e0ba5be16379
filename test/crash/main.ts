/**
 * `npm run crash`: real processes that are killed, frozen, stopped, blocked, filled and damaged, and what was answered is
 * compared with what is there. Five nodes while programs use the journal (`--kills N`); or two and three that send each
 * other durable messages (`--rounds N`); or the stores of a node on a virtual disk, with bytes changed and the power cut
 * (`--flips N`); or seven nodes that work on tasks (`--tasks N`). arguments.ts has the command line.
 *
 * Exit code: 0 all is well, 1 something is wrong, 2 wrong command line, 130 Ctrl-C.
 */
import { writeFile } from 'node:fs/promises'
import { killAll } from '../soak/child.ts'
import { UsageError } from '../support/usage.ts'
import { type CrashArguments, parseCrashArguments } from './arguments.ts'
import { diskSummary } from './disk/report.ts'
import { DISK_SCENARIOS } from './disk/scenarios.ts'
import { messagesSummary } from './messages/report.ts'
import { MESSAGE_SCENARIOS } from './messages/scenarios.ts'
import { type Result, summary, verdictOf } from './report.ts'
import { broken, type Run, SCENARIOS, type Scenario } from './scenarios.ts'
import { tasksSummary } from './tasks/report.ts'
import { taskScenarioNames, taskScenarios } from './tasks/scenarios.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const SUMMARY = { coordinator: summary, messages: messagesSummary, disk: diskSummary, tasks: tasksSummary }

const playOne = async (scenario: Scenario, run: Omit<Run, 'say'>): Promise<Result> => {
  const { name, about } = scenario
  const skipped = scenario.skip?.()
  if (skipped !== undefined) return { name, seconds: 0, skipped, figures: {}, violations: [] }
  say(`${name}: ${about}`)
  const startedAt = performance.now()
  const told = (line: string): void => say(`  ${line}`)
  const { figures, violations } = await scenario.play({ ...run, say: told }).catch(broken)
  const result = { name, seconds: (performance.now() - startedAt) / 1_000, skipped, figures, violations }
  say(`${name}: ${verdictOf(result)}`)
  for (const what of violations) say(`  ${what}`)
  return result
}

const run = async ({ about, only, seed: given, json, ...plan }: CrashArguments): Promise<number> => {
  const seed = given ?? Math.floor(Math.random() * 2 ** 32)
  say(`seed ${seed}`)
  const all = {
    coordinator: SCENARIOS,
    messages: MESSAGE_SCENARIOS,
    disk: DISK_SCENARIOS,
    tasks: taskScenarios(plan.tasks),
  }
  const chosen = all[about].filter(({ name }) => only === undefined || name === only)
  const results: Result[] = []
  for (const scenario of chosen) results.push(await playOne(scenario, { ...plan, seed }))
  console.log(SUMMARY[about](results, seed))
  const ok = results.every(({ violations }) => violations.length === 0)
  const told = { ok, seed, ...plan, results }
  if (json === '') console.log(JSON.stringify(told))
  else if (json !== undefined) await writeFile(json, `${JSON.stringify(told, null, 1)}\n`)
  return ok ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
try {
  const names = (scenarios: readonly Scenario[]): string[] => scenarios.map(({ name }) => name)
  const known = {
    coordinator: names(SCENARIOS),
    messages: names(MESSAGE_SCENARIOS),
    disk: names(DISK_SCENARIOS),
    tasks: taskScenarioNames,
  }
  process.exitCode = await run(parseCrashArguments(process.argv.slice(2), known))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  say(error.message)
  process.exitCode = 2
} finally {
  killAll()
}
process.exit()
