/**
 * Which dead letters there are, without what they say: what room, order and groups are decided by. Pure.
 *
 * State: for each letter its bytes and what it is grouped by, oldest first. As many entries as there are letters; texts that
 * are the same are kept once.
 */

import { decodeMessage } from '../durable-message.ts'
import type { DeadLetterRow } from './dead-letter.ts'

/** What letters are grouped by: why, what, and for whom. */
export const GROUPINGS = ['code', 'type', 'destination'] as const
export type Grouping = (typeof GROUPINGS)[number]

export interface LetterGroup {
  /** The code, the type, or the destination that they share. */
  readonly key: string
  readonly letters: number
  readonly bytes: number
  /** Id of the one that died last. */
  readonly newest: string
}

interface Entry extends Readonly<Record<Grouping, string>> {
  readonly bytes: number
  readonly isCall: boolean
}

interface LetterIndex {
  add(id: string, bytes: number, row: Pick<DeadLetterRow, 'code' | 'destination' | 'isCall' | 'message'>): void
  remove(id: string): void
  get(id: string): Entry | undefined
  /** Oldest first. */
  ids(only?: 'calls'): IterableIterator<string>
  size(): number
  bytes(): number
  /** Those of most letters first. */
  groups(by: Grouping): LetterGroup[]
}

/** Empty where the message cannot be read: whoever shows it says why. */
const typeOf = (message: Uint8Array): string => {
  try {
    return decodeMessage(message).type
  } catch {
    return ''
  }
}

export const createLetterIndex = (): LetterIndex => {
  const entries = new Map<string, Entry>()
  const calls = new Set<string>()
  /** Each text once, with how many entries have it. */
  const texts = new Map<string, { readonly text: string; uses: number }>()
  let bytes = 0

  const keep = (text: string): string => {
    const known = texts.get(text)
    if (known === undefined) texts.set(text, { text, uses: 1 })
    else known.uses += 1
    return known?.text ?? text
  }
  const letGo = (text: string): void => {
    const known = texts.get(text)
    if (known === undefined) return
    known.uses -= 1
    if (known.uses === 0) texts.delete(text)
  }

  return {
    add(id, size, { code, destination, isCall, message }) {
      const entry = {
        bytes: size,
        isCall,
        code: keep(code),
        type: keep(typeOf(message)),
        destination: keep(destination),
      }
      entries.set(id, entry)
      bytes += size
      if (isCall) calls.add(id)
    },
    remove(id) {
      const entry = entries.get(id)
      if (entry === undefined) return
      for (const by of GROUPINGS) letGo(entry[by])
      bytes -= entry.bytes
      entries.delete(id)
      calls.delete(id)
    },
    get: (id) => entries.get(id),
    ids: (only) => (only === 'calls' ? calls.keys() : entries.keys()),
    size: () => entries.size,
    bytes: () => bytes,
    groups(by) {
      const found = new Map<string, { key: string; letters: number; bytes: number; newest: string }>()
      for (const [id, entry] of entries) {
        const key = entry[by]
        const group = found.get(key)
        if (group === undefined) found.set(key, { key, letters: 1, bytes: entry.bytes, newest: id })
        else {
          group.letters += 1
          group.bytes += entry.bytes
          group.newest = id
        }
      }
      return [...found.values()].sort((a, b) => b.letters - a.letters || (a.key < b.key ? -1 : 1))
    },
  }
}
