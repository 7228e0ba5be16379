/** What a check of `parley doctor` found, and how checks are run within a time. */
import { isParleyError } from '../../../protocols/errors.ts'
import type { DoctorSubject } from './doctor-subject.ts'

/** `warn`: it works, but not as it should; `skipped`: it could not be looked at. Where there is nothing to look at it is `ok`. */
export type CheckVerdict = 'ok' | 'warn' | 'fail' | 'skipped'

export interface Finding {
  readonly name: string
  readonly verdict: CheckVerdict
  /** With the values that were seen; never a secret. */
  readonly seen: string
  /** What to do next; where the verdict is warn or fail. */
  readonly todo?: string
}

/** What is looked at. It changes nothing, and gives up when the signal says so. */
export interface DoctorCheck {
  readonly name: string
  run(subject: DoctorSubject, signal: AbortSignal): Promise<readonly Finding[]> | readonly Finding[]
}

export interface TimedFinding extends Finding {
  readonly tookMs: number
}

const MAX_SEEN = 600
const TICK_MS = 100

export const ok = (name: string, seen: string): Finding => ({ name, verdict: 'ok', seen })
export const skipped = (name: string, seen: string): Finding => ({ name, verdict: 'skipped', seen })
export const warn = (name: string, seen: string, todo: string): Finding => ({ name, verdict: 'warn', seen, todo })
export const fail = (name: string, seen: string, todo: string): Finding => ({ name, verdict: 'fail', seen, todo })

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** An error that a check did not foresee is a finding too. */
export const failOf = (name: string, error: unknown, todo = 'see the message'): Finding =>
  isParleyError(error) ? fail(name, error.message, error.hint ?? todo) : fail(name, messageOf(error), todo)

const bounded = (finding: Finding): Finding =>
  finding.seen.length > MAX_SEEN ? { ...finding, seen: `${finding.seen.slice(0, MAX_SEEN)}…` } : finding

/** Calls `fn` after `limitMs` in which this process could have worked: while it could not, nobody was slow but itself. */
const afterAwake = (limitMs: number, fn: () => void): (() => void) => {
  const tickMs = Math.max(1, Math.min(TICK_MS, limitMs))
  let awakeMs = 0
  let lookedAt = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    awakeMs += Math.min(now - lookedAt, 2 * tickMs)
    lookedAt = now
    if (awakeMs < limitMs) return
    clearInterval(timer)
    fn()
  }, tickMs)
  return () => clearInterval(timer)
}

/**
 * One check, and no longer than `limitMs`.
 * @returns what it found; that it took too long, as a warning
 */
export const runCheck = async (
  check: DoctorCheck,
  subject: DoctorSubject,
  limitMs: number,
): Promise<TimedFinding[]> => {
  const startedAt = performance.now()
  const end = new AbortController()
  const { promise: late, resolve } = Promise.withResolvers<readonly Finding[]>()
  const stop = afterAwake(limitMs, () => {
    end.abort(new Error('the check took too long'))
    const seen = `nothing was found within ${limitMs / 1000} s`
    resolve([warn(check.name, seen, 'the disk or the network is slow, or hangs; run it again, and look there')])
  })
  let found: readonly Finding[]
  try {
    found = await Promise.race([Promise.resolve(check.run(subject, end.signal)), late])
  } catch (error) {
    found = [failOf(check.name, error)]
  } finally {
    stop()
  }
  const tookMs = Math.round(performance.now() - startedAt)
  return found.map((finding) => ({ ...bounded(finding), tookMs }))
}
