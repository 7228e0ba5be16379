/**
 * Carries a plan out: each agent is directed, and where all have acknowledged they get the tasks. Where one does not, nobody gets
 * anything by this plan (rollback), and it says why. Keeps no state.
 */
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { unitsOf } from '../../resource/requirements.ts'
import type { TaskRecord } from '../../task/task-record.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { type Directive, type DirectiveAnswer, isoTime, REFUSALS, type Refusal } from '../messages.ts'
import { type Assignment, type OfflineAgent, type PlanRecord, planReason } from '../plan-record.ts'
import type { ResourceAdjustment } from '../planner/generator.ts'
import type { DirectiveSender } from './directive-sender.ts'
import { isHeld, openTaskOf, workerOf } from './plan-facts.ts'

/** Directives of one plan on their way at once. */
const AT_ONCE = 32
/** Milliseconds that others are preferred to an agent that could not be directed: each plan that tries pays for all retries. */
const UNAVAILABLE_MS = 60_000

export interface FailedDirection {
  readonly error: Refusal
  readonly offline: readonly OfflineAgent[]
  readonly reason: string
}

/** Says which agent gets a task that is held for a plan; without one, it is held. */
export type Steer = (change: { id: string; plan: string; assignee?: string }, signal: AbortSignal) => Promise<void>

export interface DirectorDeps {
  readonly port: Pick<Port, 'clock' | 'random' | 'log'>
  readonly member: JournalMember
  readonly sender: Pick<DirectiveSender, 'send'>
  readonly steer: Steer
  noteRefusal(task: string, agent: string): void
  noteUnavailable(agent: string, forMs: number): void
  /** Tells who listens of a directive. */
  told(directive: Directive): void
}

interface Directed {
  readonly assignment: Assignment
  readonly record: TaskRecord
}

export class PlanDirector {
  readonly #deps: DirectorDeps

  constructor(deps: DirectorDeps) {
    this.#deps = deps
  }

  /** @returns undefined: all agents have what the plan gives them @throws the signal's reason; what the journal throws */
  async direct(id: string, plan: PlanRecord, signal: AbortSignal): Promise<FailedDirection | undefined> {
    const { member } = this.#deps
    const directed = plan.assignments.flatMap((assignment): Directed[] => {
      const record = openTaskOf(member, id, assignment.task)
      // Who has it by this directive has acknowledged it.
      const isOpen = record !== undefined && isHeld(record) && record.assignee !== assignment.agent
      return isOpen ? [{ assignment, record }] : []
    })
    const answers = await this.#send(id, plan, directed, signal)
    const failed = this.#failed(answers)
    if (failed !== undefined) return failed
    await Promise.all([
      ...directed.map(({ assignment: { task, agent } }) =>
        this.#steer({ id: task, plan: id, assignee: agent }, signal),
      ),
      ...this.#unassigned(id, plan).map((task) => this.#steer({ id: task, plan: id }, signal)),
    ])
    return undefined
  }

  /**
   * Has agents give more or less of their resources, before anybody is given a task. Nothing of it is taken back where the plan
   * fails: whoever plans anew sees what agents have.
   * @returns undefined: all have acknowledged
   */
  async adjust(
    id: string,
    plan: PlanRecord,
    adjustments: readonly ResourceAdjustment[],
    signal: AbortSignal,
  ): Promise<FailedDirection | undefined> {
    const byAgent = new Map<string, ResourceAdjustment[]>()
    for (const one of adjustments) byAgent.set(one.agent, [...(byAgent.get(one.agent) ?? []), one])
    const { clock, random } = this.#deps.port
    const directives = [...byAgent].map(
      ([agent, these]): Directive => ({
        ...{ directive_id: uuid7(clock.now(), random(10)), timestamp: isoTime(clock.now()), target_agent: agent },
        ...{ plan: id, fence: plan.fence, action: 'adjust_resources' },
        parameters: {
          adjustments: these.map(({ resource, change }) => ({ resource_id: resource, agent, change })),
          reason: planReason(plan.goal),
        },
      }),
    )
    const answers = await Promise.all(
      directives.map((directive) => {
        this.#deps.told(directive)
        return this.#deps.sender.send(directive, signal)
      }),
    )
    return this.#failed(answers)
  }

  /** Tasks that an earlier plan gave to somebody, and this one gives to nobody. */
  #unassigned(id: string, { tasks, assignments }: PlanRecord): string[] {
    const assigned = new Set(assignments.map(({ task }) => task))
    return tasks.filter((task) => {
      const record = assigned.has(task) ? undefined : openTaskOf(this.#deps.member, id, task)
      return record !== undefined && isHeld(record) && record.assignee !== undefined
    })
  }

  async #send(
    id: string,
    plan: PlanRecord,
    directed: readonly Directed[],
    signal: AbortSignal,
  ): Promise<DirectiveAnswer[]> {
    const waiting = [...directed]
    const answers: DirectiveAnswer[] = []
    const next = async (): Promise<void> => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
        const directive = this.#directive(id, plan, one)
        this.#deps.told(directive)
        const answer = await this.#deps.sender.send(directive, signal)
        const { task, agent } = one.assignment
        if (answer.status === 'refused') this.#deps.noteRefusal(task, agent)
        answers.push(answer)
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, directed.length) }, next))
    return answers
  }

  #directive(id: string, { fence }: PlanRecord, { assignment, record }: Directed): Directive {
    const { task, agent, directive } = assignment
    const resources = Object.keys(record.requirements === undefined ? {} : unitsOf(record.requirements)).slice(0, 32)
    return {
      directive_id: directive,
      timestamp: isoTime(this.#deps.port.clock.now()),
      target_agent: agent,
      plan: id,
      fence,
      action: 'assign_task',
      parameters: { task_id: task, type: record.type, priority: PRIORITIES[record.priority] ?? 'normal', resources },
    }
  }

  /** The gravest of what was refused: an agent that is not there counts most. */
  #failed(answers: readonly DirectiveAnswer[]): FailedDirection | undefined {
    const refused = answers.filter((one) => one.status === 'refused')
    for (const error of REFUSALS) {
      const these = refused.filter((one) => one.error === error)
      const [first] = these
      if (first === undefined) continue
      const reason = planReason(`${first.source_agent}: ${first.reason ?? 'it refused'}`)
      if (error !== 'agent_unavailable') return { error, offline: [], reason }
      const offline = new Map(these.map(({ source_agent: agent }) => [agent, this.#mark(agent)]))
      for (const agent of offline.keys()) this.#deps.noteUnavailable(agent, UNAVAILABLE_MS)
      return { error, offline: [...offline.values()].filter((one) => one !== undefined), reason }
    }
    return undefined
  }

  #mark(agent: string): OfflineAgent | undefined {
    const registration = workerOf(this.#deps.member, agent)?.registration
    return registration === undefined ? undefined : { agent, registration }
  }

  /** It may have begun, or ended, meanwhile. */
  async #steer(change: Parameters<Steer>[0], signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.steer(change, signal)
    } catch (error) {
      signal.throwIfAborted()
      const record = openTaskOf(this.#deps.member, change.plan, change.id)
      const isOver = record === undefined || !isHeld(record)
      if (!isParleyError(error, 'STA001', 'STA003') || !isOver) throw error
    }
  }
}
