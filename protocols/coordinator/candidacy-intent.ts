/**
 * Whether this node wants a seat: giving it up for good, which a stop does not, and offering it again.
 *
 * What was given up is kept before it is asked for, so that a node which dies meanwhile goes on with it when it starts, and
 * one that has done it offers no seat after a restart. Where it fails, because the others cannot do without this node or
 * the time runs out, the node keeps its seat, and says so with its next offer.
 * State: what is wanted, with the last save of it.
 */

import { isParleyError, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { StateReason } from '../state-reasons.ts'

const GIVE_UP_AGAIN_MS = 100

/** Where it is remembered that a seat was given up. */
export interface WithdrawalStore {
  /** As it was kept. */
  readonly isWithdrawn: boolean
  /** Resolves once it is durable. */
  save(isGivenUp: boolean): Promise<void>
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
  /** Given up, or being given up. */
  isWithdrawn(): boolean
  /** Resolves once this node has no seat. @throws STA003 with `details.reason` `alone` or `taken-back`; the signal's reason */
  withdraw(signal: AbortSignal): Promise<void>
  /** It offers its seat again. @throws where that cannot be kept */
  volunteer(): Promise<void>
}

const refuse = (reason: StateReason, message: string, hint: string): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason } })

export const createCandidacyIntent = (deps: CandidacyIntentDeps): CandidacyIntent => {
  const { timers, log, withdrawal } = deps
  let isGivenUp = withdrawal?.isWithdrawn ?? false
  let saving: Promise<void> = Promise.resolve()

  /** One after the other, so that the last one counts. */
  const keep = (value: boolean): Promise<void> => {
    if (withdrawal === undefined) return Promise.resolve()
    const done = saving.then(() => withdrawal.save(value))
    saving = done.catch(() => {})
    return done
  }

  const check = (signal: AbortSignal): void => {
    signal.throwIfAborted()
    if (!isGivenUp) throw refuse('taken-back', 'the seat is not given up any more', 'it was taken back meanwhile')
    if (deps.isOnlyVoter())
      throw refuse('alone', 'no other node votes: nobody could decide', 'wait until others have joined and caught up')
  }
  const go = async (signal: AbortSignal): Promise<void> => {
    while (deps.isMember()) {
      check(signal)
      await deps.transferLeadership(signal)
      await deps.sendOffer().catch((error: unknown) => {
        if (!isParleyError(error)) throw error
      })
      await new Promise<void>((resolve) => void timers.after(GIVE_UP_AGAIN_MS, resolve))
    }
  }

  return {
    isWithdrawn: () => isGivenUp,
    async withdraw(signal) {
      const was = isGivenUp
      isGivenUp = true
      try {
        if (deps.isMember()) check(signal)
        if (!was) await keep(true)
        await go(signal)
      } catch (error) {
        // Another one that goes on with it notices. What an earlier life gave up stays so.
        if (!was && isGivenUp) {
          isGivenUp = false
          await keep(false).catch((cause: unknown) =>
            log.error('a seat that was not given up would be after a restart', { error: cause }),
          )
        }
        throw error
      }
    },
    async volunteer() {
      await keep(false)
      isGivenUp = false
    },
  }
}
