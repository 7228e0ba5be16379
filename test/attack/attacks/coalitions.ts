/** A member that decides about coalitions of others, directs their members, and proposes as many as it may. C1, C2. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import type { Link } from '../raw/link.ts'
import { codeOf, type SeenRecord } from '../raw/tasks.ts'
import { count } from './scene.ts'
import { inWorkshop, judge, type Workshop } from './tasks/workshop.ts'

const PREFIX = '$part/parley/coalitions/c/'
const COORDINATION = '/parley/coordination/1'
const COALITION = '/parley/coalition/1'
const PAUSE_MS = 50
const EVERY_MS = 20
const PATIENCE_MS = 15_000
const HIGHEST = Number.MAX_SAFE_INTEGER
const TIMESTAMP = '2026-01-01T00:00:00Z'
const DAY_MS = 86_400_000

const idOf = ({ key }: SeenRecord): string => key.slice(PREFIX.length)

/** Honest coalitions are formed meanwhile, and judged. */
const meanwhile = async (workshop: Workshop, attack: () => Promise<void>): Promise<void> => {
  const { submitter, worker, reached, tried } = workshop
  for (const one of [submitter, worker]) await one.ask('takePart')
  const members = [submitter.facts().id, worker.facts().id]
  await submitter.ask('beginAllying', { members, everyMs: EVERY_MS, timeoutMs: PATIENCE_MS })
  const [outcome] = await Promise.allSettled([attack()])
  const { formed, wrong, slowestMs } = await submitter.ask('endAllying')
  if (outcome.status === 'rejected') throw outcome.reason
  count(tried, 'honest coalitions', formed)
  count(tried, 'milliseconds of the slowest', Math.round(slowestMs))
  reached.push(...wrong)
  if (formed === 0) reached.push('no honest coalition was formed')
}

/** What only the coordinator of an epoch decides, as of the coalition that was read. */
const moves = ({ value }: SeenRecord, id: string, self: string, epoch: number) => {
  const as = Number(Reflect.get(Object(Reflect.get(Object(value), 'fence')), 'index') ?? 0)
  const leader = String(Reflect.get(Object(value), 'leader'))
  return [
    { do: 'join', epoch, id, peers: [self] },
    { do: 'form', epoch, id, as },
    { do: 'drop', epoch, id, as, peers: [leader] },
    { do: 'lead', epoch, id, as, leader: self },
    { do: 'dissolve', epoch, id },
    { do: 'forget', epoch, ids: [id] },
  ]
}

/** Directives to a member, by a raw link. */
const directing = async ({ coordinator, attacker, epoch, ...judged }: Workshop, agent: Link, id: string) => {
  const target = coordinator.facts().id
  const directive = {
    ...{ directive_id: crypto.randomUUID(), timestamp: TIMESTAMP, target_agent: target, plan: id },
    action: 'form_coalition',
    parameters: { coalition_id: id, goal: 'g', leader: attacker.id, members: [attacker.id, target], ttl_ms: DAY_MS },
  }
  const ask = async (input: unknown): Promise<string> => {
    const { payload, fault } = await agent.ask('coordination_directive', JSON.stringify(input), {
      limitMs: PATIENCE_MS,
    })
    return payload === undefined ? codeOf(fault) : 'ok'
  }
  for (const term of [0, epoch, epoch + 1, HIGHEST]) {
    const over = { ...directive, parameters: { ...directive.parameters, ttl_ms: 0 } }
    for (const one of [directive, over]) {
      const answer = await ask({ ...one, fence: { term, index: HIGHEST } })
      judge(judged, 'directing a member', [answer], ['SEC002', 'STA003'])
    }
  }
  const { parameters } = directive
  const fence = { term: epoch, index: 1 }
  const crowd = Array.from({ length: 65 }, (_, i) => `p${i}`)
  for (const bad of [
    { ...parameters, ttl_ms: DAY_MS + 1 },
    { ...parameters, ttl_ms: -1 },
    { ...parameters, members: crowd },
    { ...parameters, members: [] },
    { ...parameters, coalition_id: '__proto__.' },
    null,
  ])
    judge(judged, 'a directive that is none', [await ask({ ...directive, fence, parameters: bad })], ['MSG001'])
}

