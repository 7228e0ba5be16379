/**
 * A question that is asked again and again, one at a time: sooner after something happened, less often where answers take
 * long, not at all while nobody looks.
 *
 * State: whether one is on its way, and when the next one is due. Guarantees: however often something happens, the next
 * question is neither put off by it nor asked before the pause that the last answer earned.
 */

/** After something that changes the picture, so that several that come together are one question. */
export const SOON_MS = 120
/** Pause between two questions, as a multiple of what the answer took. */
export const PAUSES = 10
/** Also a node that did not answer at all is asked again by then. */
export const MAX_PAUSE_MS = 20_000

/** What of the page it needs. */
export interface PollEnvironment {
  /** Milliseconds that never go back. */
  now(): number
  /** @returns stops it */
  after(ms: number, fn: () => void): () => void
  isHidden(): boolean
  /** Calls it when the page is seen again. @returns stops that */
  onSeen(fn: () => void): () => void
}

export interface Poll {
  /** Something happened: the next question need not wait for its period. */
  soon(): void
  stop(): void
}

/** Asks at once. */
export const createPoll = (
  { now, after, isHidden, onSeen }: PollEnvironment,
  periodMs: number,
  ask: () => Promise<void>,
): Poll => {
  let isAsking = false
  let isStopped = false
  let again = false
  let due = Number.POSITIVE_INFINITY
  let earliest = 0
  let cancel = (): void => {}

  /** The next question is asked then, unless it is earlier already. */
  const askAt = (at: number): void => {
    if (isStopped || at >= due) return
    cancel()
    due = at
    cancel = after(Math.max(0, at - now()), () => void run())
  }
  const run = async (): Promise<void> => {
    cancel()
    due = Number.POSITIVE_INFINITY
    if (isAsking) again = true
    if (isAsking || isStopped || isHidden()) return
    isAsking = true
    const startedAt = now()
    try {
      await ask()
    } finally {
      isAsking = false
      // A large mesh, or a busy node, is asked less often.
      const pauseMs = Math.max(periodMs, Math.min(MAX_PAUSE_MS, PAUSES * (now() - startedAt)))
      earliest = now() + Math.max(SOON_MS, pauseMs - periodMs)
      askAt(again ? earliest : now() + pauseMs)
      again = false
    }
  }
  const stopSeen = onSeen(() => void run())
  void run()
  return {
    soon() {
      if (isAsking) again = true
      else askAt(Math.max(now() + SOON_MS, earliest))
    },
    stop() {
      isStopped = true
      cancel()
      stopSeen()
    },
  }
}
