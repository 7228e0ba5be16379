/**
 * Messages that were given up: kept on disk with the reason, to be looked at, sent again or thrown away. Calls that failed
 * although their recovery was tried lie beside them, to be looked at: whoever called was told already, and decides.
 *
 * State: an index of them in memory (dead-letter-index.ts), at most `deadLetters` of `deadLetterBytes`; beyond it, and where
 * the quota of the disk is used up, the oldest go, those of calls before those of messages, and are counted. The rows are
 * `d/<id>`.
 */
import { ParleyError } from '../../errors.ts'
import type { Quota } from '../../limits/quota.ts'
import type { Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { type DurableMessage, decodeMessage, encodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions, RetryPolicy } from '../options.ts'
import { CAPABILITY_PREFIX, DEAD_LETTERS, padded } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import {
  callAsMessage,
  type DeadLetter,
  type DeadLetterDetails,
  DeadLetterRow,
  dataOf,
  deadLetterRowOf,
  type FailedCall,
  letterOf,
  type NewDeadLetter,
  readDeadLetter,
} from './dead-letter.ts'
import { createLetterIndex, GROUPINGS, type Grouping, type LetterGroup } from './dead-letter-index.ts'

export type { DeadLetter, DeadLetterDetails, FailedCall }

interface ListOptions {
  /** 1 to 1000, 100 unless told. */
  readonly limit?: number
  /** Id of the letter behind which the list begins. */
  readonly after?: string
  readonly type?: string
  readonly destination?: string
  readonly code?: string
}

interface SearchOptions extends ListOptions {
  readonly matches: (letter: DeadLetter) => boolean
  /** Letters that are read at most, 2000 unless told. */
  readonly scan?: number
}

interface Found {
  readonly letters: DeadLetter[]
  /** Id of the last letter that was looked at, as `after` of the next page; undefined where there is none behind it. */
  readonly next: string | undefined
}

export interface DeadLetters {
  /** Oldest first. */
  list(options?: ListOptions): Promise<DeadLetter[]>
  /** Those that match, a page at a time: one reads `scan` letters at most. */
  search(options: SearchOptions): Promise<Found>
  /** How many there are of each code, type or destination; those of most letters first. */
  groups(by: Grouping): LetterGroup[]
  /** @throws STA001 */
  show(id: string): Promise<DeadLetterDetails>
  /**
   * Sends it again, as the message that it was, with its attempts from the start.
   * @param to another peer than before; unless told, one that was sent to a capability goes to whoever offers it now
   * @throws STA001, STA003 for a call and for one that is being sent already, and what `send` throws
   */
  retry(id: string, options?: { to?: string }): Promise<void>
  /** Throws away one, or all. @returns how many; @throws STA001 for one that is not there */
  purge(id?: string): Promise<number>
  size(): number
  onDead(fn: (letter: DeadLetter) => void): Registration
}

export interface DeadLetterStoreDeps {
  readonly port: Pick<Port, 'clock' | 'random' | 'log'>
  readonly store: RowStore
  readonly quota: Pick<Quota, 'recordGrowth' | 'isOver'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'deadLetters' | 'deadLetterBytes' | 'maxMessageBytes' | 'retry'>
  /** The oldest were dropped for want of room. */
  dropped(count: number): void
  /** Sends what was dead, together with `also`. */
  resend(to: string, message: Uint8Array, policy: RetryPolicy, also: readonly RowChange[]): Promise<void>
}

const TIME_DIGITS = 9
const MAX_LIST = 1_000
const MAX_SCAN = 2_000
const PURGED_AT_ONCE = 1_000

const missing = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no dead letter ${id.slice(0, 64)}`, {
    hint: 'list them; it may have been retried',
  })

/** The changes are to be committed, and `done` says so once they are. */
interface AddedLetter {
  readonly id: string
  readonly changes: RowChange[]
  readonly done: () => void
}

export class DeadLetterStore implements DeadLetters {
  readonly #deps: DeadLetterStoreDeps
  readonly #index = createLetterIndex()
  readonly #beingResent = new Set<string>()
  readonly #listeners = new Set<(letter: DeadLetter) => void>()
  #turn = 0

  /** Reads the index of what is there. @throws what the store throws */
  static async open(deps: DeadLetterStoreDeps): Promise<DeadLetterStore> {
    const letters = new DeadLetterStore(deps)
    for await (const { key, value } of deps.store.rows(DEAD_LETTERS)) {
      const row = DeadLetterRow.parse(decodePayload('cbor', value))
      letters.#index.add(key.slice(DEAD_LETTERS.length), value.length, row)
    }
    return letters
  }

  private constructor(deps: DeadLetterStoreDeps) {
    this.#deps = deps
  }

  // A field: whoever makes dead letters is given it alone.
  readonly addMessage = (death: NewDeadLetter): AddedLetter => this.#add(deadLetterRowOf(death))

  /** Kept soon; it never throws. */
  addCall(call: FailedCall): void {
    const { port, store } = this.#deps
    try {
      const { changes, done } = this.#add(this.#rowOfCall(call))
      // Whoever called knows: it is not worth a sync of its own.
      store.later(changes)
      done()
    } catch (cause) {
      port.log.error('a call that failed could not be put with the dead letters', {
        label: call.label,
        destination: call.to,
        messageType: 'REQUEST',
        error: cause,
      })
    }
  }

  #rowOfCall(call: FailedCall): DeadLetterRow {
    const { port, settings } = this.#deps
    const { error, recovery, at } = call
    const message = encodeMessage(callAsMessage(call, uuid7(at, port.random(10)), settings.maxMessageBytes))
    const reason = `${error.message}; its recovery failed: ${recovery.code} ${recovery.message}`
    const row = deadLetterRowOf({
      destination: call.to ?? '',
      message,
      policy: settings.retry,
      fault: { code: error.code, message: reason, ...(error.hint !== undefined && { hint: error.hint }) },
      attempts: 0,
      firstFailureAt: at,
      lastFailureAt: at,
    })
    return { ...row, isCall: true }
  }

  #nextId(): string {
    const { port } = this.#deps
    this.#turn += 1
    return `${padded(Math.floor(port.clock.now()), TIME_DIGITS)}${padded(this.#turn % 1_296, 2)}${padded((port.random(1)[0] ?? 0) % 36, 1)}`
  }

  #add(row: DeadLetterRow): AddedLetter {
    const { quota, dropped } = this.#deps
    const id = this.#nextId()
    const value = encodePayload('cbor', row)
    this.#index.add(id, value.length, row)
    quota.recordGrowth(value.length)
    const changes = this.#makeRoom(id)
    if (row.isCall && this.#isOver()) {
      this.#index.remove(id)
      dropped(1)
    } else changes.push({ key: DEAD_LETTERS + id, value })
    return { id, changes, done: () => this.#notify(letterOf(id, row, decodeMessage(row.message))) }
  }

  #notify(letter: DeadLetter): void {
    for (const fn of [...this.#listeners]) {
      try {
        fn(letter)
      } catch (error) {
        this.#deps.port.log.error('a listener of dead letters failed', { error })
      }
    }
  }

  #isOver(): boolean {
    const { settings } = this.#deps
    return this.#index.size() > settings.deadLetters || this.#index.bytes() > settings.deadLetterBytes
  }

  /** Removes what there is no room for beside the new one; where others fill the disk, as much as it takes itself. */
  #makeRoom(fresh: string): RowChange[] {
    const { quota, dropped } = this.#deps
    const index = this.#index
    const changes: RowChange[] = []
    const { bytes: size = 0, isCall = false } = index.get(fresh) ?? {}
    const most = index.bytes() - size
    // A call takes no message's place.
    for (const ids of isCall ? [index.ids('calls')] : [index.ids('calls'), index.ids()]) {
      for (const id of ids) {
        if (!this.#isOver() && (index.bytes() <= most || !quota.isOver())) break
        if (id === fresh) continue
        index.remove(id)
        changes.push({ key: DEAD_LETTERS + id, value: undefined })
      }
    }
    if (changes.length > 0) dropped(changes.length)
    return changes
  }

  async list(about: ListOptions = {}): Promise<DeadLetter[]> {
    const { letters } = await this.search({ ...about, matches: () => true, scan: Number.POSITIVE_INFINITY })
    return letters
  }

  async search({ limit = 100, after, matches, scan = MAX_SCAN, ...about }: SearchOptions): Promise<Found> {
    const most = Math.max(1, Math.min(MAX_LIST, limit))
    const letters: DeadLetter[] = []
    let scanned = 0
    let last: string | undefined
    const options = after === undefined ? {} : { after: DEAD_LETTERS + after }
    for await (const { key, value } of this.#deps.store.rows(DEAD_LETTERS, options)) {
      if (letters.length >= most || scanned >= scan) return { letters, next: last }
      scanned += 1
      last = key.slice(DEAD_LETTERS.length)
      const entry = this.#index.get(last)
      if (entry === undefined || GROUPINGS.some((by) => about[by] !== undefined && about[by] !== entry[by])) continue
      const { row, message } = readDeadLetter(value)
      const letter = letterOf(last, row, message)
      if (matches(letter)) letters.push(letter)
    }
    return { letters, next: undefined }
  }

  groups(by: Grouping): LetterGroup[] {
    return this.#index.groups(by)
  }

  async #read(id: string): Promise<{ row: DeadLetterRow; message: DurableMessage }> {
    const isKnown = this.#index.get(id) !== undefined
    const value = isKnown ? await this.#deps.store.get(DEAD_LETTERS + id) : undefined
    if (value === undefined) throw missing(id)
    return readDeadLetter(value)
  }

  async show(id: string): Promise<DeadLetterDetails> {
    const { row, message } = await this.#read(id)
    return {
      ...letterOf(id, row, message),
      headers: message.headers,
      sentAt: message.createdAt,
      data: dataOf(message),
    }
  }

  async retry(id: string, { to }: { to?: string } = {}): Promise<void> {
    const { row, message } = await this.#read(id)
    if (row.isCall)
      throw new ParleyError('STA003', `${id} is a call (${message.type}), which cannot be sent as a message`, {
        hint: 'make the call again where it came from; purge removes this note of it',
        details: { reason: 'call' },
      })
    if (this.#beingResent.has(id))
      throw new ParleyError('STA003', `the dead letter ${id} is being sent again already`, {
        hint: 'list them again',
        details: { reason: 'in-use' },
      })
    this.#beingResent.add(id)
    try {
      const also = [{ key: DEAD_LETTERS + id, value: undefined }]
      const whom = row.capability === undefined ? row.destination : CAPABILITY_PREFIX + row.capability
      await this.#deps.resend(to ?? whom, row.message, row.policy, also)
      this.#index.remove(id)
    } finally {
      this.#beingResent.delete(id)
    }
  }

  async purge(id?: string): Promise<number> {
    if (id !== undefined && this.#index.get(id) === undefined) throw missing(id)
    const ids = id === undefined ? [...this.#index.ids()] : [id]
    for (let at = 0; at < ids.length; at += PURGED_AT_ONCE) {
      const some = ids.slice(at, at + PURGED_AT_ONCE)
      await this.#deps.store.commit(some.map((one) => ({ key: DEAD_LETTERS + one, value: undefined })))
      for (const one of some) this.#index.remove(one)
    }
    return ids.length
  }

  size(): number {
    return this.#index.size()
  }

  bytes(): number {
    return this.#index.bytes()
  }

  onDead(fn: (letter: DeadLetter) => void): Registration {
    this.#listeners.add(fn)
    return createRegistration(() => this.#listeners.delete(fn))
  }
}
