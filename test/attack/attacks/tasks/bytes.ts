/** A member that has nodes hold what is not, or what never comes, and that reaches for large values of tasks of others. T9. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import { harmOfTasks } from '../../judge.ts'
import type { Member } from '../../members/member.ts'
import { inventSigner } from '../../raw/signed.ts'
import { type BytesHand, createBytesHand, type Giving, hashOf, type Place, serveBytes } from '../../raw/task-bytes.ts'
import type { SeenTask } from '../../raw/tasks.ts'
import { count } from '../scene.ts'
import { inWorkshop, judge, type Workshop, type WorkshopPlan } from './workshop.ts'

/** Honest tasks whose input and result nodes hold. */
const HEAVY = 'heavy'
const PAD_BYTES = 60_000
const EVERY_MS = 300
const ENDED_MS = 25_000
/** What one of them takes on a machine that is busy. */
const USUAL_MS = 800
const PART_BYTES = 65_536
const MIB = 2 ** 20
const LARGEST = 64 * MIB
const WORK_PREFIX = '$part/parley/tasks/work/'
const RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
const PAUSE_MS = 50
const SLOW_MS = 200
const VOTERS = 3

const heavy: Pick<WorkshopPlan, 'prepare' | 'claims'> = {
  prepare: ({ worker }) => worker.ask('work', { type: HEAVY, slots: 32, takesMs: 400 }),
  claims: { caps: [] },
}

/** Honest work with large values goes on meanwhile, and is judged. */
const meanwhile = async (workshop: Workshop, work: () => Promise<void>): Promise<void> => {
  const { submitter, tried, reached } = workshop
  await submitter.ask('beginMoreTasks', { type: HEAVY, everyMs: EVERY_MS, padBytes: PAD_BYTES })
  const [outcome] = await Promise.allSettled([work()])
  const served = await submitter.ask('endMoreTasks', ENDED_MS)
  count(tried, 'honest tasks with large values', served.submitted)
  if (outcome.status === 'rejected') throw outcome.reason
  reached.push(...harmOfTasks({ slowestMs: USUAL_MS }, served))
}

interface Holder {
  readonly member: Member
  readonly bytes: BytesHand
}

const holdersOf = ({ town, attacker }: Workshop): Promise<Holder[]> =>
  Promise.all(
    town.members.slice(0, VOTERS).map(async (member) => {
      const connection = await attacker.dial(member.address())
      return { member, bytes: await createBytesHand(attacker, connection) }
    }),
  )

const placeOf = (hash: string, task = 'mallory'): Place => ({ task, row: 'input', hash })

async function* partsOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES)
}
const giveAll = async (giving: Giving, bytes: Uint8Array): Promise<void> => {
  for await (const part of partsOf(bytes)) if (!(await giving.item(part))) return
  giving.end()
}

/** What it gives where somebody fetches a hash. */
type Gifts = Map<string, (giving: Giving) => Promise<void>>
const serveGifts = async ({ attacker }: Workshop): Promise<Gifts> => {
  const gifts: Gifts = new Map()
  await serveBytes(attacker, async (giving) => gifts.get(giving.place.hash)?.(giving))
  return gifts
}

/** What it gives is not what it says. */
const LIES: readonly (readonly [what: string, give: (giving: Giving, bytes: Uint8Array) => Promise<void>])[] = [
  ['nothing at all', async (giving) => giving.end()],
  ['other bytes', (giving, { length }) => giveAll(giving, randomBytes(length))],
  ['fewer bytes', (giving, bytes) => giveAll(giving, bytes.subarray(1))],
  ['more bytes', (giving, bytes) => giveAll(giving, Buffer.concat([bytes, randomBytes(100_000)]))],
  [
    'items of nothing',
    async (giving) => {
      for (let i = 0; i < 1_000 && (await giving.item(new Uint8Array(0))); i += 1);
    },
  ],
  [
    'a part that is too large',
    async (giving, bytes) => void (await giving.item(Buffer.concat([bytes, randomBytes(PART_BYTES)]))),
  ],
]

/** Asks for what is none, with the code that it has to be refused with. */
const nonsense = (place: Place): readonly (readonly [method: string, input: unknown])[] => [
  ...['hold', 'fetch', 'has', 'replace'].flatMap((method) =>
    [
      null,
      [],
      7,
      {},
      { ...place, hash: 'x' },
      { ...place, task: '../x' },
      { ...place, row: 'a b' },
      { ...place, hash: [place.hash] },
    ].map((input) => [method, input] as const),
  ),
  ...[-1, 1.5, LARGEST + 1, 2 ** 53, '1', null].map((size) => ['hold', { ...place, size }] as const),
  ['replace', { ...place, to: '' }],
  ['replace', { ...place, to: 'x'.repeat(129) }],
]

