/** A member that spends budgets of others, and one that asks for all there is room for. B1, B2. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import type { SeenRecord } from '../raw/tasks.ts'
import { count } from './scene.ts'
import { inWorkshop, judge, type Workshop } from './tasks/workshop.ts'

const PREFIX = '$part/parley/budgets/'
const PAUSE_MS = 50
const EVERY_MS = 30
const HIGHEST = Number.MAX_SAFE_INTEGER

const idOf = ({ key }: SeenRecord): string => key.slice(key.lastIndexOf('/') + 1)
const fieldOf = (value: unknown, name: string): unknown => Reflect.get(Object(value), name)

/** Honest members spend meanwhile, and are judged. */
const meanwhile = async (workshop: Workshop, attack: (registration: number) => Promise<void>): Promise<void> => {
  const { worker, submitter, reached, tried, hand, attacker } = workshop
  await submitter.ask('beginSpending', { everyMs: EVERY_MS, lentTo: worker.facts().id })
  const attacked = async (): Promise<void> => {
    judge(workshop, 'registering', await hand.changeBudgets({ do: 'register', incarnation: 1 }), ['ok'])
    const [own] = await hand.records(`${PREFIX}h/${attacker.id}`)
    await attack(Number(fieldOf(own?.value, 'registration') ?? 0))
  }
  const [outcome] = await Promise.allSettled([attacked()])
  const { had, wrong } = await submitter.ask('endSpending')
  if (outcome.status === 'rejected') throw outcome.reason
  count(tried, 'honest draws', had)
  reached.push(...wrong)
  if (had === 0) reached.push('no honest draw was had')
}

/** What only who holds a budget does. */
const uses = (id: string, registration: number, self: string, draws: readonly string[]) => [
  { do: 'draw', registration, id, draw: 'mallory', amounts: { tokens: 1 } },
  { do: 'draw', registration, id, draw: 'mallory', amounts: {}, least: {} },
  { do: 'lend', registration, id: 'mallory', parent: id, to: self, amounts: { tokens: 1 }, limits: {} },
  { do: 'take', registration, id },
  { do: 'close', id },
  ...draws.flatMap((draw) => [
    { do: 'receipt', registration, id, draw, spent: {} },
    { do: 'receipt', registration, id, draw, spent: { tokens: HIGHEST } },
  ]),
]

/** What only the coordinator of an epoch decides. */
const decisions = (id: string, holder: SeenRecord, epoch: number) =>
  [
    { do: 'expire', id, reason: 'a lie' },
    { do: 'dismiss', peer: idOf(holder), registration: Number(fieldOf(holder.value, 'registration')) },
    { do: 'forget', ids: [id] },
  ].map((one) => ({ ...one, epoch }))

const impostor: Attack = {
  name: 'budget-impostor',
  line: 'B1',
  by: 'member',
  about:
    'draws from, lends of, takes, closes and ends budgets of others, forges receipts, speaks for lives that it is not',
  play: ({ seconds }) =>
    inWorkshop((workshop) =>
      meanwhile(workshop, async (registration) => {
        const { hand, attacker, epoch, tried } = workshop
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          const budgets = (await hand.records(`${PREFIX}b/`)).filter(
            ({ value }) => fieldOf(value, 'holder') !== attacker.id,
          )
          const holders = (await hand.records(`${PREFIX}h/`)).filter((one) => idOf(one) !== attacker.id)
          count(tried, 'budgets of others that were there', budgets.length)
          for (const budget of budgets) {
            const [draws] = await hand.records(`${PREFIX}d/${idOf(budget)}`)
            const names = [...Object.keys(Object(draws?.value)), 'none', 'constructor']
            const theirs = Number(fieldOf(budget.value, 'registration') ?? 0)
            for (const life of [registration, theirs, HIGHEST]) {
              const answers = await hand.changeBudgets(...uses(idOf(budget), life, attacker.id, names))
              judge(workshop, 'using a budget of somebody else', answers, ['SEC002'])
            }
            for (const holder of holders)
              for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST])
                judge(
                  workshop,
                  'deciding as the coordinator',
                  await hand.changeBudgets(...decisions(idOf(budget), holder, at)),
                  at === epoch ? ['SEC002'] : ['STA002'],
                )
          }
          for (const { value } of holders)
            for (const what of ['renew', 'withdraw'])
              judge(
                workshop,
                'speaking for another node',
                await hand.changeBudgets({ do: what, registration: Number(fieldOf(value, 'registration')) }),
                ['STA002'],
              )
          await delay(PAUSE_MS)
        }
      }),
    ),
}

