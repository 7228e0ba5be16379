/**
 * How a node uses the journal, whether it has a seat or not: commands go to the coordinator and are asked for again until
 * they are answered, reads go to any member.
 *
 * A command is applied once, however often it is sent: it has a serial in a session (sessions.ts). Whoever gives up before
 * the answer (its deadline, its signal) cannot know what became of the command, and is told so.
 * State: the session, serials that are on their way (bounded), commands that wait for one (bounded).
 */
import type { Whereabouts } from '../coordinator/whereabouts.ts'
import { fromFault, isParleyError, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { AnyCommandKind, CommandKind, Json } from './command.ts'
import { journalProtocol, type WireAnswer, type WireRecord } from './contract.ts'
import type { Fence } from './fence.ts'
import { deleteRecord, putRecord } from './kinds.ts'
import { isRefused, OPEN_SESSION } from './machine.ts'
import { notFounded } from './serve.ts'
import { MAX_OPEN } from './sessions.ts'

export interface SubmitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds until it is given up; 30,000 unless told. */
  readonly timeoutMs?: number
}

export interface Committed<O> {
  readonly result: O
  /** Index of its entry. */
  readonly version: number
  readonly fence: Fence
}

export interface ReadOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** `linearizable` (default): as new as when it was asked. `local`: what a member has, without asking the others. */
  readonly consistency?: 'linearizable' | 'local'
}

export interface JournalClient {
  submit<I, O>(kind: CommandKind<I, O>, input: I, options?: SubmitOptions): Promise<Committed<O>>
  put(key: string, value: Json, options?: SubmitOptions & { ifVersion?: number }): Promise<Committed<null>>
  delete(key: string, options?: SubmitOptions & { ifVersion?: number }): Promise<Committed<{ existed: boolean }>>
  get(key: string, options?: ReadOptions): Promise<WireRecord | undefined>
  list(prefix: string, options?: ReadOptions): Promise<{ version: number; records: WireRecord[] }>
  /** This node belongs to another mesh from now on, which knows nothing of its session. */
  forget(): void
  counts(): { submitted: number; retried: number; waiting: number; open: number; sessions: number }
}

export interface ClientDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>
  readonly whereabouts: Whereabouts
  meshId(): string | undefined
  /** Whether this node has a seat, and so has what it reads here. */
  hasSeat(): boolean
}

const TIMEOUT_MS = 30_000
/** One try; a coordinator that froze is not waited for any longer. */
const TRY_MS = 3_000
const BACKOFF_MS = 20
const MAX_BACKOFF_MS = 500
const MAX_WAITING = 4_096

interface Lane {
  readonly session: number
  nextSerial: number
  /** Serials that are not answered, ascending. */
  readonly open: Set<number>
}

const overloaded = (): ParleyError =>
  new ParleyError('COM003', `${MAX_WAITING} commands of this node wait for the coordinator`, {
    hint: 'wait for those before, then try again',
    details: { retryAfterMs: 1_000 },
  })

const unknown = (what: string, cause: unknown): ParleyError =>
  new ParleyError('COM001', `${what} was not answered in time; whether it was decided is not known`, {
    hint: 'read what it was to change, then decide again',
    details: { reason: 'unknown' },
    cause,
  })

/** It was not decided, or nobody can say; it is safe to ask again with the same serial. */
const isPassing = (error: unknown): boolean =>
  isParleyError(error, 'COM001', 'COM002', 'COM003', 'COM004') ||
  (isParleyError(error, 'STA003') &&
    ['not-leader', 'superseded', 'unknown', 'no-leader', 'no-member', 'closed', 'broken', 'disk-full'].includes(
      String(error.details.reason),
    )) ||
  isParleyError(error, 'MSG004')

/** Whoever was asked says that it did not take it. */
const isNotTaken = (error: unknown): boolean =>
  isRefused(error, 'not-leader') || (isParleyError(error) && error.details.sent === false)

