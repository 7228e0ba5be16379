/**
 * How a node uses the journal, whether it has a seat or not: commands go to the coordinator and are asked for again until
 * they are answered (leader-retry.ts), reads go to this node's own member, to any one, or to the coordinator.
 *
 * A command is applied once, however often it is sent: it has a serial in a session (session-table.ts). Whoever gives up before
 * the answer (its deadline, its signal) cannot know what became of the command, and is told so.
 * State: the session and what waits for it (client-session.ts).
 */
import type { LeaderTracker } from '../../coordinator/leader-tracker.ts'
import { fromFault, ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { journalProtocol, PAGE_RECORDS, type RowsRead, type WireAnswer, type WireRecord } from '../contract.ts'
import type { Fence } from '../fencing/fence.ts'
import { notFounded } from '../journal-server.ts'
import { deleteRecord, putRecord } from '../state/built-in-kinds.ts'
import type { AnyCommandKind, CommandKind, Json } from '../state/command-kind.ts'
import { isRefusedFor, OPEN_SESSION } from '../state/journal-machine.ts'
import { acknowledgedUpTo, createClientSessionWindow } from './client-session.ts'
import { createJournalDeadlines, type JournalDeadline } from './journal-deadlines.ts'
import type { JournalChange, WatchOptions } from './journal-watch.ts'
import { createLeaderRetry, hadNoEffect } from './leader-retry.ts'

export interface SubmitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds until it is given up; 30,000 unless told. */
  readonly timeoutMs?: number
  /** The input fits the schema of its kind, defaults filled in: it is checked by the coordinator alone. */
  readonly isChecked?: boolean
}

export interface Committed<O> {
  readonly result: O
  /** Index of its entry. */
  readonly version: number
  readonly fence: Fence
}

export interface KeyRange {
  /** Those behind this key. */
  readonly after?: string
  /** At most. Unless told: of records all, of rows 1,000. */
  readonly most?: number
}

export interface RowPage extends KeyRange {
  /** This row alone, where there is one; `after` and `most` do not count then. */
  readonly key?: string
}

export interface ReadOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** `linearizable` (default): as new as when it was asked. `local`: what a member has, without asking the others. */
  readonly consistency?: 'linearizable' | 'local'
}

/**
 * What the mesh has agreed on, in one order, on the disks of the voters. Any node uses it alike.
 *
 * Errors of decisions: STA003 with `details.reason` (`version` where the record changed meanwhile, `level`, `not-founded`,
 * `disk-full` where the coordinator's disk had no room until the time was over), COM001 with `details.reason` `unknown` (it
 * may have been decided: read, then decide again) or `no-leader`, COM003 where too much waits or the journal is full, MSG001
 * for input that is not usable.
 */
export interface Journal {
  submit<I, O>(kind: CommandKind<I, O>, input: I, options?: SubmitOptions): Promise<Committed<O>>
  put(key: string, value: Json, options?: SubmitOptions & { ifVersion?: number }): Promise<Committed<null>>
  delete(key: string, options?: SubmitOptions & { ifVersion?: number }): Promise<Committed<{ existed: boolean }>>
  get(key: string, options?: ReadOptions): Promise<WireRecord | undefined>
  /**
   * Sorted by key. Where it takes several pages a later one may be newer: `version` is that of the first one, so that who
   * watches from there misses nothing.
   */
  list(prefix: string, options?: ReadOptions & KeyRange): Promise<{ version: number; records: WireRecord[] }>
  /**
   * A page of a collection of a part, sorted by key. @throws MSG001, as reading does
   */
  rows(collection: string, options?: ReadOptions & RowPage): Promise<RowsRead>
  counts(): { submitted: number; retried: number; waiting: number; open: number; sessions: number }
  /**
   * What there is, then each change as it is decided, in order and without a gap; where a member is lost another goes on.
   * Ends with its signal.
   */
  watch(options?: WatchOptions): AsyncGenerator<JournalChange, void>
}

/** Asks and decides; watching is journal-watch.ts. */
export interface JournalClient extends Omit<Journal, 'watch'> {
  /** This node belongs to another mesh from now on, which knows nothing of its session. */
  reset(): void
}

export interface JournalClientDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>
  readonly leaderTracker: LeaderTracker
  meshId(): string | undefined
  /** Whether this node has a seat, and so has what it reads here. */
  isMember(): boolean
}

