/**
 * Whether this node wants to be a member of the coordinator group: withdrawing for good, which a stop does not do, and
 * volunteering again.
 *
 * A withdrawal is on disk before it is asked for. A node that dies meanwhile goes on with it when it starts, and one that
 * has withdrawn does not volunteer after a restart. Where it fails, because the others cannot do without this node or the
 * time runs out, the node stays a member, and says so with its next offer.
 * State: what is wanted, and the last save of it.
 */

import { delay } from '../async.ts'
import { isParleyError, stateError } from '../errors.ts'
import type { Port } from '../port.ts'

const WITHDRAW_AGAIN_MS = 100

/** Where a withdrawal is remembered. */
export interface WithdrawalStore {
  /** As it was saved last. */
  readonly isWithdrawn: boolean
  /** Resolves once it is durable. */
  save(isWithdrawn: boolean): Promise<void>
}

export interface CandidacyIntentDeps {
  readonly timers: Port['timers']
  readonly log: Port['log']
  /** Without it a restart forgets. */
  readonly withdrawal: WithdrawalStore | undefined
  isMember(): boolean
  /** The only voter, without whom nobody could decide. */
  isOnlyVoter(): boolean
  /** Where this node coordinates, another one does once it resolves. */
  transferLeadership(signal: AbortSignal): Promise<void>
  /** Tells the coordinator what is wanted. */
  sendOffer(): Promise<unknown>
}

export interface CandidacyIntent {
  /** Withdrawn, or on the way to it. */
  isWithdrawn(): boolean
  /** Resolves once this node is no member. @throws STA003 with `details.reason` `alone` or `taken-back`; the signal's reason */
  withdraw(signal: AbortSignal): Promise<void>
  /** It wants to be a member again. @throws where that cannot be saved */
  volunteer(): Promise<void>
}

export const createCandidacyIntent = (deps: CandidacyIntentDeps): CandidacyIntent => {
  const { timers, log, withdrawal } = deps
  let isWithdrawn = withdrawal?.isWithdrawn ?? false
  let saving: Promise<void> = Promise.resolve()

  /** One after the other, so that the last one counts. */
  const save = (value: boolean): Promise<void> => {
    if (withdrawal === undefined) return Promise.resolve()
    const done = saving.then(() => withdrawal.save(value))
    saving = done.catch(() => {})
    return done
  }

  const check = (signal: AbortSignal): void => {
    signal.throwIfAborted()
    if (!isWithdrawn) throw stateError('taken-back', 'the seat is not given up any more', 'it was taken back meanwhile')
    if (deps.isOnlyVoter())
      throw stateError(
        'alone',
        'no other node votes: nobody could decide',
        'wait until others have joined and caught up',
      )
  }
  const leave = async (signal: AbortSignal): Promise<void> => {
    while (deps.isMember()) {
      check(signal)
      await deps.transferLeadership(signal)
      await deps.sendOffer().catch((error: unknown) => {
        if (!isParleyError(error)) throw error
      })
      await delay(timers, WITHDRAW_AGAIN_MS)
    }
  }

  return {
    isWithdrawn: () => isWithdrawn,
    async withdraw(signal) {
      const was = isWithdrawn
      isWithdrawn = true
      try {
        if (deps.isMember()) check(signal)
        if (!was) await save(true)
        await leave(signal)
      } catch (error) {
        // Another call that goes on with it notices. What was withdrawn before this start stays so.
        if (!was && isWithdrawn) {
          isWithdrawn = false
          await save(false).catch((cause: unknown) =>
            log.error('a seat that was not given up would be after a restart', { error: cause }),
          )
        }
        throw error
      }
    },
    async volunteer() {
      await save(false)
      isWithdrawn = false
    },
  }
}