const impostor: Attack = {
  name: 'coalition-impostor',
  line: 'C1',
  by: 'member',
  about: 'joins, leads, leaves and dissolves coalitions of others, and directs their members',
  play: ({ seconds }) =>
    inWorkshop(
      async (workshop) => {
        const { hand, attacker, epoch, connection, worker } = workshop
        const agent = await attacker.link(connection, COORDINATION)
        const asking = await attacker.link(connection, COALITION)
        await meanwhile(workshop, async () => {
          const endsAt = performance.now() + seconds * 1_000
          while (performance.now() < endsAt) {
            const all = (await hand.records(PREFIX)).slice(-4)
            count(workshop.tried, 'coalitions of others that were there', all.length)
            for (const one of all) {
              const id = idOf(one)
              const gone = ['STA001', 'STA003']
              const left = await hand.changeCoalitions({ do: 'leave', id })
              judge(workshop, 'leaving', left, ['SEC002', ...gone])
              const dissolved = await hand.changeCoalitions({ do: 'dissolve', id })
              judge(workshop, 'dissolving', dissolved, ['SEC002', ...gone])
              const taken = { goal: 'taken', leader: attacker.id, members: [attacker.id], minMembers: 1, ttlMs: 1 }
              const again = await hand.changeCoalitions({ do: 'propose', id, coalition: taken })
              judge(workshop, 'proposing it anew', again, ['STA003'])
              for (const at of [epoch, epoch - 1, epoch + 1, HIGHEST]) {
                const decided = await hand.changeCoalitions(...moves(one, id, attacker.id, at))
                judge(workshop, 'moving', decided, at === epoch ? ['SEC002'] : ['STA002'])
              }
              const { payload, fault } = await asking.ask('dissolve', JSON.stringify({ id }), { limitMs: PATIENCE_MS })
              const asked = payload === undefined ? codeOf(fault) : 'ok'
              judge(workshop, 'dissolving without the capability', [asked], ['SEC002'])
              await directing(workshop, agent, id)
            }
            await directing(workshop, agent, `mallory-${worker.facts().id.slice(-4)}`)
            await delay(PAUSE_MS)
          }
        })
      },
      { claims: { caps: [] } },
    ),
}

const AT_ONCE = 16
const MEMBERS = 64

const flood: Attack = {
  name: 'coalition-flood',
  line: 'C2',
  by: 'member',
  about: `proposes coalitions of ${MEMBERS} members, honest ones among them, as many as it may, ends them, and sends nonsense`,
  play: ({ seconds }) =>
    inWorkshop(async (workshop) => {
      const { hand, submitter, worker } = workshop
      await meanwhile(workshop, async () => {
        const honest = [submitter.facts().id, worker.facts().id]
        const crowd = [...honest, ...Array.from({ length: MEMBERS - 2 }, (_, i) => `nobody-${i}`)]
        const coalition = {
          ...{ goal: 'x'.repeat(1_024), leader: honest[0], members: crowd, minMembers: 1, ttlMs: DAY_MS },
        }
        const endsAt = performance.now() + seconds * 1_000
        for (let n = 0; performance.now() < endsAt; n += AT_ONCE) {
          const ids = Array.from({ length: AT_ONCE }, (_, i) => `mallory-${n + i}`)
          for (const id of ids.slice(0, 4))
            judge(workshop, 'proposing', await hand.changeCoalitions({ do: 'propose', id, coalition }), [
              'ok',
              'COM003',
            ])
          const small = { goal: 'x', leader: honest[1], members: honest, minMembers: 2, ttlMs: 1_000 }
          const made = await hand.changeCoalitions(
            ...ids.slice(4).map((id) => ({ do: 'propose', id, coalition: small })),
          )
          judge(workshop, 'proposing small ones', made, ['ok', 'COM003'])
          const ended = await hand.changeCoalitions(...ids.slice(8).map((id) => ({ do: 'dissolve', id })))
          judge(workshop, 'ending them', ended, ['ok', 'STA001', 'STA003'])
          for (const bad of [
            { do: 'propose', id: '__proto__', coalition: { ...coalition, leader: 'nobody' } },
            { do: 'propose', id: 'bad', coalition: { ...coalition, members: [...crowd, 'more'] } },
            { do: 'propose', id: 'bad', coalition: { ...coalition, members: ['a', 'a'], leader: 'a' } },
            { do: 'propose', id: 'bad', coalition: { ...coalition, ttlMs: DAY_MS + 1 } },
            { do: 'propose', id: 'bad id', coalition },
            { do: 'lead' },
          ])
            judge(workshop, 'nonsense', await hand.changeCoalitions(bad), ['MSG001', 'COM003'])
          await delay(PAUSE_MS)
        }
      })
    }),
}

export const coalitionAttacks: readonly Attack[] = [impostor, flood]
