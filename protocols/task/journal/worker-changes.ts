/** Workers say what they take, for as long as they renew their lease. Pure. */
import { ParleyError } from '../../errors.ts'
import type { WorkerRecord } from '../task-record.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

const gone = (peer: string, registration: number): ParleyError =>
  new ParleyError('STA002', `the registration ${registration} of ${peer} is over`, {
    hint: 'end all work of it, and register again: its tasks are given to others',
    details: { registration },
  })

/** Of the same process it stays the same one; one that was started again has lost what it had in work. */
export const registerWorker = (
  ledger: TaskLedger,
  { offers, incarnation, draining = false }: ChangeOf<'register'>,
): { readonly registration: number } => {
  const { by, at, fence } = ledger.facts
  const before = ledger.worker(by)
  if (before !== undefined && before.incarnation > incarnation) throw gone(by, incarnation)
  const registration = before?.incarnation === incarnation ? before.registration : fence.index
  const record: WorkerRecord = { offers, registration, incarnation, renewedAt: at, ...(draining && { draining }) }
  ledger.putWorker(by, record)
  return { registration }
}

/** @throws STA002 where it is over */
const own = (ledger: TaskLedger, registration: number): WorkerRecord => {
  const { by } = ledger.facts
  const record = ledger.worker(by)
  if (record?.registration !== registration) throw gone(by, registration)
  return record
}

export const renewWorker = (ledger: TaskLedger, { registration }: ChangeOf<'renew'>): null => {
  ledger.putWorker(ledger.facts.by, { ...own(ledger, registration), renewedAt: ledger.facts.at })
  return null
}

export const withdrawWorker = (ledger: TaskLedger, { registration }: ChangeOf<'withdraw'>): null => {
  own(ledger, registration)
  ledger.deleteWorker(ledger.facts.by)
  return null
}
