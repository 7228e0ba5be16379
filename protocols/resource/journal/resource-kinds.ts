/** The journal command of resources: what gathered in one turn of a node, each change answered by itself. Pure. */
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
import { RESOURCES_PART } from '../resource-record.ts'
import {
  allocate,
  deny,
  dismissNode,
  expire,
  forget,
  grant,
  registerNode,
  release,
  renewNode,
  withdrawNode,
} from './apply-resources.ts'
import { MAX_CHANGES_AT_ONCE, type ResourceChange, ResourceChangeSchema } from './resource-changes.ts'
import { ResourceLedger } from './resource-ledger.ts'

/** Of nodes, allocations and what holders have; a third more than allocations may take together. */
const MAX_BYTES = 16 * 1024 * 1024

const FaultSchema = z.object({
  code: z.string().max(16),
  message: z.string().max(1_024),
  hint: z.string().max(1_024).optional(),
  details: z.record(z.string(), JsonSchema).optional(),
})
const AnswerSchema = z.union([z.object({ ok: JsonSchema }), z.object({ fault: FaultSchema })])
export type ResourceChangeAnswer = z.output<typeof AnswerSchema>

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
  }
}

const answer = (tx: JournalTx, change: ResourceChange, facts: EntryFacts): ResourceChangeAnswer => {
  const ledger = new ResourceLedger(tx, facts)
  try {
    return { ok: (apply(ledger, change) ?? null) as Json }
  } catch (error) {
    // Once something was written, all of the command has to fail with it.
    if (!isParleyError(error) || ledger.hasWritten) throw error
    return { fault: toFault(error) as Extract<ResourceChangeAnswer, { fault: unknown }>['fault'] }
  }
}

export const decideResources = defineJournalCommand({
  name: `${RESOURCES_PART}.decide`,
  level: 1,
  input: z.object({ changes: z.array(ResourceChangeSchema).min(1).max(MAX_CHANGES_AT_ONCE) }),
  output: z.array(AnswerSchema),
  apply: (tx, { changes }, facts) => changes.map((change) => answer(tx, change, facts)),
  refusals: (answers) => answers.flatMap((one) => ('fault' in one ? [one.fault.code] : [])),
})

export const resourceJournal = {
  level: 1,
  maxBytes: MAX_BYTES,
  kinds: [decideResources] as unknown as readonly AnyCommandKind[],
} as const
