/**
 * The scenario `membership`: meshes of 10, 100 and more members side by side, a table of what was measured, and what
 * must hold. `npm run sim -- --scenario membership --members 1000`.
 *
 * Simulated for real: the failure detector, the tables of the directory and their comparison, the overlay. Played: the
 * network (1 to 5 ms, one message in a hundred lost), gossip as a flood, dials. Not counted: gossipsub's own heartbeats,
 * which depend on the number of neighbours alone, and what a program sends.
 */
import { BLOCKED_MS, type Measured, measure, type Spread } from './measure.ts'

export interface MembershipRun {
  /** Of the largest mesh; a thousand unless told. */
  readonly members?: number | undefined
  readonly first?: number
  readonly seeds?: number
  readonly trace?: boolean
  readonly print?: (line: string) => void
}

export interface Check {
  readonly name: string
  readonly holds: boolean
}

const SIZES = [10, 100]
const MOST = 1_000
/** A large mesh sends at most so many times what one of a hundred does. */
const GROWTH = 2
const BASE = 100
/** With the delays of this network and the default settings: a suspicion that nobody else confirms, and word of it. */
const LATEST_MS = 20_000
const NEWCOMER_MS = 5_000

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const sent = (all: readonly Measured[], members: number): number =>
  median(all.filter((one) => one.members === members).map(({ perNodeSecond }) => perNodeSecond))

/** What must hold, of all runs. */
export const check = (all: readonly Measured[]): Check[] => {
  const of = (holds: (one: Measured) => boolean): boolean => all.length > 0 && all.every(holds)
  const inTime = ({ suspected, dead }: { suspected: Spread; dead: Spread }): boolean =>
    suspected.allMs !== undefined && dead.allMs !== undefined && dead.allMs <= LATEST_MS
  const checks = [
    { name: `a killed one is dead for all within ${LATEST_MS} ms`, holds: of(({ killed }) => inTime(killed)) },
    { name: `a frozen one is dead for all within ${LATEST_MS} ms`, holds: of(({ frozen }) => inTime(frozen)) },
    { name: 'nobody that runs is called dead', holds: of(({ wrongDeaths }) => wrongDeaths === 0) },
    { name: 'one that stands still condemns nobody', holds: of(({ blocked }) => blocked.condemned === 0) },
    { name: 'and is back with all', holds: of(({ blocked }) => blocked.backMs !== undefined) },
    {
      name: `a newcomer knows all and is known within ${NEWCOMER_MS} ms`,
      holds: of(
        ({ newcomer }) => Math.max(newcomer.knowsAllMs ?? Infinity, newcomer.knownByAllMs ?? Infinity) <= NEWCOMER_MS,
      ),
    },
  ]
  const largest = Math.max(...all.map(({ members }) => members))
  if (largest <= BASE) return checks
  const ratio = sent(all, largest) / sent(all, BASE)
  const name = `messages per node and second at ${largest} over those at ${BASE}: ${ratio.toFixed(2)}, at most ${GROWTH}`
  return [...checks, { name, holds: ratio <= GROWTH }]
}

const ms = (value: number | undefined): string => (value === undefined ? 'never' : String(Math.round(value)))
const spread = ({ firstMs, allMs }: Spread): string => `${ms(firstMs)}..${ms(allMs)}`

/** One line of the table for each figure, one column for each run. */
export const table = (all: readonly Measured[]): string[] => {
  const rows: [string, (one: Measured) => string][] = [
    ['members', ({ members }) => String(members)],
    ['seed', ({ seed }) => String(seed)],
    ['messages per node and s, at rest', ({ perNodeSecond }) => perNodeSecond.toFixed(2)],
    ['  probes and answers', ({ byKind }) => ((byKind.probe ?? 0) + (byKind.answer ?? 0)).toFixed(2)],
    ['  indirect probes', ({ byKind }) => ((byKind.ask ?? 0) + (byKind.report ?? 0)).toFixed(2)],
    ['  directory', ({ byKind }) => ((byKind.compare ?? 0) + (byKind.push ?? 0) + (byKind.gossip ?? 0)).toFixed(2)],
    ['killed: suspect for first..all, ms', ({ killed }) => spread(killed.suspected)],
    ['killed: dead for first..all, ms', ({ killed }) => spread(killed.dead)],
    ['frozen: suspect for first..all, ms', ({ frozen }) => spread(frozen.suspected)],
    ['frozen: dead for first..all, ms', ({ frozen }) => spread(frozen.dead)],
    [`still for ${BLOCKED_MS} ms: called dead by`, ({ blocked }) => String(blocked.calledDeadBy)],
    ['  condemned others', ({ blocked }) => String(blocked.condemned)],
    ['  back with all, ms', ({ blocked }) => ms(blocked.backMs)],
    ['newcomer knows all, ms', ({ newcomer }) => ms(newcomer.knowsAllMs)],
    ['newcomer known by all, ms', ({ newcomer }) => ms(newcomer.knownByAllMs)],
    ['wrong suspicions, whole run', ({ wrongSuspicions }) => String(wrongSuspicions)],
    ['wrong deaths, whole run', ({ wrongDeaths }) => String(wrongDeaths)],
    ['virtual seconds', ({ virtualSeconds }) => virtualSeconds.toFixed(0)],
  ]
  return rows.map(([name, read]) => [name.padEnd(36), ...all.map((one) => read(one).padStart(13))].join(''))
}

/** @returns the exit code: 1 where something that must hold does not */
export const runMembership = (run: MembershipRun = {}): number => {
  const { members = MOST, first = 1, seeds = 1, trace = false, print = console.log } = run
  const sizes = [...SIZES.filter((size) => size < members), members]
  const all: Measured[] = []
  for (let seed = first; seed < first + seeds; seed += 1)
    for (const size of sizes)
      all.push(measure({ members: size, seed, trace: trace && size === members ? print : undefined }))
  for (const line of table(all)) print(line)
  const checks = check(all)
  for (const { name, holds } of checks) print(`${holds ? 'ok    ' : 'FAILED'} ${name}`)
  return checks.every(({ holds }) => holds) ? 0 : 1
}
