/** A member that submits without end and without sense, and one that sends what is no change of a task. T3, T6. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../../attack.ts'
import type { SeenTask } from '../../raw/tasks.ts'
import { count } from '../scene.ts'
import { inWorkshop, judge, type Workshop } from './workshop.ts'

const NOBODY = 'nobody-does-this'
const RETRY = { max: 1_000, delayMs: 0, maxDelayMs: 0 }
const YEAR_3000 = 32_503_680_000_000
const AT_ONCE = 64
/** Submissions of AT_ONCE tasks in one command: their answers fit into one. */
const SUBMISSIONS = 8
const MOST_OPEN = 20_000
const MOST_ROUNDS = 60
const PAUSE_MS = 20

const taskOf = (more: object = {}): Record<string, unknown> => ({
  ...{ id: randomUUID(), type: NOBODY, priority: 1, retry: RETRY, input: null, digest: '00' },
  ...more,
})
const submitOf = (...tasks: readonly object[]): object => ({ do: 'submit', tasks })

/** As many as it may have, one after the other, due in the year 3000. */
const fillShare = async ({ hand, tried, reached }: Workshop): Promise<string[]> => {
  const ids: string[] = []
  for (let [refused, round] = [0, 0]; refused < 2 && round < MOST_ROUNDS; round += 1) {
    const many = Array.from({ length: SUBMISSIONS }, () =>
      Array.from({ length: AT_ONCE }, () => taskOf({ deadline: YEAR_3000 })),
    )
    const outcomes = await hand.change(...many.map((tasks) => submitOf(...tasks)))
    judge({ tried, reached }, 'submitting without end', outcomes, ['ok', 'COM003'])
    for (const [i, outcome] of outcomes.entries())
      if (outcome === 'ok') ids.push(...(many[i] ?? []).map(({ id }) => String(id)))
    if (outcomes.every((outcome) => outcome === 'COM003')) refused += 1
    if (outcomes.includes('silent') || ids.length > MOST_OPEN) break
  }
  if (ids.length >= MOST_OPEN) reached.push(`it has ${ids.length} open tasks`)
  return ids
}

/** Each of them is no task, or none that may be submitted. */
const nonsense = (
  others: readonly SeenTask[],
): readonly (readonly [what: string, change: object, codes: string[]])[] => {
  const [other] = others
  const chain = Array.from({ length: AT_ONCE }, (_, i) => `chain-${i}`)
  const on = (ids: readonly string[]): object => ({
    dependencies: ids.map((task_id) => ({ task_id, condition: 'completed' })),
  })
  const bad = ['MSG001']
  return [
    ['a huge input', submitOf(taskOf({ input: 'x'.repeat(16_385) })), bad],
    ['huge metadata', submitOf(taskOf({ metadata: 'x'.repeat(4_097) })), bad],
    ['a deep input', submitOf(taskOf({ input: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) })), bad],
    ['a circle of 64', submitOf(...chain.map((id, i) => taskOf({ id, ...on([chain[(i + 1) % AT_ONCE] ?? '']) }))), bad],
    ['a circle of one', submitOf(taskOf({ id: 'self', ...on(['self']) })), bad],
    [
      'a circle, and each waits for all',
      submitOf(...chain.slice(0, 40).map((id) => taskOf({ id, ...on(chain.slice(0, 40)) }))),
      bad,
    ],
    ['65 that it waits for', submitOf(taskOf(on(Array.from({ length: 65 }, (_, i) => `d-${i}`)))), bad],
    ['64 that nobody knows', submitOf(taskOf(on(Array.from({ length: 64 }, (_, i) => `d-${i}`)))), ['STA001']],
    ['the same id twice', submitOf(taskOf({ id: 'twice' }), taskOf({ id: 'twice' })), bad],
    ['65 together', submitOf(...Array.from({ length: 65 }, () => taskOf())), bad],
    ['none', submitOf(), bad],
    ...['', '.', 'a..b', '../../w/x', 'a b', 'ä', 'a/b', 'x'.repeat(129), '\u0000', '$part'].map(
      (id) => [`the id ${JSON.stringify(id).slice(0, 20)}`, submitOf(taskOf({ id })), bad] as const,
    ),
    ...['', '-', 'a b', 'x'.repeat(65), '__proto__', '\u202e', 'a/b'].map(
      (type) => [`the type ${JSON.stringify(type).slice(0, 20)}`, submitOf(taskOf({ type })), bad] as const,
    ),
    ...[-1, 4, 1.5, 1e300, '1', null].map(
      (priority) => [`the priority ${priority}`, submitOf(taskOf({ priority })), bad] as const,
    ),
    ...[-1, 2 ** 60, 1e308, '3000-01-01', null].map(
      (deadline) => [`the deadline ${deadline}`, submitOf(taskOf({ deadline })), bad] as const,
    ),
    ...[-1, 1.5, 1e9].map(
      (cpu_cores) =>
        [...[`${cpu_cores} cores`, submitOf(taskOf({ requirements: { cpu_cores } })), bad]] as [
          string,
          object,
          string[],
        ],
    ),
    ...[-1, 0.5, 1_001, 2 ** 53].map(
      (max) => [`${max} retries`, submitOf(taskOf({ retry: { ...RETRY, max } })), bad] as const,
    ),
    ...(other === undefined
      ? []
      : [['the id of somebody else', submitOf(taskOf({ id: other.id })), ['STA003']] as const]),
  ].map(([what, change, codes]) => [String(what), change as object, codes as string[]] as const)
}

