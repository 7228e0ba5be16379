/**
 * Changes of tasks as an attacker asks for them: the commands `tasks.decide` and `tasks.change` of the journal and the protocol
 * of tasks, by their documents (docs/asyncapi.json) and nothing of the product. State: one link to each protocol of the
 * coordinator.
 */
import type { Connection } from '@libp2p/interface'
import type { Attacker } from './attacker.ts'
import type { Asking, Link } from './link.ts'

const JOURNAL = '/parley/journal/1'
const TASK = '/parley/task/1'
const ASK_MS = 8_000
const OK = 'ok'
const DECIDE = 'tasks.decide'
const CHANGE = 'tasks.change'
const RESOLVE = 'tasks.resolve'
const DIRECT = 'tasks.direct'
const SPEND = 'tasks.spend'
const DECIDE_PLANS = 'plans.decide'
const DECIDE_COALITIONS = 'coalitions.decide'
const DECIDE_RESOURCES = 'resources.decide'
const DECIDE_BUDGETS = 'budgets.decide'
const ASSIGN_RESOURCES = 'resources.assign'

export interface Fence {
  readonly term: number
  readonly index: number
}

export interface SeenTask {
  readonly id: string
  readonly record: {
    readonly status: string
    readonly type: string
    readonly submitter: string
    readonly worker?: string
    readonly registration?: number
    readonly fence?: Fence
    readonly changedAt: number
  }
}

export interface SeenRecord {
  readonly key: string
  readonly value: unknown
}

/** `ok`, or the code of the error; `silent` where nothing came. */
export type Outcome = string

export interface TaskHand {
  /** All in one command. @returns what came of each: where the command was refused, the same of all */
  change(...changes: readonly unknown[]): Promise<Outcome[]>
  /** By the command of level 1, which takes fewer of them. */
  changeFirst(...changes: readonly unknown[]): Promise<Outcome[]>
  /** By the one of level 3, which takes what tasks are placed with. */
  changeLast(...changes: readonly unknown[]): Promise<Outcome[]>
  /** By the one of level 4, which takes what tasks of plans are steered with. */
  directTasks(...changes: readonly unknown[]): Promise<Outcome[]>
  /** By the one of level 5, which takes what attempts draw of budgets. */
  spendTasks(...changes: readonly unknown[]): Promise<Outcome[]>
  /** The same of plans, by `plans.decide`. */
  changePlans(...changes: readonly unknown[]): Promise<Outcome[]>
  /** The same of coalitions, by `coalitions.decide`. */
  changeCoalitions(...changes: readonly unknown[]): Promise<Outcome[]>
  /** The same of resources, by `resources.decide`. */
  changeResources(...changes: readonly unknown[]): Promise<Outcome[]>
  /** The same of budgets, by `budgets.decide`. */
  changeBudgets(...changes: readonly unknown[]): Promise<Outcome[]>
  /** What tasks are given, by `resources.assign`. */
  assignResources(...changes: readonly unknown[]): Promise<Outcome[]>
  /** Records whose keys begin so, as any member reads them. */
  records(prefix: string): Promise<readonly SeenRecord[]>
  /** One, with what it was answered with. */
  decide(change: unknown): Promise<{ readonly outcome: Outcome; readonly result: unknown }>
  /** A whole input of the command. */
  raw(input: unknown, kind?: string): Promise<Outcome>
  /** Tasks that have a record, as any member reads them. */
  tasks(): Promise<SeenTask[]>
  /** Rows of a collection, as any member reads them. */
  rows(collection: string): Promise<readonly { readonly key: string; readonly value: unknown }[]>
  task(method: string, input: unknown, options?: Asking): Promise<Outcome>
  /** One more link for the protocol of tasks. */
  taskLink(): Promise<Link>
}

const PRESENCE = '/parley/presence/1'
/** So that the failure detector takes it for alive: a suspect is given no task. */
export const answerProbes = (attacker: Attacker): Promise<void> => {
  const incarnation = Date.now()
  return attacker.serve(PRESENCE, (method) =>
    method === 'beat' ? { agentId: attacker.id, incarnation, load: 0, queueLength: 0 } : { outcome: 'unknown' },
  )
}

