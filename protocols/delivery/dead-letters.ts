/**
 * Messages that were given up: kept on disk with the reason, to be looked at, sent again or thrown away.
 *
 * State: an index of them in memory, oldest first, at most `deadLetters` of `deadLetterBytes`; beyond it the oldest go,
 * and are counted. The rows are `d/<id>`.
 */
import * as z from 'zod'
import type { Fault } from '../errors.ts'
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { uuid7 } from '../wire/message-id.ts'
import { decodePayload, encodePayload } from '../wire/payload.ts'
import { decodeMessage, encodeMessage, type Guarantee, type Message } from './message.ts'
import type { RetryPolicy, Settings } from './options.ts'
import { RetryPolicySchema } from './options.ts'
import { DEAD_LETTERS, padded } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

const Row = z.object({
  destination: z.string(),
  code: z.string(),
  reason: z.string(),
  hint: z.string().optional(),
  attempts: z.int().nonnegative(),
  firstFailureAt: z.number(),
  lastFailureAt: z.number(),
  policy: RetryPolicySchema,
  message: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
})
type Row = z.output<typeof Row>

export interface DeadLetter {
  /** Of the letter; they are in the order in which they died. */
  readonly id: string
  readonly messageId: string
  readonly type: string
  /** A peer id, or `capability:<name>` for one that nobody was found for. */
  readonly destination: string
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  readonly code: string
  readonly reason: string
  readonly hint: string | undefined
  /** That reached the peer. */
  readonly attempts: number
  /** Milliseconds since 1970 by this node's clock. */
  readonly firstFailureAt: number
  readonly lastFailureAt: number
  readonly bytes: number
}

export interface DeadLetterDetails extends DeadLetter {
  readonly headers: Readonly<Record<string, string>>
  readonly sentAt: number
  /** The message's data; undefined where it cannot be read. */
  readonly data: unknown
}

export interface DeadLetters {
  /** Oldest first. @param options.limit 1 to 1000, 100 unless told */
  list(options?: { limit?: number; after?: string; type?: string; destination?: string }): Promise<DeadLetter[]>
  /** @throws STA001 */
  show(id: string): Promise<DeadLetterDetails>
  /**
   * Sends it again, as the message that it was, with its attempts from the start.
   * @param to another peer than before
   * @throws STA001, and what `send` throws
   */
  retry(id: string, options?: { to?: string }): Promise<void>
  /** Throws away one, or all. @returns how many; @throws STA001 for one that is not there */
  purge(id?: string): Promise<number>
  size(): number
  onDead(fn: (letter: DeadLetter) => void): Stop
}

export interface Death {
  readonly destination: string
  readonly message: Uint8Array
  readonly policy: RetryPolicy
  readonly fault: Fault
  readonly attempts: number
  readonly firstFailureAt: number
  readonly lastFailureAt: number
}

export interface Graveyard extends DeadLetters {
  /** @returns what is to be committed, and what says so once it is */
  bury(death: Death): { id: string; changes: RowChange[]; done: () => void }
  bytes(): number
}

export interface GraveyardDeps {
  readonly port: Pick<Port, 'clock' | 'random' | 'log'>
  readonly store: RowStore
  readonly settings: Pick<Settings, 'deadLetters' | 'deadLetterBytes'>
  /** The oldest were dropped for want of room. */
  dropped(count: number): void
  /** Sends what was dead, together with `also`. */
  revive(to: string, message: Uint8Array, policy: RetryPolicy, also: readonly RowChange[]): Promise<void>
}

const TIME_DIGITS = 9
const MAX_LIST = 1_000

const letterOf = (id: string, row: Row, message: Message): DeadLetter => ({
  id,
  messageId: message.id,
  type: message.type,
  destination: row.destination,
  guarantee: message.guarantee,
  conversationId: message.conversationId,
  code: row.code,
  reason: row.reason,
  hint: row.hint,
  attempts: row.attempts,
  firstFailureAt: row.firstFailureAt,
  lastFailureAt: row.lastFailureAt,
  bytes: row.message.length,
})

