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
import { EventTeller } from '../events/event-teller.ts'
import { ChangeBatcher } from '../journal/client/change-batcher.ts'
import type { Journal } from '../journal/client/journal-client.ts'
import { needsNewer, onceLevelIsKnown } from '../journal/client/level-wait.ts'
import type { Fences } from '../journal/fencing/fence-guard.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { TableData, TimelineData } from '../part.ts'
import type { Port } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import type { TaskHandle } from '../task/client/task-api.ts'
import type { Detected } from '../task/scheduler/worker-presence.ts'
import type { TaskStatus } from '../task/task-status.ts'
import type { PlanTasks } from '../task/tasks-for-plans.ts'
import { AgentReports } from './agent/agent-reports.ts'
import { ManagedAgent } from './agent/managed-agent.ts'
import type { AgentTraits, MakePlan, PlanHandle, Plans, PlansCounts, PlanWaitOptions } from './api.ts'
import { MadePlans } from './client/made-plans.ts'
import { PlanReader } from './client/plan-client.ts'
import { type coordinationProtocol, directiveEvent } from './contract.ts'
import { levelOfPlanChange, MAX_CHANGES_AT_ONCE, type PlanChange } from './journal/plan-changes.ts'
import { decidePlans, spendPlans } from './journal/plan-kinds.ts'
import { AgentStatusResponse, type Directive, type MetricValues } from './messages.ts'
import { type PlanFigures, planFigures } from './plan-figures.ts'
import { type CoalitionDirectives, NO_SERVICES, type PlanResources, type PlanServices } from './plan-needs.ts'
import { GeneratorName, PLANS_PART } from './plan-record.ts'
import type { PlanGenerator } from './planner/generator.ts'
import { AgentSurvey } from './runner/agent-survey.ts'
import { DirectiveSender } from './runner/directive-sender.ts'
import { PlanDirector } from './runner/plan-director.ts'
import { taskOf } from './runner/plan-facts.ts'
import { PlanMaker } from './runner/plan-maker.ts'
import { PlanRunner } from './runner/plan-runner.ts'

const TASK_MS = 5_000
/** Milliseconds between two complaints of the resource manager. */
const DISPUTE_EACH_MS = 60_000
const MAX_GENERATORS = 64

export interface PlansDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'hash' | 'log' | 'to' | 'members' | 'onMember'>
  readonly journal: Journal
  readonly coordinator: Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  readonly fences: Pick<Fences, 'accept'>
  readonly tasks: PlanTasks
  readonly resources: PlanResources
  /** This node's copy of the journal. */
  member(): JournalMember | undefined
  onPresence(fn: (peer: string, presence: Detected) => void): () => void
  presenceOf(peer: string): Detected
  /** None unless told. */
  readonly services?: PlanServices
}

export interface PlansFeature extends Plans {
  readonly handlers: Handlers<typeof coordinationProtocol>
  readonly forCoalitions: CoalitionDirectives
  figures(): PlanFigures
  /** All plans, for people. */
  table(): Promise<TableData>
  /** What happened to one. @throws STA001 */
  timeline(id: string): Promise<TimelineData>
  /** Says how busy this agent is, where anybody listens. @returns what it measures; undefined: it does no tasks */
  report(): MetricValues | undefined
  stop(): Promise<void>
}

class NodePlans implements PlansFeature {
  readonly handlers: Handlers<typeof coordinationProtocol>
  readonly forCoalitions: CoalitionDirectives
  readonly #sender: DirectiveSender
  readonly #deps: PlansDeps
  readonly #batcher: ChangeBatcher<PlanChange>
  readonly #reader: PlanReader
  readonly #own: MadePlans
  readonly #agent: ManagedAgent
  readonly #survey: AgentSurvey
  readonly #services: PlanServices
  readonly #generators = new Map<string, PlanGenerator>()
  readonly #teller: EventTeller
  readonly #reports: AgentReports
  readonly #acting: Registration
  readonly #hearing: readonly Registration[]
  readonly #end = new AbortController()
  #runner: PlanRunner | undefined
  #disputed = 0
  #disputedAt = Number.NEGATIVE_INFINITY

