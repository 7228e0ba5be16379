/**
 * Makes a plan: asks the agents that may be in it how they are, verifies what nodes have free, and has the generator choose. Keeps
 * no state but the generators.
 */
import { waitFor } from '../../async.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { isNone, most, NONE, type Units } from '../../resource/units.ts'
import type { Liveness } from '../../task/scheduler/worker-presence.ts'
import type { WorkerRecord } from '../../task/task-record.ts'
import { uuid7 } from '../../wire/message-id.ts'
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
import { capabilitiesOf, isHeld, type NodeUnits, openTaskOf, plannableTask, unitsOfNode } from './plan-facts.ts'

/** Agents that are asked for one plan: those with most room. */
const MAX_ASKED = 256
const GENERATE_MS = 5_000

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

export interface MakerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'log'>
  readonly member: JournalMember
  readonly survey: Pick<AgentSurvey, 'ask'>
  presenceOf(peer: string): Liveness
  running(peer: string, type: string): number
  workers(): ReadonlyMap<string, WorkerRecord>
  refusedBy(task: string): readonly string[]
  generator(name: string): PlanGenerator | undefined
  /** What the resource manager says that nodes have, by peer id; undefined where none answers. */
  verify(needs: Units, signal: AbortSignal): Promise<ReadonlyMap<string, NodeUnits> | undefined>
  /** What the performance monitor says of agents. */
  metrics(signal: AbortSignal): Promise<PlanInput['metrics']>
}

interface OpenTasks {
  /** In work, or waiting for a person: they stay where they are. */
  readonly kept: Assignment[]
  readonly plannable: PlannableTask[]
}

interface Candidate {
  readonly peer: string
  readonly record: WorkerRecord
}

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
    const { survey, generator: generatorOf } = this.#deps
    const { kept, plannable } = this.#openTasks(id, plan)
    if (plannable.length === 0) return { assignments: kept, offline: [], isNothingOpen: true, why: '', adjustments: [] }
    const name = plan.generator ?? 'default'
    const generator = name === 'default' ? (generatorOf(name) ?? defaultGenerator) : generatorOf(name)
    if (generator === undefined) return none(`no-generator: this coordinator has no plan generator ${name}`)
    const candidates = this.#candidates(plan, plannable)
    const answers = await survey.ask(
      candidates.map(({ peer }) => peer),
      signal,
    )
    const offline = candidates
      .filter(({ peer }) => answers.get(peer) === undefined)
      .slice(0, MAX_OFFLINE)
      .map(({ peer, record }) => ({ agent: peer, registration: record.registration }))
    const agents = await this.#agents(candidates, answers, plannable, signal)
    const { goal, weights = {}, zone } = plan
    const metrics = await this.#deps.metrics(signal)
    const input: PlanInput = { plan: id, goal, tasks: plannable, agents, weights, zone, metrics }
    const made = await this.#generate(generator, input, signal)
    if (typeof made === 'string') return none(made, offline)
    const { chosen, adjustments } = made
    const [first] = plannable
    if (chosen.length === 0 && kept.length === 0)
      return none(first === undefined ? 'there is no task' : whyNobody(agents, first), offline)
    const placed = new Set(chosen.map(({ task }) => task))
    const left = plannable.filter((task) => !placed.has(task.id))
    const [next] = left
    const why = next === undefined ? '' : planReason(`${left.length} tasks wait: ${whyNobody(agents, next)}`)
    const assignments = [...kept, ...this.#assign(plan, plannable, chosen)]
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

  /** Workers that are there and take one of the types; those that are marked offline where nobody else does. */
  #candidates({ offline }: PlanRecord, tasks: readonly PlannableTask[]): Candidate[] {
    const { workers, presenceOf, running } = this.#deps
    const types = new Set(tasks.map(({ type }) => type))
    const marked = new Map(offline.map(({ agent, registration }) => [agent, registration]))
    const found: (Candidate & { readonly room: number; readonly isMarked: boolean })[] = []
    for (const [peer, record] of workers()) {
      if (record.draining === true || presenceOf(peer) !== 'there') continue
      const offers = record.offers.filter(({ type }) => types.has(type))
      if (offers.length === 0) continue
      const room = offers.reduce((sum, { type, slots }) => sum + slots - running(peer, type), 0)
      found.push({ peer, record, room, isMarked: marked.get(peer) === record.registration })
    }
    const unmarked = found.filter(({ isMarked }) => !isMarked)
    return (unmarked.length > 0 ? unmarked : found).sort((a, b) => b.room - a.room).slice(0, MAX_ASKED)
  }

  async #agents(
    candidates: readonly Candidate[],
    answers: ReadonlyMap<string, SurveyedAgent | undefined>,
    tasks: readonly PlannableTask[],
    signal: AbortSignal,
  ): Promise<PlannableAgent[]> {
    const { member, running, verify } = this.#deps
    // Of each resource the most that any of them requires.
    const needs = tasks.reduce<Units>((all, task) => most(all, task.needs), NONE)
    const verified = isNone(needs) ? undefined : await verify(needs, signal)
    const agents = candidates.flatMap(({ peer, record }): PlannableAgent[] => {
      const answer = answers.get(peer)
      if (answer === undefined || answer.status.availability === 'draining') return []
      const { capacity, free } = verified?.get(peer) ?? unitsOfNode(member, peer)
      const { load, queue_length: queueLength, price, zone } = answer.status
      const capabilities = capabilitiesOf(record, (type) => running(peer, type))
      const { roundTripMs } = answer
      return [{ agent: peer, capabilities, capacity, free, load, queueLength, price, zone, roundTripMs }]
    })
    return agents.sort((a, b) => (a.agent < b.agent ? -1 : 1))
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