const AT_ONCE = 16
const FILL_AT_ONCE = 200
/** Of so many at once: more than there is room for in all. */
const MOST_ROUNDS = 60
/** Below its root, as the product has it. */
const DEEPEST = 16
const NONSENSE = [
  { do: 'open', registration: 1, id: '__proto__', amounts: { tokens: -1 }, limits: {} },
  { do: 'open', registration: 1, id: 'bad', amounts: { tokens: 2 ** 60 }, limits: {} },
  { do: 'open', registration: 1, id: 'bad', amounts: {}, limits: { depth: 99 } },
  { do: 'open', registration: 1, id: 'a/b', amounts: {}, limits: {} },
  { do: 'draw', registration: 1, id: 'honest', draw: '__proto__', amounts: {} },
  { do: 'receipt', registration: 1, id: 'honest', draw: 'x', spent: { tokens: '1' } },
  { do: 'register', incarnation: 'x' },
  { do: 'steal' },
]

/** A tree of its own, as deep as it may be, and one deeper. */
const dig = async (workshop: Workshop, registration: number, root: string): Promise<void> => {
  const { hand, attacker } = workshop
  let parent = root
  for (let level = 1; level <= DEEPEST + 1; level += 1) {
    const id = `${root}-${level}`
    const lend = { do: 'lend', registration, id, parent, to: attacker.id, amounts: {}, limits: {} }
    const isTooDeep = level > DEEPEST
    const answers = await hand.changeBudgets(lend, { do: 'take', registration, id })
    judge(
      workshop,
      isTooDeep ? 'a tree that is too deep' : 'a deep tree',
      answers,
      isTooDeep ? ['COM003', 'STA001'] : ['ok', 'COM003', 'STA001', 'STA003'],
    )
    parent = id
  }
}

/** All that it may have: its share is smaller than what there is. */
const fill = async ({ hand, tried, reached }: Workshop, registration: number): Promise<void> => {
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const open = { do: 'open', registration, amounts: { tokens: HIGHEST }, limits: {} }
    const changes = Array.from({ length: FILL_AT_ONCE }, (_, i) => ({
      ...open,
      id: `hoard-${round * FILL_AT_ONCE + i}`,
    }))
    const answers = await hand.changeBudgets(...changes)
    const had = answers.filter((answer) => answer === 'ok').length
    count(tried, 'hoarded', had)
    if (had < answers.length) return
  }
  reached.push(`${MOST_ROUNDS * FILL_AT_ONCE} budgets were had by one member`)
}

const flood: Attack = {
  name: 'budget-flood',
  line: 'B2',
  by: 'member',
  about:
    'opens as many budgets as it may, lends to everybody, makes deep trees, draws and overspends, and asks for nonsense',
  play: ({ seconds }) =>
    inWorkshop((workshop) =>
      meanwhile(workshop, async (registration) => {
        const { hand, submitter } = workshop
        const victim = submitter.facts().id
        const endsAt = performance.now() + seconds * 1_000
        await dig(workshop, registration, 'pit-none')
        for (let n = 0; performance.now() < endsAt; n += AT_ONCE) {
          const changes = Array.from({ length: AT_ONCE }, (_, i) => [
            { do: 'open', registration, id: `mallory-${n + i}`, amounts: { tokens: HIGHEST }, limits: {} },
            ...[0, 1, 2].map((k) => ({
              ...{ do: 'lend', registration, id: `gift-${n + i}-${k}`, parent: `mallory-${n + i}`, to: victim },
              ...{ amounts: { tokens: 1 }, limits: {} },
            })),
            { do: 'draw', registration, id: `mallory-${n + i}`, draw: 'd', amounts: { tokens: HIGHEST - 3 } },
            {
              do: 'receipt',
              registration,
              id: `mallory-${n + i}`,
              draw: 'd',
              spent: { tokens: HIGHEST, cost: HIGHEST },
            },
          ]).flat()
          judge(workshop, 'a flood', await hand.changeBudgets(...changes), ['ok', 'COM003', 'STA001'])
          for (const bad of NONSENSE) judge(workshop, 'nonsense', await hand.changeBudgets(bad), ['MSG001'])
          if (n === 0) await dig(workshop, registration, 'mallory-0')
          if (n === AT_ONCE) await fill(workshop, registration)
          await delay(PAUSE_MS)
        }
      }),
    ),
}

export const budgetAttacks: readonly Attack[] = [impostor, flood]