const flood: Attack = {
  name: 'task-flood',
  line: 'T3',
  by: 'member',
  about:
    'tasks without end, huge, deep, circular, odd, due in the year 3000, with ids of others; submitted and canceled',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, attacker, tried, reached } = workshop
        const ids = await fillShare(workshop)
        count(tried, 'open tasks of its own', ids.length)
        const others = (await hand.tasks()).filter(({ record }) => record.submitter !== attacker.id)
        for (const [what, change, codes] of nonsense(others)) {
          const [outcome = 'silent'] = await hand.change(change)
          judge({ tried: {}, reached }, what, [outcome], codes)
          count(tried, `nonsense: ${outcome}`)
        }
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          const gone = ids.splice(0, 200)
          judge(workshop, 'canceling', await hand.change(...gone.map((id) => ({ do: 'cancel', id }))), ['ok'])
          const fresh = Array.from({ length: gone.length }, () => taskOf({ deadline: YEAR_3000 }))
          const groups = Array.from({ length: Math.ceil(fresh.length / AT_ONCE) }, (_, i) =>
            fresh.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
          )
          const outcomes = await hand.change(...groups.map((tasks) => submitOf(...tasks)))
          judge(workshop, 'submitting again', outcomes, ['ok', 'COM003'])
          for (const [i, outcome] of outcomes.entries())
            if (outcome === 'ok') ids.push(...(groups[i] ?? []).map(({ id }) => String(id)))
        }
      },
      { isTimed: false },
    ),
}

