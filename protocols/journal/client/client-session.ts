/**
 * A client's session with the journal: which serials are on their way, and who waits for one.
 *
 * The window of serials from the oldest that is not answered to the newest is what the members keep answers for
 * (session-table.ts), so it is never wider than MAX_OPEN, however long one command takes. A session is opened by the first one
 * that needs it, and goes on being opened for as long as anybody waits for it.
 * State: the session, its open serials, those who wait (all bounded).
 */
import { abortable, waitFor } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import { MAX_OPEN_COMMANDS } from '../state/session-table.ts'

/** Commands of one node that wait for a serial. */
export const MAX_WAITING_COMMANDS = 4_096

export interface OpenSession {
  /** The founded mesh whose journal knows it. */
  readonly mesh: string
  readonly session: number
}

export interface ClientSession extends OpenSession {
  nextSerial: number
  /** Serials that are not answered, ascending. */
  readonly openSerials: Set<number>
}

export interface ClientSessionWindow {
  /** Waits for a place in the window; `leave` gives it back. @throws COM003, or the signal's reason */
  acquire(signal: AbortSignal): Promise<void>
  release(): void
  /** The session in use, or one that is opened now. */
  current(signal: AbortSignal): Promise<ClientSession>
  /** The members do not know it any more. */
  markExpired(opened: ClientSession): void
  /** This node belongs to another mesh from now on. */
  reset(): void
  counts(): { waiting: number; open: number; sessions: number }
}

/** Up to this serial nobody here asks again. */
export const acknowledgedUpTo = ({ openSerials, nextSerial }: ClientSession): number => {
  const [oldest] = openSerials
  return (oldest ?? nextSerial) - 1
}

const overloaded = (): ParleyError =>
  new ParleyError('COM003', `${MAX_WAITING_COMMANDS} commands of this node wait for the coordinator`, {
    hint: 'wait for those before, then try again',
    details: { retryAfterMs: 1_000 },
  })

/** @param openSession another session; aborted when nobody waits for it any more */
export const createClientSessionWindow = (
  openSession: (signal: AbortSignal) => Promise<OpenSession>,
): ClientSessionWindow => {
  let current: ClientSession | undefined
  let opening: { readonly done: Promise<ClientSession>; readonly stop: AbortController; askers: number } | undefined
  let sessions = 0
  /** Places that were given. */
  let taken = 0
  const waiters = new Set<() => void>()

  /** Serials of this session that count, and places whose serial is to come. */
  const width = (): number => {
    if (current === undefined) return taken
    return current.nextSerial - 1 - acknowledgedUpTo(current) + taken - current.openSerials.size
  }
  const pump = (): void => {
    for (const go of waiters) {
      if (width() >= MAX_OPEN_COMMANDS) return
      waiters.delete(go)
      taken += 1
      go()
    }
  }

  const open = (): NonNullable<typeof opening> => {
    const stop = new AbortController()
    const done = openSession(stop.signal).then(({ mesh, session }): ClientSession => {
      const opened = { mesh, session, nextSerial: 1, openSerials: new Set<number>() }
      sessions += 1
      if (opening === mine) current = opened
      return opened
    })
    const mine = { done, stop, askers: 0 }
    const over = (): void => {
      if (opening === mine) opening = undefined
    }
    done.then(over, over)
    return mine
  }

  return {
    async acquire(signal) {
      if (signal.aborted) throw signal.reason
      if (waiters.size === 0 && width() < MAX_OPEN_COMMANDS) {
        taken += 1
        return
      }
      if (waiters.size >= MAX_WAITING_COMMANDS) throw overloaded()
      await waitFor(signal, (go) => {
        waiters.add(go)
        return () => waiters.delete(go)
      })
    },
    release() {
      taken -= 1
      pump()
    },
    async current(signal) {
      if (current !== undefined) return current
      opening ??= open()
      const mine = opening
      mine.askers += 1
      try {
        return await abortable(mine.done, signal)
      } finally {
        mine.askers -= 1
        if (mine.askers === 0) {
          mine.stop.abort(new Error('nobody waits for this session'))
          if (opening === mine) opening = undefined
        }
      }
    },
    markExpired(opened) {
      if (current === opened) current = undefined
    },
    reset() {
      current = undefined
    },
    counts: () => ({ waiting: waiters.size, open: taken, sessions }),
  }
}
