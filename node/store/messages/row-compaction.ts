/**
 * Room that a row store takes. LevelDB keeps what was overwritten or removed until it merges those tables by itself, which
 * may be never: where that is more than what counts and `slackBytes`, and there is more of it since the last time, all is
 * merged.
 * State: sizes, and the merging under way.
 */
import type { Log } from '../../../protocols/port.ts'
import type { LevelDb } from './level-db.ts'
import { folderBytes } from './row-survey.ts'

/** Bytes written after which the files are looked at anew. */
const LOOK_BYTES = 4 * 1024 * 1024
export const SLACK_BYTES = 64 * 1024 * 1024
/** Before and after all keys. */
const [FIRST, LAST] = ['\0', '\u{10ffff}\u{10ffff}']

export interface RowCompaction {
  /** On disk, about. */
  bytes(): number
  /** @param freed bytes of rows that do not count any more */
  onWritten(bytes: number, freed: number): void
  /** Sizes are for bounds that are far away: what cannot be looked at keeps its last size. */
  measure(): Promise<void>
}

export interface RowCompactionDeps {
  readonly level: LevelDb
  readonly folder: string
  readonly log: Log
  /** Of the rows that there are. */
  readonly liveBytes: () => number
  readonly slackBytes: number
}

export const createRowCompaction = ({
  level,
  folder,
  log,
  liveBytes,
  slackBytes,
}: RowCompactionDeps): RowCompaction => {
  let bytes = 0
  let unseen = 0
  /** Bytes of rows that ceased to count since the last merging began; before the first one nobody knows. */
  let freedSince = Number.POSITIVE_INFINITY
  let isMerging = false

  const idle = (): number => bytes + unseen - liveBytes()
  const measure = async (): Promise<void> => {
    unseen = 0
    bytes = await folderBytes(folder).catch(() => bytes)
  }
  const merge = async (): Promise<void> => {
    isMerging = true
    freedSince = 0
    try {
      await level.compactRange(FIRST, LAST)
      await measure()
    } catch (error) {
      // A disk that fails is seen by the next write; a store that is closed merges no more.
      if (level.status === 'open') log.warn('stored messages could not be merged', { error })
    } finally {
      isMerging = false
    }
    mergeIfDue()
  }
  const mergeIfDue = (): void => {
    const isDue = idle() > liveBytes() + slackBytes && freedSince > slackBytes / 2
    if (isDue && !isMerging && level.status === 'open') void merge()
  }
  const look = async (): Promise<void> => {
    await measure()
    mergeIfDue()
  }
  return {
    bytes: () => bytes + unseen,
    onWritten(more, freed) {
      unseen += more
      freedSince += freed
      if (unseen > LOOK_BYTES) void look()
      else mergeIfDue()
    },
    measure: look,
  }
}