const storedOf = (value: unknown): { readonly hash: string; readonly holders: readonly string[] } | undefined =>
  Reflect.get(Object(Reflect.get(Object(value), 'input')), 'parley:bytes')

/** Large inputs of others, as the journal has them. */
const ofOthers = async ({ hand }: Workshop): Promise<{ place: Place; holders: readonly string[] }[]> => {
  const found: { place: Place; holders: readonly string[] }[] = []
  for (const { id, record } of await hand.tasks()) {
    if (record.type !== HEAVY || found.length >= 4) continue
    for (const { key, value } of await hand.rows(WORK_PREFIX + id)) {
      const stored = key === 'input' ? storedOf(value) : undefined
      if (stored !== undefined) found.push({ place: placeOf(stored.hash, id), holders: stored.holders })
    }
  }
  return found
}

/** Fetches, reads, replaces and writes down holders of what is none of its business. */
const reachForOthers = async (workshop: Workshop, all: readonly Holder[]): Promise<void> => {
  const { hand, attacker, epoch, tried, coordinator } = workshop
  for (const { place, holders } of await ofOthers(workshop)) {
    count(tried, 'large values of others')
    for (const { member, bytes } of all) {
      // It may have ended by then, and its holder may not have it.
      judge(workshop, 'fetching a value of others', [await bytes.take('fetch', place)], ['SEC002', 'STA001'])
      judge(workshop, 'reading without the capability', [await bytes.take('read', place)], ['SEC002'])
      const isCoordinator = member === coordinator
      for (const to of [attacker.id, member.facts().id])
        for (const from of [undefined, ...holders.slice(0, 1)]) {
          const asked = await bytes.replace({ ...place, to, ...(from !== undefined && { from }) })
          judge(workshop, 'replacing a holder', [asked], isCoordinator ? ['SEC002', 'STA003'] : ['STA003'])
        }
    }
    const { task: id, row, hash } = place
    for (const at of [epoch, epoch - 1, epoch + 1]) {
      const rehold = { epoch: at, id, row, hash, to: attacker.id }
      const came = await hand.raw(rehold, 'tasks.rehold')
      judge(workshop, 'writing down a holder', [came], at === epoch ? ['SEC002'] : ['STA002'])
    }
  }
}

const lies: Attack = {
  name: 'task-bytes',
  line: 'T9',
  by: 'member',
  about:
    'has voters hold bytes that it does not have, or others than it says; fetches, reads and moves values of others',
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { reached, tried } = workshop
      const gifts = await serveGifts(workshop)
      const all = await holdersOf(workshop)
      await meanwhile(workshop, async () => {
        const endsAt = performance.now() + seconds * 1_000
        do {
          for (const [what, give] of LIES)
            for (const { member, bytes } of all) {
              const said = randomBytes(200_000)
              const hash = hashOf(said)
              gifts.set(hash, (giving) => give(giving, said))
              judge(
                workshop,
                'having it hold what is not',
                [await bytes.hold({ ...placeOf(hash), size: said.length })],
                // The latter where an item is none.
                ['MSG003', 'MSG001'],
              )
              if ((await bytes.has(placeOf(hash))) !== false)
                reached.push(`${member.name} holds ${what} for what was said`)
              gifts.delete(hash)
            }
          for (const { bytes } of all)
            for (const [method, input] of nonsense(placeOf('0'.repeat(64)))) {
              const outcome = await bytes.raw(method, input)
              judge(
                { tried: {}, reached },
                `${method} of ${JSON.stringify(input)}`.slice(0, 120),
                [outcome],
                ['MSG001'],
              )
              count(tried, `nonsense: ${outcome}`)
            }
          await reachForOthers(workshop, all)
        } while (performance.now() < endsAt)
      })
    }, heavy),
}

const AT_ONCE = 12

/** It says each moment that it works on it, and gives a byte now and then. */
const slow: Attack = {
  name: 'task-bytes-slow',
  line: 'T9',
  by: 'member',
  about: `has each voter hold ${AT_ONCE} values of 64 MiB at once that come a byte at a time, and says that it works on them`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const gifts = await serveGifts(workshop)
      const all = await holdersOf(workshop)
      const drip = async (giving: Giving): Promise<void> => {
        while (giving.progress() && (await giving.item(new Uint8Array(1)))) await delay(SLOW_MS)
      }
      const endsAt = performance.now() + seconds * 1_000
      const lane = async ({ bytes }: Holder): Promise<void> => {
        while (performance.now() < endsAt) {
          const hash = hashOf(randomBytes(32))
          gifts.set(hash, drip)
          const outcome = await bytes.hold(
            { ...placeOf(hash), size: LARGEST },
            Math.max(1_000, endsAt - performance.now()),
          )
          count(workshop.tried, `a value that never comes: ${outcome}`)
          await delay(PAUSE_MS)
        }
      }
      await meanwhile(workshop, async () => {
        await Promise.all(all.flatMap((holder) => Array.from({ length: AT_ONCE }, () => lane(holder))))
      })
    }, heavy),
}

