/** The journal commands of resources: what gathered in one turn of a node, each change answered by itself. Pure. */
import * as z from 'zod'
import { answerChange, type ChangeAnswer, ChangeAnswerSchema, refusalsOf } from '../../journal/change-answers.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
} from '../../journal/state/command-kind.ts'
import { RESOURCES_PART } from '../resource-record.ts'
import {
  allocate,
  assign,
  deny,
  dismissNode,
  expire,
  forget,
  grant,
  registerNode,
  release,
  renewNode,
  unassign,
  withdrawNode,
} from './apply-resources.ts'
import { AssignmentSchema, FirstChangeSchema, MAX_CHANGES_AT_ONCE, type ResourceChange } from './resource-changes.ts'
import { ResourceLedger } from './resource-ledger.ts'

/** Of nodes, allocations and what holders have; a third more than allocations may take together. */
const MAX_BYTES = 16 * 1024 * 1024

const apply = (ledger: ResourceLedger, change: ResourceChange): unknown => {
  switch (change.do) {
    case 'register':
      return registerNode(ledger, change)
    case 'renew':
      return renewNode(ledger, change)
    case 'withdraw':
      return withdrawNode(ledger, change)
    case 'allocate':
      return allocate(ledger, change)
    case 'release':
      return release(ledger, change)
    case 'grant':
      return grant(ledger, change)
    case 'deny':
      return deny(ledger, change)
    case 'expire':
      return expire(ledger, change)
    case 'dismiss':
      return dismissNode(ledger, change)
    case 'forget':
      return forget(ledger, change)
    case 'assign':
      return assign(ledger, change)
    case 'unassign':
      return unassign(ledger, change)
  }
}

const answer = (tx: JournalTx, change: ResourceChange, facts: EntryFacts): ChangeAnswer => {
  const ledger = new ResourceLedger(tx, facts)
  return answerChange(ledger, () => apply(ledger, change))
}

/** As of any of them: which ones a command takes its schema says. */
const changesOf = (schema: z.ZodType<ResourceChange>) =>
  z.object({ changes: z.array(schema).min(1).max(MAX_CHANGES_AT_ONCE) })
/** Of both commands. */
const common = {
  output: z.array(ChangeAnswerSchema),
  apply: (tx: JournalTx, { changes }: { readonly changes: readonly ResourceChange[] }, facts: EntryFacts) =>
    changes.map((change) => answer(tx, change, facts)),
  refusals: refusalsOf,
}

/** It stands in logs: it has to stay as it is. */
export const decideResources = defineJournalCommand({
  ...common,
  name: `${RESOURCES_PART}.decide`,
  level: 1,
  input: changesOf(FirstChangeSchema),
})

/** What tasks are given, with which they are placed. */
export const assignResources = defineJournalCommand({
  ...common,
  name: `${RESOURCES_PART}.assign`,
  level: 2,
  input: changesOf(AssignmentSchema),
})

export const resourceJournal = {
  level: 2,
  maxBytes: MAX_BYTES,
  kinds: [decideResources, assignResources] as unknown as readonly AnyCommandKind[],
} as const
