/**
 * Runs all tests. First the integration tests that can do with half of the machine, two at a time; then the others one at a
 * time, since each of those keeps several processes busy and measures times. Beside them run the unit tests, at the lowest
 * priority, several files in one process: they take what is left. One report and one summary for all, with the slowest
 * files above it.
 * `node test/run.ts [PATTERN...]`; without a pattern all but those of FAULTS, which `--faults` runs. With TEST_SKIPS=fail, as
 * `.ci/run` has it, tests that are skipped for want of something that `.ci/setup` installs are named, and the exit code is 1.
 * With TEST_AGAIN=2 at most two files that failed run once more at the end, alone (second-run.ts).
 */
import { globSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { buildTests, buildTogether, builtOf, sourceOf } from './built.ts'
import { groupsOf, ownProcess } from './groups.ts'
import { figuresAfter, SecondRun } from './second-run.ts'
import { type Skip, skipOf, toldOf, unexcused } from './skips.ts'

type TestEvent = Parameters<ReturnType<typeof spec>['write']>[0] & { type: string; data: Record<string, unknown> }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** For each file. */
const TIMEOUT_MS = 150_000
/** Files of unit tests in one process, at most. */
const TOGETHER = 16
/** Files whose times are told at the end. */
const SLOWEST = 25
/** Integration tests that measure no times, or use half of a core or less while they run; the longest first. */
const SIDE_BY_SIDE = [
  'partition doctor progress report control events-gap-proof stop recovery leave hostile store-cli trust',
  'control-life tasks overlay-killed cli events-direct config-cli load dead-letters reload founding messages-crash restored',
  'coordinator proof membership-end inbox llm-agent completion wire events-archive dht disk-quota quic gossip-foreign foreign-member tls',
  'relay discovery-mdns group discovery-dns agent-worker events discovery-dead commands dns calls discovery-ipv6 traps',
  'plans coalitions task-bytes tasks-time task-versions delegation report-again resources budgets task-budgets budget-calls golden backup interceptors parts',
].flatMap((names) => names.split(' '))
/** Networks that are cut and nodes that are killed, for half a minute and longer each: `npm run test:faults`, in `.ci/run` as well. */
const FAULTS =
  'partition events-gap-proof recovery overlay restored membership-end death tasks-killed budgets-killed report-killed'.split(
    ' ',
  )
/** Unit tests that measure times. */
const MEASURING = ['test/unit/bench/processes.test.ts', 'test/unit/node/network/nat/proxy-streams.test.ts']
const FIGURE = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) (\d+(?:\.\d+)?)$/

const isFaults = process.argv[2] === '--faults'
const wanted = process.argv.slice(2)
const faults = FAULTS.map((name) => `test/integration/${name}.test.ts`)
const filesOf = (folder: string): string[] => globSync(`test/${folder}/**/*.test.ts`, { cwd: ROOT }).sort()
const sideBySide = [...new Set([...SIDE_BY_SIDE, ...FAULTS])].map((name) => `test/integration/${name}.test.ts`)
// Most processes load the same modules.
process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), 'parley-test-compile-cache')

interface Phase {
  files: string[]
  concurrency: number
  /** For Node. */
  execArgv: string[]
  /** Milliseconds for each. */
  timeout: number
}
const isNamed = (file: string): boolean => wanted.some((part) => file.includes(part))
const isWanted = (file: string): boolean =>
  isFaults ? faults.includes(file) : wanted.length === 0 ? !faults.includes(file) : isNamed(file)
const phase = (files: readonly string[], concurrency: number, execArgv: string[] = []): Phase => ({
  files: files.filter(isWanted),
  concurrency,
  execArgv,
  timeout: TIMEOUT_MS,
})
const FIRST = [phase(sideBySide, 2)]
const ALONE = [
  phase(MEASURING, 1),
  phase(
    filesOf('integration').filter((file) => !sideBySide.includes(file)),
    1,
  ),
  phase(filesOf('browser'), 1),
]
/** A property's arrays are as long as it says they may be: ten elements are the most otherwise. */
const LONG_ARRAYS =
  "--import=data:text/javascript,globalThis[Symbol.for('fast-check/GlobalParameters')]={defaultSizeToMaxWhenMaxSpecified:true}"
const LOWEST = "--import=data:text/javascript,import{setPriority}from'node:os';setPriority(19)"
const unit = filesOf('unit').filter((file) => isWanted(file) && !MEASURING.includes(file))
const [own = [], shared = []] = [true, false].map((isOwn) =>
  unit.filter((file) => ownProcess(readFileSync(join(ROOT, file), 'utf8')) === isOwn),
)
const alone = ALONE.flatMap(({ files }) => files)
process.env.TEST_PROGRAMS = await buildTests([...FIRST.flatMap(({ files }) => files), ...alone, ...unit])
const groups = await Promise.all(groupsOf(shared, TOGETHER).map((files, at) => buildTogether(files, at, TIMEOUT_MS)))
const BESIDE = [{ files: [...groups, ...own], concurrency: 2, execArgv: [LOWEST], timeout: TIMEOUT_MS * TOGETHER }]

