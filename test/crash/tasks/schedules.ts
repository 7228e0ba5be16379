/**
 * Schedules while coordinator, owner and workers are killed: each of their times begins one task, or none as its rule for missed
 * times says; and each of these tasks is done once. Keeps no state.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ScheduleOptions, ScheduleState } from '../../../node/index.ts'
import { until } from '../../support/until.ts'
import type { Scenario } from '../scenarios.ts'
import type { Verdict } from '../stage.ts'
import { Outages } from './outages.ts'
import { END_MS, onStage, told, victims } from './playing.ts'
import { REQUESTER, releaseOf, type TaskStage, VOTERS } from './stage.ts'
import { SCHEDULED_TYPE } from './works.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const PAUSE_MS = [700, 2_000] as const
const DOWN_MS = [200, 900] as const
/** With so many tasks a majority is away once for longer than a time that is skipped may be ago. */
const LONG_FROM = 100
const LONG_MS = 64_000
const SHORT_MS = 4_000
/** The first and the last times of a schedule come in the moment in which it is made, or held. */
const EDGE_MS = 5_000
/** Into the long outage. */
const INTO_MS = 2_500

type Rule = 'all' | 'one'
interface Planned {
  readonly options: ScheduleOptions
  readonly periodMs: number
  /** `one`: of times that passed while nobody coordinated only the last one has to begin a task. */
  readonly rule: Rule
}

const task = { type: SCHEDULED_TYPE }
const every = (id: string, rule: Rule): Planned => ({
  options: { id, everyMs: SECOND_MS, misfire: rule === 'all' ? { all: 1_000 } : 'one', task },
  ...{ periodMs: SECOND_MS, rule },
})
/** Patterns have five fields: a minute is the least. */
const cron = (id: string, zone: string): Planned => ({
  options: { id, cron: '* * * * *', zone, misfire: { all: 1_000 }, task },
  ...{ periodMs: MINUTE_MS, rule: 'all' },
})
const PLANNED: readonly Planned[] = [
  every('each-all', 'all'),
  every('each-one', 'one'),
  { ...every('each-skip', 'one'), options: { id: 'each-skip', everyMs: SECOND_MS, misfire: 'skip', task } },
  cron('cron-utc', 'UTC'),
  cron('cron-kolkata', 'Asia/Kolkata'),
]

const NOMINAL = /\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/
/** Milliseconds since 1970, to the second. */
const nominalOf = (id: string): number => Date.parse(id.replace(NOMINAL, '$1-$2-$3T$4:$5:$6Z').slice(-20))

/** Its times in their order are a period apart; where some are left out, its rule lets them be, and nobody coordinated. */
const judgeTimes = (
  { options: { id }, periodMs, rule }: Planned,
  times: readonly number[],
  outages: Outages,
): { skipped: number; wrong: string[] } => {
  const wrong: string[] = []
  let skipped = 0
  for (const [i, at] of times.entries()) {
    const before = times[i - 1]
    if (before === undefined) continue
    const left = Math.round((at - before) / periodMs) - 1
    if (left === 0) continue
    skipped += left
    const between = `between ${new Date(before).toISOString()} and ${new Date(at).toISOString()}`
    if (left < 0) wrong.push(`${id} has two times ${between}`)
    else if (rule === 'all') wrong.push(`${id} lacks ${left} times ${between}`)
    else if (outages.isCovered(before, at)) wrong.push(`${id} lacks ${left} times ${between}, and a node coordinated`)
  }
  return { skipped, wrong }
}

interface Judged {
  readonly figures: Record<string, number>
  readonly wrong: string[]
}

const judge = async (
  { outside }: TaskStage,
  states: readonly ScheduleState[],
  made: { readonly from: number; readonly to: number },
  outages: Outages,
): Promise<Judged> => {
  const wrong: string[] = [...outside.wrong]
  const figures: Record<string, number> = { begun: 0, skipped: 0 }
  for (const planned of PLANNED) {
    const { id } = planned.options
    const state = states.find((one) => one.id === id)
    const fired = state?.fired ?? 0
    const done = () => [...outside.completed].filter((one) => one.startsWith(`${id}.`))
    await until(`${fired} tasks of ${id} are done`, () => done().length >= fired, END_MS, 100).catch(() => {})
    if (done().length !== fired) wrong.push(`${id} began ${fired} tasks, and ${done().length} were done`)
    if (outside.distinct(`${id}.`) !== fired)
      wrong.push(`${id} began ${fired}, outside are ${outside.distinct(`${id}.`)}`)
    const times = done()
      .map(nominalOf)
      .toSorted((a, b) => a - b)
    const judged = judgeTimes(planned, times, outages)
    wrong.push(...judged.wrong)
    figures.begun = (figures.begun ?? 0) + fired
    figures.skipped = (figures.skipped ?? 0) + judged.skipped
    // What is behind an outage may lack the times of it.
    const edges = [[made.from, times[0] ?? made.to] as const, [times.at(-1) ?? made.from, made.to] as const]
    for (const [begin, end] of edges)
      if (end - begin > planned.periodMs + EDGE_MS && outages.isCovered(begin, end))
        wrong.push(`${id} has no times from ${new Date(begin).toISOString()} to ${new Date(end).toISOString()}`)
  }
  return { figures, wrong }
}

