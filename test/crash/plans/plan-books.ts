/**
 * Reads the log of a voter as it lies on its disk, and follows for itself what became of each plan: with rules of its own, of which
 * none is the product's. After each entry the product's state has to come to the same. State: plans, epochs.
 */

/** Ways of seed 003, written down once more: the product's own table is not asked. */
export const WAYS: Readonly<Record<string, string>> = {
  'idle system_state_change': 'coordinating',
  'coordinating plan_ready': 'executing',
  'coordinating coordination_failure': 'error',
  'executing execution_started': 'monitoring',
  'executing adjustment_needed': 'coordinating',
  'executing coordination_failure': 'error',
  'monitoring completion': 'idle',
  'monitoring adjustment_needed': 'coordinating',
  'error retry_coordination': 'coordinating',
  'error recovery_complete': 'idle',
}
/** What counts as a failure where a plan is made anew. */
const FAILED = new Set(['directive_failed', 'resource_conflict'])
const NOT_SUBMITTED = 'its tasks were not submitted'
/** Agents, each as it was started, that a plan keeps as offline. */
const KEPT_OFFLINE = 32
/** Moves that a plan keeps. */
const KEPT_MOVES = 16

interface LoggedAssignment {
  readonly task: string
  readonly agent: string
  readonly directive: string
}
/** As it stands in the log; which of them are there follows from `do`. */
interface LoggedChange {
  readonly do: string
  readonly id: string
  readonly epoch: number
  readonly as: number
  readonly goal: { readonly goal: string; readonly tasks: readonly string[] }
  readonly assignments: readonly LoggedAssignment[]
  readonly adjustment: string
  readonly offline?: readonly { readonly agent: string; readonly registration: number }[]
  readonly outcome: string
  readonly ids: readonly string[]
  readonly reason?: string
}
export interface LoggedPlans {
  readonly kind: string
  readonly session: number
  readonly serial: number
  readonly by: string
  readonly input: { readonly leader?: string; readonly changes?: readonly LoggedChange[] }
}

/** What there is to say of a plan, by these books and by the product. */
export interface ShownPlan {
  readonly owner: string
  readonly state: string
  readonly revision: number
  readonly failures: number
  readonly outcome: string | undefined
  readonly asOf: number
  readonly assignments: readonly LoggedAssignment[]
  /** The newest ones: what moved it, where to, and in which epoch. */
  readonly moves: readonly string[]
}
interface Plan extends ShownPlan {
  readonly goal: string
  /** The life of each, by agent. */
  readonly offline: ReadonlyMap<string, number>
  readonly tasks: readonly string[]
}

const offlineBy = (before: ReadonlyMap<string, number>, { offline = [] }: LoggedChange): Map<string, number> => {
  const all = new Map(before)
  for (const { agent, registration } of offline) {
    all.delete(agent)
    all.set(agent, registration)
  }
  return new Map([...all].slice(-KEPT_OFFLINE))
}

const textOf = ({ owner, state, revision, failures, outcome = '', asOf, assignments, moves }: ShownPlan): string => {
  const given = assignments.map(({ task, agent, directive }) => `${task} at ${agent} by ${directive}`)
  return [owner, state, revision, failures, outcome, asOf, ...given, ...moves].join(', ')
}

export class PlanBooks {
  readonly counts = { entries: 0, made: 0, ended: 0, moves: 0, refused: 0, revisions: 0, directives: 0 }
  /** Of all plans that there ever were: how each ended. */
  readonly outcomes = new Map<string, string>()
  /** What is wrong by itself. */
  readonly wrong: string[] = []
  readonly #plans = new Map<string, Plan>()
  readonly #unsubmitted = new Set<string>()
  readonly #leaders = new Map<number, string>()
  readonly #done = new Set<string>()
  /** What each directive said first. */
  readonly #directives = new Map<string, string>()

