/**
 * `npm run soak -- --minutes N [--seed S] [--json FILE]`: hours of a mesh's life, and whether anything grows in them.
 *
 * Exit code: 0 all is well, 1 something grew, failed or was too little, 2 wrong command line, 130 Ctrl-C.
 */
import { writeFile } from 'node:fs/promises'
import { UsageError } from '../support/usage.ts'
import { parseSoakArguments, type SoakArguments } from './arguments.ts'
import { killAll } from './child.ts'
import { slopeTable, summary } from './report.ts'
import { runSoak, type SoakResult } from './run.ts'
import { complaints, END_MINUTES } from './verdict.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const readArguments = (): SoakArguments | undefined => {
  try {
    return parseSoakArguments(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    say(error.message)
    return undefined
  }
}

const tell = async ({ outcome, seed, failures, named, totals, warmUpMinutes, samples }: SoakResult, json?: string) => {
  const sum = (figure: (one: (typeof totals)[number]) => number): number =>
    totals.reduce((total, one) => total + figure(one), 0)
  const lines = [
    slopeTable(outcome.judged),
    '',
    `seed ${seed}; slopes from minute ${warmUpMinutes.toFixed(1)} on`,
    `core: ${sum((one) => one.answered)} answered, ${sum((one) => one.cancelled)} cancelled, ${sum((one) => one['timed-out'])} timed out on purpose`,
    `failures: ${failures.left} to peers that left, ${failures.killed} to killed ones, ${failures.cut} over cut connections`,
    `events: ${sum((one) => one.published)} published, ${sum((one) => one.heard)} heard, ${sum((one) => one.lost)} reported as missed and not heard, ${sum((one) => one.late)} after that; the least heard share is ${(outcome.heardShare * 100).toFixed(1)} %; ${outcome.unheard} of the core unheard`,
    `heap in the last ${END_MINUTES} minutes, MiB a minute: ${outcome.heapAtEnd.map(({ who, perMinute }) => `${who} ${perMinute.toFixed(2)}`).join(', ')}`,
    ...named.map((what) => `unexpected: ${what}`),
    summary(outcome),
  ]
  console.log(lines.join('\n'))
  if (json === undefined) return
  const found = complaints(outcome)
  const file = {
    ok: found.length === 0,
    complaints: found,
    seed,
    warmUpMinutes,
    ...outcome,
    failures,
    named,
    totals,
    samples,
  }
  await writeFile(json, `${JSON.stringify(file, null, 1)}\n`)
}

const main = async (): Promise<number> => {
  const given = readArguments()
  if (given === undefined) return 2
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second one does not wait.
      if (stop.signal.aborted) process.exit(130)
      say('stopping; once more to stop at once')
      stop.abort()
    })
  }
  const seed = given.seed ?? Math.floor(Math.random() * 2 ** 32)
  say(`soak of ${given.minutes} min with seed ${seed}`)
  try {
    const result = await runSoak({ minutes: given.minutes, seed, signal: stop.signal, progress: say })
    await tell(result, given.json)
    return complaints(result.outcome).length === 0 ? 0 : 1
  } catch (error) {
    if (stop.signal.aborted) return 130
    say(error instanceof Error ? (error.stack ?? error.message) : String(error))
    return 1
  } finally {
    killAll()
  }
}

process.exitCode = await main()
process.exit()
