/**
 * `npm run bench -- [suite] [--json FILE] [--check] [--rounds N] [--systems a,b] [--against COMMIT]`
 *
 * Measures Parley beside its peers on this machine, or beside an older commit of itself. The table goes to stdout, progress to stderr. Ends with 0; with 1
 * when `--check` finds a floor that does not hold or was not measured, or the run itself failed; with 2 for a wrong
 * command line; with 130 or 143 after a signal. Whatever it started is ended with it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../support/usage.ts'
import { suiteAgainst } from './against.ts'
import { type BenchArguments, parseBenchArguments } from './arguments.ts'
import { buildEnds } from './built.ts'
import { SUBJECT } from './catalogue.ts'
import { allHold } from './floors.ts'
import { NEWEST_NATS, provideNewestNats } from './newest-nats.ts'
import { findCommit, provideOlderTree, shortOf } from './older-tree.ts'
import { installPeers } from './peers.ts'
import { createProcesses, type Processes } from './processes.ts'
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

interface Prepared {
  readonly suite: Suite
  readonly processes: Processes
  /** Of what is measured, beside those of the packages. */
  readonly versions: Readonly<Record<string, string>>
}

/** What must be gone when this process ends, however it ends. */
const leaving: (() => void)[] = []
process.on('exit', () => {
  for (const leave of leaving) leave()
})
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))
process.on('SIGHUP', () => process.exit(129))

/** Ends of the tree at `root`; of this one unless told. */
const startProcesses = async ({ built }: Suite, root?: string): Promise<Processes> => {
  const directory = mkdtempSync(join(tmpdir(), 'parley-bench-'))
  leaving.push(() => rmSync(directory, { recursive: true, force: true }))
  const ends = built === true ? await buildEnds(root) : undefined
  const source = root === undefined ? undefined : pathToFileURL(join(root, 'test/bench/end.ts'))
  const processes = createProcesses(directory, ends?.end ?? source)
  leaving.unshift(() => {
    processes.killAll()
    if (ends !== undefined) rmSync(ends.directory, { recursive: true, force: true })
  })
  return processes
}

/** What an older tree must have where today's ends do not fit it. */
const needsOf = ({ name, beside }: Suite): string => (beside === undefined ? `suites/${name}.ts` : 'systems/parley.ts')

const prepareAgainst = async (suite: Suite, given: string): Promise<Prepared> => {
  const [commit, head] = [await findCommit(given), await findCommit('HEAD')]
  const folder = mkdtempSync(join(tmpdir(), 'parley-against-'))
  const stop = new AbortController()
  leaving.push(() => {
    stop.abort()
    rmSync(folder, { recursive: true, force: true })
  })
  const { root, ownEnds } = await provideOlderTree({ commit, needs: needsOf(suite), folder }, stop.signal, say)
  const older = `${SUBJECT}@${shortOf(commit)}`
  const [todays, olders] = [await startProcesses(suite), await startProcesses(suite, root)]
  return {
    suite: suiteAgainst(suite, older, ownEnds === undefined ? "by today's ends" : 'by its own ends', root),
    versions: { [SUBJECT]: head, [older]: commit },
    processes: {
      start: (name, system, role) => (system === older ? olders : todays).start(name, SUBJECT, role),
      stopAll: async () => void (await Promise.all([todays.stopAll(), olders.stopAll()])),
      killAll: () => {
        for (const one of [todays, olders]) one.killAll()
      },
    },
  }
}

const bench = async (chosen: Suite, { json, check, rounds, systems, against }: BenchArguments): Promise<void> => {
  const { suite, processes, versions } =
    against === undefined
      ? { suite: chosen, processes: await startProcesses(chosen), versions: {} }
      : await prepareAgainst(chosen, against)
  const limit = setTimeout(() => {
    say(`the run took longer than ${(ROUND_LIMIT_MS * rounds) / 1_000} s and was ended`)
    process.exit(1)
  }, ROUND_LIMIT_MS * rounds)

  const at = new Date().toISOString()
  const entries = entriesOf(suite)
  const peersMissing = entries.some(({ peer }) => peer) ? await installPeers(say) : undefined
  const isChosen = ({ name }: { name: string }) => systems === undefined || systems.includes(name)
  if (entries.some((entry) => isChosen(entry) && entry.program?.command === NEWEST_NATS)) await provideNewestNats(say)
  const { ledger, skipped, otherWork } = await runSuite({ suite, rounds, only: systems, peersMissing }, processes, say)
  const report: Report = {
    suite: suite.name,
    at,
    machine: readMachine(otherWork),
    versions: { ...versions, ...readVersions(entries) },
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
  print('npm run bench -- SUITE [--json FILE] [--check] [--rounds N] [--systems a,b] [--against COMMIT]\n')
  for (const { name, about, systems } of suites.values()) print(`${name}: ${about}\n  ${systems.join(', ')}`)
} else {
  await bench(suite, given).catch((error: unknown) => {
    say(error instanceof Error ? error.message : String(error))
    process.exit(error instanceof UsageError ? 2 : 1)
  })
}
