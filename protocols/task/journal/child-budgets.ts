/**
 * What children of a task leave of its budget. The attempt that gave a part to a child puts back itself what that leaves; an
 * attempt that ends before the child says so, once, and what the child leaves is the task's from then on, whichever attempt is in
 * work. Of a child whose parent's attempt was lost without a word nothing comes back: that attempt may have spent it. Pure.
 */
import { type Amounts, isNothing, less, limitedBy, NO_AMOUNTS, sum } from '../../budget/amounts.ts'
import type { JournalTx } from '../../journal/state/command-kind.ts'
import { readTask, type TaskRecord, taskKey } from '../task-record.ts'
import { isFinal } from '../task-status.ts'

interface RecordLedger {
  readonly tx: Pick<JournalTx, 'get'>
  change(id: string, before: TaskRecord, changes: Partial<TaskRecord>): unknown
}

const leftOf = ({ budget }: TaskRecord): Amounts =>
  budget === undefined ? NO_AMOUNTS : less(budget.amounts, budget.used)

export interface LetGo {
  /** Of what the attempt has drawn, without what these children have. */
  readonly open: Amounts
  /** What those have left that have ended by now. */
  readonly left: Amounts
}

/**
 * An attempt lets go of its children: no more of them counts than what it drew.
 * @param open what it has drawn, and not given back
 */
export const letGoOf = (
  ledger: RecordLedger,
  { id, record, open }: { readonly id: string; readonly record: TaskRecord; readonly open: Amounts },
  children: readonly string[],
): LetGo & { readonly mark: () => void } => {
  const marked = new Map<string, TaskRecord>()
  let [rest, left] = [open, NO_AMOUNTS]
  for (const childId of children) {
    const child = readTask(ledger.tx.get(taskKey(childId)))
    const isIts = child?.parent === id && child.budget !== undefined && child.budget.returnsTo === undefined
    if (!isIts || childId === id || marked.has(childId)) continue
    const part = limitedBy(record.budget?.amounts ?? NO_AMOUNTS, child.budget?.amounts ?? NO_AMOUNTS)
    if (!isNothing(less(part, rest))) continue
    rest = less(rest, part)
    marked.set(childId, child)
    if (isFinal(child.status)) left = sum(left, limitedBy(part, leftOf(child)))
  }
  const mark = (): void => {
    for (const [childId, child] of marked)
      if (child.budget !== undefined)
        ledger.change(childId, child, { budget: { ...child.budget, returnsTo: record.submittedAt } })
  }
  return { open: rest, left, mark }
}

/** A task has ended: of one that was let go what it leaves comes back to its parent, which it was submitted for. */
export const leaveToParent = (ledger: RecordLedger, child: TaskRecord): void => {
  const { parent, budget } = child
  if (parent === undefined || budget?.returnsTo === undefined) return
  const record = readTask(ledger.tx.get(taskKey(parent)))
  if (record?.budget === undefined || isFinal(record.status) || record.submittedAt !== budget.returnsTo) return
  const left = limitedBy(record.budget.amounts, leftOf(child))
  if (isNothing(left)) return
  ledger.change(parent, record, { budget: { ...record.budget, used: less(record.budget.used, left) } })
}