  constructor(deps: PlansDeps) {
    this.#deps = deps
    const { port, journal, coordinator, fences, tasks, resources, services = NO_SERVICES } = deps
    this.#services = services
    this.#batcher = new ChangeBatcher({
      of: 'plans',
      maxAtOnce: MAX_CHANGES_AT_ONCE,
      levelOf: levelOfPlanChange,
      submit: (level, changes) => this.#submit(level, changes),
    })
    this.#reader = new PlanReader(journal, port)
    this.#own = new MadePlans({
      ...{ port, batcher: this.#batcher, reader: this.#reader, tasks, stopped: this.#end.signal },
    })
    this.#survey = new AgentSurvey(port)
    this.#teller = new EventTeller(port.log, 'plans')
    this.#reports = new AgentReports({ ...deps, teller: this.#teller })
    this.#sender = new DirectiveSender({ port, done: (...done) => services.directed(...done) })
    this.#agent = new ManagedAgent({
      ...{ port, coordinator, fences, resources },
      work: () => tasks.work(),
      completed: (message) => services.completed(message),
      progressed: (news, seconds) => this.#reports.progressed(news, seconds),
    })
    this.handlers = this.#agent.handlers
    this.forCoalitions = {
      direct: (directive, signal) => {
        this.#tell(directive)
        return this.#sender.send(directive, signal)
      },
      onCoalition: (take) => this.#agent.onCoalition(take),
    }
    this.#hearing = [
      tasks.onAttempt((news) => this.#agent.onAttempt(news)),
      tasks.onDraw((id, { id: task, ...draw }) => this.#batcher.decide({ ...draw, id, task })),
    ]
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  async make(what: MakePlan): Promise<PlanHandle> {
    const { id, tasks } = await this.#own.make(what)
    return this.#handle(id, tasks)
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
      cancel: (reason) => this.#own.cancel(id, reason),
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
    return { ...this.#own.counts(), ...this.#agent.counts() }
  }

  figures(): PlanFigures {
    const plans = this.#runner?.counts() ?? { open: 0, over: 0 }
    const [own, sent, decided] = [this.counts(), this.#sender.counts(), this.#batcher.counts()]
    return planFigures({ plans, own, sent, decided, untold: this.#teller.dropped(), disputed: this.#disputed })
  }

  table = (): Promise<TableData> => this.#reader.table()
  timeline = (id: string): Promise<TimelineData> => this.#reader.timeline(id)

  report = (): MetricValues | undefined => this.#reports.report(this.#agent.status())

  async stop(): Promise<void> {
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    for (const hearing of this.#hearing) await hearing.stop()
    await this.#acting.stop()
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const { port, onPresence, presenceOf, tasks } = this.#deps
    const services = this.#services
    const member = this.#deps.member()
    if (member === undefined) return
    const runner = new PlanRunner(
      {
        ...{ port, member, onPresence, presenceOf },
        maker: (facts) =>
          new PlanMaker({
            ...{ ...facts, port, survey: this.#survey, verify: services.verify, metrics: services.metrics },
            disputed: (peer) => this.#dispute(peer),
            generator: (name) => this.#generators.get(name),
          }),
        director: ({ member: of, noteRefusal, noteUnavailable }) =>
          new PlanDirector({
            ...{ port, member: of, sender: this.#sender, noteRefusal, noteUnavailable },
            steer: (change, ends) => tasks.steer({ ...change, epoch }, { signal: ends }),
            told: (directive) => this.#tell(directive),
          }),
        decide: (change, ends) => this.#batcher.decide(change, { signal: ends }),
        statusOf: (task, ends) => this.#statusOf(member, task, ends),
        cancelTask: (id, reason, of, ends) => tasks.cancel({ id, reason, epoch: of }, { signal: ends }),
        freeTask: (id, plan, of, ends) => tasks.steer({ id, plan, epoch: of, free: true }, { signal: ends }),
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

  /** The resource manager says something else of this peer than the journal. */
  #dispute(peer: string): void {
    const { clock, log } = this.#deps.port
    this.#disputed += 1
    if (clock.monotonic() - this.#disputedAt < DISPUTE_EACH_MS) return
    this.#disputedAt = clock.monotonic()
    log.warn('the resource manager says something else than the journal, and is not believed', { peer })
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
    const { events } = this.#deps
    if (events.hasAudience(directiveEvent.topic)) this.#teller.tell(() => events.publish(directiveEvent, directive))
  }

  #submit(level: number, changes: PlanChange[]) {
    const { port, journal } = this.#deps
    const kind = level < spendPlans.level ? decidePlans : spendPlans
    const older = (): ParleyError => needsNewer(PLANS_PART, changes[0]?.do ?? '', level)
    const submit = () => journal.submit(kind, { changes }, { isChecked: true })
    return onceLevelIsKnown(port, submit, kind === spendPlans ? older : undefined)
  }
}

export const createPlans = (deps: PlansDeps): PlansFeature => new NodePlans(deps)