let totals = new Map<string, number>()
/** Milliseconds, by file. */
const times = new Map<string, number>()
const skips: Skip[] = []
/** Tests and suites: a suite whose own hooks fail is in none of the runner's counts. */
let failures = 0
const secondRun = new SecondRun(Number(process.env.TEST_AGAIN ?? 0), ({ data }) =>
  shared.includes(`${data.name}`) ? `${data.name}` : relative(ROOT, `${data.file}`),
)

/** The file that ended, and how long it took: one with a process of its own, or a suite of those that run together. */
const endOf = ({ type, data }: TestEvent): [file: string, ms: number] | undefined => {
  if (type === 'test:summary' && typeof data.file === 'string' && !groups.includes(relative(ROOT, data.file)))
    return [relative(ROOT, data.file), Number(data.duration_ms)]
  const isFile = (type === 'test:pass' || type === 'test:fail') && data.nesting === 0 && shared.includes(`${data.name}`)
  return isFile ? [`${data.name}`, (data.details as { duration_ms: number }).duration_ms] : undefined
}

/** Files that failed, once more and one at a time, when nothing else runs; what becomes of them counts. */
async function* playAgain(): AsyncGenerator<unknown> {
  const files = secondRun.files()
  yield* secondRun.rest()
  if (files.length === 0) return
  const first = totals
  totals = new Map()
  failures = 0
  for await (const event of play([{ files, concurrency: 1, execArgv: [], timeout: TIMEOUT_MS }], false)) yield event
  totals = figuresAfter(first, totals)
  console.log(
    `Failed at first, and ran again alone (${failures === 0 ? 'well' : 'and failed again'}): ${files.join(', ')}`,
  )
}

/** The events of some phases, one after the other; its figures are added up, and told once for all. */
async function* play(phases: readonly Phase[], isFirst = true): AsyncGenerator<unknown> {
  for (const { files, execArgv, ...how } of phases) {
    if (files.length === 0) continue
    for await (const event of run({ files: files.map(builtOf), execArgv: [LONG_ARRAYS, ...execArgv], ...how })) {
      const { type, data } = event as unknown as TestEvent
      if (typeof data.file === 'string') data.file = sourceOf(data.file)
      const skip = skipOf({ type, data })
      if (skip !== undefined) skips.push({ ...skip, file: relative(ROOT, skip.file) })
      const figure = type === 'test:diagnostic' && data.nesting === 0 ? FIGURE.exec(String(data.message)) : null
      const ended = endOf({ type, data })
      if (ended !== undefined) times.set(...ended)
      if (type === 'test:fail' && (data.todo === undefined || data.todo === false)) failures += 1
      if (type === 'test:summary') continue
      if (figure === null) yield isFirst ? secondRun.take({ type, data }) : event
      else totals.set(figure[1] ?? '', (totals.get(figure[1] ?? '') ?? 0) + Number(figure[2]))
    }
  }
}

/** A report of what happens at once could not be read, so what runs beside the others is told of after them. */
async function* events(): AsyncGenerator<unknown> {
  const startedAt = performance.now()
  const later = new TransformStream<unknown>({}, { highWaterMark: Number.POSITIVE_INFINITY })
  const beside = ReadableStream.from(play(BESIDE)).pipeTo(later.writable)
  yield* play(FIRST)
  yield* play(ALONE)
  yield* later.readable
  await beside
  yield* playAgain()
  const slowest = [...times].sort(([, a], [, b]) => b - a).slice(0, SLOWEST)
  for (const [file, ms] of slowest) console.log(`${(ms / 1_000).toFixed(1).padStart(6)} s ${file}`)
  totals.set('duration_ms', performance.now() - startedAt)
  for (const [name, value] of totals) {
    yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${value}`, level: 'info' } }
  }
}

const reporter = new spec()
reporter.pipe(process.stdout)
for await (const event of events()) reporter.write(event)
reporter.end()
const count = (name: string): number => totals.get(name) ?? 0
const unheard = unit.filter((file) => !times.has(file))
if (unheard.length > 0) console.error(`Not run to their end: ${unheard.join(', ')}`)
const missing = process.env.TEST_SKIPS === 'fail' ? toldOf(unexcused(skips)) : ''
if (missing !== '') console.error(missing)
const isWell = failures + count('fail') + count('cancelled') + unheard.length === 0 && missing === ''
process.exitCode = count('tests') > 0 && isWell ? 0 : 1
