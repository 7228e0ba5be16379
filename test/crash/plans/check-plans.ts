/** What the logs of voters say about plans after a crash run. Keeps no state. */
import { planJournal } from '../../../protocols/coordination/journal/plan-kinds.ts'
import { PLAN_PREFIX, PLANS_PART, readPlan } from '../../../protocols/coordination/plan-record.ts'
import { knownKinds } from '../../../protocols/journal/part-kinds.ts'
import { createJournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { taskJournal } from '../../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import { compareLogs, decidedIn, type LogEntry } from '../disk/decided-log.ts'
import { type LoggedPlans, PlanBooks, type ShownPlan } from './plan-books.ts'

const DECODER = new TextDecoder()
const MOST_TOLD = 3

/** The product's state machine. */
export interface AppliedPlans {
  apply(data: Uint8Array, at: { readonly term: number; readonly index: number }): Promise<void>
  shown(): ReadonlyMap<string, ShownPlan>
}

export const applyPlans = (): AppliedPlans => {
  const bugs = (kind: string, error: unknown): never => {
    throw new Error(`${kind} failed`, { cause: error })
  }
  const parts = [
    { ...planJournal, name: PLANS_PART },
    // Their decisions stand in the same logs.
    { ...taskJournal, name: TASKS_PART },
    { ...resourceJournal, name: RESOURCES_PART },
  ]
  const machine = createJournalMachine(knownKinds([], parts), bugs)
  return {
    async apply(data, at) {
      await machine.prepare?.([{ kind: 'command', data }])
      machine.apply(data, at)
    },
    shown: () =>
      new Map(
        machine.records.all().flatMap(({ key, value }): [string, ShownPlan][] => {
          const plan = key.startsWith(PLAN_PREFIX) ? readPlan(value) : undefined
          if (plan === undefined) return []
          const { owner, state, revision, failures, outcome, assignments, fence } = plan
          const moves = plan.moves.map((move) => `${move.trigger} to ${move.state} in ${move.epoch}`)
          const shown = { owner, state, revision, failures, outcome, assignments, moves, asOf: fence.index }
          return [[key.slice(PLAN_PREFIX.length), shown]]
        }),
      ),
  }
}

export interface CheckedPlans {
  readonly books: PlanBooks
  readonly wrong: string[]
}

export const checkPlanEntries = async (entries: Iterable<LogEntry>, product: AppliedPlans): Promise<CheckedPlans> => {
  const books = new PlanBooks()
  const wrong: string[] = []
  for (const { index, term, data } of entries) {
    const decision = JSON.parse(DECODER.decode(data)) as LoggedPlans
    books.read(index, term, decision)
    await product.apply(data, { term, index })
    if (!decision.kind.startsWith('plans.')) continue
    const found = books.wrong[0] ?? books.differs(product.shown())
    if (found !== undefined) wrong.push(`at ${index}: ${found}`)
    if (wrong.length >= MOST_TOLD) break
  }
  return { books, wrong }
}

/** Plans that ended otherwise at one voter than at another. */
export const differentEnds = (one: PlanBooks, other: PlanBooks): string[] =>
  [...one.outcomes].flatMap(([id, outcome]) => {
    const there = other.outcomes.get(id) ?? outcome
    return there === outcome ? [] : [`the plan ${id} is ${outcome} at one voter, and ${there} at another`]
  })

/**
 * Each log is checked entry by entry, and all have to be the beginning of the longest.
 * @param folders of the journals of voters that do not run, and that kept all of their logs
 */
export const checkPlanLogs = async (folders: readonly string[]): Promise<CheckedPlans> => {
  const logs = await Promise.all(folders.map(decidedIn))
  const { longest, wrong: differing } = compareLogs(logs)
  const { books, wrong } = await checkPlanEntries(longest, applyPlans())
  for (const log of logs) {
    if (log === longest) continue
    const other = await checkPlanEntries(log, applyPlans())
    wrong.push(...other.wrong, ...differentEnds(books, other.books))
  }
  return { books, wrong: [...wrong, ...differing] }
}
