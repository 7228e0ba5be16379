/**
 * Which agents are asked how they are before a plan is made, and which of them are to be preferred. Pure.
 */
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Liveness } from '../../task/scheduler/worker-presence.ts'
import type { WorkerRecord } from '../../task/task-record.ts'
import type { PlanRecord } from '../plan-record.ts'
import { canDo, type PlannableAgent, type PlannableTask } from '../planner/generator.ts'
import { capabilitiesOf, capacityOfNode } from './plan-facts.ts'

/** Agents that are asked for one plan: those with most room. */
const MAX_ASKED = 256

export interface AskFacts {
  readonly member: JournalMember
  presenceOf(peer: string): Liveness
  /** Of that type, in work there. */
  running(peer: string, type: string): number
  workers(): ReadonlyMap<string, WorkerRecord>
  /** It could not be directed lately, by whichever plan. */
  isUnavailable(peer: string): boolean
}

export interface AskedAgent {
  readonly peer: string
  readonly record: WorkerRecord
  /** It could not be directed, or asked, by this plan or lately. */
  readonly isUnavailable: boolean
}

interface Found extends AskedAgent {
  /** It could not be, by this plan. */
  readonly isMarked: boolean
  /** Tasks that it could begin now. */
  readonly room: number
}

/** Workers that are there and take one of the types; who could not be directed is asked for what nobody else can do. */
export const candidatesFor = (
  facts: AskFacts,
  { offline }: Pick<PlanRecord, 'offline'>,
  tasks: readonly PlannableTask[],
): AskedAgent[] => {
  const types = new Set(tasks.map(({ type }) => type))
  const marked = new Map(offline.map(({ agent, registration }) => [agent, registration]))
  const found: Found[] = []
  for (const [peer, record] of facts.workers()) {
    if (record.draining === true || facts.presenceOf(peer) !== 'there') continue
    const offers = record.offers.filter(({ type }) => types.has(type))
    if (offers.length === 0) continue
    const room = offers.reduce((sum, { type, slots }) => sum + slots - facts.running(peer, type), 0)
    const isMarked = marked.get(peer) === record.registration
    const isUnavailable = isMarked || facts.isUnavailable(peer)
    found.push({ peer, record, room, isMarked, isUnavailable })
  }
  return wanted(facts, found, tasks)
    .sort((a, b) => b.room - a.room)
    .slice(0, MAX_ASKED)
}

/** Those that others could not direct lately come before those that this plan could not, each for what is left by then. */
const wanted = (facts: AskFacts, found: readonly Found[], tasks: readonly PlannableTask[]): Found[] => {
  const kept = found.filter(({ isUnavailable }) => !isUnavailable)
  if (kept.length === found.length) return kept
  // Read once for each agent: each is compared with each task.
  const abilities = new Map(found.map((one) => [one, abilityOf(facts, one)]))
  const canTake = (one: Found, task: PlannableTask): boolean => {
    const ability = abilities.get(one)
    return ability !== undefined && canDo(ability, task)
  }
  for (const isMarked of [false, true]) {
    const lone = tasks.filter((task) => !kept.some((one) => canTake(one, task)))
    const others = found.filter((one) => one.isUnavailable && one.isMarked === isMarked)
    kept.push(...others.filter((one) => lone.some((task) => canTake(one, task))))
  }
  return kept.length > 0 ? kept : [...found]
}

type Ability = Pick<PlannableAgent, 'capabilities' | 'capacity'>

const abilityOf = ({ member, running }: AskFacts, { peer, record }: AskedAgent): Ability => ({
  capabilities: capabilitiesOf(record, (type) => running(peer, type)),
  capacity: capacityOfNode(member, peer),
})

/** Who could not be directed lately gets only what nobody else can do, as if it had refused all of them. */
export const withoutUnavailable = (
  tasks: readonly PlannableTask[],
  candidates: readonly AskedAgent[],
): readonly PlannableTask[] => {
  const peers = candidates.filter(({ isUnavailable }) => isUnavailable).map(({ peer }) => peer)
  if (peers.length === 0) return tasks
  return tasks.map((task) => ({ ...task, refusedBy: [...task.refusedBy, ...peers] }))
}