const TIMEOUT_MS = 30_000
/** One try; a coordinator that froze is not waited for any longer. */
const TRY_MS = 3_000

const unknown = (what: string, cause: unknown): ParleyError =>
  new ParleyError('COM001', `${what} was not answered in time; whether it was decided is not known`, {
    hint: 'read what it was to change, then decide again',
    details: { reason: 'unknown' },
    cause,
  })

/** What the kind says of its answer; that of another version may differ. */
const outputOf = <O>(kind: AnyCommandKind, result: Json): O => {
  const parsed = kind.output.safeParse(result)
  if (parsed.success) return parsed.data as O
  throw new ParleyError('MSG003', `${kind.name} was decided, and its answer is not usable`, {
    hint: 'is the same command defined otherwise on the coordinator?',
    cause: parsed.error,
  })
}

const faultOf = ({ fault }: Extract<WireAnswer, { ok: false }>): ParleyError =>
  fromFault({
    code: fault.code,
    message: fault.message,
    ...(fault.hint !== undefined && { hint: fault.hint }),
    ...(fault.details !== undefined && { details: fault.details }),
  })

export const createJournalClient = ({ port, leaderTracker, meshId, isMember }: JournalClientDeps): JournalClient => {
  const { untilAnswered, withLeader, retried } = createLeaderRetry({ port, leaderTracker })
  let submitted = 0

  const idOf = (): string => {
    const id = meshId()
    if (id === undefined) throw notFounded()
    return id
  }

  const send = (
    peer: string,
    body: { meshId: string; kind: string; session: number; serial: number; acked: number; input: Json },
    signal: AbortSignal,
  ): Promise<WireAnswer> => port.to(peer, journalProtocol).submit(body, { signal, timeoutMs: TRY_MS })

  const sessions = createClientSessionWindow((signal) =>
    untilAnswered(signal, async (one) => {
      const mesh = idOf()
      const body = { meshId: mesh, kind: OPEN_SESSION, session: 0, serial: 0, acked: 0, input: null }
      const { version } = await withLeader(one, (peer, attempt) => send(peer, body, attempt))
      return { mesh, session: version }
    }),
  )

  const limits = createJournalDeadlines(port.timers, leaderTracker.stopped)
  const limit = ({ signal, timeoutMs = TIMEOUT_MS }: SubmitOptions): JournalDeadline => limits(signal, timeoutMs)

  /** With one serial, until it is answered. @returns undefined where its session is not known any more, and it had no effect */
  const runOnce = async (kind: AnyCommandKind, input: Json, signal: AbortSignal): Promise<WireAnswer | undefined> => {
    const session = await sessions.current(signal)
    if (session.mesh !== idOf()) {
      sessions.markExpired(session)
      return undefined
    }
    const serial = session.nextSerial
    session.nextSerial += 1
    session.openSerials.add(serial)
    /** A try whose answer did not come: it may have had its effect. */
    let isOpen = false
    try {
      const body = { meshId: session.mesh, kind: kind.name, session: session.session, serial, input }
      const answer = await untilAnswered(signal, (one) =>
        withLeader(one, async (peer, attempt) => {
          try {
            return await send(peer, { ...body, acked: acknowledgedUpTo(session) }, attempt)
          } catch (error) {
            if (!hadNoEffect(error)) isOpen = true
            throw error
          }
        }),
      )
      if (answer.ok || !isRefusedFor(faultOf(answer), 'session-expired')) return answer
      sessions.markExpired(session)
      // An answer of before may be lost with the session; then only reading tells.
      if (isOpen) throw unknown(kind.name, faultOf(answer))
      return undefined
    } catch (error) {
      // Nothing of another mesh is asked for again.
      const isElsewhere = session.mesh !== meshId()
      if ((signal.aborted || isElsewhere) && isOpen) throw unknown(kind.name, error)
      if (isElsewhere && !signal.aborted) return undefined
      throw error
    } finally {
      session.openSerials.delete(serial)
    }
  }

  const run = async (kind: AnyCommandKind, input: Json, signal: AbortSignal): Promise<WireAnswer> => {
    // A node that just joined does not know its mesh yet.
    if (meshId() === undefined) await untilAnswered(signal, async () => idOf())
    await sessions.acquire(signal)
    submitted += 1
    try {
      for (;;) {
        const answer = await runOnce(kind, input, signal)
        if (answer !== undefined) return answer
      }
    } finally {
      sessions.release()
    }
  }

  /** @throws MSG001 */
  const checked = <I, O>(kind: CommandKind<I, O>, input: I, { isChecked }: SubmitOptions): Json => {
    // Its coordinator checks it again: what another node says is not relied on.
    if (isChecked === true) return input as Json
    const parsed = kind.input.safeParse(input)
    if (parsed.success) return parsed.data as Json
    throw new ParleyError('MSG001', `the input of ${kind.name} is not usable: ${parsed.error.issues[0]?.message}`, {
      hint: 'see details.issues',
      details: { issues: parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path, message })) },
    })
  }

  const submit = async <I, O>(
    kind: CommandKind<I, O>,
    given: I,
    options: SubmitOptions = {},
  ): Promise<Committed<O>> => {
    const input = checked(kind, given, options)
    const { signal, stop } = limit(options)
    try {
      const answer = await run(kind as AnyCommandKind, input, signal)
      if (!answer.ok) throw faultOf(answer)
      const { version, term, result } = answer
      return { result: outputOf<O>(kind as AnyCommandKind, result), version, fence: { term, index: version } }
    } finally {
      stop()
    }
  }

  const read = (
    what: { key?: string; prefix?: string; after?: string; most?: number },
    { consistency = 'linearizable' }: ReadOptions,
    signal: AbortSignal,
  ) =>
    askMembers(consistency, signal, (peer, attempt) =>
      port
        .to(peer, journalProtocol)
        .read({ meshId: idOf(), ...what, consistency }, { signal: attempt, timeoutMs: TRY_MS }),
    )

  const askMembers = <T>(
    consistency: ReadOptions['consistency'],
    signal: AbortSignal,
    ask: (peer: string, attempt: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const offset = port.random(1)[0] ?? 0
    return untilAnswered(signal, async (one, tries) => {
      // Before there is a mesh to ask, nobody is.
      idOf()
      // Its own member may be behind or without room: every other time somebody else is asked.
      if (isMember() && tries % 2 === 0) return ask(port.self.id, one)
      const { seats } = leaderTracker.latest()
      const some = seats[(offset + tries) % Math.max(1, seats.length)]
      if (consistency === 'local' && some !== undefined && some !== port.self.id) return ask(some, one)
      return withLeader(one, ask)
    })
  }

  return {
    submit,
    put: (key, value, { ifVersion, ...options } = {}) =>
      submit(putRecord, { key, value, ...(ifVersion !== undefined && { ifVersion }) }, options),
    delete: (key, { ifVersion, ...options } = {}) =>
      submit(deleteRecord, { key, ...(ifVersion !== undefined && { ifVersion }) }, options),
    async get(key, options = {}) {
      const { signal, stop } = limit(options)
      try {
        return (await read({ key }, options, signal)).records[0]
      } finally {
        stop()
      }
    },
    async list(prefix, { after: first = '', most = Number.POSITIVE_INFINITY, ...options } = {}) {
      const { signal, stop } = limit(options)
      try {
        const found: WireRecord[] = []
        let version: number | undefined
        for (let after = first; ; ) {
          const page = await read({ prefix, after, most: Math.min(PAGE_RECORDS, most - found.length) }, options, signal)
          version ??= page.version
          found.push(...page.records)
          const last = page.records.at(-1)
          if (!page.more || last === undefined || found.length >= most) return { version, records: found }
          after = last.key
        }
      } finally {
        stop()
      }
    },
    async rows(collection, { after = '', key, most, consistency = 'linearizable', ...options } = {}) {
      const { signal, stop } = limit(options)
      const what = {
        collection,
        after,
        consistency,
        ...(key !== undefined && { key }),
        ...(most !== undefined && { most }),
      }
      try {
        return await askMembers(consistency, signal, (peer, attempt) =>
          port.to(peer, journalProtocol).rows({ meshId: idOf(), ...what }, { signal: attempt, timeoutMs: TRY_MS }),
        )
      } finally {
        stop()
      }
    },
    reset: sessions.reset,
    counts: () => ({ submitted, retried: retried(), ...sessions.counts() }),
  }
}
