/** Changes of budgets that this node wants decided: within a time, or again and again, a bounded number of times. Keeps no state. */
import { delay } from '../../async.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import type { ChangeBatcher, Decided } from '../../journal/client/change-batcher.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import { isRefusedFor } from '../../journal/state/journal-machine.ts'
import type { Port } from '../../port.ts'
import type { LeaseDeps } from '../../resource/client/node-lease.ts'
import type { BudgetWaitOptions } from '../api.ts'
import type { BudgetChange } from '../journal/budget-changes.ts'
import { decideBudgets } from '../journal/budget-kinds.ts'

const DECIDE_MS = 10_000
/** Milliseconds before each further try: a minute together. */
const AGAIN_MS = [200, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000]
/** Milliseconds that a mesh may take until all of its voters are known to have budgets, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200
/** Refusals after which it is asked again. */
const PASSING = ['COM001', 'COM002', 'COM003', 'STA003'] as const

export interface DecisionDeps {
  readonly port: Pick<Port, 'timers'>
  readonly batcher: Pick<ChangeBatcher<BudgetChange>, 'decide'>
}

/** Whether it was decided is not known. @param signal of who waited: where that is aborted, nobody heard an answer */
export const isUncertain = (error: unknown, signal: AbortSignal | undefined): boolean =>
  signal?.aborted === true ||
  !isParleyError(error) ||
  isParleyError(error, 'COM001', 'COM002') ||
  error.details.reason === 'unknown'

/** @throws COM001 where it is not decided in time, whatever becomes of it */
export const decideInTime = async (
  { port, batcher }: DecisionDeps,
  change: BudgetChange,
  { signal, timeoutMs = DECIDE_MS }: BudgetWaitOptions = {},
): Promise<Decided> => {
  const limit = new AbortController()
  const late = (): void =>
    limit.abort(
      new ParleyError('COM001', `nothing was decided about a budget within ${timeoutMs} ms`, {
        hint: 'is there a node with a data directory that coordinates?',
        details: { reason: 'unknown' },
      }),
    )
  const stop = port.timers.after(timeoutMs, late)
  try {
    const all = AbortSignal.any([limit.signal, ...(signal === undefined ? [] : [signal])])
    return await batcher.decide(change, { signal: all })
  } finally {
    stop()
  }
}

/** For what may be decided twice. @param isOver nobody wants it any more @throws what the last try was refused for */
export const decideAgain = async (
  { port, batcher }: DecisionDeps,
  change: BudgetChange,
  isOver: () => boolean,
): Promise<Decided> => {
  for (let tries = 0; ; tries += 1) {
    try {
      return await batcher.decide(change)
    } catch (error) {
      const againMs = AGAIN_MS[tries]
      if (isOver() || againMs === undefined || !isParleyError(error, ...PASSING)) throw error
      await delay(port.timers, againMs)
      if (isOver()) throw error
    }
  }
}

/** A mesh that has just begun does not take budgets until all voters are known to have them. */
export const submitChanges = async (
  { port, journal }: { readonly port: Pick<Port, 'clock' | 'timers'>; readonly journal: Pick<Journal, 'submit'> },
  changes: BudgetChange[],
) => {
  for (const begun = port.clock.monotonic(); ; ) {
    try {
      return await journal.submit(decideBudgets, { changes }, { isChecked: true })
    } catch (error) {
      if (!isRefusedFor(error, 'level') || port.clock.monotonic() - begun >= LEVEL_MS) throw error
      await delay(port.timers, LEVEL_AGAIN_MS)
    }
  }
}

/** A node's lease is kept as that of resources is; it has nothing to give. */
export const leaseChanges = (batcher: DecisionDeps['batcher']): LeaseDeps['batcher'] => ({
  decide(change, options) {
    if (change.do === 'register') return batcher.decide({ do: 'register', incarnation: change.incarnation }, options)
    if (change.do === 'renew' || change.do === 'withdraw') return batcher.decide(change, options)
    throw new Error(`a lease does not ask for ${change.do}`)
  },
})
