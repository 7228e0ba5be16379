/** A member whose schedules have no end, no times or no sense, and that reaches for those of others. T7. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import { count } from '../scene.ts'
import { HONEST, inWorkshop, judge, type Workshop } from './workshop.ts'

const NOBODY = 'nobody-does-this'
const RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
const TASK = { type: NOBODY, priority: 1, retry: RETRY }
const HOUR_MS = 3_600_000
const YEAR_300000 = 9_400_000_000_000_000 - 400_000_000_000_000
const HIGHEST = Number.MAX_SAFE_INTEGER
const MOST = 1_000
const AT_ONCE = 250
const PAUSE_MS = 20
const MINUTE_MS = 60_000
/** Of the honest one. */
const ROUNDS = 'rounds'
const ROUND_MS = 1_000
/** That one of its times may come late: it is looked for twice a second, and the attack takes its part of the machine. */
const LATE_MS = 6_000

const cron = (text: string, zone = 'UTC'): object => ({ kind: 'cron', cron: text, zone })
const hourly = { kind: 'every', everyMs: HOUR_MS }
const scheduleOf = (id: string, plan: object, more: object = {}): object => ({
  ...{ do: 'schedule', id, plan, misfire: 'one', overlap: 'allow', task: TASK, input: null, digest: randomUUID() },
  ...more,
})

/** Each of them is none. */
const NONSENSE: readonly (readonly [what: string, change: object])[] = [
  ...[0, 1, 999, 1.5, -1_000, 367 * 24 * HOUR_MS, '1s', null].map(
    (everyMs) => [`every ${everyMs}`, scheduleOf('odd', { kind: 'every', everyMs })] as const,
  ),
  ...[YEAR_300000, HIGHEST, -1, 1e300, '300000-01-01', null].map(
    (at) => [`at ${at}`, scheduleOf('odd', { kind: 'at', at })] as const,
  ),
  ...[
    '',
    '* * * *',
    '* * * * * *',
    '? * * * *',
    '@hourly',
    '* * * * *\n',
    '*  * * * *',
    `${'0,'.repeat(200)}0 * * * *`,
  ].map((text) => [`the pattern ${JSON.stringify(text).slice(0, 20)}`, scheduleOf('odd', cron(text))] as const),
  ...['', 'Z'.repeat(65), '../UTC', 'Europe/Berlin ', '\u0000'].map(
    (zone) => [`the zone ${JSON.stringify(zone).slice(0, 20)}`, scheduleOf('odd', cron('* * * * *', zone))] as const,
  ),
  ...['', '.', 'a..b', 'x'.repeat(101), 'a/b', 'ä'].map(
    (id) => [`the id ${JSON.stringify(id).slice(0, 20)}`, scheduleOf(id, hourly)] as const,
  ),
  ...[{ all: 0 }, { all: 1_001 }, { all: 1e9 }, 'each', null].map(
    (misfire) => [`missed ${JSON.stringify(misfire)}`, scheduleOf('odd', hourly, { misfire })] as const,
  ),
  ...[YEAR_300000, -1, 'never'].map((until) => [`until ${until}`, scheduleOf('odd', hourly, { until })] as const),
  ['a huge input', scheduleOf('odd', hourly, { input: 'x'.repeat(16_385) })],
  ['a deadline of years', scheduleOf('odd', hourly, { task: { ...TASK, withinMs: 1e15 } })],
  ['no plan', scheduleOf('odd', { kind: 'moon' })],
]

/** Taken by their form: none of them has a time that is near, and some have none, or are not known to be any. */
const COSTLY = [
  ...[cron('0 0 30 2 *'), cron('0 0 31 2,4,6,9,11 *'), cron('0 0 30W 2 *'), cron('0 0 * 2 1#5', 'Pacific/Chatham')],
  ...[cron('0 0 29 2 7#5'), cron('59 23 31 12 *'), cron('0 0 * 2 1#9'), cron('a a a a a'), cron('99 99 99 99 9')],
  ...[
    cron('* * * * *', 'Mars/Olympus'),
    cron(`${'0,'.repeat(58)}0 0 29 2 *`),
    { kind: 'at', at: 8_640_000_000_000_000 },
  ],
]

const refused = (now: boolean): string[] => (now ? ['SEC002', 'STA003'] : ['STA002', 'STA003'])
const nominal = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}|[-:]/g, '')

/** What only its owner, or only the coordinator, does. */
const reachForOthers = async ({ hand, tried, reached, epoch, meshId }: Workshop): Promise<void> => {
  const scene = { tried, reached }
  const own = [{ do: 'unschedule' }, { do: 'hold-schedule', paused: true }, { do: 'hold-schedule', paused: false }]
  const ofOwner = own.map((one) => ({ ...one, id: ROUNDS }))
  judge(scene, 'controlling a schedule of somebody else', await hand.change(...ofOwner), ['SEC002'])
  judge(scene, 'taking the id of a schedule', await hand.change(scheduleOf(ROUNDS, hourly)), ['STA003'])
  const soon = Date.now()
  const fire = { do: 'fire', id: ROUNDS, revision: 1, from: soon, nominal: soon, next: soon + ROUND_MS }
  for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
    const asked = [...ofOwner, fire].map((one) => ({ ...one, epoch: at }))
    judge(scene, 'deciding about a schedule', await hand.change(...asked), refused(at === epoch))
  }
  for (const action of ['remove', 'pause', 'resume'])
    judge(
      scene,
      'control without the capability',
      [await hand.task('schedule', { meshId, id: ROUNDS, action })],
      ['SEC002'],
    )
  const ids = [1, 2, 3, 5, 60, 3_600].map((seconds) => `${ROUNDS}.${nominal(soon + seconds * ROUND_MS)}`)
  const taskOf = (id: string): object => ({ ...TASK, id, input: null, digest: '00' })
  for (const id of ids) {
    const asked = [id, `${id}.part`, `${id}.part.more`].map((one) => ({ do: 'submit', tasks: [taskOf(one)] }))
    const outcomes = [
      ...(await hand.change(asked[0])),
      ...(await hand.change(asked[1])),
      ...(await hand.change(asked[2])),
    ]
    judge(scene, 'taking the id of what a schedule begins', outcomes, ['STA003', 'SEC002'])
  }
}

