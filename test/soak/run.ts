/** One run: the core works, visitors come and go, all are weighed from time to time; then all is put together. */
import { setTimeout as sleep } from 'node:timers/promises'
import { makeSecret } from '../../node/index.ts'
import { nowMs } from './clock.ts'
import { type Core, startCore } from './core.ts'
import { MAIN_SHARE } from './hearing.ts'
import type { Totals } from './messages.ts'
import { createRandom } from './random.ts'
import { createRecording, type Recording, type Row } from './record.ts'
import { progressLine } from './report.ts'
import { callsIn, createTally, type Tally } from './tally.ts'
import { END_MINUTES, type Outcome, warmUpMinutes } from './verdict.ts'
import { startVisitors, type Visitors } from './visitors.ts'

const MINUTE_MS = 60_000
/** Bounds what a long run keeps. */
const MAX_SAMPLES = 400
/**
 * Tables that a mesh fills up to a bound are given small bounds and short times, so that they are full when the warm-up
 * ends: what grows after that has none.
 */
const options = () => ({
  mesh: 'soak',
  secret: makeSecret(),
  log: 'error' as const,
  timings: {
    recordTtlMs: 5_000,
    // A busy machine is not what is looked for.
    admissionTimeoutMs: 20_000,
    dialTimeoutMs: 10_000,
    probeTimeoutMs: 5_000,
    deadAfterMs: 20_000,
  },
  events: { maxPublishers: 32, history: [{ topic: '#', maxAgeMs: 60_000 }] },
})

export interface SoakResult {
  readonly outcome: Outcome
  readonly seed: number
  /** Failures by class. */
  readonly failures: Readonly<Record<string, number>>
  readonly named: readonly string[]
  readonly totals: readonly Totals[]
  readonly warmUpMinutes: number
  readonly samples: readonly Row[]
}

/** To weigh costs each process a second of work: in a run that is judged by its visits and calls, a small part of them. */
const sampleEveryMs = (minutes: number): number =>
  Math.max(minutes < 5 ? 10_000 : 40_000, (minutes * MINUTE_MS) / MAX_SAMPLES)

/** Of all pairs of core nodes the smallest share of what one published that the other heard. */
const heardShare = (core: Core, totals: readonly Totals[], perWord: number): number => {
  const shares = totals.flatMap(({ heardFrom }) =>
    heardFrom.map(([id, heard]) => {
      const publisher = core.nodes.findIndex((node) => node.id === id)
      return heard / Math.max(1, (totals[publisher]?.published ?? 0) * perWord)
    }),
  )
  return Math.min(...shares)
}

/** Events of core nodes that another one neither heard by the end nor heard late after it was told that they are missed. */
const unheard = (core: Core, totals: readonly Totals[]): number => {
  let sum = 0
  for (const { lostOfCounted, heardFrom, lastOf } of totals) {
    sum += lostOfCounted
    const last = new Map(lastOf)
    for (const [id] of heardFrom) {
      const publisher = core.nodes.findIndex((node) => node.id === id)
      sum += Math.max(0, (totals[publisher]?.publishedToAll ?? 0) - (last.get(id) ?? 0))
    }
  }
  return sum
}

export interface RunOptions {
  readonly minutes: number
  readonly seed: number
  readonly signal: AbortSignal
  progress(line: string): void
}

/** What lost peers leave for a moment (dials, drains) is over by then. */
const SETTLE_MS = 1_000

const watch = async (
  core: Core,
  visitors: Visitors,
  tally: Tally,
  { minutes, signal, progress }: RunOptions,
): Promise<Recording> => {
  const recording = createRecording()
  const startedAt = nowMs()
  const every = sampleEveryMs(minutes)
  const endsAt = startedAt + minutes * MINUTE_MS
  let next = startedAt + every

  const weigh = async (): Promise<void> => {
    await sleep(SETTLE_MS)
    const minute = (nowMs() - startedAt) / MINUTE_MS
    const [samples, hosts] = await Promise.all([core.weigh(), visitors.weigh()])
    for (const [i, sample] of samples.entries()) recording.add({ who: `core-${i}`, minute, sample })
    for (const [i, sample] of hosts.entries()) recording.add({ who: `host-${i}`, minute, sample })
    tally.settle(nowMs())
    const calls = (await core.totals()).reduce((sum, totals) => sum + callsIn(totals), tally.visitorCalls)
    const { joins, leaves, counts } = tally
    progress(
      progressLine({ minute, calls, joins, leaves, unexpected: counts.unexpected, samples: [...samples, ...hosts] }),
    )
  }

  while (nowMs() < endsAt) {
    await visitors.round()
    signal.throwIfAborted()
    if (nowMs() < next) continue
    await weigh()
    while (next <= nowMs()) next += every
  }
  return recording
}

/** @throws what the signal was aborted with */
export const runSoak = async (run: RunOptions): Promise<SoakResult> => {
  const { minutes, seed } = run
  const random = createRandom(seed)
  const tally = createTally(run.progress)
  const given = options()
  const core = await startCore(given, seed, tally.hear)
  await core.work()
  const visitors = startVisitors(given, core, random, tally)
  try {
    const recording = await watch(core, visitors, tally, run)
    await visitors.end()
    await core.rest()
    const totals = await core.totals()
    for (const what of await core.stop()) tally.wrong(what)
    tally.settle(nowMs(), true)
    const warmUp = warmUpMinutes(minutes)
    const outcome: Outcome = {
      minutes,
      calls: totals.reduce((sum, one) => sum + callsIn(one), tally.visitorCalls),
      joins: tally.joins,
      leaves: tally.leaves,
      unexpected: tally.counts.unexpected,
      heardShare: heardShare(core, totals, MAIN_SHARE),
      unheard: unheard(core, totals),
      heapAtEnd: recording.slopes('heap MiB', minutes - END_MINUTES),
      judged: recording.judge(warmUp),
    }
    const { counts, named } = tally
    return { outcome, seed, failures: counts, named, totals, warmUpMinutes: warmUp, samples: recording.rows() }
  } catch (error) {
    // What follows an abort is no finding.
    await visitors.end().catch(() => {})
    await core.rest().catch(() => {})
    await core.stop().catch(() => {})
    throw error
  }
}
