/**
 * `npm run bench -- [suite] [--json FILE] [--check] [--rounds N] [--systems a,b]`
 *
 * Measures Parley beside its peers on this machine. The table goes to stdout, progress to stderr. Ends with 0; with 1
 * when `--check` finds a floor that does not hold or was not measured, or the run itself failed; with 2 for a wrong
 * command line; with 130 or 143 after a signal. Whatever it started is ended with it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../support/usage.ts'
import { type BenchArguments, parseBenchArguments } from './arguments.ts'
import { buildEnds } from './built.ts'
import { allHold } from './floors.ts'
import { installPeers } from './peers.ts'
import { createProcesses } from './processes.ts'
import { type Report, readMachine, readVersions, table } from './report.ts'
import { entriesOf, runSuite } from './run.ts'
import type { Suite } from './suite.ts'
import { suites } from './suites.ts'

/** The whole run may never take longer than this for each round. */
const ROUND_LIMIT_MS = 300_000

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const print = (text: string): void => void process.stdout.write(`${text}\n`)

const readArguments = (): BenchArguments => {
  const names = new Map([...suites].map(([name, suite]) => [name, suite.systems]))
  try {
    return parseBenchArguments(process.argv.slice(2), names)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    say(error.message)
    process.exit(2)
  }
}

/** Everything that must be gone when this process ends, however it ends. */
const startProcesses = async ({ built }: Suite) => {
  const directory = mkdtempSync(join(tmpdir(), 'parley-bench-'))
  const ends = built === true ? await buildEnds() : undefined
  const processes = createProcesses(directory, ends?.end)
  process.on('exit', () => {
    processes.killAll()
    for (const one of [directory, ends?.directory]) {
      if (one !== undefined) rmSync(one, { recursive: true, force: true })
    }
  })
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  process.on('SIGHUP', () => process.exit(129))
  return processes
}

const bench = async (suite: Suite, { json, check, rounds, systems }: BenchArguments): Promise<void> => {
  const processes = await startProcesses(suite)
  const limit = setTimeout(() => {
    say(`the run took longer than ${(ROUND_LIMIT_MS * rounds) / 1_000} s and was ended`)
    process.exit(1)
  }, ROUND_LIMIT_MS * rounds)

  const at = new Date().toISOString()
  const entries = entriesOf(suite)
  const peersMissing = entries.some(({ peer }) => peer) ? await installPeers(say) : undefined
  const { ledger, skipped, otherWork } = await runSuite({ suite, rounds, only: systems, peersMissing }, processes, say)
  const report: Report = {
    suite: suite.name,
    at,
    machine: readMachine(otherWork),
    versions: readVersions(entries),
    rows: ledger.rows(),
    floors: suite.floors(ledger),
    skipped,
    ...(suite.labels === undefined ? {} : { labels: Object.fromEntries(suite.labels) }),
  }
  clearTimeout(limit)
  print(table(report, new Map(entries.map(({ name, note }) => [name, note]))))
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  process.exitCode = check && !allHold(report.floors) ? 1 : 0
}

const given = readArguments()
const suite = given.suite === undefined ? undefined : suites.get(given.suite)
if (suite === undefined) {
  print('npm run bench -- SUITE [--json FILE] [--check] [--rounds N] [--systems a,b]\n')
  for (const { name, about, systems } of suites.values()) print(`${name}: ${about}\n  ${systems.join(', ')}`)
} else {
  await bench(suite, given)
}
