/**
 * Asking again until there is an answer: of the coordinator, whoever that is by then, or of any member.
 *
 * What it is asked for must be safe to ask for again: a read, or a command with a serial (session-table.ts). Ends with the
 * answer, with a refusal that would come again, or with the signal. State: none beyond the call.
 */
import { pause } from '../../async.ts'
import type { LeaderTracker } from '../../coordinator/leader-tracker.ts'
import { type Code, isParleyError, ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { forwardAbort } from './journal-deadlines.ts'

const BACKOFF_MS = 20
const MAX_BACKOFF_MS = 500
/** Milliseconds before a read is begun anew that was not answered within the time of one use of the journal. */
const READ_AGAIN_MS = 1_000

/** Reasons of STA003 that are over in a while, or elsewhere. */
const PASSING = new Set([
  'not-leader',
  'superseded',
  'unknown',
  'no-leader',
  'not-founded',
  'no-member',
  'closed',
  'broken',
  'disk-full',
])

/** It was not decided, or nobody can say; it is safe to ask again with the same serial. */
const isPassing = (error: unknown): error is ParleyError => {
  if (!isParleyError(error)) return false
  const reason = String(error.details.reason)
  if (error.code === 'STA003') return PASSING.has(reason)
  // Whoever was asked does not serve it, yet; one that knows no such command leads all voters.
  if (error.code === 'MSG004') return reason !== 'unknown-command'
  return ['COM001', 'COM002', 'COM003', 'COM004'].includes(error.code)
}

/**
 * For who waits longer than one use of the journal may take: a time without a coordinator does not end the wait.
 * @param signal ends it; the read ends with it as well
 * @throws what the read throws where it would again, where the signal is aborted, and where this node stops
 */
export const untilRead = async <T>(
  timers: Pick<Port['timers'], 'after'>,
  signal: AbortSignal | undefined,
  read: () => Promise<T>,
): Promise<T> => {
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if (signal?.aborted === true || !isPassing(error) || error.details.reason === 'stopped') throw error
    }
    await pause(timers, READ_AGAIN_MS, signal)
  }
}

const NOT_TAKEN = new Set(['not-leader', 'superseded', 'no-member', 'disk-full', 'other-mesh', 'level'])
const NOT_TAKEN_CODES: readonly Code[] = ['COM003', 'COM004', 'MSG004', 'MSG001', 'SEC002']

/** Whoever was asked says that it did not take it: this try has no effect. */
export const hadNoEffect = (error: unknown): boolean =>
  isParleyError(error) &&
  (error.details.sent === false ||
    NOT_TAKEN_CODES.includes(error.code) ||
    (error.code === 'STA003' && NOT_TAKEN.has(String(error.details.reason))))

/** What a caller is told in place of a timeout: it says what is waited for. */
const ONLY_TIME = new Set(['disk-full', 'not-founded'])

/** What the signal was aborted with, and what went wrong before; the coordinator's own word, where only time helps. */
const ended = (signal: AbortSignal, last: unknown): unknown => {
  const reason: unknown = signal.reason
  if (!isParleyError(reason) || last === undefined) return reason
  if (isParleyError(last, 'STA003') && ONLY_TIME.has(String(last.details.reason))) return last
  const { code, message, hint, details } = reason
  return new ParleyError(code, message, { ...(hint !== undefined && { hint }), details, cause: last })
}

export interface LeaderRetryDeps {
  readonly port: Pick<Port, 'timers' | 'random'>
  readonly leaderTracker: Pick<LeaderTracker, 'find' | 'onChange' | 'onReport' | 'markDoubtful'>
}

export const createLeaderRetry = ({ port, leaderTracker }: LeaderRetryDeps) => {
  let retried = 0

  const jitter = (): number => (port.random(1)[0] ?? 0) / 255

  /** @param attempt `tries`: how many there were before */
  const untilAnswered = async <T>(
    signal: AbortSignal,
    attempt: (signal: AbortSignal, tries: number) => Promise<T>,
  ): Promise<T> => {
    let backoff = BACKOFF_MS
    let last: unknown
    for (let tries = 0; ; tries += 1) {
      if (signal.aborted) throw ended(signal, last)
      try {
        return await attempt(signal, tries)
      } catch (error) {
        if (signal.aborted) throw ended(signal, last)
        if (!isPassing(error)) throw error
        last = error
        retried += 1
      }
      await pause(port.timers, backoff * (0.5 + jitter()), signal)
      backoff = Math.min(MAX_BACKOFF_MS, backoff * 2)
    }
  }

  /** One try with the coordinator that is believed in, given up once there is another one. */
  const withLeader = async <T>(
    signal: AbortSignal,
    attempt: (peer: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const leader = await leaderTracker.find(signal)
    const one = new AbortController()
    let replaced: ParleyError | undefined
    const stopFollowing = forwardAbort(signal, one)
    const stopHearing = leaderTracker.onChange(() => {
      replaced ??= new ParleyError('COM002', 'another node coordinates now', { hint: 'ask it' })
      one.abort(replaced)
    })
    try {
      return await attempt(leader.peer, one.signal)
    } catch (error) {
      if (signal.aborted) throw error
      if (isParleyError(error) && typeof error.details.leader === 'string' && typeof error.details.epoch === 'number')
        leaderTracker.onReport({ epoch: error.details.epoch, leader: error.details.leader }, leader.peer)
      if (isPassing(error) && !isParleyError(error, 'COM003')) leaderTracker.markDoubtful(leader)
      // An answer that came while another one took over may be anything.
      throw replaced !== undefined && !isParleyError(error) ? replaced : error
    } finally {
      stopHearing()
      stopFollowing()
    }
  }

  return { untilAnswered, withLeader, retried: () => retried }
}