const dataOf = ({ content, payload }: Message): unknown => {
  try {
    return decodePayload(content, payload)
  } catch {
    return undefined
  }
}

const missing = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no dead letter ${id.slice(0, 64)}`, {
    hint: 'list them; it may have been retried',
  })

/** Reads the index of what is there. */
export const openDeadLetters = async (deps: GraveyardDeps): Promise<Graveyard> => {
  const { port, store, settings } = deps
  /** By id, oldest first. */
  const index = new Map<string, number>()
  const listeners = new Set<(letter: DeadLetter) => void>()
  let bytes = 0
  let turn = 0
  for await (const { key, value } of store.rows(DEAD_LETTERS)) {
    index.set(key.slice(DEAD_LETTERS.length), value.length)
    bytes += value.length
  }

  const forget = (id: string): void => {
    bytes -= index.get(id) ?? 0
    index.delete(id)
  }

  const parse = (value: Uint8Array): { row: Row; message: Message } => {
    const row = Row.parse(decodePayload('cbor', value))
    return { row, message: decodeMessage(row.message) }
  }

  const read = async (id: string): Promise<{ row: Row; message: Message }> => {
    const value = index.has(id) ? await store.get(DEAD_LETTERS + id) : undefined
    if (value === undefined) throw missing(id)
    return parse(value)
  }

  return {
    bury(death) {
      turn += 1
      const id = `${padded(Math.floor(port.clock.now()), TIME_DIGITS)}${padded(turn % 1_296, 2)}${padded((port.random(1)[0] ?? 0) % 36, 1)}`
      const row: Row = {
        destination: death.destination,
        code: death.fault.code,
        reason: death.fault.message,
        ...(death.fault.hint !== undefined && { hint: death.fault.hint }),
        attempts: death.attempts,
        firstFailureAt: death.firstFailureAt,
        lastFailureAt: death.lastFailureAt,
        policy: death.policy,
        message: death.message,
      }
      const value = encodePayload('cbor', row)
      const changes: RowChange[] = [{ key: DEAD_LETTERS + id, value }]
      index.set(id, value.length)
      bytes += value.length
      let count = 0
      for (const oldest of index.keys()) {
        if (oldest === id || (index.size <= settings.deadLetters && bytes <= settings.deadLetterBytes)) break
        forget(oldest)
        changes.push({ key: DEAD_LETTERS + oldest, value: undefined })
        count += 1
      }
      if (count > 0) deps.dropped(count)
      return {
        id,
        changes,
        done() {
          const letter = letterOf(id, row, decodeMessage(death.message))
          for (const fn of [...listeners]) fn(letter)
        },
      }
    },
    async list({ limit = 100, after, type, destination } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      const found: DeadLetter[] = []
      const options = after === undefined ? {} : { after: DEAD_LETTERS + after }
      for await (const { key, value } of store.rows(DEAD_LETTERS, options)) {
        const { row, message } = parse(value)
        if (type !== undefined && message.type !== type) continue
        if (destination !== undefined && row.destination !== destination) continue
        found.push(letterOf(key.slice(DEAD_LETTERS.length), row, message))
        if (found.length >= most) break
      }
      return found
    },
    async show(id) {
      const { row, message } = await read(id)
      return {
        ...letterOf(id, row, message),
        headers: message.headers,
        sentAt: message.createdAt,
        data: dataOf(message),
      }
    },
    async retry(id, { to } = {}) {
      const { row } = await read(id)
      await deps.revive(to ?? row.destination, row.message, row.policy, [{ key: DEAD_LETTERS + id, value: undefined }])
      forget(id)
    },
    async purge(id) {
      if (id !== undefined && !index.has(id)) throw missing(id)
      const ids = id === undefined ? [...index.keys()] : [id]
      await store.commit(ids.map((one) => ({ key: DEAD_LETTERS + one, value: undefined })))
      for (const one of ids) forget(one)
      return ids.length
    },
    size: () => index.size,
    onDead(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    bytes: () => bytes,
  }
}
