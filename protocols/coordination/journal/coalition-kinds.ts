/** The journal command of coalitions: what gathered in one turn of a node, each change answered by itself. Pure. */
import * as z from 'zod'
import { answerChange, type ChangeAnswer, ChangeAnswerSchema, refusalsOf } from '../../journal/change-answers.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
} from '../../journal/state/command-kind.ts'
import { COALITIONS_PART } from '../coalition/coalition-record.ts'
import { applyCoalitionChange } from './apply-coalitions.ts'
import { type CoalitionChange, CoalitionChangeSchema } from './coalition-changes.ts'
import { CoalitionLedger } from './coalition-ledger.ts'
import { MAX_CHANGES_AT_ONCE } from './plan-changes.ts'

/** Of coalitions and what owners have; more than coalitions may take together. */
const MAX_BYTES = 4 * 1024 * 1024

const answer = (tx: JournalTx, change: CoalitionChange, facts: EntryFacts): ChangeAnswer => {
  const ledger = new CoalitionLedger(tx, facts)
  return answerChange(ledger, () => applyCoalitionChange(ledger, change))
}

/** It stands in logs: it has to stay as it is. */
export const decideCoalitions = defineJournalCommand({
  name: `${COALITIONS_PART}.decide`,
  level: 1,
  input: z.object({ changes: z.array(CoalitionChangeSchema).min(1).max(MAX_CHANGES_AT_ONCE) }),
  output: z.array(ChangeAnswerSchema),
  apply: (tx: JournalTx, { changes }: { readonly changes: readonly CoalitionChange[] }, facts: EntryFacts) =>
    changes.map((change) => answer(tx, change, facts)),
  refusals: refusalsOf,
})

export const coalitionJournal = {
  level: 1,
  maxBytes: MAX_BYTES,
  kinds: [decideCoalitions] as unknown as readonly AnyCommandKind[],
} as const
