/**
 * The files of events in a data directory: `events/words/<word>/` with the history of each word (history-log.ts), and
 * `events/cursors/` with the positions of named subscriptions (cursor-rows.ts).
 */
import { join } from 'node:path'
import type { EventStore } from '../../../protocols/events/history/history-contract.ts'
import type { Port } from '../../../protocols/port.ts'
import { folderToCome } from '../files/disk.ts'
import { EVENTS_FOLDER } from '../known-stores.ts'
import { createCursorRows } from './cursor-rows.ts'
import { openHistoryLog } from './history-log.ts'

/** In the folder of events: a folder for each word, and the positions. */
export const WORDS_FOLDER = 'words'
export const CURSORS_FOLDER = 'cursors'

/** Some file systems do not tell capitals from small letters, topics do. */
const folderOf = (word: string): string => word.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`)

export const createEventStore = (
  dataDir: string,
  deps: Pick<Port, 'clock' | 'log' | 'random' | 'timers'>,
): EventStore => {
  const { clock, log, random } = deps
  const root = join(dataDir, EVENTS_FOLDER)
  return {
    ...createCursorRows(join(root, CURSORS_FOLDER), deps),
    open(word, bounds) {
      const disk = folderToCome(join(root, WORDS_FOLDER, folderOf(word)))
      return openHistoryLog(disk, word, bounds, { now: clock.now, log, random })
    },
  }
}
