/** A member whose tasks wait for events of all kinds that never come, and that gives events to tasks of others. T8. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import { harmOfTasks } from '../../judge.ts'
import { inventSigner } from '../../raw/signed.ts'
import type { Fence, SeenTask } from '../../raw/tasks.ts'
import { count } from '../scene.ts'
import { inWorkshop, judge, type Workshop } from './workshop.ts'

const OWN = 'mallory-waits'
/** Honest tasks that wait for an event, and its topic. */
const WAITING = 'waiting'
const GO = 'go'
const EVERY_MS = 400
const ENDED_MS = 25_000
const RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
/** Places that there are, and a peer's share of them. */
const PLACES = 256
const SHARE = 192
const AT_ONCE = 8
const TOGETHER = 64
const POSITIONS = 128
const GIVEN_MS = 10_000
const PAUSE_MS = 50
const HIGHEST = Number.MAX_SAFE_INTEGER

const NOW = (): object => ({ createdAt: Date.now(), positions: [] })
const listenTo = (topic: string, more: object = {}): object => ({
  do: 'listen',
  name: 'e',
  topic,
  cursor: NOW(),
  ...more,
})
const NEVER = { data: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`a.b.c.d.${i}`, 'never'])) }

/** Each of them is none. */
const NONSENSE: readonly (readonly [what: string, change: object])[] = [
  ...[
    '',
    '*',
    '#',
    '*.x',
    '#.x',
    'a b',
    'a..b',
    'a.#.b',
    'ä.x',
    `a.${'x'.repeat(256)}`,
    `a${'.*'.repeat(16)}`,
    'a.**',
  ].map((topic) => [`the topic ${topic.slice(0, 20)}`, listenTo(topic)] as const),
  ...[-1, HIGHEST * 4, '3000-01-01', null].map(
    (createdAt) => [`a cursor of ${createdAt}`, listenTo(GO, { cursor: { createdAt, positions: [] } })] as const,
  ),
  ...[-1, 1.5, 1e300, null].map(
    (next) =>
      [
        `a position at ${next}`,
        listenTo(GO, { cursor: { createdAt: 0, positions: [{ publisher: 'p', epoch: 1, next }] } }),
      ] as const,
  ),
  [
    `${POSITIONS + 1} positions`,
    listenTo(GO, {
      cursor: { createdAt: 0, positions: Array(POSITIONS + 1).fill({ publisher: 'p', epoch: 1, next: 1 }) },
    }),
  ],
  [
    'a filter of 17',
    listenTo(GO, { filter: { data: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, 1])) } }),
  ],
  ['a filter that is none', listenTo(GO, { filter: { data: { a: { b: 1 } } } })],
  ['a filter of an unknown kind', listenTo(GO, { filter: { regexp: '(a+)+$' } })],
  ['until never', listenTo(GO, { until: 1e300 })],
]

/** What 192 of them wait for. */
const KINDS: readonly (readonly [what: string, wait: (n: number, invented: readonly string[]) => object])[] = [
  ['a first word each', (n) => listenTo(`mallory-${n}.x`)],
  [
    'positions of publishers that are not',
    (n, invented) =>
      listenTo(`${GO}.${n}.never`, {
        cursor: { createdAt: 0, positions: invented.map((publisher) => ({ publisher, epoch: 1, next: 1_000 + n })) },
      }),
  ],
  [
    'all that is said, from its beginning, with filters',
    (n) =>
      listenTo(n % 2 === 0 ? 'attack.#' : `attack${'.*'.repeat(14)}.#`, {
        filter: NEVER,
        cursor: { createdAt: 0, positions: [] },
      }),
  ],
  ['a cursor of the future', () => listenTo('attack.#', { cursor: { createdAt: HIGHEST, positions: [] } })],
]

const given = async ({ hand, attacker }: Workshop): Promise<SeenTask[]> =>
  (await hand.tasks()).filter(({ record }) => record.worker === attacker.id && /assigned|running/.test(record.status))

/** Tasks of its own, given to it. Their ids stand before those of others. */
const takeTasks = async (workshop: Workshop, round: number, most: number): Promise<SeenTask[]> => {
  const { hand } = workshop
  const taskOf = (n: number): object => ({
    ...{ id: `0-${round}-${n}`, type: OWN, priority: 3, retry: RETRY, input: null, digest: '00' },
  })
  for (let from = 0; from < most; from += TOGETHER) {
    const tasks = Array.from({ length: Math.min(TOGETHER, most - from) }, (_, i) => taskOf(from + i))
    judge(workshop, 'submitting', await hand.change({ do: 'submit', tasks }), ['ok'])
  }
  const endsAt = performance.now() + GIVEN_MS
  let found = await given(workshop)
  while (found.length < most && performance.now() < endsAt) {
    await delay(PAUSE_MS)
    found = await given(workshop)
  }
  return found
}

