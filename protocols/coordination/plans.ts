/**
 * Plans: a goal whose tasks go to agents that the elected coordinator chooses and directs (docs/coordination.md).
 *
 * What a plan is stands in the journal. The coordinator moves it (runner/), agents take its directives (agent/), any node makes
 * plans and looks at them (client/). Another coordinator goes on where the one before was.
 * State: what this node is as an agent, and while it coordinates the drivers of all open plans.
 * Wire id: `/parley/coordination/1`.
 */
import { abortable } from '../async.ts'
import { checkedInput } from '../checked-input.ts'
import type { CoordinatorFeature } from '../coordinator/api.ts'
import type { Handlers } from '../define.ts'
import { isParleyError, ParleyError, stateError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import { ChangeBatcher } from '../journal/client/change-batcher.ts'
import type { Journal } from '../journal/client/journal-client.ts'
import type { Fences } from '../journal/fencing/fence-guard.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { isRefusedFor } from '../journal/state/journal-machine.ts'
import type { Port } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import type { Units } from '../resource/units.ts'
import type { TaskHandle } from '../task/client/task-api.ts'
import { limitedWait, nobodyDecides } from '../task/client/wait-limit.ts'
import { MAX_TOGETHER } from '../task/journal/task-changes.ts'
import type { Detected } from '../task/scheduler/worker-presence.ts'
import type { TaskStatus } from '../task/task-status.ts'
import type { TasksFeature } from '../task/tasks.ts'
import { ManagedAgent } from './agent/managed-agent.ts'
import type { AgentTraits, DirectiveVerdict, MakePlan, PlanHandle, Plans, PlansCounts, PlanWaitOptions } from './api.ts'
import { PlanReader } from './client/plan-reader.ts'
import { wantedPlan } from './client/wanted-plan.ts'
import { type coordinationProtocol, directiveEvent } from './contract.ts'
import { MAX_CHANGES_AT_ONCE, type PlanChange } from './journal/plan-changes.ts'
import { decidePlans } from './journal/plan-kinds.ts'
import {
  AgentStatusResponse,
  type Coalition,
  type Directive,
  type DirectiveAnswer,
  type MetricValues,
} from './messages.ts'
import { GeneratorName, type PlanRecord } from './plan-record.ts'
import type { PlanGenerator, PlanInput } from './planner/generator.ts'
import { AgentSurvey } from './runner/agent-survey.ts'
import { DirectiveSender } from './runner/directive-sender.ts'
import { PlanDirector } from './runner/plan-director.ts'
import { type NodeUnits, taskOf } from './runner/plan-facts.ts'
import { PlanMaker } from './runner/plan-maker.ts'
import { PlanRunner } from './runner/plan-runner.ts'

/** Milliseconds that a mesh may take until all of its voters are known to have plans, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200
const MAKE_MS = 30_000
const TASK_MS = 5_000
const MAX_GENERATORS = 64

/** What the coordinator hears of its services; each may be absent. */
export interface PlanServices {
  verify(needs: Units, signal: AbortSignal): Promise<ReadonlyMap<string, NodeUnits> | undefined>
  metrics(signal: AbortSignal): Promise<PlanInput['metrics']>
  directed(directive: Directive, answer: DirectiveAnswer, seconds: number): void
  coordinated(isSuccess: boolean): void
  reported(id: string, plan: PlanRecord, signal: AbortSignal): void
}

export interface PlansDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to' | 'members' | 'onMember'>
  readonly journal: Journal
  readonly coordinator: Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  readonly fences: Pick<Fences, 'accept'>
  readonly tasks: Pick<TasksFeature, 'submitAll' | 'get' | 'forPlans'>
  readonly resources: PlanResources
  /** This node's copy of the journal. */
  member(): JournalMember | undefined
  onPresence(fn: (peer: string, presence: Detected) => void): () => void
  presenceOf(peer: string): Detected
  readonly services: PlanServices
  onCoalition(coalition: Coalition, directive: Directive): Promise<DirectiveVerdict>
}

/** What this node gives. */
export interface PlanResources {
  /** What of it is used, by name: 0 to 1. */
  utilization(): MetricValues
  /** Gives so much more or less, up to what its program offered. @throws STA003 `in-use`, MSG001 */
  adjust(changes: ReadonlyMap<string, number>): Promise<void>
}

