/** Test files that share a process: what each of them does wrong is told by its name, and harms none behind it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const TOGETHER = fileURLToPath(new URL('../together.ts', import.meta.url))
const HEAD = "import { afterEach, test } from 'node:test'\n"

/** Runs test files with these texts in one process. @returns what it says, as TAP */
const runAll = async (t: TestContext, texts: Record<string, string>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-together-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const names = Object.keys(texts)
  await Promise.all(names.map((name) => writeFile(join(folder, `${name}.mjs`), HEAD + texts[name])))
  const places = Object.fromEntries(names.map((name) => [name, join(folder, `${name}.mjs`)]))
  const program = `import { runTogether } from ${JSON.stringify(TOGETHER)}; await runTogether(${JSON.stringify(places)}, 5_000)`
  await writeFile(join(folder, 'all.mjs'), program)
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return new Promise((resolve) => {
    const args = ['--test-reporter=tap', join(folder, 'all.mjs')]
    execFile(process.execPath, args, { env }, (_error, stdout) => resolve(stdout))
  })
}

/** What came of the suite of each file. */
const outcomesOf = (tap: string): string[] =>
  [...tap.matchAll(/^((?:not )?ok) \d+ - (\S+)/gm)].map(([, outcome, name]) => `${name} ${outcome}`)

test('each file is a suite, and hooks of one are not those of another', async (t) => {
  const tap = await runAll(t, {
    first: "afterEach(() => console.log('after each of the first'))\ntest('one', () => {})\ntest('two', () => {})",
    second: "test('three', () => {})",
    wrong: "test('four', () => { throw new Error('as it is meant') })",
    last: "test('five', () => {})",
  })
  assert.deepEqual(outcomesOf(tap), ['first ok', 'second ok', 'wrong not ok', 'last ok'], tap)
  assert.equal(tap.match(/after each of the first/g)?.length, 2, tap)
  assert.match(tap, /^# tests 5$/m)
})

test('a file that cannot be loaded, changes what all share, or leaves something at work fails, and no other', async (t) => {
  const tap = await runAll(t, {
    torn: "import './not-there.mjs'",
    loads: "process.on('SIGUSR2', () => {})\ntest('six', () => {})",
    changes: "test('seven', () => { process.env.LEFT_BEHIND = 'yes' })",
    clock: "test('eight', () => { Date.now = () => 0 })",
    last: "test('nine', () => {})",
  })
  assert.deepEqual(outcomesOf(tap), ['torn not ok', 'loads not ok', 'changes not ok', 'clock not ok', 'last ok'], tap)
  assert.match(tap, /it leaves the environment changed/)
  assert.match(tap, /it leaves listeners of the process changed/)
  assert.match(tap, /it leaves timers, clock, chance or output changed/)
})
