/**
 * How long one use of the journal may take: until its caller gives it up, its time is over, or this node stops.
 *
 * Controllers that are aborted by hand: signals that follow others (`AbortSignal.any`) cost as much as all the rest of a
 * command. State: the uses under way, bounded by those who wait for them.
 */
import { onAbort } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'

export interface JournalDeadline {
  readonly signal: AbortSignal
  /** The use is over. */
  stop(): void
}

const late = (within: string): ParleyError =>
  new ParleyError('COM001', `no coordinator answered within ${within}`, {
    hint: 'see `parley coordinator status`',
    details: { reason: 'no-leader' },
  })

/** A caller's own limit, made by `AbortSignal.timeout`, has a code of the mesh as well. */
const reasonOf = ({ reason }: AbortSignal): unknown =>
  reason instanceof DOMException && reason.name === 'TimeoutError' ? late('the time that was given') : reason

/** Aborted when `parent` is, until it is stopped. */
export const forwardAbort = (parent: AbortSignal, child: AbortController): Stop =>
  onAbort(parent, () => child.abort(reasonOf(parent)))

/** @param ended aborted when this node stops */
export const createJournalDeadlines = (timers: Port['timers'], ended: AbortSignal) => {
  const running = new Set<AbortController>()
  onAbort(ended, () => {
    for (const one of running) one.abort(ended.reason)
  })

  /** @param timeoutMs none unless told */
  return (caller: AbortSignal | undefined, timeoutMs?: number): JournalDeadline => {
    const use = new AbortController()
    if (ended.aborted) use.abort(ended.reason)
    running.add(use)
    const stopFollowing = caller && forwardAbort(caller, use)
    const stopClock =
      timeoutMs === undefined ? undefined : timers.after(timeoutMs, () => use.abort(late(`${timeoutMs} ms`)))
    return {
      signal: use.signal,
      stop() {
        stopClock?.()
        stopFollowing?.()
        running.delete(use)
      },
    }
  }
}
