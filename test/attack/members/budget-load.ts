/** Honest use of budgets in a member of a mesh under attack: it draws, spends and settles, again and again. State: what it saw. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Amounts, Mesh } from '../../../node/index.ts'
import type { Had } from './verbs.ts'

const MOST_WORDS = 20
const DRAW = 10
const SPEND = 4
const AMOUNT = 1_000_000

export interface BudgetLoad {
  stop(): Promise<Had>
}

/** @param lentTo has a loan that nobody takes, so that there is one to be attacked */
export const spendBudget = (mesh: Mesh, { everyMs, lentTo }: { everyMs: number; lentTo: string }): BudgetLoad => {
  const wrong: string[] = []
  let [had, slowestMs, isOver] = [0, 0, false]
  const complain = (what: string): void => {
    if (wrong.length < MOST_WORDS) wrong.push(what)
  }
  const isAll = (found: Amounts, tokens: number): boolean => found.tokens === tokens
  const run = async (): Promise<void> => {
    const root = await mesh.budgets.open({ id: 'honest', amounts: { tokens: AMOUNT } })
    const lent = await root.lend(lentTo, { tokens: DRAW }, { id: 'honest-loan' })
    const open = await root.draw({ tokens: DRAW })
    while (!isOver) {
      const begunMs = performance.now()
      const draw = await root.draw({ tokens: DRAW })
      draw.slice.spend({ tokens: SPEND })
      await draw.settle()
      slowestMs = Math.max(slowestMs, performance.now() - begunMs)
      had += 1
      await delay(everyMs)
    }
    const { drawn, spent } = await mesh.budgets.tree(root.id)
    if (!isAll(drawn, DRAW)) complain(`${DRAW} are drawn, and the journal has ${drawn.tokens}`)
    if (!isAll(spent, had * SPEND)) complain(`${had * SPEND} were spent, and the journal has ${spent.tokens}`)
    if (root.signal.aborted) complain(`it lost its budget: ${root.signal.reason}`)
    await lent.close()
    await open.settle()
    const { free } = await root.close()
    if (!isAll(free, 0)) complain(`${free.tokens} are free of a budget that is closed`)
  }
  const running = run().catch((error: unknown) => complain(`its budget failed: ${error}`))
  return {
    async stop() {
      isOver = true
      await running
      return { had, wrong, slowestMs }
    },
  }
}
