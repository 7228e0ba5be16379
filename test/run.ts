/**
 * Runs all tests: unit tests two files at a time, then integration tests one file at a time, since each of those keeps
 * several processes busy and measures times. One report and one summary for both. `node test/run.ts [PATTERN...]`.
 */
import { globSync } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'

type TestEvent = Parameters<ReturnType<typeof spec>['write']>[0] & { type: string; data: Record<string, unknown> }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TIMEOUT_MS = 150_000
const PHASES = [
  { pattern: 'test/unit/**/*.test.ts', concurrency: 2 },
  { pattern: 'test/integration/**/*.test.ts', concurrency: 1 },
  { pattern: 'test/browser/**/*.test.ts', concurrency: 1 },
]
const FIGURE = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) (\d+(?:\.\d+)?)$/

const wanted = process.argv.slice(2)
const filesOf = (pattern: string): string[] =>
  globSync(pattern, { cwd: ROOT })
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .map((file) => `${ROOT}${file}`)
    .sort()

const totals = new Map<string, number>()

/** The events of both phases; their figures are added up and told once, at the end. */
async function* events(): AsyncGenerator<unknown> {
  for (const { pattern, concurrency } of PHASES) {
    const files = filesOf(pattern)
    if (files.length === 0) continue
    for await (const event of run({ files, concurrency, timeout: TIMEOUT_MS })) {
      const { type, data } = event as unknown as TestEvent
      const figure = type === 'test:diagnostic' && data.nesting === 0 ? FIGURE.exec(String(data.message)) : null
      if (type === 'test:summary') continue
      if (figure === null) yield event
      else totals.set(figure[1] ?? '', (totals.get(figure[1] ?? '') ?? 0) + Number(figure[2]))
    }
  }
  for (const [name, value] of totals) {
    yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${value}`, level: 'info' } }
  }
}

const reporter = new spec()
reporter.pipe(process.stdout)
for await (const event of events()) reporter.write(event)
reporter.end()
const count = (name: string): number => totals.get(name) ?? 0
process.exitCode = count('tests') > 0 && count('fail') + count('cancelled') === 0 ? 0 : 1
