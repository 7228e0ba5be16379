/**
 * The files of events in a data directory: `events/words/<word>/` with the history of each word (history-log.ts) and
 * `events/cursors/<name>.json` with the position of each named subscription, replaced as a whole.
 */
import { join } from 'node:path'
import * as z from 'zod'
import type { EventStore } from '../../../protocols/events/history/history-contract.ts'
import type { Port } from '../../../protocols/port.ts'
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from '../../platform/private-file.ts'
import { folderToCome } from '../files/disk.ts'
import { EVENTS_FOLDER } from '../known-stores.ts'
import { openHistoryLog } from './history-log.ts'

const MAX_CURSOR_BYTES = 4 * 1024 * 1024

const CursorFile = z.object({
  version: z.literal(1),
  createdAt: z.number(),
  positions: z.array(z.tuple([z.string(), z.string(), z.number(), z.number()])),
})

/** Some file systems do not tell capitals from small letters, topics do. */
const folderOf = (word: string): string => word.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`)

const readCursor = (bytes: Uint8Array): z.output<typeof CursorFile> | undefined => {
  try {
    return CursorFile.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch {
    return undefined
  }
}

/** In the folder of events: a folder for each word. */
export const WORDS_FOLDER = 'words'

export const createEventStore = (
  dataDir: string,
  { clock, log, random }: Pick<Port, 'clock' | 'log' | 'random'>,
): EventStore => {
  const root = join(dataDir, EVENTS_FOLDER)
  const cursors = join(root, 'cursors')
  const fileOf = (name: string): string => join(cursors, `${name}.json`)
  return {
    open: (word, bounds) =>
      openHistoryLog(folderToCome(join(root, WORDS_FOLDER, folderOf(word))), word, bounds, {
        now: clock.now,
        log,
        random,
      }),
    async loadCursor(name) {
      const bytes = await readPrivateFile(fileOf(name), MAX_CURSOR_BYTES, log)
      if (bytes === undefined) return undefined
      const cursor = readCursor(bytes)
      if (cursor === undefined) {
        log.error('the position of a subscription cannot be read; it starts anew', { name, file: fileOf(name) })
        return undefined
      }
      const positions = cursor.positions.map(([publisher, word, epoch, next]) => ({ publisher, word, epoch, next }))
      return { createdAt: cursor.createdAt, positions }
    },
    async saveCursor(name, { createdAt, positions }) {
      await ensurePrivateDirectory(cursors)
      const rows = positions.map(({ publisher, word, epoch, next }) => [publisher, word, epoch, next])
      await writePrivateFile(fileOf(name), JSON.stringify({ version: 1, createdAt, positions: rows }))
    },
  }
}
