/**
 * What an agent does as one that is managed (seed 003): it says how it is, and takes directives of the coordinator, and of nobody
 * else. What it is directed to do it checks itself: a type of task that it does not take, or more than it wants to give, it refuses.
 * State: the directives that it knows, what it has agreed to and not begun.
 */
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Handlers } from '../../define.ts'
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Fences } from '../../journal/fencing/fence-guard.ts'
import type { Log, Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import type { AgentWork, AttemptNews } from '../../task/tasks-for-plans.ts'
import type { AgentTraits, DirectedWork, DirectiveVerdict, Plans, PlansCounts } from '../api.ts'
import { coalitionScope } from '../coalition/coalition-record.ts'
import type { coordinationProtocol } from '../contract.ts'
import {
  type AgentStatus,
  type Coalition,
  type Directive,
  type DirectiveAnswer,
  isoTime,
  type TaskCompletionData,
} from '../messages.ts'
import type { PlanResources, TakeCoalition } from '../plan-needs.ts'
import { planReason } from '../plan-record.ts'

const MAX_REMEMBERED = 4_096

interface Remembered {
  /** What it says, without when it was sent and as of which decision. */
  readonly text: string
  readonly answer: Promise<DirectiveAnswer>
}

const textOf = ({ target_agent, plan, action, parameters }: Directive): string =>
  JSON.stringify([target_agent, plan, action, parameters])

/**
 * Directives that this agent was given: the same one again is answered as the first time, without being done again. State: the
 * newest of them (bounded), and those that are being done.
 */
class DirectiveMemory {
  readonly #known = new Map<string, Remembered>()
  #repeated = 0

  repeated(): number {
    return this.#repeated
  }

  /** @throws STA003 `exists` for another directive of the same id; what doing it throws, and then it is not remembered */
  once(directive: Directive, run: () => Promise<DirectiveAnswer>): Promise<DirectiveAnswer> {
    const { directive_id: id } = directive
    const text = textOf(directive)
    const known = this.#known.get(id)
    if (known !== undefined) {
      if (known.text !== text)
        throw stateError('exists', `the directive ${id} was given before, and said something else`, 'use another id', {
          directive: id,
        })
      this.#repeated += 1
      return known.answer
    }
    const answer = run()
    const remembered = { text, answer }
    this.#known.set(id, remembered)
    answer.catch(() => {
      if (this.#known.get(id) === remembered) this.#known.delete(id)
    })
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest)
    return answer
  }
}

/** Tasks that it has agreed to and has not been given yet. */
const MAX_EXPECTED = 4_096
const EXPECTED_MS = 60_000
const MAX_LISTED = 128
const STOPPING = { error: 'agent_unavailable', reason: 'this agent is about to stop' } as const
const JOINS_NONE = { error: 'agent_unavailable', reason: 'this agent joins no coalitions' } as const

/** What the fence of a directive is about. */
const scopeOf = (directive: Directive): string =>
  directive.action === 'form_coalition' ? coalitionScope(directive.parameters.coalition_id) : `plan/${directive.plan}`

export interface ManagedAgentDeps {
  readonly port: Pick<Port, 'self' | 'clock'> & { readonly log: Log }
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  readonly fences: Pick<Fences, 'accept'>
  work(): AgentWork
  readonly resources: PlanResources
  /** What an agent says that a task took. */
  completed(message: TaskCompletionData): void
  /** Work that this agent was directed to do got on, or has ended. @param seconds since it was directed */
  progressed(news: AttemptNews, seconds: number): void
}

export class ManagedAgent {
  readonly handlers: Handlers<typeof coordinationProtocol>
  readonly #deps: ManagedAgentDeps
  readonly #memory = new DirectiveMemory()
  /** By task: until when it is expected, monotonic milliseconds. */
  readonly #expected = new Map<string, number>()
  /** Tasks that it was directed to do and has not ended: since when. */
  readonly #directed = new Map<string, number>()
  readonly #counts = { directed: 0, accepted: 0, refused: 0 }
  #judge: ((work: DirectedWork) => DirectiveVerdict | Promise<DirectiveVerdict>) | undefined
  #takeCoalition: TakeCoalition | undefined
  #traits: AgentTraits = {}

  constructor(deps: ManagedAgentDeps) {
    this.#deps = deps
    this.handlers = {
      agent_status: ({ request_id, target_agent }) => {
        this.#requireTarget(target_agent)
        return { ...this.status(), request_id }
      },
      coordination_directive: (directive, { peer }) => this.#direct(directive, peer),
      task_completion: (message, { peer }) => {
        if (message.source_agent !== peer)
          throw new ParleyError('SEC002', `${peer} tells of work of ${message.source_agent}`, {
            hint: 'each agent tells of its own work',
          })
        deps.completed(message)
        return {}
      },
    }
  }

  counts(): Omit<PlansCounts, 'made' | 'writtenOff'> {
    return { ...this.#counts, repeated: this.#memory.repeated() }
  }

  describe(traits: AgentTraits): void {
    this.#traits = traits
  }

  onDirective: Plans['onDirective'] = (judge): Registration => {
    if (this.#judge !== undefined)
      throw stateError('in-use', 'this node judges directives already', 'stop that first, or judge both in one')
    this.#judge = judge
    return createRegistration(() => {
      if (this.#judge === judge) this.#judge = undefined
    })
  }

  onCoalition(take: TakeCoalition): Registration {
    if (this.#takeCoalition !== undefined)
      throw stateError('in-use', 'this node takes directives about coalitions already', 'stop that first')
    this.#takeCoalition = take
    return createRegistration(() => {
      if (this.#takeCoalition === take) this.#takeCoalition = undefined
    })
  }

  onAttempt(news: AttemptNews): void {
    const since = this.#directed.get(news.task)
    if (since === undefined) return
    if (news.status !== 'in_progress') this.#directed.delete(news.task)
    this.#deps.progressed(news, (this.#deps.port.clock.monotonic() - since) / 1_000)
  }

  /** As it is now. */
  status(): Omit<AgentStatus, 'request_id'> {
    const { port, work, resources } = this.#deps
    const { offers, tasks, isDraining } = work()
    const slots = offers.reduce((sum, offer) => sum + offer.slots, 0)
    const load = slots === 0 ? 0 : Math.min(1, tasks.length / slots)
    const queue = this.#queueLength(tasks)
    const isBusy = slots > 0 && tasks.length >= slots
    return {
      timestamp: isoTime(port.clock.now()),
      source_agent: port.self.id,
      state: tasks.length + queue > 0 ? 'executing' : 'idle',
      availability: isDraining ? 'draining' : isBusy ? 'busy' : 'available',
      load,
      queue_length: queue,
      capabilities: offers.map(({ type }) => type),
      task_ids: tasks.slice(0, MAX_LISTED),
      resource_utilization: resources.utilization(),
      ...this.#traits,
    }
  }

  #queueLength(inWork: readonly string[]): number {
    const now = this.#deps.port.clock.monotonic()
    for (const id of inWork) this.#expected.delete(id)
    for (const [id, until] of this.#expected) if (until <= now) this.#expected.delete(id)
    return this.#expected.size
  }

  #requireTarget(target: string): void {
    const { self } = this.#deps.port
    if (target === self.id) return
    throw new ParleyError('MSG001', `this is ${self.id}, not ${target}`, { hint: 'send it to the agent that it names' })
  }

  /** Directives come from who coordinates now, by an epoch that is proven. @throws SEC002, STA003 `not-leader` */
  #requireCoordinator(peer: string, { fence }: Directive): void {
    const { leader, epoch } = this.#deps.coordinator.status()
    if (leader === peer && epoch >= fence.term) return
    if (leader === undefined || epoch < fence.term)
      throw stateError('not-leader', 'this agent has not heard yet who coordinates', 'send the directive again')
    throw new ParleyError('SEC002', `${peer} does not coordinate`, {
      hint: 'only the coordinator directs agents; where it is a new one, send the directive again in a moment',
      details: { leader },
    })
  }

  async #direct(directive: Directive, peer: string): Promise<DirectiveAnswer> {
    this.#requireTarget(directive.target_agent)
    this.#requireCoordinator(peer, directive)
    await this.#deps.fences.accept(scopeOf(directive), directive.fence)
    return this.#memory.once(directive, async () => this.#answer(directive, await this.#judged(directive)))
  }

  async #judged(directive: Directive): Promise<DirectiveVerdict> {
    this.#counts.directed += 1
    try {
      return await this.#do(directive)
    } catch (error) {
      this.#deps.port.log.warn('a directive could not be carried out', { directive: directive.directive_id, error })
      const reason = isParleyError(error) ? error.message : 'it failed at the agent'
      return { error: 'directive_failed', reason: planReason(reason) }
    }
  }

  async #do(directive: Directive): Promise<DirectiveVerdict> {
    const { plan } = directive
    if (directive.action === 'form_coalition') return this.#joinOrLeave(directive.parameters, directive.fence)
    const work: DirectedWork =
      directive.action === 'assign_task'
        ? { action: 'assign_task', plan, parameters: directive.parameters }
        : { action: 'adjust_resources', plan, parameters: directive.parameters }
    const refused = work.action === 'assign_task' ? this.#cannotTake(work.parameters.type) : undefined
    const verdict = refused ?? (await this.#judge?.(work))
    if (verdict !== undefined) return verdict
    if (work.action === 'adjust_resources') return this.#adjust(work.parameters.adjustments)
    this.#expect(work.parameters.task_id)
    return undefined
  }

  /** An agent that is about to stop is in no coalition; it always takes it that one is over. */
  #joinOrLeave(coalition: Coalition, fence: Fence): DirectiveVerdict | Promise<DirectiveVerdict> {
    if (coalition.ttl_ms > 0 && this.#deps.work().isDraining) return STOPPING
    return this.#takeCoalition === undefined ? JOINS_NONE : this.#takeCoalition(coalition, fence)
  }

  /** Of this node alone. */
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

  #cannotTake(type: string): DirectiveVerdict {
    const { offers, isDraining } = this.#deps.work()
    if (isDraining) return STOPPING
    if (offers.some((offer) => offer.type === type)) return undefined
    return { error: 'directive_failed', reason: `this agent takes no tasks of the type ${type}` }
  }

  #expect(task: string): void {
    this.#expected.delete(task)
    const now = this.#deps.port.clock.monotonic()
    this.#expected.set(task, now + EXPECTED_MS)
    this.#directed.delete(task)
    this.#directed.set(task, now)
    for (const known of [this.#expected, this.#directed]) {
      const [oldest] = known.keys()
      if (known.size > MAX_EXPECTED && oldest !== undefined) known.delete(oldest)
    }
  }

  #answer({ directive_id }: Directive, verdict: DirectiveVerdict): DirectiveAnswer {
    const { port } = this.#deps
    const answer = { directive_id, timestamp: isoTime(port.clock.now()), source_agent: port.self.id }
    this.#counts[verdict === undefined ? 'accepted' : 'refused'] += 1
    if (verdict === undefined) return { ...answer, status: 'accepted' }
    const { error, reason } = verdict
    return { ...answer, status: 'refused', error, ...(reason !== undefined && { reason: planReason(reason) }) }
  }
}
