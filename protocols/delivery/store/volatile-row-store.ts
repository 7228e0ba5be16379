/**
 * Rows in memory: for a node without a data directory, which is another peer after each start and promises nothing across
 * it. It receives AT_LEAST_ONCE, and recognises duplicates while it runs. State: the rows.
 */
import type { RowChange, RowStore } from './row-storage.ts'

/** A part of a larger buffer, such as a network read or Node's pool, keeps all of it in memory; a copy does not. */
const detached = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** @param id 32 hexadecimal digits */
export const createVolatileRowStore = (id: string): RowStore => {
  const rows = new Map<string, Uint8Array>()
  let bytes = 0

  const apply = (changes: readonly RowChange[]): void => {
    for (const { key, value } of changes) {
      const given = typeof value === 'function' ? value() : value
      bytes += (given?.length ?? 0) - (rows.get(key)?.length ?? 0)
      if (given === undefined) rows.delete(key)
      else rows.set(key, detached(given))
    }
  }

  return {
    id,
    formerIds: [],
    state: () => 'open',
    onState: () => () => {},
    get: async (key) => rows.get(key),
    getMany: async (keys) => keys.map((key) => rows.get(key)),
    async *rows(prefix, { after, limit = Number.POSITIVE_INFINITY } = {}) {
      const keys = [...rows.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
      for (const key of keys.sort(compare).slice(0, limit)) {
        const value = rows.get(key)
        if (value !== undefined) yield { key, value }
      }
    },
    commit: async (changes) => apply(changes),
    later: apply,
    bytes: () => bytes,
    close: async () => {},
  }
}
