/**
 * Client sessions inside the state machine, so that a command that is asked for again is applied once (Ongaro's
 * dissertation, section 6.3). A session is named by the index of the entry that opened it, so that nobody can open an old
 * one again.
 *
 * State: for each session the answers that its client may still ask for, and which serials are behind it. Both bounded;
 * the session that was used least lately goes first, by the order of the log, so on every member the same one.
 */
import type { Json } from './command.ts'

export const MAX_SESSIONS = 10_000
/** Commands of one session that are on their way at once. */
export const MAX_OPEN = 256

/** What is told again to who asks again. */
export type Answer =
  | { readonly ok: true; readonly version: number; readonly term: number; readonly result: Json }
  | { readonly ok: false; readonly version: number; readonly term: number; readonly fault: Json }

export interface Session {
  readonly id: number
  /** Peer id of who opened it. */
  readonly owner: string
  /** The client does not ask for these any more. */
  acked: number
  readonly answers: Map<number, Answer>
}

export type Standing =
  | { readonly type: 'new'; readonly session: Session }
  | { readonly type: 'known'; readonly answer: Answer }
  | { readonly type: 'gone' | 'old' | 'too-many' }

export interface Sessions {
  open(id: number, owner: string): void
  /** What is to be done with this serial. Notes what is acknowledged. */
  standing(id: number, owner: string, serial: number, acked: number): Standing
  all(): readonly SavedSession[]
  restore(sessions: readonly SavedSession[]): void
  count(): number
}

export interface SavedSession {
  readonly id: number
  readonly owner: string
  readonly acked: number
  readonly answers: readonly (readonly [number, Answer])[]
}

export const createSessions = (max: number = MAX_SESSIONS): Sessions => {
  /** The one that was used last stands last. */
  let sessions = new Map<number, Session>()

  return {
    open(id, owner) {
      sessions.set(id, { id, owner, acked: 0, answers: new Map() })
      if (sessions.size <= max) return
      const [oldest] = sessions.keys()
      if (oldest !== undefined) sessions.delete(oldest)
    },
    standing(id, owner, serial, acked) {
      const session = sessions.get(id)
      if (session === undefined || session.owner !== owner) return { type: 'gone' }
      sessions.delete(id)
      sessions.set(id, session)
      if (acked > session.acked) {
        session.acked = acked
        for (const known of session.answers.keys()) if (known <= acked) session.answers.delete(known)
      }
      const answer = session.answers.get(serial)
      if (answer !== undefined) return { type: 'known', answer }
      if (serial <= session.acked) return { type: 'old' }
      if (session.answers.size >= MAX_OPEN) return { type: 'too-many' }
      return { type: 'new', session }
    },
    all: () =>
      [...sessions.values()].map(({ id, owner, acked, answers }) => ({ id, owner, acked, answers: [...answers] })),
    restore(saved) {
      sessions = new Map(
        saved.map(({ id, owner, acked, answers }) => [id, { id, owner, acked, answers: new Map(answers) }]),
      )
    },
    count: () => sessions.size,
  }
}
