/**
 * Outside effects whose results are kept, so that they are not run again: `effect(name, fn)`.
 *
 * Within a message the results are kept until the message was processed; by name of the node itself, for `effectKeepMs`.
 * Rows: `e/m/<message>/<name>` and `e/n/<name>`. State: those under way, so that two who ask at once share one run, and
 * when the results of the node itself may go, at most `effects`; the oldest go first.
 */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import { EFFECTS } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import { checkKey } from '../store/transactions.ts'

export interface MessageEffects {
  run<R>(name: string, fn: () => Promise<R> | R): Promise<R>
  /** Changes that go with the note that the message was processed. */
  forget(): RowChange[]
}

export interface EffectResults {
  of(messageId: string): MessageEffects
  run<R>(name: string, fn: () => Promise<R> | R): Promise<R>
  /** Drops what is old. */
  tick(): void
}

export interface EffectResultsDeps {
  readonly port: Pick<Port, 'clock'>
  readonly store: RowStore
  readonly settings: Pick<ResolvedDeliveryOptions, 'effects' | 'effectKeepMs'>
  dropped(count: number): void
}

const OF_MESSAGES = `${EFFECTS}m/`
/** Rows of messages that are looked at in one tick. */
const PRUNED_AT_A_TIME = 1_000
const OF_NODE = `${EFFECTS}n/`

interface Kept {
  readonly at: number
  readonly result: unknown
}

const write = (name: string, kept: Kept): Uint8Array => {
  try {
    return encodePayload('cbor', { at: kept.at, ...(kept.result !== undefined && { result: kept.result }) })
  } catch (cause) {
    throw new ParleyError('MSG002', `the result of the effect ${JSON.stringify(name)} cannot be kept`, {
      hint: 'return plain objects, arrays, texts, numbers, booleans, null or bytes; the effect itself has happened',
      cause,
    })
  }
}

const read = (bytes: Uint8Array): Kept => {
  const value = decodePayload('cbor', bytes)
  const { at, result } = typeof value === 'object' && value !== null ? (value as Partial<Kept>) : {}
  return { at: typeof at === 'number' ? at : 0, result }
}

export const openEffectResults = async ({
  port,
  store,
  settings,
  dropped,
}: EffectResultsDeps): Promise<EffectResults> => {
  const running = new Map<string, Promise<unknown>>()
  /** Of the node itself, by key, oldest first. */
  const kept = new Map<string, number>()
  const found: { key: string; at: number }[] = []
  for await (const { key, value } of store.rows(OF_NODE)) found.push({ key, at: read(value).at })
  for (const { key, at } of found.sort((a, b) => a.at - b.at)) kept.set(key, at)

  let cursor: string | undefined
  let isPruning = false

  /** Of messages that were given up by their sender, or never came again. */
  const prune = async (oldest: number): Promise<void> => {
    isPruning = true
    try {
      const gone: RowChange[] = []
      let last: string | undefined
      for await (const { key, value } of store.rows(OF_MESSAGES, {
        limit: PRUNED_AT_A_TIME,
        ...(cursor !== undefined && { after: cursor }),
      })) {
        last = key
        if (read(value).at <= oldest) gone.push({ key, value: undefined })
      }
      cursor = last
      if (gone.length === 0) return
      store.later(gone)
      dropped(gone.length)
    } finally {
      isPruning = false
    }
  }

  const perform = async (key: string, name: string, fn: () => unknown): Promise<unknown> => {
    const before = await store.get(key)
    if (before !== undefined) return read(before).result
    const result = await fn()
    const at = port.clock.now()
    await store.commit([{ key, value: write(name, { at, result }) }])
    if (key.startsWith(OF_NODE)) kept.set(key, at)
    return result
  }

  const share = (key: string, name: string, fn: () => unknown): Promise<unknown> => {
    const known = running.get(key)
    if (known !== undefined) return known
    const result = perform(key, name, fn).finally(() => running.delete(key))
    running.set(key, result)
    return result
  }

  return {
    of(messageId) {
      let keys: Set<string> | undefined
      return {
        run: async <R>(name: string, fn: () => Promise<R> | R): Promise<R> => {
          const key = `${OF_MESSAGES}${messageId}/${checkKey(name)}`
          keys ??= new Set()
          keys.add(key)
          return (await share(key, name, fn)) as R
        },
        forget: () => (keys === undefined ? [] : [...keys].map((key) => ({ key, value: undefined }))),
      }
    },
    run: async <R>(name: string, fn: () => Promise<R> | R): Promise<R> =>
      (await share(OF_NODE + checkKey(name), name, fn)) as R,
    tick() {
      const oldest = port.clock.now() - settings.effectKeepMs
      // Where the store fails, the next runtime looks again.
      if (!isPruning) prune(oldest).catch(() => {})
      const gone: RowChange[] = []
      for (const [key, at] of kept) {
        if (at > oldest && kept.size - gone.length <= settings.effects) break
        gone.push({ key, value: undefined })
      }
      if (gone.length === 0) return
      for (const { key } of gone) kept.delete(key)
      store.later(gone)
      dropped(gone.length)
    },
  }
}