/** Its share, again and again, all at once, and looked at again and again. */
const flood: Attack = {
  name: 'task-bytes-flood',
  line: 'T9',
  by: 'member',
  about:
    'has voters hold 64 MiB again and again, many at once, up to its share; has them look at all of it again and again',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const gifts = await serveGifts(workshop)
        const all = await holdersOf(workshop)
        const value = randomBytes(LARGEST)
        const hash = hashOf(value)
        gifts.set(hash, (giving) => giveAll(giving, value))
        const endsAt = performance.now() + seconds * 1_000
        let number = 0
        const lane = async ({ bytes }: Holder): Promise<void> => {
          do {
            number += 1
            const place = placeOf(hash, `mallory-${number}`)
            const limitMs = Math.max(5_000, endsAt - performance.now())
            judge(
              workshop,
              'holding 64 MiB',
              [await bytes.hold({ ...place, size: LARGEST }, limitMs)],
              ['ok', 'COM003', 'silent'],
            )
            const looks = Array.from({ length: 4 }, () => bytes.has(place, true))
            for (const seen of await Promise.all(looks)) count(workshop.tried, `looking at it again: ${seen}`)
            await delay(PAUSE_MS)
          } while (performance.now() < endsAt)
        }
        await meanwhile(workshop, async () => {
          await Promise.all(all.flatMap((holder) => Array.from({ length: 4 }, () => lane(holder))))
        })
      },
      // The bytes that it gives take the processors of this one machine.
      { ...heavy, isTimed: false, common: { limits: { maxDiskBytes: 512 * MIB } } },
    ),
}

const OWN = 'mallory'
const OWN_TASKS = 24
const GIVEN_MS = 10_000

const givenTasks = async ({ hand, attacker }: Workshop): Promise<SeenTask[]> => {
  const endsAt = performance.now() + GIVEN_MS
  for (;;) {
    const found = (await hand.tasks()).filter(({ record }) => record.worker === attacker.id && record.type === OWN)
    if (found.length >= OWN_TASKS || performance.now() > endsAt) return found
    await delay(PAUSE_MS)
  }
}

/** Its own tasks end with values that nobody has, and others read them. */
const nobody: Attack = {
  name: 'task-bytes-nobody',
  line: 'T9',
  by: 'member',
  about: `completes ${OWN_TASKS} tasks with values that nobody has, in the name of voters, of itself and of nobody; others read them`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, attacker, submitter, town, tried } = workshop
      // It never gives anything.
      await serveBytes(attacker, async (giving) => {
        while (giving.progress()) await delay(SLOW_MS)
      })
      const offers = [{ type: OWN, slots: OWN_TASKS }]
      judge(workshop, 'registering', await hand.change({ do: 'register', offers, incarnation: 1 }), ['ok'])
      const tasks = Array.from({ length: OWN_TASKS }, (_, i) => ({
        ...{ id: `mallory-${i}`, type: OWN, priority: 1, retry: RETRY, input: null, digest: '00' },
      }))
      judge(workshop, 'submitting', await hand.change({ do: 'submit', tasks }), ['ok'])
      const invented = await Promise.all(Array.from({ length: 8 }, async () => (await inventSigner()).id))
      const voters = town.members.slice(0, VOTERS).map((member) => member.facts().id)
      const names = [invented, voters, Array(8).fill(attacker.id), [attacker.id, ...voters]]
      const mine = await givenTasks(workshop)
      const complete = mine.map(({ id, record }, i) => {
        const held = { hash: hashOf(randomBytes(8)), size: LARGEST, form: 'binary', holders: names[i % names.length] }
        return { do: 'complete', id, fence: record.fence, result: { 'parley:bytes': held } }
      })
      judge(workshop, 'completing with what nobody has', await hand.change(...complete), ['ok'])
      await meanwhile(workshop, async () => {
        const withinMs = seconds * 1_000
        const read = mine.map(({ id }) => submitter.ask('result', { id, withinMs }))
        for (const outcome of await Promise.all(read)) count(tried, `reading it: ${outcome}`)
      })
    }, heavy),
}

export const bytesOfTasks: readonly Attack[] = [lies, slow, flood, nobody]
