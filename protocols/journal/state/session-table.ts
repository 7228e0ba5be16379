/**
 * Client sessions inside the state machine, so that a command that is asked for again is applied once (Ongaro's
 * dissertation, section 6.3). A session is named by the index of the entry that opened it, so that nobody can open an old
 * one again.
 *
 * State: for each session the answers that its client may still ask for, and which serials are behind it. Sessions,
 * answers and the room that these take are bounded; the session that was used least lately goes first, by the order of the
 * log, so on every member the same one.
 */
import type { Json } from './command-kind.ts'

export const MAX_SESSIONS = 10_000
/** Of one peer, from feature level 2 on: a process uses one, and each of its lives another. */
export const MAX_SESSIONS_EACH = 64
/** Commands of one session that are on their way at once. */
export const MAX_OPEN_COMMANDS = 256
/** Of all answers that are kept, as text. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** What is told again to who asks again. */
export type CommandAnswer =
  | { readonly ok: true; readonly version: number; readonly term: number; readonly result: Json }
  | { readonly ok: false; readonly version: number; readonly term: number; readonly fault: Json }

export interface CommandSession {
  readonly id: number
  /** Peer id of who opened it. */
  readonly owner: string
  /** The client does not ask for these any more. */
  acked: number
  readonly answers: Map<number, Kept>
  /** Length of all answers as text. */
  size: number
}

interface Kept {
  readonly answer: CommandAnswer
  /** Its length as text. */
  readonly size: number
}

export type SerialStatus =
  | { readonly type: 'new'; readonly session: CommandSession }
  | { readonly type: 'known'; readonly answer: CommandAnswer }
  | { readonly type: 'gone' | 'old' | 'too-many' }

export interface SessionTable {
  /** @param isShared one peer's sessions make room for each other first */
  open(id: number, owner: string, isShared?: boolean): void
  /** What is to be done with this serial. Notes what is acknowledged. */
  check(id: number, owner: string, serial: number, acked: number): SerialStatus
  /** What a new serial was answered with; it must not be changed any more. */
  keep(session: CommandSession, serial: number, answer: CommandAnswer, isShared?: boolean): void
  all(): readonly SavedSession[]
  /** One session may come in several parts, with some of its answers each. */
  restore(sessions: readonly SavedSession[]): void
  count(): number
}

export interface SavedSession {
  readonly id: number
  readonly owner: string
  readonly acked: number
  readonly answers: readonly (readonly [number, CommandAnswer])[]
}

/** Of an answer as text. */
export const answerSize = (answer: CommandAnswer): number => JSON.stringify(answer).length

export const createSessionTable = (max: number = MAX_SESSIONS, maxBytes: number = MAX_ANSWER_BYTES): SessionTable => {
  /** The one that was used last stands last. */
  let sessions = new Map<number, CommandSession>()
  let bytes = 0

  const created = (id: number, owner: string, acked: number): CommandSession => {
    const session = { id, owner, acked, answers: new Map(), size: 0 }
    sessions.set(id, session)
    return session
  }
  const grow = (session: CommandSession, by: number): void => {
    session.size += by
    bytes += by
  }
  const drop = (session: CommandSession | undefined): void => {
    if (session === undefined || !sessions.delete(session.id)) return
    bytes -= session.size
  }
  const dropOldest = (): void => drop(sessions.values().next().value)

  /** Of the peer whose answers take most; never `kept`, which is in use. */
  const dropOfGreediest = (kept: CommandSession): void => {
    const sizes = new Map<string, number>()
    for (const { owner, size } of sessions.values()) sizes.set(owner, (sizes.get(owner) ?? 0) + size)
    let victim: CommandSession | undefined
    for (const session of sessions.values()) {
      if (session === kept || session.size === 0) continue
      if (victim === undefined || (sizes.get(session.owner) ?? 0) > (sizes.get(victim.owner) ?? 0)) victim = session
    }
    if (victim === undefined) dropOldest()
    else drop(victim)
  }

  const dropOwn = (owner: string): void => {
    const own = [...sessions.values()].filter((session) => session.owner === owner)
    if (own.length > MAX_SESSIONS_EACH) drop(own[0])
  }
  const forgetOne = (session: CommandSession, serial: number): void => {
    const kept = session.answers.get(serial)
    if (kept === undefined) return
    session.answers.delete(serial)
    grow(session, -kept.size)
  }
  const forget = (session: CommandSession, acked: number): void => {
    const { acked: before, answers } = session
    session.acked = acked
    // Mostly the next one or two, where there are many answers.
    if (acked - before < answers.size)
      for (let serial = before + 1; serial <= acked; serial += 1) forgetOne(session, serial)
    else for (const serial of answers.keys()) if (serial <= acked) forgetOne(session, serial)
  }
  const keep = (session: CommandSession, serial: number, answer: CommandAnswer): void => {
    const size = answerSize(answer)
    session.answers.set(serial, { answer, size })
    grow(session, size)
  }

  return {
    open(id, owner, isShared = false) {
      created(id, owner, 0)
      if (isShared) dropOwn(owner)
      if (sessions.size > max) dropOldest()
    },
    check(id, owner, serial, acked) {
      const session = sessions.get(id)
      if (session === undefined || session.owner !== owner) return { type: 'gone' }
      sessions.delete(id)
      sessions.set(id, session)
      if (acked > session.acked) forget(session, acked)
      const kept = session.answers.get(serial)
      if (kept !== undefined) return { type: 'known', answer: kept.answer }
      if (serial <= session.acked) return { type: 'old' }
      if (session.answers.size >= MAX_OPEN_COMMANDS) return { type: 'too-many' }
      return { type: 'new', session }
    },
    keep(session, serial, answer, isShared = false) {
      keep(session, serial, answer)
      while (bytes > maxBytes && sessions.size > 1) {
        if (isShared) dropOfGreediest(session)
        else dropOldest()
      }
    },
    all: () =>
      [...sessions.values()].map(({ id, owner, acked, answers }) => ({
        id,
        owner,
        acked,
        answers: Array.from(answers, ([serial, { answer }]) => [serial, answer] as const),
      })),
    restore(saved) {
      sessions = new Map()
      bytes = 0
      for (const { id, owner, acked, answers } of saved) {
        const session = sessions.get(id) ?? created(id, owner, acked)
        for (const [serial, answer] of answers) keep(session, serial, answer)
      }
    },
    count: () => sessions.size,
  }
}
