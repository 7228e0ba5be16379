/**
 * Makes a plan: asks the agents that may be in it how they are, verifies what nodes have, and has the generator choose. Keeps
 * no state but the generators.
 */
import { waitFor } from '../../async.ts'
import type { Port } from '../../port.ts'
import { amountOf, isNone, most, NONE, type Units } from '../../resource/units.ts'
import { uuid7 } from '../../wire/message-id.ts'
import type { PlanServices } from '../plan-needs.ts'
import { type Assignment, MAX_OFFLINE, type OfflineAgent, type PlanRecord, planReason } from '../plan-record.ts'
import {
  type ChosenAgent,
  checkedPlan,
  defaultGenerator,
  type GeneratedPlan,
  type PlanChoice,
  type PlanGenerator,
  type PlanInput,
  type PlannableAgent,
  type PlannableTask,
  type ResourceAdjustment,
  whyNobody,
} from '../planner/generator.ts'
import type { AgentSurvey, SurveyedAgent } from './agent-survey.ts'
import { type AskedAgent, type AskFacts, candidatesFor, withoutUnavailable } from './candidates.ts'
import { capabilitiesOf, capacityOfNode, isHeld, openTaskOf, plannableTask, unitsOfNode } from './plan-facts.ts'

const GENERATE_MS = 5_000
/** Milliseconds that others are preferred to an agent that did not say how it is: it may only have been busy. */
const UNANSWERED_MS = 10_000

export interface MadePlan {
  readonly assignments: readonly Assignment[]
  /** Those that did not answer. */
  readonly offline: readonly OfflineAgent[]
  /** All tasks have ended or are in work: there is nothing to choose. */
  readonly isNothingOpen: boolean
  /** Why some tasks have no agent; empty: all have one. */
  readonly why: string
  /** What agents are directed to before that. */
  readonly adjustments: readonly ResourceAdjustment[]
}

export interface MakerDeps extends AskFacts {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'log'>
  readonly survey: Pick<AgentSurvey, 'ask'>
  refusedBy(task: string): readonly string[]
  noteUnavailable(peer: string, forMs: number): void
  generator(name: string): PlanGenerator | undefined
  readonly verify: PlanServices['verify']
  /** What it says of this peer is not what this node's copy of the journal says. */
  disputed(peer: string): void
  /** What the performance monitor says of agents. */
  metrics(signal: AbortSignal): Promise<PlanInput['metrics']>
}

interface OpenTasks {
  /** In work, or waiting for a person: they stay where they are. */
  readonly kept: Assignment[]
  readonly plannable: PlannableTask[]
}

type Answers = ReadonlyMap<string, SurveyedAgent | undefined>

const none = (why: string, offline: readonly OfflineAgent[] = []): MadePlan => ({
  ...{ assignments: [], offline, isNothingOpen: false, why: planReason(why), adjustments: [] },
})

export class PlanMaker {
  readonly #deps: MakerDeps

  constructor(deps: MakerDeps) {
    this.#deps = deps
  }

  /** @throws the signal's reason */
  async make(id: string, plan: PlanRecord, signal: AbortSignal): Promise<MadePlan> {
    const { kept, plannable } = this.#openTasks(id, plan)
    if (plannable.length === 0) return { assignments: kept, offline: [], isNothingOpen: true, why: '', adjustments: [] }
    const generator = this.#generatorOf(plan)
    if (generator === undefined)
      return none(`no-generator: this coordinator has no plan generator ${plan.generator ?? 'default'}`)
    const candidates = candidatesFor(this.#deps, plan, plannable)
    const [answers, metrics] = await this.#ask(candidates, plannable, signal)
    const offline = this.#offline(candidates, answers)
    const tasks = withoutUnavailable(plannable, candidates)
    const { goal, weights = {}, zone } = plan
    const input: PlanInput = {
      plan: id,
      goal,
      tasks,
      agents: this.#agents(candidates, answers),
      weights,
      zone,
      metrics,
    }
    const made = await this.#generate(generator, input, signal)
    if (typeof made === 'string') return none(made, offline)
    return this.#made(plan, kept, input, made, offline)
  }

  #generatorOf({ generator: name = 'default' }: PlanRecord): PlanGenerator | undefined {
    return this.#deps.generator(name) ?? (name === 'default' ? defaultGenerator : undefined)
  }