/** @returns ids of those that were taken */
const fillShare = async (
  { hand, tried, reached }: Workshop,
  made: (n: number) => object,
  most: number = MOST,
): Promise<string[]> => {
  const ids: string[] = []
  for (let from = 0; from < most; from += AT_ONCE) {
    const many = Array.from({ length: Math.min(AT_ONCE, most - from) }, (_, i) => `costly-${from + i}`)
    const outcomes = await hand.change(...many.map((id, i) => scheduleOf(id, made(from + i))))
    judge({ tried, reached }, 'a schedule of its own', outcomes, ['ok', 'COM003'])
    ids.push(...many.filter((_, i) => outcomes[i] === 'ok'))
  }
  if (ids.length >= MOST) reached.push(`it has all ${ids.length} schedules that there may be`)
  return ids
}

/** Makes the honest one, and says in the end whether it was on time throughout. */
const watchRounds = async ({ submitter }: Workshop): Promise<() => Promise<string[]>> => {
  await submitter.ask('schedule', { id: ROUNDS, everyMs: ROUND_MS, task: { type: HONEST, input: 1 } })
  const begunAt = Date.now()
  return async () => {
    const rounds = (await submitter.ask('schedules')).find(({ id }) => id === ROUNDS)
    const lastAt = rounds?.lastAt ?? begunAt
    const lateMs = Date.now() - lastAt - ROUND_MS
    const due = Math.floor((lastAt - begunAt) / ROUND_MS)
    return [
      ...(rounds === undefined ? ['the schedule of somebody else is gone'] : []),
      ...(lateMs > LATE_MS ? [`the schedule of somebody else is ${lateMs} ms late`] : []),
      ...((rounds?.held ?? 0) > 0 ? [`${rounds?.held} times of the schedule of somebody else began no task`] : []),
      ...((rounds?.fired ?? 0) < due / 2 ? [`it began ${rounds?.fired} tasks, of some ${due}`] : []),
    ]
  }
}

const remove = (ids: readonly string[]): object[] => ids.map((id) => ({ do: 'unschedule', id }))

const odd: Attack = {
  name: 'task-schedules',
  line: 'T7',
  by: 'member',
  about:
    'schedules up to the share whose times are costly to find or never come, odd ones, and control of those of others',
  play: ({ seconds }) => {
    let rounds = async (): Promise<string[]> => []
    return inWorkshop(
      async (workshop) => {
        const { hand, tried, reached } = workshop
        rounds = await watchRounds(workshop)
        for (const [what, change] of NONSENSE) {
          const [outcome = 'silent'] = await hand.change(change)
          judge({ tried: {}, reached }, what, [outcome], ['MSG001'])
          count(tried, `nonsense: ${outcome}`)
        }
        const endsAt = performance.now() + seconds * 1_000
        do {
          await reachForOthers(workshop)
          const ids = await fillShare(workshop, (n) => COSTLY[n % COSTLY.length] ?? hourly)
          await delay(PAUSE_MS)
          for (let from = 0; from < ids.length; from += AT_ONCE)
            judge(workshop, 'removing', await hand.change(...remove(ids.slice(from, from + AT_ONCE))), ['ok', 'STA001'])
        } while (performance.now() < endsAt)
      },
      { claims: { caps: [] } },
      () => rounds(),
    )
  },
}

/** At the turn of a minute all of them are due at once; others come each second, and begin nothing. */
const together: Attack = {
  name: 'task-schedule-minute',
  line: 'T7',
  by: 'member',
  about:
    'a share of schedules that are due together, at the turn of a minute, with 1,000 missed times each, or each second',
  play: ({ seconds }) => {
    let rounds = async (): Promise<string[]> => []
    return inWorkshop(
      async (workshop) => {
        const { hand, tried } = workshop
        rounds = await watchRounds(workshop)
        const each = { kind: 'every', everyMs: ROUND_MS }
        const more = { misfire: { all: 1_000 }, overlap: 'skip' }
        const ids = Array.from({ length: MOST }, (_, i) => `minute-${i}`)
        for (let from = 0; from < MOST; from += AT_ONCE) {
          const some = ids.slice(from, from + AT_ONCE)
          const made = some.map((id, i) =>
            scheduleOf(id, i % 4 === 0 ? each : cron('* * * * *', 'Europe/Berlin'), more),
          )
          judge(workshop, 'a schedule of its own', await hand.change(...made), ['ok', 'COM003'])
        }
        const untilTurn = MINUTE_MS - (Date.now() % MINUTE_MS)
        count(tried, 'seconds until the turn of the minute', Math.round(untilTurn / 1_000))
        await delay(untilTurn + seconds * 1_000)
      },
      { claims: { caps: [] } },
      () => rounds(),
    )
  },
}

export const schedules: readonly Attack[] = [odd, together]