const NOWHERE: Fence = { term: 1, index: 1 }
/** @returns how many wait */
const waitAll = async (
  workshop: Workshop,
  tasks: readonly SeenTask[],
  wait: (n: number) => object,
): Promise<number> => {
  let waiting = 0
  for (let from = 0; from < tasks.length; from += AT_ONCE) {
    const changes = tasks
      .slice(from, from + AT_ONCE)
      .map(({ id, record }, i) => ({ ...wait(from + i), id, fence: record.fence ?? NOWHERE }))
    const outcomes = await workshop.hand.change(...changes)
    judge(workshop, 'waiting', outcomes, ['ok', 'COM003'])
    waiting += outcomes.filter((outcome) => outcome === 'ok').length
  }
  return waiting
}

/** What the coordinator alone gives, and what a task of somebody else is given by its submitter alone. */
const giveToOthers = async (workshop: Workshop, own: string): Promise<void> => {
  const { hand, attacker, epoch } = workshop
  const [other] = (await hand.tasks()).filter(
    ({ record }) => record.submitter !== attacker.id && record.status === 'input_required',
  )
  const source = attacker.id
  const event = { id: 'lie', topic: `${GO}.1`, source, timestamp: Date.now(), data: null }
  const missed = { publisher: source, epoch: 1, from: 1, to: 2 }
  for (const id of [own, ...(other === undefined ? [] : [other.id])])
    for (const name of ['e', 'go'])
      for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
        const heard = [{ event }, { missed }].map((one) => ({ do: 'hear', epoch: at, id, name, heard: one }))
        const outcomes = await hand.change(...heard, { do: 'wake', epoch: at, id })
        judge(workshop, 'hearing as the coordinator', outcomes, at === epoch ? ['SEC002'] : ['STA002'])
      }
  if (other === undefined) return
  count(workshop.tried, 'honest tasks that waited')
  const { id } = other
  const signals = [
    { do: 'signal', id, name: 'go', value: { event } },
    { do: 'resume', id },
  ]
  judge(workshop, 'giving an event to somebody else', await hand.change(...signals), ['SEC002', 'STA003'])
  const listen = { ...listenTo(GO), id, fence: other.record.fence ?? NOWHERE }
  judge(workshop, 'waiting in the name of others', await hand.change(listen), ['STA002'])
}

const waits: Attack = {
  name: 'task-event-waits',
  line: 'T8',
  by: 'member',
  about: `${PLACES} tasks that wait for what never comes, with a word each, positions of nobody, filters; hears for others`,
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, submitter, tried, reached } = workshop
        const invented = await Promise.all(Array.from({ length: POSITIONS }, async () => (await inventSigner()).id))
        await submitter.ask('beginMoreTasks', { type: WAITING, everyMs: EVERY_MS, event: GO })
        const offers = [{ type: OWN, slots: 10_000 }]
        judge(workshop, 'registering', await hand.change({ do: 'register', offers, incarnation: 1 }), ['ok'])
        for (const [round, [what, wait]] of KINDS.entries()) {
          const tasks = await takeTasks(workshop, round, PLACES)
          const [first] = tasks
          if (first === undefined) throw new Error('it was given none of its tasks')
          if (round === 0)
            for (const [odd, change] of NONSENSE) {
              const asked = { ...change, id: first.id, fence: first.record.fence ?? NOWHERE }
              const [outcome = 'silent'] = await hand.change(asked)
              judge({ tried: {}, reached }, odd, [outcome], ['MSG001'])
              count(tried, `nonsense: ${outcome}`)
            }
          const waiting = await waitAll(workshop, tasks, (n) => wait(n, invented))
          count(tried, `waits for ${what}`, waiting)
          if (waiting > SHARE) reached.push(`${waiting} of its tasks wait for events, of ${PLACES} that may`)
          const endsAt = performance.now() + (seconds * 1_000) / KINDS.length
          do {
            await giveToOthers(workshop, first.id)
            await delay(PAUSE_MS)
          } while (performance.now() < endsAt)
          judge(workshop, 'ending', await hand.change(...tasks.map(({ id }) => ({ do: 'cancel', id }))), ['ok'])
        }
        const served = await submitter.ask('endMoreTasks', ENDED_MS)
        count(tried, 'honest tasks that wait for an event', served.submitted)
        reached.push(...harmOfTasks({ slowestMs: 800 }, served))
      },
      { prepare: ({ worker }) => worker.ask('work', { type: WAITING, slots: 64, takesMs: 5, event: GO }) },
    ),
}

export const eventWaits: readonly Attack[] = [waits]
