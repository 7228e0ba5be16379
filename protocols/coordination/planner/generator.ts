/**
 * Who chooses the agents of a plan: a function of what is known, which a program may replace. The default one weighs load,
 * price and locality among the agents that can do a task. Pure.
 */
import { amountOf, fits, plus, type Units } from '../../resource/units.ts'
import type { Weights } from '../plan-record.ts'

/** A task that is to be done, and is in work nowhere. */
export interface PlannableTask {
  readonly id: string
  readonly type: string
  readonly version: string | undefined
  /** 0 low to 3 critical. */
  readonly priority: number
  /** What it requires of its agent. */
  readonly needs: Units
  /** Who has it by the plan before, where there is one. */
  readonly assignee: string | undefined
  /** Peer ids of agents that refused such a task of the plan lately, failed at it, or could not be directed: they may again. */
  readonly refusedBy: readonly string[]
}

/** What an agent takes of one type of task. */
export interface AgentCapability {
  readonly type: string
  readonly versions: readonly string[] | undefined
  /** Tasks of this type at once. */
  readonly slots: number
  /** Of those, in work now: of the plan and of everything else. */
  readonly running: number
}

/** An agent that answered when it was asked how it is. */
export interface PlannableAgent {
  /** Peer id. */
  readonly agent: string
  readonly capabilities: readonly AgentCapability[]
  /** What its node has to give, and what of it is not allocated. */
  readonly capacity: Units
  readonly free: Units
  /** 0 to 1, as it says itself. */
  readonly load: number
  /** Work that it waits for. */
  readonly queueLength: number
  readonly price: number | undefined
  readonly zone: string | undefined
  /** Milliseconds that its answer took. */
  readonly roundTripMs: number
}

export interface PlanInput {
  /** Id of the plan. */
  readonly plan: string
  readonly goal: string
  /** The most urgent first, then in the order of the plan. */
  readonly tasks: readonly PlannableTask[]
  /** Sorted by peer id. */
  readonly agents: readonly PlannableAgent[]
  readonly weights: Weights
  readonly zone: string | undefined
  /** What agents measured lately, by peer id: what the performance monitor said, where there is one. */
  readonly metrics: ReadonlyMap<string, Readonly<Record<string, number>>>
}

export interface ChosenAgent {
  readonly task: string
  /** Peer id. */
  readonly agent: string
}

/** How much more or less of a resource an agent is to give. */
export interface ResourceAdjustment {
  /** Peer id. */
  readonly agent: string
  /** Its name. */
  readonly resource: string
  /** Units; an agent gives nothing less than none, and nothing more than it offered itself. */
  readonly change: number
}

export interface PlanChoice {
  /** A task that is not named stays without an agent until the plan is made anew. */
  readonly chosen: readonly ChosenAgent[]
  /** Agents are directed to that before anybody is given a task; where one refuses, the coordination fails. */
  readonly adjustments?: readonly ResourceAdjustment[]
}

/** A list alone is what it chose. */
export type GeneratedPlan = readonly ChosenAgent[] | PlanChoice
export type PlanGenerator = (input: PlanInput, signal: AbortSignal) => GeneratedPlan | Promise<GeneratedPlan>

const WEIGHTS = { load: 1, price: 0.25, locality: 0.25 } as const
/** A task that would have to wait for resources is better done elsewhere, unless that is much worse otherwise. */
const WAITS_FOR_RESOURCES = 1

/** What the agent takes of such tasks; undefined: it does none. */
export const capabilityFor = (
  { capabilities }: Pick<PlannableAgent, 'capabilities'>,
  { type, version }: Pick<PlannableTask, 'type' | 'version'>,
): AgentCapability | undefined =>
  capabilities.find(
    (one) => one.type === type && one.slots > 0 && (version === undefined || one.versions?.includes(version) === true),
  )

/** Whether the agent can ever do it. */
export const canDo = (
  agent: Pick<PlannableAgent, 'capabilities' | 'capacity'>,
  task: Pick<PlannableTask, 'type' | 'version' | 'needs'>,
): boolean => capabilityFor(agent, task) !== undefined && fits(agent.capacity, {}, task.needs)

interface Planned {
  readonly agent: PlannableAgent
  /** What it has, with what this plan gives it: by type. */
  readonly given: Map<string, number>
  used: Units
}

const limitedPlus = (units: Units, more: Units): Units =>
  Object.fromEntries(
    Object.entries(plus(units, more)).map(([name, amount]) => [name, Math.min(amount, Number.MAX_SAFE_INTEGER)]),
  )