  /** How the agents are, and what they measured; meanwhile it is verified what they have. */
  async #ask(
    candidates: readonly AskedAgent[],
    tasks: readonly PlannableTask[],
    signal: AbortSignal,
  ): Promise<[Answers, PlanInput['metrics']]> {
    const { survey, metrics } = this.#deps
    const peers = candidates.map(({ peer }) => peer)
    const asked = [survey.ask(peers, signal), metrics(signal), this.#verify(peers, tasks, signal)] as const
    const [answers, measured] = await Promise.all(asked)
    return [answers, measured]
  }

  #made(
    plan: PlanRecord,
    kept: readonly Assignment[],
    { tasks, agents }: PlanInput,
    { chosen, adjustments }: Required<PlanChoice>,
    offline: readonly OfflineAgent[],
  ): MadePlan {
    const [first] = tasks
    if (chosen.length === 0 && kept.length === 0)
      return none(first === undefined ? 'there is no task' : whyNobody(agents, first), offline)
    const placed = new Set(chosen.map(({ task }) => task))
    const left = tasks.filter((task) => !placed.has(task.id))
    const [next] = left
    const why = next === undefined ? '' : planReason(`${left.length} tasks wait: ${whyNobody(agents, next)}`)
    const assignments = [...kept, ...this.#assign(plan, tasks, chosen)]
    return { assignments, offline, isNothingOpen: false, why, adjustments }
  }

  #openTasks(plan: string, { tasks, assignments }: PlanRecord): OpenTasks {
    const before = new Map(assignments.map((one) => [one.task, one]))
    const [kept, plannable]: [Assignment[], PlannableTask[]] = [[], []]
    for (const id of tasks) {
      const record = openTaskOf(this.#deps.member, plan, id)
      if (record === undefined) continue
      const assignment = before.get(id)
      if (isHeld(record)) plannable.push(plannableTask(id, record, this.#deps.refusedBy(id)))
      else if (assignment !== undefined) kept.push(assignment)
    }
    // The sort is stable: of the same priority the order of the plan counts.
    return { kept, plannable: plannable.sort((a, b) => b.priority - a.priority) }
  }

  /** Those that did not answer. */
  #offline(candidates: readonly AskedAgent[], answers: Answers): OfflineAgent[] {
    const silent = candidates.filter(({ peer }) => answers.get(peer) === undefined).slice(0, MAX_OFFLINE)
    for (const { peer } of silent) this.#deps.noteUnavailable(peer, UNANSWERED_MS)
    return silent.map(({ peer, record }) => ({ agent: peer, registration: record.registration }))
  }

  #agents(candidates: readonly AskedAgent[], answers: Answers): PlannableAgent[] {
    const { member, running } = this.#deps
    const agents = candidates.flatMap(({ peer, record }): PlannableAgent[] => {
      const answer = answers.get(peer)
      if (answer === undefined || answer.status.availability === 'draining') return []
      const { load, queue_length: queueLength, price, zone } = answer.status
      const capabilities = capabilitiesOf(record, (type) => running(peer, type))
      const { roundTripMs } = answer
      return [{ agent: peer, capabilities, ...unitsOfNode(member, peer), load, queueLength, price, zone, roundTripMs }]
    })
    return agents.sort((a, b) => (a.agent < b.agent ? -1 : 1))
  }

  /**
   * Asks the resource manager what these nodes have. What counts is this node's own copy of the journal: anybody may be the
   * manager, and one that says something else is told of, and not believed.
   */
  async #verify(peers: readonly string[], tasks: readonly PlannableTask[], signal: AbortSignal): Promise<void> {
    const { member, verify, disputed } = this.#deps
    // Of each resource the most that any of them requires.
    const needs = most(...tasks.map((task) => task.needs))
    if (isNone(needs)) return
    const capacityOf = (peer: string): Units => capacityOfNode(member, peer)
    const before = new Map(peers.map((peer) => [peer, capacityOf(peer)]))
    const said = await verify(needs, peers, signal)
    if (said === undefined) return
    const other = peers.find((peer) => {
      // It may have changed meanwhile; one that gives nothing may be about to stop.
      const known = [before.get(peer) ?? NONE, capacityOf(peer)]
      const capacity = said.get(peer) ?? NONE
      return Object.keys(needs).some((name) => {
        const amounts = known.map((units) => amountOf(units, name))
        return amounts.every((amount) => amount > 0) && !amounts.includes(amountOf(capacity, name))
      })
    })
    if (other !== undefined) disputed(other)
  }

  /** @returns what it chose, as far as that can be; or why nothing can be made of it */
  async #generate(
    generator: PlanGenerator,
    input: PlanInput,
    signal: AbortSignal,
  ): Promise<Required<PlanChoice> | string> {
    const limit = new AbortController()
    const both = AbortSignal.any([signal, limit.signal])
    let given: GeneratedPlan
    try {
      const made = Promise.resolve(generator(input, both))
      given = await waitFor<GeneratedPlan>(signal, (resolve, reject) => {
        made.then(resolve, reject)
        return this.#deps.port.timers.after(GENERATE_MS, () =>
          reject(new Error(`it took longer than ${GENERATE_MS} ms`)),
        )
      })
    } catch (error) {
      signal.throwIfAborted()
      this.#deps.port.log.warn('a plan generator failed', { plan: input.plan, error })
      return `generator: ${String(error instanceof Error ? error.message : error).slice(0, 200)}`
    } finally {
      limit.abort()
    }
    return checkedPlan(input, given)
  }

  /** Who has a task already, by a directive that it acknowledged, is not directed anew. */
  #assign({ assignments }: PlanRecord, tasks: readonly PlannableTask[], chosen: readonly ChosenAgent[]): Assignment[] {
    const { clock, random } = this.#deps.port
    const before = new Map(assignments.map((one) => [one.task, one]))
    const has = new Map(tasks.map(({ id, assignee }) => [id, assignee]))
    return chosen.map(({ task, agent }) => {
      const known = before.get(task)
      return known?.agent === agent && has.get(task) === agent
        ? known
        : { task, agent, directive: uuid7(clock.now(), random(10)) }
    })
  }
}