  read(index: number, term: number, { kind, session, serial, by, input }: LoggedPlans): void {
    this.counts.entries += 1
    // Asked for again, it has no effect again.
    const once = `${session}/${serial}`
    if (session > 0 && this.#done.has(once)) return
    this.#done.add(once)
    if (kind === 'coordinator.begin' && input.leader !== undefined) this.#leaders.set(term, by)
    if (!kind.startsWith('plans.')) return
    for (const change of input.changes ?? []) if (!this.#take(index, term, by, change)) this.counts.refused += 1
  }

  /** @returns how the product's state differs */
  differs(shown: ReadonlyMap<string, ShownPlan>): string | undefined {
    for (const [id, plan] of this.#plans) {
      const other = shown.get(id)
      if (other === undefined) return `the plan ${id} is gone`
      const [own, said] = [textOf(plan), textOf(other)]
      if (own !== said) return `the plan ${id} is ${said}, and ought to be ${own}`
    }
    for (const id of shown.keys()) if (!this.#plans.has(id)) return `the plan ${id} ought not to be there`
    return undefined
  }

  /** Those that are not over. */
  open(): string[] {
    return [...this.#plans].filter(([, { outcome }]) => outcome === undefined).map(([id]) => id)
  }

  /** @returns whether it counts */
  #take(index: number, term: number, by: string, change: LoggedChange): boolean {
    const leads = change.epoch === term && this.#leaders.get(term) === by
    switch (change.do) {
      case 'propose':
        return this.#propose(index, by, change)
      case 'cancel': {
        const plan = this.#plans.get(change.id)
        if (plan === undefined || plan.outcome !== undefined || plan.owner !== by) return false
        this.#end(change.id, { ...plan, asOf: index }, 'canceled')
        this.#noteUnsubmitted(plan, change)
        return true
      }
      case 'draw':
        // What is used of a budget moves no plan: the simulator looks at it.
        return true
      case 'forget':
        if (!leads) return false
        for (const id of change.ids) if (this.#plans.get(id)?.outcome !== undefined) this.#plans.delete(id)
        return true
    }
    return leads && this.#move(index, term, change)
  }

  #propose(index: number, owner: string, { id, goal: { goal, tasks } }: LoggedChange): boolean {
    const before = this.#plans.get(id)
    if (before !== undefined) {
      const isSame = before.owner === owner && before.goal === goal && before.tasks.join(' ') === tasks.join(' ')
      // One that never had its tasks is made anew; it ends once more.
      if (!isSame || !this.#unsubmitted.delete(id)) return isSame
      this.outcomes.delete(id)
    }
    if (new Set(tasks).size !== tasks.length) return false
    const nothing = { revision: 0, failures: 0, assignments: [], offline: new Map(), moves: [], outcome: undefined }
    this.#plans.set(id, { ...nothing, owner, goal, tasks, state: 'idle', asOf: index })
    this.counts.made += 1
    return true
  }

  #move(index: number, term: number, change: LoggedChange): boolean {
    const { id, do: trigger } = change
    const plan = this.#plans.get(id)
    const state = WAYS[`${plan?.state} ${trigger}`]
    if (plan === undefined || plan.outcome !== undefined || plan.asOf !== change.as || state === undefined) return false
    const moves = [...plan.moves, `${trigger} to ${state} in ${term}`].slice(-KEPT_MOVES)
    const moved = { ...plan, state, asOf: index, moves, offline: offlineBy(plan.offline, change) }
    if (trigger === 'plan_ready') {
      if (!this.#mayAssign(id, plan, change.assignments)) return false
      this.counts.revisions += 1
      this.#plans.set(id, { ...moved, revision: plan.revision + 1, assignments: change.assignments })
    } else if (trigger === 'completion') this.#end(id, moved, change.outcome)
    else if (trigger === 'recovery_complete') {
      this.#end(id, moved, 'failed')
      this.#noteUnsubmitted(plan, change)
    } else this.#plans.set(id, { ...moved, failures: this.#failuresOf(plan, change) })
    this.counts.moves += 1
    return true
  }

  /** It ended before it was carried out, for that reason: the same again is another one. */
  #noteUnsubmitted({ revision }: Plan, { id, reason }: LoggedChange): void {
    if (revision === 0 && reason === NOT_SUBMITTED) this.#unsubmitted.add(id)
  }

  #failuresOf({ failures, state, offline }: Plan, change: LoggedChange): number {
    const { do: trigger, adjustment, offline: marked = [] } = change
    if (trigger === 'execution_started') return 0
    // The same agents as before could not be directed.
    const isNoNews = marked.every(({ agent, registration }) => offline.get(agent) === registration)
    const isGone = adjustment === 'agent_unavailable' && state === 'executing' && isNoNews
    const isAdjusted = trigger === 'adjustment_needed' && (FAILED.has(adjustment) || isGone)
    return trigger === 'coordination_failure' || isAdjusted ? failures + 1 : failures
  }

  /** Its own tasks, each once, by directives that never said anything else. */
  #mayAssign(id: string, { tasks }: Plan, assignments: readonly LoggedAssignment[]): boolean {
    const given = new Set(assignments.map(({ task }) => task))
    const directives = new Set(assignments.map(({ directive }) => directive))
    if (given.size !== assignments.length || directives.size !== assignments.length) return false
    if (![...given].every((task) => tasks.includes(task))) return false
    for (const { task, agent, directive } of assignments) {
      const says = `${id}: ${task} at ${agent}`
      const said = this.#directives.get(directive) ?? says
      if (said !== says) this.wrong.push(`the directive ${directive} said ${said}, and says ${says}`)
      if (!this.#directives.has(directive)) this.counts.directives += 1
      this.#directives.set(directive, says)
    }
    return true
  }

  #end(id: string, plan: Plan, outcome: string): void {
    if (this.outcomes.has(id)) this.wrong.push(`the plan ${id} ended ${this.outcomes.get(id)}, and again ${outcome}`)
    this.outcomes.set(id, outcome)
    this.counts.ended += 1
    this.#plans.set(id, { ...plan, outcome })
  }
}
