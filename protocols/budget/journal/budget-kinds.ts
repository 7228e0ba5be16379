/** The journal command of budgets: what gathered in one turn of a node, each change answered by itself. Pure. */
import * as z from 'zod'
import { isParleyError, toFault } from '../../errors.ts'
import { JsonSchema } from '../../journal/state/built-in-kinds.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
  type Json,
} from '../../journal/state/command-kind.ts'
import { BUDGETS_PART } from '../budget-record.ts'
import { close, draw, lend, openBudget, receipt, takeLoan } from './apply-budgets.ts'
import {
  dismissHolder,
  expireBudget,
  forgetBudgets,
  registerHolder,
  renewHolder,
  withdrawHolder,
} from './apply-holders.ts'
import { type BudgetChange, BudgetChangeSchema, MAX_CHANGES } from './budget-changes.ts'
import { BudgetLedger } from './budget-ledger.ts'

/** Of holders, budgets, draws and shares; more than budgets and draws may take together. */
const MAX_BYTES = 16 * 1024 * 1024

const AnswerSchema = z.union([
  z.object({ ok: JsonSchema }),
  z.object({
    fault: z.object({
      code: z.string().max(16),
      message: z.string().max(1_024),
      hint: z.string().max(1_024).optional(),
      details: z.record(z.string(), JsonSchema).optional(),
    }),
  }),
])
export type BudgetChangeAnswer = z.output<typeof AnswerSchema>

const applyChange = (ledger: BudgetLedger, change: BudgetChange): unknown => {
  switch (change.do) {
    case 'register':
      return registerHolder(ledger, change)
    case 'renew':
      return renewHolder(ledger, change)
    case 'withdraw':
      return withdrawHolder(ledger, change)
    case 'open':
      return openBudget(ledger, change)
    case 'lend':
      return lend(ledger, change)
    case 'take':
      return takeLoan(ledger, change)
    case 'draw':
      return draw(ledger, change)
    case 'receipt':
      return receipt(ledger, change)
    case 'close':
      return close(ledger, change)
    case 'expire':
      return expireBudget(ledger, change)
    case 'dismiss':
      return dismissHolder(ledger, change)
    case 'forget':
      return forgetBudgets(ledger, change)
  }
}

const answerOf = (tx: JournalTx, change: BudgetChange, facts: EntryFacts): BudgetChangeAnswer => {
  const ledger = new BudgetLedger(tx, facts)
  try {
    return { ok: applyChange(ledger, change) as Json }
  } catch (error) {
    // Once something was written, all of the command has to fail with it.
    if (!isParleyError(error) || ledger.hasWritten) throw error
    return { fault: toFault(error) as Extract<BudgetChangeAnswer, { fault: unknown }>['fault'] }
  }
}

/** It stands in logs: it has to stay as it is. */
export const decideBudgets = defineJournalCommand({
  name: `${BUDGETS_PART}.decide`,
  level: 1,
  input: z.object({ changes: z.array(BudgetChangeSchema).min(1).max(MAX_CHANGES) }),
  output: z.array(AnswerSchema),
  apply: (tx, { changes }, facts) => changes.map((change) => answerOf(tx, change, facts)),
  refusals: (answers) => answers.flatMap((one) => ('fault' in one ? [one.fault.code] : [])),
})

export const budgetJournal = {
  level: 2,
  maxBytes: MAX_BYTES,
  kinds: [decideBudgets] as unknown as readonly AnyCommandKind[],
} as const
