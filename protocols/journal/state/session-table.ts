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
  /** Index of the entry that used it last; below 0 where only the order is known. */
  used: number
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
  /** What is to be done with this serial. Notes what is acknowledged. @param index of the entry */
  check(id: number, owner: string, serial: number, acked: number, index: number): SerialStatus
  /** What a new serial was answered with; it must not be changed any more. */
  keep(session: CommandSession, serial: number, answer: CommandAnswer, isShared?: boolean): void
  all(): readonly SavedSession[]
  /** The one that was used least lately first; one session may come in several parts, with some of its answers each. */
  restore(sessions: readonly SavedSession[]): void
  /** What has changed since this was called last, as it is now. */
  takeChanged(): readonly SessionChange[]
  /** They count as changed again. */
  putBack(changes: readonly SessionChange[]): void
  count(): number
}

export interface SessionChange {
  readonly id: number
  /** Undefined: it is gone. */
  readonly session: Omit<SavedSession, 'answers'> | undefined
  /** Undefined: that one is gone. */
  readonly answers: readonly (readonly [number, CommandAnswer | undefined])[]
}

export interface SavedSession {
  readonly id: number
  readonly owner: string
  readonly acked: number
  readonly used: number
  readonly answers: readonly (readonly [number, CommandAnswer])[]
}

/** Of an answer as text. */
export const answerSize = (answer: CommandAnswer): number => JSON.stringify(answer).length

const savedSession = ({ id, owner, acked, used, answers }: CommandSession): SavedSession => ({
  id,
  owner,
  acked,
  used,
  answers: Array.from(answers, ([serial, { answer }]) => [serial, answer] as const),
})

type Sessions = ReadonlyMap<number, CommandSession>

/** Of the peer whose answers take most; never `kept`, which is in use. */
const greediest = (sessions: Sessions, kept: CommandSession): CommandSession | undefined => {
  const sizes = new Map<string, number>()
  for (const { owner, size } of sessions.values()) sizes.set(owner, (sizes.get(owner) ?? 0) + size)
  let victim: CommandSession | undefined
  for (const session of sessions.values()) {
    if (session === kept || session.size === 0) continue
    if (victim === undefined || (sizes.get(session.owner) ?? 0) > (sizes.get(victim.owner) ?? 0)) victim = session
  }
  return victim
}

/** Sessions, and which of their answers, that changed. An answer that comes and goes again leaves nothing. */
class ChangedSessions {
  /** By session, then by serial: whether the answer came since they were taken last. */
  #serials = new Map<number, Map<number, boolean>>()

  note(id: number): Map<number, boolean> {
    const known = this.#serials.get(id)
    if (known !== undefined) return known
    const serials = new Map<number, boolean>()
    this.#serials.set(id, serials)
    return serials
  }

  noteKept(id: number, serial: number): void {
    this.note(id).set(serial, true)
  }

  noteForgotten(id: number, serial: number): void {
    const serials = this.note(id)
    if (serials.get(serial) === true) serials.delete(serial)
    else serials.set(serial, false)
  }

  putBack(changes: readonly SessionChange[]): void {
    for (const { id, answers } of changes) {
      const serials = this.note(id)
      for (const [serial] of answers) serials.set(serial, false)
    }
  }

  /** As they are now; from here on they count as the same. */
  take(sessions: Sessions): SessionChange[] {
    const taken = [...this.#serials]
    this.#serials = new Map()
    return taken.map(([id, serials]) => {
      const found = sessions.get(id)
      const answers = Array.from(serials.keys(), (serial) => [serial, found?.answers.get(serial)?.answer] as const)
      if (found === undefined) return { id, session: undefined, answers }
      const { owner, acked, used } = found
      return { id, session: { id, owner, acked, used }, answers }
    })
  }
}

export const createSessionTable = (max: number = MAX_SESSIONS, maxBytes: number = MAX_ANSWER_BYTES): SessionTable => {
  /** The one that was used last stands last. */
  let sessions = new Map<number, CommandSession>()
  let bytes = 0
  const changed = new ChangedSessions()
  const created = (id: number, owner: string, acked: number, used: number): CommandSession => {
    const session = { id, owner, acked, used, answers: new Map(), size: 0 }
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
    changed.note(session.id)
    for (const serial of session.answers.keys()) changed.noteForgotten(session.id, serial)
  }
  const dropOldest = (): void => drop(sessions.values().next().value)

  const dropOfGreediest = (kept: CommandSession): void => {
    const victim = greediest(sessions, kept)
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
    changed.noteForgotten(session.id, serial)
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
      created(id, owner, 0, id)
      changed.note(id)
      if (isShared) dropOwn(owner)
      if (sessions.size > max) dropOldest()
    },
    check(id, owner, serial, acked, index) {
      const session = sessions.get(id)
      if (session === undefined || session.owner !== owner) return { type: 'gone' }
      sessions.delete(id)
      sessions.set(id, session)
      session.used = index
      changed.note(id)
      if (acked > session.acked) forget(session, acked)
      const kept = session.answers.get(serial)
      if (kept !== undefined) return { type: 'known', answer: kept.answer }
      if (serial <= session.acked) return { type: 'old' }
      if (session.answers.size >= MAX_OPEN_COMMANDS) return { type: 'too-many' }
      return { type: 'new', session }
    },
    keep(session, serial, answer, isShared = false) {
      keep(session, serial, answer)
      changed.noteKept(session.id, serial)
      while (bytes > maxBytes && sessions.size > 1) {
        if (isShared) dropOfGreediest(session)
        else dropOldest()
      }
    },
    all: () => [...sessions.values()].map(savedSession),
    restore(saved) {
      sessions = new Map()
      bytes = 0
      changed.take(sessions)
      for (const { id, owner, acked, used, answers } of saved) {
        const session = sessions.get(id) ?? created(id, owner, acked, used)
        for (const [serial, answer] of answers) keep(session, serial, answer)
      }
    },
    takeChanged: () => changed.take(sessions),
    putBack: (changes) => changed.putBack(changes),
    count: () => sessions.size,
  }
}
