/**
 * A mesh in which honest tasks are submitted and done, and a member that attacks them: three voters, an honest worker and an
 * honest submitter. What came of the honest tasks, and of the nodes, is what is judged.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { until } from '../../../support/until.ts'
import type { Findings } from '../../attack.ts'
import { delayOf, harmOf, harmOfTasks, LIMITS } from '../../judge.ts'
import { notice } from '../../members/honest.ts'
import type { Member } from '../../members/member.ts'
import type { TasksServed } from '../../members/task-load.ts'
import { openTown, type Town, type TownPlan } from '../../members/town.ts'
import type { Attacker } from '../../raw/attacker.ts'
import { answerProbes, createTaskHand, type Outcome, type TaskHand } from '../../raw/tasks.ts'
import type { Claims } from '../../raw/token.ts'
import { count } from '../scene.ts'

export const HONEST = 'honest'
const SLOTS = 32
const EVERY_MS = 50
const CALM_MS = 1_500
const ENDED_MS = 20_000
const FOUND_MS = 10_000

export interface Workshop {
  readonly town: Town
  readonly meshId: string
  readonly epoch: number
  /** The voter that coordinates. */
  readonly coordinator: Member
  readonly worker: Member
  readonly submitter: Member
  readonly attacker: Attacker
  readonly connection: Connection
  readonly hand: TaskHand
  readonly tried: Record<string, number>
  readonly reached: string[]
}

export interface WorkshopPlan {
  /** Milliseconds that an honest task takes. */
  readonly takesMs?: number
  /** Of the attacker's membership. */
  readonly claims?: Claims
  /** False where the attack takes the processors of this one machine. */
  readonly isTimed?: boolean
  /** Options of all members. */
  readonly common?: TownPlan['common']
  /** More honest work. */
  prepare?(members: Pick<Workshop, 'worker' | 'submitter' | 'town'>): Promise<void>
}

/** Counts what came of what was tried; what went through that must not is told. */
export const judge = (
  { tried, reached }: Pick<Workshop, 'tried' | 'reached'>,
  what: string,
  outcomes: readonly Outcome[],
  allowed: readonly Outcome[],
): void => {
  for (const outcome of outcomes) {
    count(tried, `${what}: ${outcome}`)
    if (!allowed.includes(outcome) && reached.length < 100)
      reached.push(`${what} was answered with ${outcome}, not with ${allowed.join(' or ')}`)
  }
}

const open = async (plan: WorkshopPlan): Promise<Workshop> => {
  const town = await openTown({ voters: 3, ...(plan.common !== undefined && { common: plan.common }) })
  try {
    const worker = await town.add('worker')
    const submitter = await town.add('submitter')
    await worker.ask('work', { type: HONEST, slots: SLOTS, takesMs: plan.takesMs ?? 20 })
    await plan.prepare?.({ worker, submitter, town })
    const attacker = await town.attacker()
    await answerProbes(attacker)
    const voters = town.members.slice(0, 3)
    const connections = new Map<string, Connection>()
    for (const one of voters)
      connections.set(one.facts().id, await attacker.member(one.address(), town.secret, plan.claims))
    const leading = async (): Promise<Member | undefined> => {
      const all = await Promise.all(voters.map(async (one) => ({ one, now: await one.ask('status') })))
      return all.find(({ now }) => now.acting)?.one
    }
    const coordinator = await until('somebody coordinates', leading, FOUND_MS)
    const { meshId = '', epoch } = await coordinator.ask('status')
    const connection = connections.get(coordinator.facts().id)
    if (connection === undefined) throw new Error('the attacker has no connection with the coordinator')
    const hand = await createTaskHand(attacker, connection, meshId)
    return {
      ...{ town, meshId, epoch, coordinator, worker, submitter, attacker, connection, hand },
      ...{ tried: {}, reached: [] },
    }
  } catch (error) {
    await town.end()
    throw error
  }
}

/** Each node answers still. */
const dead = async ({ town }: Workshop): Promise<string[]> => {
  const asked = await Promise.allSettled(town.members.map((one) => one.ask('status')))
  return asked.flatMap((one, i) => (one.status === 'fulfilled' ? [] : [`${town.members[i]?.name} is dead`]))
}

const calmly = async ({ submitter }: Workshop): Promise<TasksServed> => {
  await submitter.ask('beginTasks', { type: HONEST, everyMs: EVERY_MS })
  await delay(CALM_MS)
  return submitter.ask('endTasks', ENDED_MS)
}

/**
 * Plays an attack while honest tasks are submitted and done.
 * @param after what else has to be true at its end, as sentences where it is not
 */
export const inWorkshop = async (
  attack: (workshop: Workshop) => Promise<void>,
  plan: WorkshopPlan = {},
  after: (workshop: Workshop) => Promise<string[]> = async () => [],
): Promise<Findings> => {
  const workshop = await open(plan)
  const { town, coordinator, submitter, tried, reached } = workshop
  try {
    const quiet = await calmly(workshop)
    let served: TasksServed | undefined
    // Honest tasks take their part of this machine before the attack too.
    await submitter.ask('beginTasks', { type: HONEST, everyMs: EVERY_MS })
    const noticed = await notice({ victim: coordinator, caller: submitter }, async () => {
      const [outcome] = await Promise.allSettled([attack(workshop)])
      served = await submitter.ask('endTasks', ENDED_MS)
      if (outcome.status === 'rejected') throw outcome.reason
    })
    if (served === undefined) throw new Error('no honest task was submitted')
    tried['honest tasks'] = served.submitted
    return {
      tried,
      refused: noticed.refused,
      before: noticed.before,
      during: noticed.during,
      memory: noticed,
      reached: [
        ...harmOfTasks(quiet, served),
        ...(plan.isTimed === false ? [] : delayOf(noticed)),
        ...harmOf(noticed, LIMITS.grownByMemberMib),
        ...(await after(workshop)),
        ...(await dead(workshop)),
        ...reached,
      ],
    }
  } finally {
    await town.end()
  }
}
