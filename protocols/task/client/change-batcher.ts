/**
 * What this node wants decided about tasks, gathered: as many changes go in one decision as came while earlier ones were on
 * their way. Each is answered by itself.
 *
 * Where a decision as a whole is refused (too large, no room), its changes are asked for again, half as many at a time, so that
 * one that does not fit keeps no other from being decided. State: the changes that wait (bounded).
 */
import { abortable, Fifo } from '../../async.ts'
import { type Fault, fromFault, isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { Committed, Journal } from '../../journal/client/journal-client.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { isRefusedFor } from '../../journal/state/journal-machine.ts'
import type { Port } from '../../port.ts'
import { levelOfChange, MAX_CHANGES_AT_ONCE, type TaskChange } from '../journal/task-changes.ts'
import { type ChangeAnswer, changeTasks, decideTasks } from '../journal/task-kinds.ts'
import { TASKS_PART } from '../task-record.ts'

/** Changes of one node that wait. */
const MAX_WAITING = 40_000
/** Decisions on their way at once: while they are, the next ones gather. */
const MAX_IN_FLIGHT = 2
/** Bytes of one decision, about: each voter applies it in one go. */
const BATCH_BYTES = 32_768
/** Milliseconds that a mesh may take until all of its voters are known to have tasks, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200
/** After that it is asked again whether all voters know histories. */
const OLDER_MS = 10_000
/** Rows that one decision names, at most: the journal takes 4,096. */
const MAX_ROWS = 3_000

const TOO_LITTLE: Fault = { code: 'MSG003', message: 'the journal answered with too little' }

export interface Decided {
  readonly result: Json
  /** Index of its entry. */
  readonly version: number
  readonly fence: { readonly term: number; readonly index: number }
}

interface Waiting {
  readonly change: TaskChange
  /** Length as text, about. */
  readonly bytes: number
  readonly rows: number
  /** Of the part, that all voters have to have. */
  readonly level: 1 | 2
  readonly signal: AbortSignal | undefined
  resolve(decided: Decided): void
  reject(error: unknown): void
}

export interface ChangeOptions {
  /** Ends the waiting; it may be decided all the same once it is on its way. */
  readonly signal?: AbortSignal | undefined
}

export interface BatcherCounts {
  readonly changes: number
  readonly decisions: number
  readonly refused: number
  readonly waiting: number
}

const rowsOf = (change: TaskChange): number => {
  if (change.do === 'submit')
    return change.tasks.reduce((sum, { dependencies = [] }) => sum + 5 + dependencies.length, 0)
  if (change.do === 'archive' || change.do === 'forget') return 2 * change.tasks.length
  return 6
}

/** The voters have tasks, and not all of them histories: of an older version, as the coordinator may be itself. */
const isOfOlderVoters = (error: unknown): boolean =>
  (isParleyError(error, 'STA003') && error.details.reason === 'level' && Number(error.details.agreed) > 0) ||
  (isParleyError(error, 'MSG004') && error.details.reason === 'unknown-command')

const needsNewer = (what: string): ParleyError =>
  stateError('level', `a change of tasks (${what}) needs ${TASKS_PART}@2 of all voters`, 'upgrade all voters')

export class ChangeBatcher {
  readonly #journal: Pick<Journal, 'submit'>
  readonly #port: Pick<Port, 'timers' | 'clock'>
  readonly #waiting = new Fifo<Waiting>(MAX_WAITING)
  /** When a voter did not know histories, by the monotonic clock. */
  #olderAt: number | undefined
  #inFlight = 0
  #isScheduled = false
  #changes = 0
  #decisions = 0
  #refused = 0

  constructor(journal: Pick<Journal, 'submit'>, port: Pick<Port, 'timers' | 'clock'>) {
    this.#journal = journal
    this.#port = port
  }

  /**
   * @throws what the change is refused for; COM003 where too many wait; COM001 `unknown` where it may have been decided;
   *   whatever the journal throws
   */
  decide(change: TaskChange, { signal }: ChangeOptions = {}): Promise<Decided> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const decided = new Promise<Decided>((resolve, reject) => {
      const bytes = JSON.stringify(change).length
      const facts = { bytes, rows: rowsOf(change), level: levelOfChange(change) }
      const isTaken = this.#waiting.put({ change, ...facts, signal, resolve, reject })
      if (isTaken) return this.#schedule()
      reject(
        new ParleyError('COM003', `${MAX_WAITING} changes of tasks wait on this node`, {
          hint: 'wait for those before, then try again',
          details: { retryAfterMs: 1_000 },
        }),
      )
    })
    return abortable(decided, signal)
  }

  counts(): BatcherCounts {
    return {
      changes: this.#changes,
      decisions: this.#decisions,
      refused: this.#refused,
      waiting: this.#waiting.size(),
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight >= MAX_IN_FLIGHT || this.#waiting.size() === 0) return
    this.#isScheduled = true
    // What else comes in this turn goes with it.
    queueMicrotask(() => {
      this.#isScheduled = false
      while (this.#inFlight < MAX_IN_FLIGHT && this.#waiting.size() > 0) {
        this.#inFlight += 1
        void this.#send(this.#take()).finally(() => {
          this.#inFlight -= 1
          this.#schedule()
        })
      }
    })
  }

  #take(): Waiting[] {
    const taken: Waiting[] = []
    let [bytes, rows] = [0, 0]
    for (let next = this.#waiting.first(); next !== undefined; next = this.#waiting.first()) {
      bytes += next.bytes
      rows += next.rows
      const isFull = taken.length >= MAX_CHANGES_AT_ONCE || bytes > BATCH_BYTES || rows > MAX_ROWS
      // Those of an older level are taken also where not all voters have the newer one.
      if (taken.length > 0 && (isFull || taken[0]?.level !== next.level)) break
      this.#waiting.take()
      if (next.signal?.aborted === true) next.reject(next.signal.reason)
      else taken.push(next)
    }
    return taken
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return
    this.#decisions += 1
    try {
      const level = batch[0]?.level ?? 1
      const { result, version, fence } = await this.#submit(
        level,
        batch.map(({ change }) => change),
      )
      for (const [i, one] of batch.entries()) this.#answer(one, result[i], { version, fence })
    } catch (error) {
      // Nothing of it was decided: one of them may be at fault.
      const isSplit = batch.length > 1 && isParleyError(error, 'MSG001', 'COM003', 'APP001', 'SEC002')
      if (!isSplit) {
        for (const one of batch) one.reject(error)
        return
      }
      const half = batch.length >> 1
      await this.#send(batch.slice(0, half))
      await this.#send(batch.slice(half))
    }
  }

  /** A mesh that has just begun does not take tasks until all voters are known to have them. */
  async #submit(level: 1 | 2, changes: TaskChange[]): Promise<Committed<ChangeAnswer[]>> {
    const { clock, timers } = this.#port
    for (const begun = clock.monotonic(); ; ) {
      const kind = this.#kind(level)
      try {
        return await this.#journal.submit(kind, { changes }, { isChecked: true })
      } catch (error) {
        // Another decision that was on its way may have found that out meanwhile.
        if (level === 1 && kind === decideTasks && isOfOlderVoters(error)) {
          // The same as they take it.
          this.#olderAt = clock.monotonic()
          continue
        }
        // What older voters do not take keeps nothing from being decided that they do.
        if (level === 2 && isOfOlderVoters(error)) throw needsNewer(changes[0]?.do ?? '')
        if (!isRefusedFor(error, 'level') || clock.monotonic() - begun >= LEVEL_MS) throw error
        this.#olderAt = undefined
        await new Promise<void>((resolve) => timers.after(LEVEL_AGAIN_MS, resolve))
      }
    }
  }

  #isOfOlder(): boolean {
    return this.#olderAt !== undefined && this.#port.clock.monotonic() - this.#olderAt < OLDER_MS
  }

  /** What fits the newer command, and is of level 1, fits the older one. */
  #kind(level: 1 | 2): typeof decideTasks {
    return level === 1 && this.#isOfOlder() ? (changeTasks as typeof decideTasks) : decideTasks
  }

  #answer({ resolve, reject }: Waiting, answer: ChangeAnswer | undefined, at: Omit<Decided, 'result'>): void {
    this.#changes += 1
    if (answer !== undefined && 'ok' in answer) {
      resolve({ result: answer.ok, ...at })
      return
    }
    this.#refused += 1
    reject(fromFault((answer?.fault ?? TOO_LITTLE) as Fault))
  }
}
