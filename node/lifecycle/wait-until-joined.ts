/**
 * When a node that was told to join is in the mesh. Who waits without a limit is told by the log, again and again, that it
 * waits and for whom. State: that of each call, while it waits.
 */
import type { Directory } from '../../discovery/directory/directory.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock, Log, Timers } from '../../protocols/port.ts'
import { checkKeys, keysOf } from '../../protocols/unknown-keys.ts'

export interface JoinedOptions {
  /** Milliseconds, 1 to 2^31 - 1; no limit unless told. */
  timeoutMs?: number
  /** Ends the waiting, with its reason. */
  signal?: AbortSignal
}

export interface WaitUntilJoinedDeps {
  /** It was told to join somebody. */
  readonly joins: boolean
  readonly directory: Pick<Directory, 'firstSync'>
  readonly supervisor: {
    /** What every join address refused this node with, where asking again would not help. */
    refusedEverywhere(): ParleyError | undefined
    /** What each address said last. */
    joinProblems(): readonly string[]
  }
  readonly log: Log
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Timers
  isStopping(): boolean
}

const KEYS = keysOf<JoinedOptions>({ timeoutMs: true, signal: true })
const MAX_MS = 2 ** 31 - 1
const LOOK_MS = 50
/** When the log says first that somebody waits, and from then on. */
const FIRST_WORD_MS = 5_000
const NEXT_WORD_MS = 60_000
/** Of a node with mDNS alone, or whose names were not answered yet. */
const WAITS = 'nobody was found yet'

const checkOptions = (options: JoinedOptions): void => {
  checkKeys(options, KEYS, 'the options of joined()')
  const { timeoutMs } = options
  if (timeoutMs === undefined || (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MAX_MS)) return
  throw new ParleyError('MSG001', `timeoutMs of joined() is ${String(timeoutMs)}`, {
    hint: `give whole milliseconds from 1 to ${MAX_MS}`,
  })
}

const late = (timeoutMs: number, problems: readonly string[]): ParleyError =>
  new ParleyError('COM001', `this node was in no mesh within ${timeoutMs} ms: ${problems.join('; ') || WAITS}`, {
    hint: 'it goes on trying; see whether a member is up at the addresses of join, with parley doctor',
    details: { problems },
  })

const stopping = (): ParleyError => new ParleyError('COM002', 'this node is stopping', { hint: 'start a new one' })

/**
 * Resolves once a member is connected and the directory was compared with it; at once for a node that joins nobody.
 * @throws MSG001 for options that are not usable, SEC001 where every join address refused this node, COM001 after `timeoutMs`, COM002 where
 *   the node stops; the signal's reason
 */
export const waitUntilJoined = async (deps: WaitUntilJoinedDeps, options: JoinedOptions = {}): Promise<void> => {
  checkOptions(options)
  const { supervisor, clock, timers } = deps
  const { timeoutMs, signal } = options
  if (!deps.joins) return
  const ended = new AbortController()
  const startedAt = clock.monotonic()
  let nextWordMs = FIRST_WORD_MS
  const stopLooking = timers.every(LOOK_MS, () => {
    const refusal = supervisor.refusedEverywhere() ?? (deps.isStopping() ? stopping() : undefined)
    if (refusal !== undefined) ended.abort(refusal)
    const waitedMs = clock.monotonic() - startedAt
    if (waitedMs < nextWordMs) return
    nextWordMs = waitedMs + NEXT_WORD_MS
    const problems = supervisor.joinProblems()
    const limit = timeoutMs === undefined ? ', without a limit' : ''
    deps.log.warn(`joined() waits for a member of the mesh${limit}: ${problems.join('; ') || WAITS}`, {
      waitedMs: Math.round(waitedMs),
    })
  })
  const stopLimit =
    timeoutMs === undefined
      ? () => {}
      : timers.after(timeoutMs, () => ended.abort(late(timeoutMs, supervisor.joinProblems())))
  try {
    await deps.directory.firstSync({
      signal: signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]),
    })
  } finally {
    stopLooking()
    stopLimit()
  }
}
