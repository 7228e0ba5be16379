/**
 * What lies in the folder of events of a node that does not run: all of it read and checked. What is damaged can be taken out;
 * the node starts without it in any case, since a history is best effort.
 */
import { join } from 'node:path'
import type { ParleyError } from '../../../protocols/errors.ts'
import { type Disk, lookIntoFolder, openFolder, replaceFile } from '../files/disk.ts'
import { copyAside, type RandomBytes } from '../journal/replace-log.ts'
import { SALT_BYTES } from '../log/log-frames.ts'
import { isSegmentName, storeError } from '../log/log-segments.ts'
import { earlierNumber, readEarlier } from './earlier-history.ts'
import { WORDS_FOLDER } from './event-files.ts'
import { encodeSegment } from './history-files.ts'
import { decodeBatch, readSegment } from './history-segment.ts'

export interface HistorySurvey {
  readonly words: number
  readonly segments: number
  readonly batches: number
  readonly events: number
  readonly bytes: number
  /** Of what is damaged. */
  readonly lost: number
  /** Bytes of writes that a crash cut off: opening removes them. */
  readonly torn: number
  /** STA003 each, with `details.reason` `damaged`. */
  readonly problems: readonly ParleyError[]
}

const damaged = (file: string, lost: number): ParleyError =>
  storeError(
    'damaged',
    `the history of events is damaged: ${lost} bytes of ${file} cannot be read`,
    'start the node, which goes on without them; or parley store repair, which takes them out',
  )

const wordsIn = (folder: string): Promise<string[]> => lookIntoFolder(join(folder, WORDS_FOLDER)).list()
const wordFolder = (folder: string, word: string): string => join(folder, WORDS_FOLDER, word)

const segmentsIn = async (disk: Disk): Promise<string[]> =>
  (await disk.list()).filter((name) => isSegmentName(name) || earlierNumber(name) !== undefined).sort()

/** Reads all of it, and changes nothing. @throws what the disk says */
export const surveyHistory = async (folder: string): Promise<HistorySurvey> => {
  const words = await wordsIn(folder)
  const sum = { words: words.length, segments: 0, batches: 0, events: 0, bytes: 0, lost: 0, torn: 0 }
  const problems: ParleyError[] = []
  for (const word of words) {
    const disk = lookIntoFolder(wordFolder(folder, word))
    for (const name of await segmentsIn(disk)) {
      const bytes = await disk.read(name)
      const segment = isSegmentName(name) ? readSegment(bytes) : undefined
      const { found, lost } = segment ?? readEarlier(bytes)
      sum.segments += 1
      sum.batches += found.length
      for (const { range } of found) sum.events += range.to - range.from + 1
      sum.bytes += bytes.length
      if (segment?.isTorn === true) sum.torn += lost
      else if (lost > 0) {
        sum.lost += lost
        problems.push(damaged(join(word, name), lost))
      }
    }
  }
  return { ...sum, problems }
}

export interface RepairedHistory {
  readonly before: HistorySurvey
  /** Names that damaged files have now, with the folder of their word; none: there was nothing to repair. */
  readonly aside: readonly string[]
}

/** What is good of a damaged segment takes its place; a copy of it as it was is kept, with `.damaged`. */
const repairSegment = async (disk: Disk, name: string, random: RandomBytes): Promise<string | undefined> => {
  const bytes = await disk.read(name)
  const segment = readSegment(bytes)
  if (segment.lost === 0 || segment.isTorn) return undefined
  const { header, found } = segment
  const good = found.flatMap((batch) => {
    const whole = header && decodeBatch(bytes.subarray(batch.at, batch.at + batch.size), header.salt)
    return whole === undefined ? [] : [whole]
  })
  const aside = await copyAside(disk, name, '.damaged')
  await replaceFile(disk, name, encodeSegment(Number.parseInt(name, 10), random(SALT_BYTES), good))
  return aside
}

/**
 * A second time there is nothing to do. Segments of earlier versions are left to the next start, which takes over what is good.
 * @throws what the disk says, and then it can be done again
 */
export const repairHistory = async (folder: string, random: RandomBytes): Promise<RepairedHistory> => {
  const before = await surveyHistory(folder)
  const aside: string[] = []
  if (before.problems.length === 0) return { before, aside }
  for (const word of await wordsIn(folder)) {
    const disk = await openFolder(wordFolder(folder, word))
    for (const name of (await disk.list()).filter(isSegmentName).sort()) {
      const put = await repairSegment(disk, name, random)
      if (put !== undefined) aside.push(join(word, put))
    }
  }
  return { before, aside }
}