/** Lower is better. */
const scoreOf = (
  { agent, given, used }: Planned,
  task: PlannableTask,
  { weights, zone }: Pick<PlanInput, 'weights' | 'zone'>,
  highestPrice: number,
): number => {
  const { slots = 1, running = 0 } = capabilityFor(agent, task) ?? {}
  const load = (running + (given.get(task.type) ?? 0)) / slots
  const price = highestPrice === 0 ? 0 : (agent.price ?? 0) / highestPrice
  const distance = zone === undefined || zone === agent.zone ? 0 : 1
  const waits = fits(agent.free, used, task.needs) ? 0 : WAITS_FOR_RESOURCES
  const { load: byLoad = WEIGHTS.load, price: byPrice = WEIGHTS.price, locality = WEIGHTS.locality } = weights
  return byLoad * (load + waits) + byPrice * price + locality * distance
}

/** Those that can do it; who refused it lately only where nobody else can: one that refuses again undoes all of the plan. */
const takersOf = (planned: readonly Planned[], task: PlannableTask): readonly Planned[] => {
  const able = planned.filter(({ agent }) => canDo(agent, task))
  if (task.refusedBy.length === 0) return able
  const refused = new Set(task.refusedBy)
  const willing = able.filter(({ agent }) => !refused.has(agent.agent))
  return willing.length > 0 ? willing : able
}

export const defaultGenerator = (input: PlanInput): readonly ChosenAgent[] => {
  const { tasks, agents } = input
  const planned = agents.map((agent): Planned => ({ agent, given: new Map(), used: {} }))
  const highestPrice = agents.reduce((most, { price = 0 }) => Math.max(most, price), 0)
  const chosen: ChosenAgent[] = []
  for (const task of tasks) {
    let best: Planned | undefined
    let bestScore = Number.POSITIVE_INFINITY
    for (const one of takersOf(planned, task)) {
      const score = scoreOf(one, task, input, highestPrice)
      // Of two that are as good, the one that has it already: it need not be directed anew.
      const isBetter = score < bestScore || (score === bestScore && one.agent.agent === task.assignee)
      if (isBetter) {
        best = one
        bestScore = score
      }
    }
    if (best === undefined) continue
    best.given.set(task.type, (best.given.get(task.type) ?? 0) + 1)
    best.used = limitedPlus(best.used, task.needs)
    chosen.push({ task: task.id, agent: best.agent.agent })
  }
  return chosen
}

/** Why none of these agents does the task. */
export const whyNobody = (agents: readonly PlannableAgent[], task: PlannableTask): string => {
  const takers = agents.filter((agent) => capabilityFor(agent, task) !== undefined)
  if (takers.length === 0) return `no-agent: nobody that answered takes tasks of the type ${task.type}`
  const lacking = Object.keys(task.needs).find((name) =>
    takers.every(({ capacity }) => amountOf(capacity, name) < amountOf(task.needs, name)),
  )
  return `no-such-capacity: no agent that takes ${task.type} has ${lacking ?? 'what it requires'}`
}

/** Of one plan, and so of one agent too. */
const MAX_ADJUSTMENTS = 64

/** What a generator gave, as far as that can be carried out: a program may give anything. @returns why it cannot, where it cannot */
export const checkedPlan = ({ tasks, agents }: PlanInput, given: unknown): Required<PlanChoice> | string => {
  const { chosen, adjustments = [] } = (Array.isArray(given) ? { chosen: given } : (given ?? {})) as Partial<PlanChoice>
  if (!Array.isArray(chosen) || !Array.isArray(adjustments)) return 'generator: it gave no list'
  const open = new Map(tasks.map((task) => [task.id, task]))
  const known = new Map(agents.map((agent) => [agent.agent, agent]))
  const found: ChosenAgent[] = []
  for (const one of chosen as readonly Partial<ChosenAgent>[]) {
    const [task, agent] = [open.get(one?.task ?? ''), known.get(one?.agent ?? '')]
    if (task === undefined) return `generator: it named a task twice, or one that is not open: ${one?.task}`
    if (agent === undefined) return `generator: it named an agent that is not there: ${one?.agent}`
    if (!canDo(agent, task)) return `generator: ${agent.agent} cannot do ${task.id}`
    open.delete(task.id)
    found.push({ task: task.id, agent: agent.agent })
  }
  if (adjustments.length > MAX_ADJUSTMENTS) return `generator: it adjusts more than ${MAX_ADJUSTMENTS} resources`
  const changed = new Map<string, ResourceAdjustment>()
  for (const one of adjustments as readonly Partial<ResourceAdjustment>[]) {
    const { agent = '', resource = '', change = 0 } = one ?? {}
    if (known.get(agent) === undefined) return `generator: it adjusts an agent that is not there: ${agent}`
    const isUsable = Number.isSafeInteger(change) && change !== 0 && typeof resource === 'string' && resource !== ''
    if (!isUsable || resource.length > 64) return `generator: ${agent} cannot be adjusted by ${change} of ${resource}`
    const key = `${agent} ${resource}`
    if (changed.has(key)) return `generator: it adjusts ${resource} of ${agent} twice`
    changed.set(key, { agent, resource, change })
  }
  return { chosen: found, adjustments: [...changed.values()] }
}
