/** A member that works on everything and does nothing, or nonsense; one that comes and goes; one that follows all. T4, T5. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import type { SeenTask } from '../../raw/tasks.ts'
import { count } from '../scene.ts'
import { HONEST, inWorkshop, judge, type Workshop } from './workshop.ts'

const SLOTS = 10_000
const TYPES = 255
const PAUSE_MS = 20
const GARBAGE = 'garbage'
/** So long that the honest worker has always something in work, and another one looks better. */
const BUSY_MS = 300
const MANY_SLOTS = { do: 'register', offers: [{ type: HONEST, slots: SLOTS }] }
/** Its own tasks, which it does by itself. */
const OPEN = 'open-to-all'
const OWN_TASKS = 20

const everything = (incarnation: number, type = HONEST): object => ({
  ...{ do: 'register', incarnation },
  offers: [type, ...Array.from({ length: TYPES }, (_, i) => `type-${i}`)].map((one) => ({ type: one, slots: SLOTS })),
})

const mine = async ({ hand, attacker }: Workshop): Promise<SeenTask[]> =>
  (await hand.tasks()).filter(({ record }) => record.worker === attacker.id)

/** @returns its registration */
const register = async (workshop: Workshop, change: object): Promise<number> => {
  const { outcome, result } = await workshop.hand.decide(change)
  judge(workshop, 'registering', [outcome], ['ok'])
  return Number(Reflect.get(Object(result), 'registration'))
}

const idle: Attack = {
  name: 'task-idle-worker',
  line: 'T4',
  by: 'member',
  about: `a worker of ${TYPES + 1} types with ${SLOTS} slots each that does nothing, then goes`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, tried, reached } = workshop
      const registration = await register(workshop, everything(1))
      await delay(seconds * 1_000)
      const hoarded = (await mine(workshop)).length
      count(tried, 'tasks that it was given and left', hoarded)
      if (hoarded === 0) reached.push('it was given nothing: nothing was tried')
      judge(workshop, 'leaving', await hand.change({ do: 'withdraw', registration }), ['ok'])
    }),
}

const GIVEN = 'tasks that it was given and lost or gave back'

const restless: Attack = {
  name: 'task-restless-worker',
  line: 'T4',
  by: 'member',
  about: 'a worker that registers again and again, so that what it was given is lost, or gives it back, without end',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, tried, reached } = workshop
        const endsAt = performance.now() + seconds * 1_000
        let registration = 0
        for (let round = 1; performance.now() < endsAt; round += 1) {
          registration = await register(workshop, { ...MANY_SLOTS, incarnation: round })
          const given = await mine(workshop)
          count(tried, GIVEN, given.length)
          const back = given.slice(0, 250).map(({ id, record }) => ({
            ...{ do: 'release', id, fence: record.fence, reason: 'no' },
          }))
          if (round % 2 === 0 && back.length > 0)
            judge(workshop, 'giving back', await hand.change(...back), ['ok', 'STA002'])
        }
        judge(workshop, 'leaving', await hand.change({ do: 'withdraw', registration }), ['ok'])
        if ((tried[GIVEN] ?? 0) === 0) reached.push('it was given nothing: nothing was tried')
      },
      { takesMs: BUSY_MS },
    ),
}

/** Whoever may work may do it badly: its results count for what it was given, and for nothing else. */
const careless: Attack = {
  name: 'task-careless-worker',
  line: 'T4',
  by: 'member',
  about: 'a worker that completes all that it is given with garbage, and tries it with what others were given',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, attacker } = workshop
        const registration = await register(workshop, everything(1, OPEN))
        const retry = { max: 0, delayMs: 0, maxDelayMs: 0 }
        const own = Array.from({ length: OWN_TASKS }, (_, i) => ({
          ...{
            id: `careless-${attacker.id.slice(-8)}-${i}`,
            type: OPEN,
            priority: 1,
            retry,
            input: null,
            digest: '00',
          },
        }))
        judge(workshop, 'submitting its own', await hand.change({ do: 'submit', tasks: own }), ['ok'])
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          for (const { id, record } of await hand.tasks()) {
            const complete = { do: 'complete', id, fence: record.fence ?? { term: 1, index: 1 }, result: GARBAGE }
            const isMine = record.worker === attacker.id
            const [outcome = 'silent'] = await hand.change(complete)
            judge(
              workshop,
              isMine ? 'garbage for its own' : 'garbage for others',
              [outcome],
              isMine ? ['ok', 'STA002'] : ['STA002'],
            )
          }
          await delay(PAUSE_MS)
        }
        judge(workshop, 'leaving', await hand.change({ do: 'withdraw', registration }), ['ok'])
      },
      { takesMs: 200 },
    ),
}

const WATCHED = 256
const FEEDS = 200
const DIGESTS_AT_ONCE = 16
const CREDIT = 1

const reader: Attack = {
  name: 'task-readers',
  line: 'T5',
  by: 'member',
  about: `${FEEDS} feeds of ${WATCHED} tasks each that it never reads, and the digest again and again`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, meshId, tried } = workshop
      const link = await hand.taskLink()
      link.stream.pause()
      for (let i = 0; i < FEEDS; i += 1) {
        const known = (await hand.tasks()).map(({ id }) => id)
        const watch = Array.from({ length: WATCHED }, (_, n) => known[n] ?? `watched-${i}-${n}`)
        link.tell({ method: 'feed', payload: JSON.stringify({ meshId, watch }), credit: CREDIT, timeoutMs: 600_000 })
        count(tried, 'feeds that nobody reads')
      }
      const seen = async (): Promise<void> => {
        const more = { credit: CREDIT, limitMs: 2_000 }
        judge(workshop, 'one more feed', [await hand.task('feed', { meshId }, more)], ['COM003'])
        const tooMany = Array.from({ length: WATCHED + 1 }, (_, n) => `w-${n}`)
        judge(workshop, 'a feed of 257', [await hand.task('feed', { meshId, watch: tooMany }, more)], ['MSG001'])
      }
      await seen()
      const endsAt = performance.now() + seconds * 1_000
      while (performance.now() < endsAt) {
        const asked = Array.from({ length: DIGESTS_AT_ONCE }, () => hand.task('digest', { meshId }))
        judge(workshop, 'digest', await Promise.all(asked), ['ok', 'COM003'])
      }
    }),
}

export const hoarders: readonly Attack[] = [idle, restless, careless, reader]