export const createJournalClient = ({ port, whereabouts, meshId, hasSeat }: ClientDeps): JournalClient => {
  let lane: Promise<Lane> | undefined
  let waitingCount = 0
  const waiters: (() => void)[] = []
  const counts = { submitted: 0, retried: 0, sessions: 0 }
  let openCount = 0

  const idOf = (): string => {
    const id = meshId()
    if (id === undefined) throw notFounded()
    return id
  }

  const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        stop()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const stop = port.timers.after(ms, end)
      signal.addEventListener('abort', end, { once: true })
    })

  const jitter = (): number => (port.random(1)[0] ?? 0) / 255

  /** Runs `attempt` against the coordinator until it is answered, refused for good, or the signal is aborted. */
  const withLeader = async <T>(
    signal: AbortSignal,
    attempt: (peer: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    let backoff = BACKOFF_MS
    let last: unknown
    for (;;) {
      if (signal.aborted) throw last ?? signal.reason
      const leader = await whereabouts.find(signal).catch((error: unknown) => {
        throw last ?? error
      })
      // Another coordinator makes waiting for this one pointless.
      const replaced = new AbortController()
      const stop = whereabouts.onChange(() =>
        replaced.abort(new ParleyError('COM002', 'another node coordinates now', { hint: 'ask it' })),
      )
      try {
        return await attempt(leader.peer, AbortSignal.any([signal, replaced.signal]))
      } catch (error) {
        if (signal.aborted) throw last ?? error
        if (!isPassing(error) && !replaced.signal.aborted) throw error
        last = error
        counts.retried += 1
        if (isParleyError(error) && typeof error.details.leader === 'string' && typeof error.details.epoch === 'number')
          whereabouts.learn({ epoch: error.details.epoch, leader: error.details.leader })
        if (!isParleyError(error, 'COM003')) whereabouts.doubt(leader)
      } finally {
        stop()
      }
      await pause(backoff * (0.5 + jitter()), signal)
      backoff = Math.min(MAX_BACKOFF_MS, backoff * 2)
    }
  }

  const send = (
    peer: string,
    body: { kind: string; session: number; serial: number; acked: number; input: Json },
    signal: AbortSignal,
  ): Promise<WireAnswer> =>
    port.to(peer, journalProtocol).submit({ meshId: idOf(), ...body }, { signal, timeoutMs: TRY_MS })

  const openLane = async (signal: AbortSignal): Promise<Lane> => {
    const body = { kind: OPEN_SESSION, session: 0, serial: 0, acked: 0, input: null }
    const { version } = await withLeader(signal, (peer, attempt) => send(peer, body, attempt))
    counts.sessions += 1
    return { session: version, nextSerial: 1, open: new Set() }
  }
  const laneOf = (signal: AbortSignal): Promise<Lane> => {
    if (lane === undefined) {
      const opening = openLane(signal)
      lane = opening
      opening.catch(() => {
        if (lane === opening) lane = undefined
      })
    }
    return lane
  }

  const enter = async (signal: AbortSignal): Promise<void> => {
    if (openCount < MAX_OPEN) {
      openCount += 1
      return
    }
    if (waitingCount >= MAX_WAITING) throw overloaded()
    waitingCount += 1
    try {
      await new Promise<void>((resolve, reject) => {
        const end = (): void => {
          waiters.splice(waiters.indexOf(go), 1)
          reject(signal.reason)
        }
        const go = (): void => {
          signal.removeEventListener('abort', end)
          resolve()
        }
        signal.addEventListener('abort', end, { once: true })
        waiters.push(go)
      })
    } finally {
      waitingCount -= 1
    }
  }
  const leave = (): void => {
    const next = waiters.shift()
    // The place goes to who waits.
    if (next !== undefined) next()
    else openCount -= 1
  }

  const ackedOf = ({ open, nextSerial }: Lane): number => {
    const [oldest] = open
    return (oldest ?? nextSerial) - 1
  }

  /** Aborted by the caller or by the clock. */
  const limit = ({ signal, timeoutMs = TIMEOUT_MS }: SubmitOptions): { signal: AbortSignal; stop(): void } => {
    const clock = new AbortController()
    const stop = port.timers.after(timeoutMs, () =>
      clock.abort(
        new ParleyError('COM001', `no coordinator answered within ${timeoutMs} ms`, {
          hint: 'see `parley coordinator status`',
          details: { reason: 'no-leader' },
        }),
      ),
    )
    return { signal: signal === undefined ? clock.signal : AbortSignal.any([signal, clock.signal]), stop }
  }

  const run = async <O>(kind: AnyCommandKind, input: Json, signal: AbortSignal): Promise<Committed<O>> => {
    await enter(signal)
    counts.submitted += 1
    try {
      for (;;) {
        const known = laneOf(signal)
        const at = await known
        const serial = at.nextSerial
        at.nextSerial += 1
        at.open.add(serial)
        /** A try whose answer did not come: it may have had its effect. */
        let isOpen = false
        try {
          const body = { kind: kind.name, session: at.session, serial, input }
          const answer = await withLeader(signal, async (peer, attempt) => {
            try {
              return await send(peer, { ...body, acked: ackedOf(at) }, attempt)
            } catch (error) {
              if (!isNotTaken(error)) isOpen = true
              throw error
            }
          })
          if (answer.ok) {
            const { version, term } = answer
            return { result: kind.output.parse(answer.result) as O, version, fence: { term, index: version } }
          }
          const error = fromFault({
            code: answer.fault.code,
            message: answer.fault.message,
            ...(answer.fault.hint !== undefined && { hint: answer.fault.hint }),
            ...(answer.fault.details !== undefined && { details: answer.fault.details }),
          })
          if (!isRefused(error, 'session-expired')) throw error
          if (lane === known) lane = undefined
          // An answer of before may be lost with the session; then only reading tells.
          if (isOpen) throw unknown(kind.name, error)
        } catch (error) {
          if (signal.aborted && isOpen) throw unknown(kind.name, error)
          throw error
        } finally {
          at.open.delete(serial)
        }
      }
    } finally {
      leave()
    }
  }

  const submit = async <I, O>(
    kind: CommandKind<I, O>,
    input: I,
    options: SubmitOptions = {},
  ): Promise<Committed<O>> => {
    idOf()
    const parsed = kind.input.safeParse(input)
    if (!parsed.success)
      throw new ParleyError('MSG001', `the input of ${kind.name} is not usable: ${parsed.error.issues[0]?.message}`, {
        hint: 'see details.issues',
        details: { issues: parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path, message })) },
      })
    const { signal, stop } = limit(options)
    try {
      return await run<O>(kind as AnyCommandKind, parsed.data as Json, signal)
    } finally {
      stop()
    }
  }

  const read = async (
    what: { key?: string; prefix?: string; after?: string },
    { consistency = 'linearizable' }: ReadOptions,
    signal: AbortSignal,
  ) => {
    const id = idOf()
    return withLeader(signal, (peer, attempt) =>
      port
        .to(hasSeat() ? port.self.id : peer, journalProtocol)
        .read({ meshId: id, ...what, consistency }, { signal: attempt, timeoutMs: TRY_MS }),
    )
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
    async list(prefix, options = {}) {
      const { signal, stop } = limit(options)
      try {
        const records: WireRecord[] = []
        for (let after = ''; ; ) {
          const page = await read({ prefix, after }, options, signal)
          records.push(...page.records)
          const last = page.records.at(-1)
          if (!page.more || last === undefined) return { version: page.version, records }
          after = last.key
        }
      } finally {
        stop()
      }
    },
    forget() {
      lane = undefined
    },
    counts: () => ({ ...counts, waiting: waitingCount, open: openCount }),
  }
}
