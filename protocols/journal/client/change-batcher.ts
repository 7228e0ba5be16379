/**
 * What this node wants decided of one part, gathered: as many changes go in one decision as came while earlier ones were on
 * their way. Each is answered by itself.
 *
 * Where a decision as a whole is refused (too large, no room), its changes are asked for again, half as many at a time, so that
 * one that does not fit keeps no other from being decided. State: the changes that wait (bounded).
 */
import { abortable, Fifo } from '../../async.ts'
import { type Fault, fromFault, isParleyError, ParleyError } from '../../errors.ts'
import type { Json } from '../state/command-kind.ts'
import type { Committed } from './journal-client.ts'

/** Changes of one node that wait. */
const MAX_WAITING = 40_000
/** Decisions on their way at once: while they are, the next ones gather. */
const MAX_IN_FLIGHT = 2
/** Bytes of one decision, about: each voter applies it in one go. */
const BATCH_BYTES = 32_768
/** Rows that one decision names, at most: the journal takes 4,096. */
const MAX_ROWS = 3_000

const TOO_LITTLE: Fault = { code: 'MSG003', message: 'the journal answered with too little' }

export interface Decided {
  readonly result: Json
  /** Index of its entry. */
  readonly version: number
  readonly fence: { readonly term: number; readonly index: number }
}

/** What became of one change of a decision. */
export type DecidedChange = { readonly ok: Json } | { readonly fault: object }

export interface BatchedChanges<Change> {
  /** What they are changes of, in errors. */
  readonly of: string
  /** In one decision. */
  readonly maxAtOnce: number
  /** Rows of collections that it names; none unless told. */
  rowsOf?(change: Change): number
  /** Of the part, that all voters have to have: those of one decision have the same. */
  levelOf(change: Change): number
  /** Has them decided together. @throws what the journal throws */
  submit(level: number, changes: Change[]): Promise<Committed<readonly DecidedChange[]>>
}

interface Waiting<Change> {
  readonly change: Change
  /** Length as text, about. */
  readonly bytes: number
  readonly rows: number
  readonly level: number
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

export class ChangeBatcher<Change> {
  readonly #of: BatchedChanges<Change>
  readonly #waiting = new Fifo<Waiting<Change>>(MAX_WAITING)
  #inFlight = 0
  #isScheduled = false
  #changes = 0
  #decisions = 0
  #refused = 0

  constructor(of: BatchedChanges<Change>) {
    this.#of = of
  }

  /**
   * @throws what the change is refused for; COM003 where too many wait; COM001 `unknown` where it may have been decided;
   *   whatever the journal throws
   */
  decide(change: Change, { signal }: ChangeOptions = {}): Promise<Decided> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const { rowsOf, levelOf, of } = this.#of
    const decided = new Promise<Decided>((resolve, reject) => {
      const bytes = JSON.stringify(change).length
      const facts = { bytes, rows: rowsOf?.(change) ?? 0, level: levelOf(change) }
      const isTaken = this.#waiting.put({ change, ...facts, signal, resolve, reject })
      if (isTaken) return this.#schedule()
      reject(
        new ParleyError('COM003', `${MAX_WAITING} changes of ${of} wait on this node`, {
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

  #take(): Waiting<Change>[] {
    const taken: Waiting<Change>[] = []
    let [bytes, rows] = [0, 0]
    for (let next = this.#waiting.first(); next !== undefined; next = this.#waiting.first()) {
      bytes += next.bytes
      rows += next.rows
      const isFull = taken.length >= this.#of.maxAtOnce || bytes > BATCH_BYTES || rows > MAX_ROWS
      // Those of an older level are taken also where not all voters have the newer one.
      if (taken.length > 0 && (isFull || taken[0]?.level !== next.level)) break
      this.#waiting.take()
      if (next.signal?.aborted === true) next.reject(next.signal.reason)
      else taken.push(next)
    }
    return taken
  }

  async #send(batch: readonly Waiting<Change>[]): Promise<void> {
    if (batch.length === 0) return
    this.#decisions += 1
    try {
      const level = batch[0]?.level ?? 1
      const { result, version, fence } = await this.#of.submit(
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

  #answer({ resolve, reject }: Waiting<Change>, answer: DecidedChange | undefined, at: Omit<Decided, 'result'>): void {
    this.#changes += 1
    if (answer !== undefined && 'ok' in answer) {
      resolve({ result: answer.ok, ...at })
      return
    }
    this.#refused += 1
    reject(fromFault((answer?.fault ?? TOO_LITTLE) as Fault))
  }
}