/** Three voters are away for longer than what is skipped may be ago; two schedules of one time have it then. */
const beAway = async (stage: TaskStage, outages: Outages, forMs: number): Promise<string[]> => {
  const requester = stage.node(REQUESTER)
  const at = Date.now() + INTO_MS
  const once = { at, task }
  const isLong = forMs > MINUTE_MS
  for (const misfire of ['skip', 'one'] as const) {
    const refusal = await requester.ask('schedule', { id: `once-${misfire}`, misfire, ...once })
    if (refusal !== undefined) return [`a schedule was refused: ${refusal.message}`]
  }
  const leader = await until('a node coordinates', stage.coordinator, END_MS, 20)
  const others = VOTERS.filter((name) => name !== leader.name).slice(0, 2)
  await outages.kill([leader, ...others.map((name) => stage.node(name))], forMs)
  await until('the one that was missed is begun', () => stage.outside.has('once-one.'), END_MS, 50)
  const gone = async () => !(await requester.ask('schedules')).some(({ id }) => id.startsWith('once-'))
  await until('those of one time are gone', gone, END_MS, 200)
  if (!isLong) await until('it is begun', () => stage.outside.has('once-skip.'), END_MS, 50)
  else if (stage.outside.has('once-skip.')) return [`what was missed for ${forMs} ms was begun, and is to be skipped`]
  return []
}

const playSchedules = async (stage: TaskStage, tasks: number, say: (line: string) => void): Promise<Verdict> => {
  const { random, outside } = stage
  const outages = new Outages(stage)
  const wrong: string[] = []
  for (const { options } of PLANNED) {
    const refusal = await stage.node(REQUESTER).ask('schedule', options)
    if (refusal !== undefined) throw new Error(`a schedule was refused: ${refusal.message}`)
  }
  const from = Date.now()
  const often = PLANNED.filter(({ periodMs }) => periodMs === SECOND_MS).map(({ options: { id } }) => `${id}.`)
  await until('each has begun a task', () => often.every((id) => outside.has(id)), END_MS, 50)
  wrong.push(...(await beAway(stage, outages, tasks < LONG_FROM ? SHORT_MS : LONG_MS)))
  say(`a majority was away, ${outside.completed.size} tasks are done`)
  let kills = 0
  const before = outside.completed.size
  while (outside.completed.size < before + tasks) {
    await delay(random.between(...PAUSE_MS))
    const leader = await stage.coordinator()
    const chosen = await victims(stage)
    if (chosen.some((node) => node === leader)) await outages.kill(chosen)
    else await Promise.all(chosen.map((node) => node.kill()))
    kills += chosen.length
    await delay(random.between(...DOWN_MS))
    for (const node of chosen) await node.start()
  }
  const requester = stage.node(REQUESTER)
  await requester.ask('pauseSchedules')
  const made = { from, to: Date.now() }
  const judged = await judge(stage, await requester.ask('schedules'), made, outages)
  const { runs } = outside
  return {
    figures: {
      ...{ tasks: outside.distinct(), completed: outside.completed.size, kills, outages: outages.count() },
      ...{ skipped: judged.figures.skipped ?? 0, runs, 'without duplicates': outside.distinct() },
      seconds: (made.to - from) / SECOND_MS,
    },
    violations: told([...wrong, ...judged.wrong]),
  }
}

export const schedules = (tasks: number): Scenario => ({
  name: 'tasks-schedules',
  about: 'schedules, whose coordinator, owner and workers are killed, and whose majority is away once',
  play: ({ seed, say }) =>
    onStage({ seed, release: releaseOf(SCHEDULED_TYPE) }, (stage) => playSchedules(stage, tasks, say)),
})
