/** Row stores on real files, as their tests need them. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { timers } from '../../../../../node/platform/platform.ts'
import type { RowSessionDeps } from '../../../../../node/store/messages/row-session.ts'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import type { RowChange, RowStore } from '../../../../../protocols/delivery/store/row-storage.ts'

export interface Said {
  readonly level: 'error' | 'warn' | 'info'
  readonly message: string
}

/** What a node gives to its store; `said` is its log. */
export const deps = (options: Partial<RowSessionDeps> = {}): RowSessionDeps & { readonly said: Said[] } => {
  const said: Said[] = []
  const note = (level: Said['level']) => (message: string) => void said.push({ level, message })
  const log = { error: note('error'), warn: note('warn'), info: note('info') }
  return { random: (n) => new Uint8Array(randomBytes(n)), log, timers, said, ...options }
}

export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value)
export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
export const put = (key: string, value: string): RowChange => ({ key, value: bytes(value) })
export const gone = (key: string): RowChange => ({ key, value: undefined })

/** All rows, as texts. */
export const contents = async (store: RowStore, prefix = ''): Promise<Record<string, string>> => {
  const found: Record<string, string> = {}
  for await (const { key, value } of store.rows(prefix)) found[key] = text(value) ?? ''
  return found
}

/** Opens, reads and closes. */
export const reread = async (folder: string): Promise<{ id: string; rows: Record<string, string> }> => {
  const store = await openRowStore(folder, deps())
  try {
    return { id: store.id, rows: await contents(store) }
  } finally {
    await store.close()
  }
}

/** A store with `count` rows in groups of one, closed. @returns the rows */
export const filled = async (folder: string, count: number, size = 100): Promise<Record<string, string>> => {
  const store = await openRowStore(folder, deps())
  const rows: Record<string, string> = {}
  for (let i = 0; i < count; i += 1) {
    const [key, value] = [`out/${String(i).padStart(6, '0')}`, `${i}.`.padEnd(size, '-')]
    rows[key] = value
    await store.commit([put(key, value)])
  }
  await store.close()
  return rows
}

export const flip = async (file: string, at: number, mask = 0x40): Promise<void> => {
  const found = await readFile(file)
  found[at] = (found[at] ?? 0) ^ mask
  await writeFile(file, found)
}
