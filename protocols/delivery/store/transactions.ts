/**
 * Changes that are made together or not at all: what a program keeps, and messages that go out because of them.
 *
 * Optimistic: a transaction notes what it read and is run again where somebody else's change to that came in between
 * (Kung and Robinson, On Optimistic Methods for Concurrency Control, 1981; serial validation), so that transactions take
 * effect as if one after the other. Reads see everything that was committed before, durable or not: what is not durable
 * yet becomes so together with, or before, what was made of it.
 *
 * State: the last write of each key that a running transaction may still have read.
 */
import { ParleyError } from '../../errors.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { STATE } from './delivery-rows.ts'
import type { RowChange, RowStore } from './row-storage.ts'

export const MAX_KEY_BYTES = 512
export const MAX_VALUE_BYTES = 1024 * 1024
export const MAX_CHANGES = 10_000

/** Reads and changes what this node keeps. Changes count together once the transaction is committed. */
export interface TransactionReads {
  /** @returns what was put last; undefined where there is nothing */
  get(key: string): Promise<unknown>
}

export interface TransactionWrites extends TransactionReads {
  /** @param value what CBOR can hold: plain objects, arrays, texts, numbers, booleans, null, bytes; at most 1 MiB. MSG001, MSG002 */
  put(key: string, value: unknown): void
  delete(key: string): void
}

export interface Transaction extends TransactionWrites {
  /** True where something that it read was changed since. */
  isStale(): boolean
  /** What is to be committed, in the same turn. It takes nothing more afterwards. */
  close(): RowChange[]
  /** Nothing of it counts. */
  abandon(): void
  isEmpty(): boolean
}

export interface Transactions {
  begin(): Transaction
  /** Keys as they are now, outside of a transaction. */
  get(key: string): Promise<unknown>
  list(prefix: string, limit: number, after?: string): Promise<{ key: string; value: unknown }[]>
}

const encoder = new TextEncoder()

/** @throws MSG001 */
export const checkKey = (key: string): string => {
  if (typeof key === 'string' && key.length > 0 && key.isWellFormed() && encoder.encode(key).length <= MAX_KEY_BYTES)
    return key
  throw new ParleyError('MSG001', `the key ${JSON.stringify(key)?.slice(0, 80)} is not usable`, {
    hint: `use a text of 1 to ${MAX_KEY_BYTES} bytes`,
  })
}

const encodeValue = (key: string, value: unknown): Uint8Array => {
  if (value === undefined)
    throw new ParleyError('MSG001', `undefined cannot be kept under ${JSON.stringify(key)}`, {
      hint: 'use delete(), or null',
    })
  const bytes = encodePayload('cbor', value)
  if (bytes.length <= MAX_VALUE_BYTES) return bytes
  throw new ParleyError(
    'MSG001',
    `the value of ${JSON.stringify(key)} has ${bytes.length} bytes, at most ${MAX_VALUE_BYTES}`,
    {
      hint: 'keep large things in files, and their names here',
    },
  )
}

const read = (bytes: Uint8Array | undefined): unknown =>
  bytes === undefined ? undefined : decodePayload('cbor', bytes)

export const createTransactions = (store: Pick<RowStore, 'get' | 'rows'>): Transactions => {
  /** Counts commits; what was written at which. */
  let clock = 0
  const lastWrite = new Map<string, number>()
  let open = 0

  const end = (): void => {
    open -= 1
    // Nobody is left who could have read before them.
    if (open === 0) lastWrite.clear()
  }

  const begin = (): Transaction => {
    const reads = new Map<string, number>()
    const writes = new Map<string, Uint8Array | undefined>()
    let isOpen = true
    open += 1

    const mustBeOpen = (): void => {
      if (isOpen) return
      throw new ParleyError('STA003', 'this transaction has ended', {
        hint: 'await everything that a handler does with its transaction before it returns',
        details: { reason: 'ended' },
      })
    }
    const write = (key: string, value: Uint8Array | undefined): void => {
      mustBeOpen()
      if (writes.size >= MAX_CHANGES && !writes.has(key))
        throw new ParleyError('MSG001', `a transaction has more than ${MAX_CHANGES} changes`, { hint: 'make several' })
      writes.set(key, value)
    }

    return {
      async get(key) {
        mustBeOpen()
        checkKey(key)
        if (writes.has(key)) return read(writes.get(key))
        if (!reads.has(key)) reads.set(key, clock)
        return read(await store.get(STATE + key))
      },
      put: (key, value) => write(checkKey(key), encodeValue(key, value)),
      delete: (key) => write(checkKey(key), undefined),
      isStale() {
        for (const [key, at] of reads) if ((lastWrite.get(key) ?? 0) > at) return true
        return false
      },
      close() {
        mustBeOpen()
        isOpen = false
        clock += 1
        const changes: RowChange[] = []
        for (const [key, value] of writes) {
          lastWrite.set(key, clock)
          changes.push({ key: STATE + key, value })
        }
        end()
        return changes
      },
      abandon() {
        if (!isOpen) return
        isOpen = false
        end()
      },
      isEmpty: () => writes.size === 0,
    }
  }

  return {
    begin,
    get: async (key) => read(await store.get(STATE + checkKey(key))),
    async list(prefix, limit, after) {
      const found: { key: string; value: unknown }[] = []
      const options = after === undefined ? { limit } : { limit, after: STATE + after }
      for await (const { key, value } of store.rows(STATE + prefix, options))
        found.push({ key: key.slice(STATE.length), value: read(value) })
      return found
    },
  }
}
