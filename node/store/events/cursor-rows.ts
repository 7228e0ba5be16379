/**
 * Where named subscriptions stand: a row for each name, in rows of their own (messages/row-store.ts). Versions before had a file
 * for each, `<name>.json`: it is taken over when its name is asked for.
 *
 * The rows are opened when they are first asked for. State: those.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { RowStore } from '../../../protocols/delivery/store/row-storage.ts'
import type { EventStore, SavedCursor } from '../../../protocols/events/history/history-contract.ts'
import type { Port } from '../../../protocols/port.ts'
import { readPrivateFile } from '../../platform/private-file.ts'
import { openRowStore } from '../messages/row-store.ts'

const MAX_CURSOR_BYTES = 4 * 1024 * 1024
const KIB = 1024
/** There are few of them. */
const SMALL = { memoryBytes: KIB * KIB, logBytes: 8 * KIB * KIB, cacheBytes: 256 * KIB, roomBytes: 64 * KIB }
export const CURSOR_WORDS = {
  what: 'positions of subscriptions',
  copied: 'what they handled since comes to them again, as far as it is kept',
}

const CursorForm = z.object({
  version: z.literal(1),
  createdAt: z.number(),
  positions: z.array(z.tuple([z.string(), z.string(), z.number(), z.number()])),
})

const encodeCursor = ({ createdAt, positions }: SavedCursor): Uint8Array => {
  const rows = positions.map(({ publisher, word, epoch, next }) => [publisher, word, epoch, next])
  return new TextEncoder().encode(JSON.stringify({ version: 1, createdAt, positions: rows }))
}

/** @returns undefined for what is none */
const decodeCursor = (bytes: Uint8Array): SavedCursor | undefined => {
  try {
    const { createdAt, positions } = CursorForm.parse(JSON.parse(new TextDecoder().decode(bytes)))
    return {
      createdAt,
      positions: positions.map(([publisher, word, epoch, next]) => ({ publisher, word, epoch, next })),
    }
  } catch {
    return undefined
  }
}

/** @param folder is made with the first position */
export const createCursorRows = (
  folder: string,
  deps: Pick<Port, 'log' | 'random' | 'timers'>,
): Pick<EventStore, 'loadCursor' | 'saveCursor' | 'close'> => {
  const { log } = deps
  let opening: Promise<RowStore> | undefined

  const open = (): Promise<RowStore> => {
    const made = opening ?? openRowStore(folder, { ...deps, words: CURSOR_WORDS, engine: SMALL })
    opening = made
    // What was mended meanwhile is opened the next time.
    made.catch(() => {
      if (opening === made) opening = undefined
    })
    return made
  }

  const save = async (rows: RowStore, name: string, cursor: SavedCursor): Promise<void> =>
    rows.commit([{ key: name, value: encodeCursor(cursor) }])

  const takeOver = async (rows: RowStore, name: string): Promise<SavedCursor | undefined> => {
    const file = join(folder, `${name}.json`)
    const bytes = await readPrivateFile(file, MAX_CURSOR_BYTES, log)
    if (bytes === undefined) return undefined
    const cursor = decodeCursor(bytes)
    if (cursor === undefined) {
      log.error('the position of a subscription cannot be read; it starts anew', { name, file })
      return undefined
    }
    await save(rows, name, cursor)
    await rm(file, { force: true })
    return cursor
  }

  return {
    async loadCursor(name) {
      const rows = await open()
      const found = await rows.get(name)
      return found === undefined ? takeOver(rows, name) : decodeCursor(found)
    },
    async saveCursor(name, cursor) {
      await save(await open(), name, cursor)
    },
    async close() {
      const rows = await opening?.catch(() => undefined)
      opening = undefined
      await rows?.close()
    },
  }
}
