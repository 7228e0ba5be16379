/** The journal commands of plans: what gathered in one turn of a node, each change answered by itself. Pure. */
import * as z from 'zod'
import { answerChange, type ChangeAnswer, ChangeAnswerSchema, refusalsOf } from '../../journal/change-answers.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
} from '../../journal/state/command-kind.ts'
import { PLANS_PART } from '../plan-record.ts'
import { applyPlanChange } from './apply-plans.ts'
import { FirstPlanChangeSchema, MAX_CHANGES_AT_ONCE, type PlanChange, PlanChangeSchema } from './plan-changes.ts'
import { PLANS_LEVEL, PlanLedger } from './plan-ledger.ts'

/** Of plans and what owners have; more than plans may take together. */
const MAX_BYTES = 12 * 1024 * 1024

const answer = (tx: JournalTx, change: PlanChange, facts: EntryFacts): ChangeAnswer => {
  const ledger = new PlanLedger(tx, facts)
  return answerChange(ledger, () => applyPlanChange(ledger, change))
}

const changesOf = <C extends PlanChange>(schema: z.ZodType<C>) =>
  z.object({ changes: z.array(schema).min(1).max(MAX_CHANGES_AT_ONCE) })
/** Of both commands. */
const common = {
  output: z.array(ChangeAnswerSchema),
  apply: (tx: JournalTx, { changes }: { readonly changes: readonly PlanChange[] }, facts: EntryFacts) =>
    changes.map((change) => answer(tx, change, facts)),
  refusals: refusalsOf,
}

/** It stands in logs: it has to stay as it is. */
export const decidePlans = defineJournalCommand({
  ...common,
  name: `${PLANS_PART}.decide`,
  level: 1,
  input: changesOf<PlanChange>(FirstPlanChangeSchema),
})

/** With what level 3 brought: plans that have budgets. */
export const spendPlans = defineJournalCommand({
  ...common,
  name: `${PLANS_PART}.spend`,
  level: 3,
  input: changesOf(PlanChangeSchema),
})

export const planJournal = {
  level: PLANS_LEVEL,
  maxBytes: MAX_BYTES,
  kinds: [decidePlans, spendPlans] as unknown as readonly AnyCommandKind[],
} as const
