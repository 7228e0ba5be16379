/**
 * Plans as one change of the journal sees and changes them, and what each owner answers for. A change that is refused has written
 * nothing: it checks first. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import type { EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import { type PlanRecord, planKey, planUsageKey, readPlan } from '../plan-record.ts'

/** Of all owners, that are not over. */
export const MAX_PLANS = 4_096
export const MAX_PLAN_BYTES = 8 * 1024 * 1024
/** An owner may have three times of what is free, as shares of the journal are cut. */
const TIMES_FREE = 3
const EVERYBODY = 'all'
/** What a plan may become: an assignment for each task, and what else it keeps. */
const BYTES_OF_TASK = 320
const BYTES_OF_PLAN = 7_168

interface Usage {
  readonly plans: number
  readonly bytes: number
}
const NO_USAGE: Usage = { plans: 0, bytes: 0 }

export const sizeOfPlan = ({ goal, tasks }: Pick<PlanRecord, 'goal' | 'tasks'>): number =>
  goal.length + BYTES_OF_PLAN + tasks.reduce((sum, id) => sum + 2 * id.length + BYTES_OF_TASK, 0)

export class PlanLedger {
  readonly tx: JournalTx
  readonly facts: EntryFacts
  hasWritten = false

  constructor(tx: JournalTx, facts: EntryFacts) {
    this.tx = tx
    this.facts = facts
  }

  find(id: string): PlanRecord | undefined {
    return readPlan(this.tx.get(planKey(id)))
  }

  /** @throws STA001; STA003 `ended` for one that is over */
  open(id: string): PlanRecord {
    const found = this.find(id)
    if (found === undefined)
      throw new ParleyError('STA001', `there is no plan ${id}`, {
        hint: 'it was never made, or was over a while ago',
        details: { plan: id },
      })
    if (found.outcome === undefined) return found
    throw stateError('ended', `the plan ${id} is over: ${found.outcome}`, 'make another one', {
      plan: id,
      outcome: found.outcome,
    })
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.tx, this.facts, epoch, 'moves plans')
  }

  put(id: string, record: PlanRecord): void {
    this.hasWritten = true
    this.tx.put(planKey(id), record as unknown as Json)
  }

  /** @throws COM003 `plan-share` where its owner may have no more */
  add(id: string, record: PlanRecord): void {
    const all = this.#usage(EVERYBODY)
    const own = this.#usage(record.owner)
    const { size } = record
    const isFree = all.plans < MAX_PLANS && all.bytes + size <= MAX_PLAN_BYTES
    const isFair =
      own.plans + 1 <= TIMES_FREE * (MAX_PLANS - all.plans) &&
      own.bytes + size <= TIMES_FREE * (MAX_PLAN_BYTES - all.bytes)
    if (!isFree || !isFair)
      throw new ParleyError('COM003', `${record.owner} has ${own.plans} plans, of ${all.plans}`, {
        hint: 'wait until some of them are over, then try again',
        details: { reason: 'plan-share', retryAfterMs: 10_000 },
      })
    this.put(id, record)
    this.#count(record.owner, 1, size)
  }

  /** It is over: it is kept to be read, and its owner answers for it no more. */
  end(id: string, record: PlanRecord): void {
    this.#count(record.owner, -1, -record.size)
    this.put(id, { ...record, size: 0 })
  }

  /** One that is over. */
  forget(id: string): void {
    this.hasWritten = true
    this.tx.delete(planKey(id))
  }

  #usage(peer: string): Usage {
    return (this.tx.get(planUsageKey(peer)) as unknown as Usage | undefined) ?? NO_USAGE
  }

  #count(peer: string, plans: number, bytes: number): void {
    for (const whose of [peer, EVERYBODY]) {
      const now = this.#usage(whose)
      const next = { plans: now.plans + plans, bytes: now.bytes + bytes }
      if (next.plans > 0) this.tx.put(planUsageKey(whose), next)
      else this.tx.delete(planUsageKey(whose))
    }
  }
}
