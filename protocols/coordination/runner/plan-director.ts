/**
 * Carries a plan out: each agent is directed, and where all have acknowledged they get the tasks. Where one does not, nobody gets
 * anything by this plan (rollback), and it says why. Keeps no state.
 */
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { unitsOf } from '../../resource/requirements.ts'
import { amountOf } from '../../resource/units.ts'
import type { TaskRecord } from '../../task/task-record.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import { formatId } from '../../wire/message-id.ts'
import { type Directive, type DirectiveAnswer, isoTime, REFUSALS, type Refusal } from '../messages.ts'
import { type Assignment, type OfflineAgent, type PlanRecord, planReason } from '../plan-record.ts'
import type { ResourceAdjustment } from '../planner/generator.ts'
import type { DirectiveSender } from './directive-sender.ts'
import { capacityOfNode, isHeld, openTaskOf, workerOf } from './plan-facts.ts'

/** Directives of one plan on their way at once. */
const AT_ONCE = 32
/** Milliseconds that others are preferred to an agent that could not be directed: each plan that tries pays for all retries. */
const UNAVAILABLE_MS = 60_000

export interface FailedDirection {
  readonly error: Refusal
  readonly offline: readonly OfflineAgent[]
  readonly reason: string
}

export interface AdjustedAgents {
  /** Undefined: all have acknowledged. */
  readonly failed: FailedDirection | undefined
  /** By how much those that acknowledged did change what they give. */
  readonly done: readonly ResourceAdjustment[]
}

/** Says which agent gets a task that is held for a plan; without one, it is held. */
export type Steer = (change: { id: string; plan: string; assignee?: string }, signal: AbortSignal) => Promise<void>

export interface DirectorDeps {
  readonly port: Pick<Port, 'clock' | 'hash' | 'log'>
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

const ENCODER = new TextEncoder()

/** A UUID of version 8 (RFC 9562, section 5.8): of what the hash is of. */
const uuid8Bytes = (hash: Uint8Array): Uint8Array => {
  const bytes = hash.slice(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
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

  /** Has agents give more or less of their resources, before anybody is given a task. @throws the signal's reason */
  async adjust(
    id: string,
    plan: PlanRecord,
    adjustments: readonly ResourceAdjustment[],
    signal: AbortSignal,
  ): Promise<AdjustedAgents> {
    const capacityOf = ({ agent, resource }: ResourceAdjustment): number =>
      amountOf(capacityOfNode(this.#deps.member, agent), resource)
    const before = adjustments.map(capacityOf)
    const answers = await this.#adjustAll(id, plan, adjustments, planReason(plan.goal), signal)
    const accepted = new Set(answers.filter(({ status }) => status === 'accepted').map((one) => one.source_agent))
    const done = adjustments.flatMap((one, i): ResourceAdjustment[] => {
      // An agent gives nothing less than none, and nothing more than it offered; others may adjust it too.
      const found = capacityOf(one) - (before[i] ?? 0)
      const change = Math.sign(one.change) * Math.min(found * Math.sign(one.change), Math.abs(one.change))
      return accepted.has(one.agent) && change * one.change > 0 ? [{ ...one, change }] : []
    })
    return { failed: this.#failed(answers), done }
  }

  /** What agents have adjusted for a plan that fails is taken back, as far as they do. @throws the signal's reason */
  async undo(id: string, plan: PlanRecord, done: readonly ResourceAdjustment[], signal: AbortSignal): Promise<void> {
    const back = done.map((one) => ({ ...one, change: -one.change }))
    for (const answer of await this.#adjustAll(id, plan, back, planReason(`taken back: ${plan.goal}`), signal)) {
      if (answer.status === 'accepted') continue
      const { source_agent: agent, reason } = answer
      this.#deps.port.log.warn('what an agent gives was not taken back', { plan: id, agent, reason })
    }
  }

  #adjustAll(
    id: string,
    plan: PlanRecord,
    adjustments: readonly ResourceAdjustment[],
    reason: string,
    signal: AbortSignal,
  ): Promise<DirectiveAnswer[]> {
    const byAgent = Map.groupBy(adjustments, ({ agent }) => agent)
    return Promise.all(
      Array.from(byAgent, ([agent, these]) => {
        const parameters = {
          adjustments: these.map(({ resource, change }) => ({ resource_id: resource, agent, change })),
          reason,
        }
        const directive: Directive = {
          directive_id: this.#idOf(id, plan, parameters),
          ...{ timestamp: isoTime(this.#deps.port.clock.now()), target_agent: agent, plan: id, fence: plan.fence },
          ...{ action: 'adjust_resources', parameters },
        }
        this.#deps.told(directive)
        return this.#deps.sender.send(directive, signal)
      }),
    )
  }

  /** The same for the same decision: a coordinator that asks for it again is answered as before, and nothing is done twice. */
  #idOf(id: string, { fence }: PlanRecord, parameters: unknown): string {
    return formatId(uuid8Bytes(this.#deps.port.hash(ENCODER.encode(JSON.stringify([id, fence, parameters])))))
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