export interface PlansFeature extends Plans {
  readonly handlers: Handlers<typeof coordinationProtocol>
  readonly sender: DirectiveSender
  open(): { readonly open: number; readonly over: number }
  decided(): { readonly changes: number; readonly decisions: number; readonly refused: number }
  stop(): Promise<void>
}

class NodePlans implements PlansFeature {
  readonly handlers: Handlers<typeof coordinationProtocol>
  readonly sender: DirectiveSender
  readonly #deps: PlansDeps
  readonly #batcher: ChangeBatcher<PlanChange>
  readonly #reader: PlanReader
  readonly #agent: ManagedAgent
  readonly #survey: AgentSurvey
  readonly #generators = new Map<string, PlanGenerator>()
  readonly #acting: Registration
  readonly #end = new AbortController()
  #made = 0
  #runner: PlanRunner | undefined

  constructor(deps: PlansDeps) {
    this.#deps = deps
    const { port, journal, coordinator, fences, tasks, resources, onCoalition, services } = deps
    this.#batcher = new ChangeBatcher({
      of: 'plans',
      maxAtOnce: MAX_CHANGES_AT_ONCE,
      levelOf: () => 1,
      submit: (_level, changes) => this.#submit(changes),
    })
    this.#reader = new PlanReader(journal, port)
    this.#survey = new AgentSurvey(port)
    this.sender = new DirectiveSender({ port, done: (...done) => services.directed(...done) })
    this.#agent = new ManagedAgent({
      ...{ port, coordinator, fences, onCoalition },
      work: () => tasks.forPlans.work(),
      utilization: () => resources.utilization(),
      adjust: ({ parameters }) => this.#adjust(parameters.adjustments),
      completed: () => {},
    })
    this.handlers = this.#agent.handlers
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  async make(what: MakePlan): Promise<PlanHandle> {
    const { port, tasks } = this.#deps
    const { id, goal, tasks: wanted } = wantedPlan(port, what)
    const { timeoutMs = MAKE_MS } = what
    const { signal: limited, stop } = limitedWait(port, { ...what, timeoutMs }, () => nobodyDecides(timeoutMs))
    const signal = AbortSignal.any([this.#end.signal, ...(limited === undefined ? [] : [limited])])
    try {
      await this.#batcher.decide({ do: 'propose', id, goal }, { signal })
      const handles: TaskHandle[] = []
      // Those that depend on each other go together as far as they fit.
      for (let i = 0; i < wanted.length; i += MAX_TOGETHER)
        handles.push(...(await tasks.submitAll(wanted.slice(i, i + MAX_TOGETHER), { signal })))
      this.#made += 1
      return this.#handle(id, handles)
    } finally {
      stop()
    }
  }

  async get(id: string, options: PlanWaitOptions = {}): Promise<PlanHandle> {
    const { tasks } = await this.#reader.get(id, options)
    return this.#handle(
      id,
      tasks.map((task) => this.#deps.tasks.get(task)),
    )
  }

  #handle(id: string, tasks: readonly TaskHandle[]): PlanHandle {
    return {
      ...{ id, tasks },
      status: (options) => this.#reader.get(id, options),
      updates: ({ signal } = {}) => this.#reader.updates(id, signal),
      ended: (options = {}) => this.#reader.ended(id, options),
      cancel: async (reason) => {
        await this.#batcher.decide({ do: 'cancel', id, ...(reason !== undefined && { reason: reason.slice(0, 256) }) })
      },
    }
  }

  list: Plans['list'] = (options = {}) => this.#reader.list(options)

  generator(name: string, choose: PlanGenerator): Registration {
    checkedInput(GeneratorName, name, 'a plan generator cannot be called so')
    if (this.#generators.has(name))
      throw stateError('in-use', `this node has a plan generator ${name} already`, 'stop that first')
    if (this.#generators.size >= MAX_GENERATORS)
      throw new ParleyError('COM003', `this node has ${MAX_GENERATORS} plan generators already`, {
        hint: 'stop one that is not used',
      })
    this.#generators.set(name, choose)
    return createRegistration(() => {
      if (this.#generators.get(name) === choose) this.#generators.delete(name)
    })
  }

  onDirective: Plans['onDirective'] = (judge) => this.#agent.onDirective(judge)

  describe(traits: AgentTraits): void {
    const { price, zone } = traits
    const { shape } = AgentStatusResponse
    if (price !== undefined) checkedInput(shape.price, price, 'an agent cannot have such a price')
    if (zone !== undefined) checkedInput(shape.zone, zone, 'an agent cannot be in such a zone')
    this.#agent.describe({ ...(price !== undefined && { price }), ...(zone !== undefined && { zone }) })
  }

  counts(): PlansCounts {
    return { made: this.#made, ...this.#agent.counts() }
  }

  open(): { readonly open: number; readonly over: number } {
    return this.#runner?.counts() ?? { open: 0, over: 0 }
  }

  decided(): { readonly changes: number; readonly decisions: number; readonly refused: number } {
    return this.#batcher.counts()
  }

  async stop(): Promise<void> {
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    await this.#acting.stop()
  }

  async #adjust(
    adjustments: readonly { resource_id: string; agent: string; change: number }[],
  ): Promise<DirectiveVerdict> {
    const { port, resources } = this.#deps
    const changes = new Map<string, number>()
    for (const { resource_id, agent, change } of adjustments) {
      const name = resource_id.split('@')[0] ?? ''
      if (agent === port.self.id) changes.set(name, (changes.get(name) ?? 0) + change)
    }
    try {
      await resources.adjust(changes)
      return undefined
    } catch (error) {
      if (!isParleyError(error)) throw error
      return { error: 'resource_conflict', reason: error.message }
    }
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const { port, services, onPresence, presenceOf, tasks } = this.#deps
    const member = this.#deps.member()
    if (member === undefined) return
    const { steer, cancel } = tasks.forPlans
    const runner = new PlanRunner(
      {
        ...{ port, member, onPresence, presenceOf },
        maker: (facts) =>
          new PlanMaker({
            ...{ ...facts, port, survey: this.#survey, verify: services.verify, metrics: services.metrics },
            generator: (name) => this.#generators.get(name),
          }),
        director: ({ member: of }) =>
          new PlanDirector({
            ...{ port, member: of, sender: this.sender },
            steer: (change, ends) => steer({ ...change, epoch }, { signal: ends }),
            told: (directive) => this.#tell(directive),
          }),
        decide: (change, ends) => this.#batcher.decide(change, { signal: ends }),
        statusOf: (task, ends) => this.#statusOf(member, task, ends),
        cancelTask: (id, reason, of, ends) => cancel({ id, reason, epoch: of }, { signal: ends }),
        freeTask: (id, plan, of, ends) => steer({ id, plan, epoch: of, free: true }, { signal: ends }),
        coordinated: (isSuccess) => services.coordinated(isSuccess),
        reported: (id, plan, ends) => services.reported(id, plan, ends),
      },
      epoch,
      signal,
    )
    this.#runner = runner
    try {
      await runner.run()
    } finally {
      if (this.#runner === runner) this.#runner = undefined
    }
  }

  async #statusOf(member: JournalMember, task: string, signal: AbortSignal): Promise<TaskStatus | undefined> {
    const known = taskOf(member, task)?.status
    if (known !== undefined) return known
    try {
      return (await abortable(this.#deps.tasks.get(task).state({ timeoutMs: TASK_MS, signal }), signal)).status
    } catch (error) {
      if (isParleyError(error, 'STA001')) return undefined
      throw error
    }
  }

  /** A notification: the directive itself is a call. */
  #tell(directive: Directive): void {
    const { events, port } = this.#deps
    if (!events.hasAudience(directiveEvent.topic)) return
    events
      .publish(directiveEvent, directive)
      .catch((error: unknown) => port.log.info('a directive was not told by an event', { error }))
  }

  /** A mesh that has just begun does not take plans until all voters are known to have them. */
  async #submit(changes: PlanChange[]) {
    const { port, journal } = this.#deps
    for (const begun = port.clock.monotonic(); ; ) {
      try {
        return await journal.submit(decidePlans, { changes }, { isChecked: true })
      } catch (error) {
        if (!isRefusedFor(error, 'level') || port.clock.monotonic() - begun >= LEVEL_MS) throw error
        await new Promise<void>((resolve) => port.timers.after(LEVEL_AGAIN_MS, resolve))
      }
    }
  }
}

export const createPlans = (deps: PlansDeps): PlansFeature => new NodePlans(deps)
