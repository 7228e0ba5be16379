/** What the logs of voters, and the files of those who spent, say about budgets after a crash run. Keeps no state. */
import { readFileSync } from 'node:fs'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import { budgetJournal } from '../../../protocols/budget/journal/budget-kinds.ts'
import { knownKinds } from '../../../protocols/journal/part-kinds.ts'
import { createJournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { readBudgets } from '../../sim/budgets/observer.ts'
import { wrongBudgets } from '../../support/budget-sums.ts'
import { compareLogs, decidedIn, type LogEntry } from '../disk/decided-log.ts'
import { BudgetBooks, type LoggedDecision, type ShownAccount } from './budget-books.ts'
import type { SpentLine } from './spending.ts'

const DECODER = new TextDecoder()
const MOST_TOLD = 3

/** The product's state machine. */
export interface AppliedBudgets {
  apply(data: Uint8Array, at: { readonly term: number; readonly index: number }): Promise<void>
  shown(): ReadonlyMap<string, ShownAccount>
  /** What is wrong with it by itself. */
  wrong(): string | undefined
}

export const applyBudgets = (): AppliedBudgets => {
  const bugs = (kind: string, error: unknown): never => {
    throw new Error(`${kind} failed`, { cause: error })
  }
  const machine = createJournalMachine(knownKinds([], [{ ...budgetJournal, name: BUDGETS_PART }]), bugs)
  return {
    async apply(data, at) {
      await machine.prepare?.([{ kind: 'command', data }])
      machine.apply(data, at)
    },
    wrong: () => wrongBudgets(readBudgets(machine)),
    shown: () =>
      new Map(
        [...readBudgets(machine).budgets].map(([id, { status, spent, drawn, lent, returned }]) => [
          id,
          {
            ...{ status, spent: spent.tokens ?? 0, drawn: drawn.tokens ?? 0 },
            ...{ lent: lent.tokens ?? 0, returned: returned.tokens ?? 0 },
          },
        ]),
      ),
  }
}

export interface CheckedLog {
  readonly books: BudgetBooks
  readonly wrong: string[]
}

export const checkBudgetEntries = async (entries: Iterable<LogEntry>, product: AppliedBudgets): Promise<CheckedLog> => {
  const books = new BudgetBooks()
  const wrong: string[] = []
  for (const { index, term, data } of entries) {
    const decision = JSON.parse(DECODER.decode(data)) as LoggedDecision
    books.read(index, term, decision)
    await product.apply(data, { term, index })
    if (!decision.kind.startsWith('budgets.')) continue
    const found = books.overspent() ?? product.wrong() ?? books.differs(product.shown())
    if (found !== undefined) wrong.push(`at ${index}: ${found}`)
    if (wrong.length >= MOST_TOLD) break
  }
  return { books, wrong }
}

/**
 * The longest log is checked entry by entry; the others have to be the beginning of it.
 * @param folders of the journals of voters that do not run, and that kept all of their logs
 */
export const checkBudgetLogs = async (folders: readonly string[]): Promise<CheckedLog> => {
  const { longest, wrong: differing } = compareLogs(await Promise.all(folders.map(decidedIn)))
  const { books, wrong } = await checkBudgetEntries(longest, applyBudgets())
  return { books, wrong: [...wrong, ...differing] }
}

/** What stands in the file of one who spends; the last line may have been cut off, and then nothing was spent. */
export const readSpent = (file: string): SpentLine[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as SpentLine)

/** @returns where more was spent than was drawn for it, or less than its receipt says, or more of a root than there is */
export const wrongSpending = ({ costs, roots }: BudgetBooks, lines: Iterable<SpentLine>): string[] => {
  const wrong: string[] = []
  const [byDraw, byRoot] = [new Map<string, number>(), new Map<string, number>()]
  for (const { budget, draw, tokens } of lines) {
    const name = `${budget} ${draw}`
    byDraw.set(name, (byDraw.get(name) ?? 0) + tokens)
    const { root } = costs.get(name) ?? { root: '' }
    byRoot.set(root, (byRoot.get(root) ?? 0) + tokens)
  }
  for (const [name, tokens] of byDraw) {
    const cost = costs.get(name)
    if (cost === undefined) wrong.push(`${tokens} were spent of ${name}, which the log does not know`)
    else if (tokens > cost.most) wrong.push(`${tokens} were spent of ${name}, and ${cost.most} were drawn`)
  }
  for (const [name, { spent }] of costs)
    if (spent !== undefined && spent !== (byDraw.get(name) ?? 0))
      wrong.push(`the receipt of ${name} says ${spent}, and ${byDraw.get(name) ?? 0} were spent`)
  for (const [root, tokens] of byRoot)
    if (tokens > (roots.get(root) ?? 0)) wrong.push(`${tokens} of ${root} were spent, and it has ${roots.get(root)}`)
  return wrong
}