const fence = { term: 1, index: 1 }
/** Whole inputs of the command, none of which is one. */
const malformed = (): readonly (readonly [what: string, input: unknown])[] => [
  ['nothing', null],
  ['a list', []],
  ['a number', 7],
  ['no changes', {}],
  ['0 changes', { changes: [] }],
  ['257 changes', { changes: Array.from({ length: 257 }, () => ({ do: 'renew', registration: 1 })) }],
  ['10,000 changes', { changes: Array.from({ length: 10_000 }, () => ({ do: 'renew', registration: 1 })) }],
  ['an object for a list', { changes: { 0: { do: 'renew', registration: 1 }, length: 1 } }],
  ['an unknown change', { changes: [{ do: 'explode', id: 'x' }] }],
  ['a change of Object', { changes: [{ do: 'constructor' }] }],
  ['a change of no name', { changes: [{ id: 'x' }] }],
  ['null for a change', { changes: [null] }],
  ['a list for a name', { changes: [{ do: ['submit'] }] }],
  [
    'a bad one behind good ones',
    {
      changes: [
        { do: 'withdraw', registration: 1 },
        { do: 'complete', id: 'x' },
      ],
    },
  ],
  ['a fence that is none', { changes: [{ do: 'start', id: 'x', fence: { term: -1, index: 1.5 } }] }],
  ['a fence in words', { changes: [{ do: 'start', id: 'x', fence: 'highest' }] }],
  ['a registration that is none', { changes: [{ do: 'renew', registration: -1 }] }],
  ['a registration above all', { changes: [{ do: 'renew', registration: 1e300 }] }],
  ['an effect without a value', { changes: [{ do: 'effect', id: 'x', fence, name: 'a', key: '' }] }],
  ['an effect with an odd name', { changes: [{ do: 'effect', id: 'x', fence, name: '../x', key: '', value: 1 }] }],
  ['an effect with an odd key', { changes: [{ do: 'effect', id: 'x', fence, name: 'a', key: ' ', value: 1 }] }],
  ['257 offers', { changes: [{ do: 'register', offers: Array(257).fill({ type: 'x', slots: 1 }), incarnation: 1 }] }],
  ['no slots', { changes: [{ do: 'register', offers: [{ type: 'x', slots: 0 }], incarnation: 1 }] }],
  ['slots without end', { changes: [{ do: 'register', offers: [{ type: 'x', slots: 1e9 }], incarnation: 1 }] }],
  ['a long reason', { changes: [{ do: 'cancel', id: 'x', reason: 'x'.repeat(257) }] }],
  ['a huge value', { changes: [{ do: 'signal', id: 'x', name: 'a', value: 'x'.repeat(16_385) }] }],
  ['257 to be forgotten', { changes: [{ do: 'forget', epoch: 1, tasks: Array(257).fill({ id: 'x', endedAt: 1 }) }] }],
  ['a time before 1970', { changes: [{ do: 'forget', epoch: 1, tasks: [{ id: 'x', endedAt: -1 }] }] }],
  ['half a megabyte', { changes: Array.from({ length: 40 }, () => submitOf(taskOf({ input: 'x'.repeat(16_000) }))) }],
  ['rows without end', { changes: Array.from({ length: 256 }, () => forgetMany()) }],
]
const forgetMany = (): object => ({
  ...{ do: 'forget', epoch: 1 },
  tasks: Array.from({ length: 16 }, () => ({ id: randomUUID(), endedAt: 1 })),
})

/** As large as a registration may be: each renewal writes all of it. */
const widest = (): object => ({
  do: 'register',
  incarnation: 1,
  offers: Array.from({ length: 256 }, (_, i) => ({
    ...{ type: `${'t'.repeat(58)}${i}`, slots: 1 },
    versions: Array.from({ length: 16 }, (_, v) => `${'v'.repeat(28)}${v}`),
  })),
})

const broken: Attack = {
  name: 'task-malformed',
  line: 'T6',
  by: 'member',
  about: 'changes that are none, none and 10,000 at once, past the client; 256 renewals of the largest registration',
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, tried, reached } = workshop
      const { outcome, result } = await hand.decide(widest())
      judge(workshop, 'registering for all it can', [outcome], ['ok'])
      const registration = Number(Reflect.get(Object(result), 'registration'))
      const endsAt = performance.now() + seconds * 1_000
      do {
        for (const [what, input] of malformed()) {
          const came = await hand.raw(input)
          judge({ tried: {}, reached }, what, [came], ['MSG001', 'MSG003'])
          count(tried, `malformed: ${came}`)
        }
        judge(workshop, 'a command that is none', [await hand.raw({}, 'tasks.explode')], ['MSG004'])
        for (const kind of ['coordinator.begin', 'journal.level', 'journal.part'])
          judge(workshop, 'a command of the coordinator', [await hand.raw({}, kind)], ['SEC002'])
        const renewals = Array.from({ length: 256 }, () => ({ do: 'renew', registration }))
        judge(workshop, 'renewing 256 times', await hand.change(...renewals), ['ok'])
        await delay(PAUSE_MS)
      } while (performance.now() < endsAt)
    }),
}

export const floods: readonly Attack[] = [flood, broken]
