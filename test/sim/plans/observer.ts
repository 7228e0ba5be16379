/**
 * What holds of plans at every index of the journal: each state follows on the one before, a directive says one thing for ever, what
 * is over stays as it is, and a task of a plan is given to nobody but who the plan says. State: what was seen.
 */
import { AMOUNT_NAMES, type Amounts, amountIn } from '../../../protocols/budget/amounts.ts'
import {
  isOver,
  NOT_SUBMITTED,
  PLAN_PREFIX,
  type PlanRecord,
  planBudgetKey,
  readPlan,
  readPlanBudget,
} from '../../../protocols/coordination/plan-record.ts'
import { nextState } from '../../../protocols/coordination/plan-states.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { readTask, TASK_PREFIX, type TaskRecord, taskKey } from '../../../protocols/task/task-record.ts'

/** Moves that a plan keeps. */
const KEPT = 16

/** @returns what is wrong with how it came to its state */
const wrongMoves = ({ moves, state, outcome }: PlanRecord): string | undefined => {
  let before = moves.length < KEPT ? 'idle' : undefined
  for (const { trigger, state: to } of moves) {
    const right = before === undefined ? to : nextState(before as PlanRecord['state'], trigger)
    if (right !== to) return `${trigger} led from ${before} to ${to}`
    before = to
  }
  if (before !== undefined && before !== state) return `it is ${state}, and was moved to ${before}`
  const last = moves.at(-1)?.trigger
  const isEnd = last === 'completion' || last === 'recovery_complete'
  return isEnd !== (outcome === 'completed' || outcome === 'failed') ? `it is ${outcome} after ${last}` : undefined
}

/** One that never had its tasks, by the same again. */
const isMadeAnew = (before: PlanRecord, { outcome, revision }: PlanRecord): boolean =>
  before.reason === NOT_SUBMITTED && before.revision + revision === 0 && outcome === undefined

export class PlanObserver {
  readonly counts = {
    made: 0,
    completed: 0,
    failed: 0,
    canceled: 0,
    resumed: 0,
    adjusted: 0,
    moved: 0,
    retried: 0,
    given: 0,
  }
  readonly #plans = new Map<string, PlanRecord>()
  readonly #directives = new Map<string, string>()
  readonly #used = new Map<string, Amounts>()
  readonly #watched = new WeakSet<JournalMachine>()
  #version = 0

  /** From now on each of its steps is looked at. */
  watch(machine: JournalMachine, tell: (problem: string) => void): void {
    if (this.#watched.has(machine)) return
    this.#watched.add(machine)
    machine.onApplied(() => {
      if (machine.version() <= this.#version) return
      this.#version = machine.version()
      for (const { key, value } of machine.records.all()) {
        const [plan, task] = [this.#planAt(key, value, machine), this.#taskAt(key, value)]
        const problem = plan ?? task
        if (problem !== undefined) tell(problem)
      }
    })
  }

  /** Whether a plan said so, for this task and agent. */
  saidBy(plan: string, task: string, agent: string): boolean {
    return [...this.#directives.values()].includes(`${plan} ${task} ${agent}`)
  }

  #planAt(key: string, value: unknown, { records }: JournalMachine): string | undefined {
    if (!key.startsWith(PLAN_PREFIX)) return undefined
    const id = key.slice(PLAN_PREFIX.length)
    const record = readPlan(value)
    const before = this.#plans.get(id)
    if (record === undefined) return undefined
    const overdrawn = this.#drawnOf(id, record, records)
    if (overdrawn !== undefined || before === record) return overdrawn
    this.#plans.set(id, record)
    this.#count(before, record)
    const isAnother = before !== undefined && isOver(before) && JSON.stringify(before) !== JSON.stringify(record)
    if (isAnother && !isMadeAnew(before, record)) return `the plan ${id} was over, and changed`
    if (before !== undefined && record.revision < before.revision) return `the plan ${id} has an earlier revision`
    if (before !== undefined && before.owner !== record.owner) {
      this.counts.given += 1
      const [parent = ''] = record.tasks[0]?.split('.') ?? []
      const { worker } = readTask(records.get(taskKey(parent))?.value) ?? {}
      if (worker !== record.owner) return `the plan ${id} went to ${record.owner}, and ${worker} works on ${parent}`
    }
    const twice = this.#newDirectives(id, record)
    const wrong = wrongMoves(record)
    return twice ?? (wrong === undefined ? undefined : `the plan ${id}: ${wrong}`)
  }

  /** All that its tasks drew together is no more than there is, and stays known once it is over. */
  #drawnOf(id: string, { budget, outcome }: PlanRecord, records: JournalMachine['records']): string | undefined {
    if (budget === undefined) return undefined
    const now = outcome === undefined ? readPlanBudget(records.get(planBudgetKey(id))?.value)?.used : budget.used
    const [used = {}, before = {}] = [now, this.#used.get(id)]
    this.#used.set(id, used)
    const { amounts } = budget
    if (AMOUNT_NAMES.some((name) => amountIn(used, name) > (amounts[name] ?? Number.POSITIVE_INFINITY)))
      return `of the plan ${id} ${JSON.stringify(used)} is used, and it has ${JSON.stringify(amounts)}`
    const isLess = AMOUNT_NAMES.some((name) => amountIn(used, name) < amountIn(before, name))
    return outcome !== undefined && isLess ? `the plan ${id} is over, and less of it is used by that` : undefined
  }

  #newDirectives(id: string, { assignments }: PlanRecord): string | undefined {
    for (const { task, agent, directive } of assignments) {
      const says = `${id} ${task} ${agent}`
      const said = this.#directives.get(directive) ?? says
      this.#directives.set(directive, says)
      if (said !== says) return `the directive ${directive} said ${said}, and says ${says}`
    }
    return undefined
  }

  #taskAt(key: string, value: unknown): string | undefined {
    if (!key.startsWith(TASK_PREFIX)) return undefined
    const record: TaskRecord | undefined = readTask(value)
    if (record?.plan === undefined || record.status !== 'assigned') return undefined
    const id = key.slice(TASK_PREFIX.length)
    if (record.worker !== record.assignee) return `${id} is at ${record.worker}, and its plan said ${record.assignee}`
    return this.saidBy(record.plan, id, record.worker ?? '')
      ? undefined
      : `${id} is at ${record.worker}: no plan said so`
  }

  #count(before: PlanRecord | undefined, { moves, outcome }: PlanRecord): void {
    if (before === undefined) this.counts.made += 1
    const last = moves.at(-1)
    if (last !== undefined && last.trigger === 'adjustment_needed') this.counts.adjusted += 1
    if (last?.trigger === 'adjustment_needed' && last.reason?.startsWith('imbalance') === true) this.counts.moved += 1
    if (last?.trigger === 'retry_coordination') this.counts.retried += 1
    if (outcome === undefined || before?.outcome !== undefined) return
    this.counts[outcome] += 1
    if (new Set(moves.map(({ epoch }) => epoch)).size > 1) this.counts.resumed += 1
  }
}