export const codeOf = (fault: string): Outcome => (/^[A-Z]{3}\d{3}/.exec(fault) ?? ['silent'])[0]
const fieldOf = (value: unknown, name: string): unknown => Reflect.get(Object(value), name)

/** @param coordinator the connection with whoever coordinates */
export const createTaskHand = async (
  attacker: Attacker,
  coordinator: Connection,
  meshId: string,
): Promise<TaskHand> => {
  const journal = await attacker.link(coordinator, JOURNAL)
  const task = await attacker.link(coordinator, TASK)

  /** @returns the answer, or the code of what it was refused with */
  const submit = async (input: unknown, kind: string): Promise<unknown> => {
    const body = { meshId, kind, session: 0, serial: 0, acked: 0, input }
    const { payload, fault } = await journal.ask('submit', JSON.stringify(body), { limitMs: ASK_MS })
    if (payload === undefined) return codeOf(fault)
    const answer: unknown = JSON.parse(new TextDecoder().decode(payload))
    return fieldOf(answer, 'ok') === true
      ? { result: fieldOf(answer, 'result') }
      : codeOf(String(fieldOf(fieldOf(answer, 'fault'), 'code')))
  }

  const decideAll = async (
    changes: readonly unknown[],
    kind = DECIDE,
  ): Promise<{ outcome: Outcome; result: unknown }[]> => {
    const answer = await submit({ changes }, kind)
    if (typeof answer === 'string') return changes.map(() => ({ outcome: answer, result: undefined }))
    const results = fieldOf(answer, 'result')
    return changes.map((_, i) => {
      const one = fieldOf(results, String(i))
      const fault = fieldOf(one, 'fault')
      const outcome = fault === undefined ? OK : codeOf(String(fieldOf(fault, 'code')))
      return { outcome, result: fieldOf(one, OK) }
    })
  }

  const records: TaskHand['records'] = async (prefix) => {
    const input = { meshId, prefix, most: 1_000, consistency: 'local' }
    const found = fieldOf(await journal.json('read', input, { limitMs: ASK_MS }), 'records')
    return Array.isArray(found) ? found : []
  }

  return {
    change: async (...changes) => (await decideAll(changes)).map(({ outcome }) => outcome),
    changeFirst: async (...changes) => (await decideAll(changes, CHANGE)).map(({ outcome }) => outcome),
    changeLast: async (...changes) => (await decideAll(changes, RESOLVE)).map(({ outcome }) => outcome),
    spendTasks: async (...changes) => (await decideAll(changes, SPEND)).map(({ outcome }) => outcome),
    directTasks: async (...changes) => (await decideAll(changes, DIRECT)).map(({ outcome }) => outcome),
    changePlans: async (...changes) => (await decideAll(changes, DECIDE_PLANS)).map(({ outcome }) => outcome),
    changeCoalitions: async (...changes) => (await decideAll(changes, DECIDE_COALITIONS)).map(({ outcome }) => outcome),
    assignResources: async (...changes) => (await decideAll(changes, ASSIGN_RESOURCES)).map(({ outcome }) => outcome),
    changeBudgets: async (...changes) => (await decideAll(changes, DECIDE_BUDGETS)).map(({ outcome }) => outcome),
    changeResources: async (...changes) => (await decideAll(changes, DECIDE_RESOURCES)).map(({ outcome }) => outcome),
    records,
    async decide(change) {
      const [decided = { outcome: 'silent', result: undefined }] = await decideAll([change])
      return decided
    },
    async raw(input, kind = DECIDE) {
      const answer = await submit(input, kind)
      return typeof answer === 'string' ? answer : OK
    },
    async tasks() {
      const prefix = '$part/parley/tasks/t/'
      return (await records(prefix)).map(({ key, value }) => ({
        id: key.slice(prefix.length),
        // As the part writes it.
        record: value as SeenTask['record'],
      }))
    },
    async rows(collection) {
      const answer = await journal.json('rows', { meshId, collection, most: 100, consistency: 'local' })
      const rows = fieldOf(answer, 'rows')
      return Array.isArray(rows) ? rows : []
    },
    async task(method, input, options = {}) {
      const { payload, fault } = await task.ask(method, JSON.stringify(input), { limitMs: ASK_MS, ...options })
      return payload === undefined ? codeOf(fault) : OK
    },
    taskLink: () => attacker.link(coordinator, TASK),
  }
}
