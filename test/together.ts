/**
 * Several test files in one process, each as a suite with its name. A file that leaves something of the process changed, or
 * at work, fails by that name: it breaks none of those after it without a word. State: what was there before each.
 */
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

/** Milliseconds in which what a file has begun comes to its end. */
const SETTLE_MS = 10_000
const LOOK_MS = 5

/** By these a module that is loaded takes its child processes along. */
const AT_ITS_END: ReadonlySet<string | symbol> = new Set(['exit', 'SIGINT', 'SIGTERM'])

/** What a test can leave changed for the tests of other files. */
const surroundings = () => ({
  'the working folder': process.cwd(),
  'the umask': process.umask(),
  'the environment': { ...process.env },
  'listeners of the process': Object.fromEntries(
    process
      .eventNames()
      .filter((name) => !AT_ITS_END.has(name))
      .map((name) => [String(name), process.listenerCount(name)]),
  ),
  'timers, clock, chance or output': [
    ...[setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, queueMicrotask],
    ...[Date, Date.now, performance.now, Math.random, crypto.getRandomValues, fetch, Request, Response],
    ...[console.log, console.warn, console.error, process.stdout.write, process.stderr.write, process.exit],
  ],
})
type Surroundings = ReturnType<typeof surroundings>

/** Without values: those of the environment are nobody's business. */
const assertSame = (earlier: Surroundings): void => {
  const now = surroundings()
  for (const what of Object.keys(earlier) as (keyof Surroundings)[])
    assert.ok(isDeepStrictEqual(now[what], earlier[what]), `it leaves ${what} changed`)
}

/** Timers, servers, sockets, child processes that keep the process going. */
const atWork = async (): Promise<string[]> => {
  // With this one, each time.
  await pause(LOOK_MS)
  // Its own input and output are pipes too, opened when they are first used.
  return process
    .getActiveResourcesInfo()
    .filter((name) => name !== 'PipeWrap')
    .sort()
}

const untilAtRest = async (earlier: readonly string[]): Promise<void> => {
  const endsAt = performance.now() + SETTLE_MS
  for (;;) {
    const now = await atWork()
    if (now.length <= earlier.length) return
    assert.ok(performance.now() < endsAt, `it leaves at work: ${now.join()}; before it: ${earlier.join()}`)
  }
}

/**
 * Resolves once all are loaded; none begins before: what a file does while it is loaded is seen apart from what tests do.
 * @param files by the name that they are told of by @param timeoutMs for each
 */
export const runTogether = async (files: Readonly<Record<string, string>>, timeoutMs: number): Promise<void> => {
  const all = Promise.withResolvers<void>()
  for (const [name, path] of Object.entries(files)) {
    const one = Promise.withResolvers<void>()
    describe(name, { timeout: timeoutMs }, async () => {
      let working: string[]
      let earlier: Surroundings
      before(async () => {
        working = await atWork()
        earlier = surroundings()
      })
      const unloaded = surroundings()
      await import(pathToFileURL(path).href).finally(one.resolve)
      after(async () => {
        assertSame(earlier)
        await untilAtRest(working)
      })
      assertSame(unloaded)
      await all.promise
    })
    await one.promise
  }
  all.resolve()
}
