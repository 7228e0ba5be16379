/** A member that decides about resources of others, and one that asks for all there is room for. R1, R2. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import type { SeenRecord } from '../raw/tasks.ts'
import { count } from './scene.ts'
import { inWorkshop, judge, type Workshop } from './tasks/workshop.ts'

const PREFIX = '$part/parley/resources/'
const PAUSE_MS = 50
const EVERY_MS = 30
const PATIENCE_MS = 5_000
const HIGHEST = Number.MAX_SAFE_INTEGER
const CAPACITY = { cpu: 8, gpu: 2 }
const UNITS = { cpu: 2 }

const idOf = ({ key }: SeenRecord): string => key.slice(key.lastIndexOf('/') + 1)
const numberOf = (value: unknown, name: string): number => Number(Reflect.get(Object(value), name) ?? 0)

/** Honest members give and have something meanwhile, and are judged. */
const meanwhile = async (workshop: Workshop, attack: () => Promise<void>): Promise<void> => {
  const { worker, submitter, reached, tried } = workshop
  await worker.ask('offer', CAPACITY)
  await submitter.ask('beginHaving', { units: UNITS, everyMs: EVERY_MS, timeoutMs: PATIENCE_MS })
  const [outcome] = await Promise.allSettled([attack()])
  const { had, wrong } = await submitter.ask('endHaving')
  if (outcome.status === 'rejected') throw outcome.reason
  count(tried, 'honest allocations', had)
  reached.push(...wrong)
  if (had === 0) reached.push('no honest allocation was had')
}

/** What only the coordinator of an epoch decides. */
const decisions = (node: SeenRecord, allocation: string, self: string, registration: number, epoch: number) =>
  [
    { do: 'grant', id: allocation, places: [{ owner: self, registration }] },
    {
      do: 'grant',
      id: 'mallory',
      places: [{ owner: idOf(node), registration: numberOf(node.value, 'registration') }],
      victims: [{ id: allocation, fence: { term: epoch, index: 1 } }],
    },
    { do: 'deny', id: allocation, reason: 'a lie' },
    { do: 'expire', id: allocation, reason: 'a lie' },
    { do: 'dismiss', peer: idOf(node), registration: numberOf(node.value, 'registration') },
    { do: 'forget', ids: [allocation] },
  ].map((one) => ({ ...one, epoch }))

/** The same for tasks: as much as it wants, at itself and at others, and the end of what somebody has. */
const assignments = (node: SeenRecord, allocation: string, self: string, registration: number, epoch: number) => {
  const rest = { task: 'mallory', priority: 3, units: { cpu: 1 } }
  return [
    { do: 'assign', id: 'mine', peer: self, registration, ...rest },
    { do: 'assign', id: 'theirs', peer: idOf(node), registration: numberOf(node.value, 'registration'), ...rest },
    { do: 'assign', id: allocation, peer: self, registration, ...rest },
    { do: 'unassign', id: allocation },
  ].map((one) => ({ ...one, epoch }))
}

const impostor: Attack = {
  name: 'resource-impostor',
  line: 'R1',
  by: 'member',
  about: 'grants, denies, ends and releases allocations of others, dismisses nodes, speaks for lives that it is not',
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, attacker, epoch } = workshop
      await meanwhile(workshop, async () => {
        const register = { do: 'register', incarnation: 1, capacity: { cpu: HIGHEST } }
        judge(workshop, 'offering what is its own', await hand.changeResources(register), ['ok'])
        const own = await hand.records(`${PREFIX}n/${attacker.id}`)
        const registration = numberOf(own[0]?.value, 'registration')
        const ask = { priority: 3, parts: [{ units: { gpu: 99 } }] }
        const asked = { do: 'allocate', registration, id: 'mallory', ask }
        judge(workshop, 'asking', await hand.changeResources(asked), ['ok'])
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          const nodes = (await hand.records(`${PREFIX}n/`)).filter((one) => idOf(one) !== attacker.id)
          const allocations = (await hand.records(`${PREFIX}a/`)).filter((one) => idOf(one) !== 'mallory')
          count(workshop.tried, 'allocations of others that were there', allocations.length)
          for (const { key, value } of allocations) {
            const id = idOf({ key, value })
            const release = await hand.changeResources({ do: 'release', id })
            const isGone = release.includes('ok') && (await hand.records(key)).length === 0
            judge(workshop, 'releasing what somebody else has', release, isGone ? ['ok'] : ['SEC002'])
            const again = { do: 'allocate', registration, id, ask }
            const taken = await hand.changeResources(again)
            if (taken.includes('ok')) await hand.changeResources({ do: 'release', id })
          }
          const ids = [...allocations.map(idOf), 'none']
          for (const node of nodes)
            for (const id of ids)
              for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
                const all = decisions(node, id, attacker.id, registration, at)
                const allowed = at === epoch ? ['SEC002'] : ['STA002']
                judge(workshop, 'deciding as the coordinator', await hand.changeResources(...all), allowed)
                const given = assignments(node, id, attacker.id, registration, at)
                judge(workshop, 'giving tasks what they require', await hand.assignResources(...given), allowed)
                // A command takes nothing of another one.
                const wrong = [...(await hand.assignResources(...all)), ...(await hand.changeResources(...given))]
                judge(workshop, 'deciding by the wrong command', wrong, ['MSG001'])
              }
          for (const node of nodes)
            for (const what of ['renew', 'withdraw']) {
              const one = { do: what, registration: numberOf(node.value, 'registration') }
              judge(workshop, 'speaking for another node', await hand.changeResources(one), ['STA002'])
            }
          await delay(PAUSE_MS)
        }
      })
    }),
}

const PARTS = 64
const AT_ONCE = 16

const hoarder: Attack = {
  name: 'resource-flood',
  line: 'R2',
  by: 'member',
  about: `asks for allocations of ${PARTS} parts that fit nowhere, as many as it may, and for nonsense`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, attacker } = workshop
      await meanwhile(workshop, async () => {
        const register = { do: 'register', incarnation: 1, capacity: {} }
        judge(workshop, 'registering', await hand.changeResources(register), ['ok'])
        const [own] = await hand.records(`${PREFIX}n/${attacker.id}`)
        const registration = numberOf(own?.value, 'registration')
        const parts = Array.from({ length: PARTS }, (_, i) => ({ units: { cpu: 7, [`x${i % 8}`]: 1 } }))
        const endsAt = performance.now() + seconds * 1_000
        for (let n = 0; performance.now() < endsAt; n += AT_ONCE) {
          const changes = Array.from({ length: AT_ONCE }, (_, i) => ({
            ...{ do: 'allocate', registration, id: `mallory-${n + i}` },
            ask: { priority: 3, parts, preempts: true },
          }))
          judge(workshop, 'asking for what fits nowhere', await hand.changeResources(...changes), ['ok', 'COM003'])
          for (const bad of [
            { do: 'allocate', registration, id: '__proto__', ask: { priority: 3, parts } },
            { do: 'allocate', registration, id: 'bad', ask: { priority: 9, parts } },
            { do: 'allocate', registration, id: 'bad', ask: { priority: 3, parts: [{ units: { cpu: -1 } }] } },
            { do: 'register', incarnation: 2, capacity: { cpu: 2 ** 60 } },
            { do: 'register', incarnation: Number.NaN, capacity: {} },
            { do: 'steal' },
          ])
            judge(workshop, 'nonsense', await hand.changeResources(bad), ['MSG001', 'ok', 'COM003'])
          await delay(PAUSE_MS)
        }
      })
    }),
}

export const resourceAttacks: readonly Attack[] = [impostor, hoarder]
