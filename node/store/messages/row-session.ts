/**
 * The rows of messages from one opening to the next failure: the engine (rows/row-engine.ts), and commits in groups.
 *
 * At the first failure everything is refused, since nobody knows what is on the disk; row-store.ts opens it again.
 */
import { join } from 'node:path'
import type { RowChange, RowStore } from '../../../protocols/delivery/store/row-storage.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import { isFullDisk } from '../../platform/private-file.ts'
import { detectCopy, recordFileIdentity } from '../files/copy-detection.ts'
import { type Disk, openFolder } from '../files/disk.ts'
import { ROWS_FOLDER } from '../known-stores.ts'
import { storeError } from '../log/log-segments.ts'
import { createGroupCommit } from '../rows/group-commit.ts'
import { RowEngine } from '../rows/row-engine.ts'
import type { RowEngineOptions } from '../rows/row-options.ts'
import { noteDamage, refuseNotedDamage } from './damage-note.ts'
import { takeOverLevelDb } from './leveldb-takeover.ts'

export interface RowSession
  extends Pick<RowStore, 'id' | 'formerIds' | 'get' | 'getMany' | 'rows' | 'later' | 'bytes'> {
  commit(changes: readonly RowChange[]): Promise<void>
  /** Number of the last group that is durable. */
  group(): number
  /** Writes what was put off, where it can, and lets the files go. @throws what the disk says */
  close(): Promise<void>
}

/** For a person: what the rows are, and what a copy of them means. */
export interface RowWords {
  readonly what: string
  readonly copied: string
}

const OF_MESSAGES: RowWords = {
  what: 'messages',
  copied: 'what was sent and received since is forgotten, so its peers take it for a new sender',
}

export const wordsOf = ({ words = OF_MESSAGES }: Pick<RowSessionDeps, 'words'>): RowWords => words

export interface RowSessionDeps extends Pick<Port, 'random' | 'log' | 'timers'> {
  /** Messages unless told. */
  readonly words?: RowWords
  readonly engine?: Partial<RowEngineOptions>
}

export const closedRows = ({ what }: RowWords): ParleyError =>
  storeError('closed', `the store of ${what} is closed`, 'the node is stopping; nothing that was answered is lost')

/** @param what for a person, as in `the messages could not be written` */
export const rowsFailure = (what: string, error: unknown): ParleyError => {
  if (isParleyError(error, 'STA003')) {
    const isKnown = ['disk-full', 'damaged', 'newer', 'closed'].includes(String(error.details.reason))
    if (isKnown) return error
  }
  const message = error instanceof Error ? error.message : String(error)
  return isFullDisk(error)
    ? storeError(
        'disk-full',
        `${what}: ${message}`,
        'make room on the disk; nothing that was answered is lost, and it goes on by itself',
        error,
      )
    : storeError(
        'disk-failed',
        `${what}: ${message}`,
        'see whether the disk is well; the store is tried again by itself',
        error,
      )
}

/** Without room for it the store opens all the same, and a copy that is made until then is not noticed. */
const recordPlace = async (folder: string, { what }: RowWords, log: Port['log']): Promise<void> => {
  try {
    await recordFileIdentity(folder)
  } catch (error) {
    log.warn(`the place of the ${what} could not be noted; a copy of them would not be noticed`, { error })
  }
}

/** Another id for rows that came back from a backup or were copied: they have forgotten what was sent and received since. */
const openEngine = async (
  folder: string,
  disk: Disk,
  deps: RowSessionDeps,
  { isFirst, onDamage }: { isFirst: boolean; onDamage: (error: ParleyError) => void },
): Promise<RowEngine> => {
  const { random, log, timers } = deps
  const words = wordsOf(deps)
  const place = isFirst ? await detectCopy(folder) : 'same'
  const isRenewed = place === 'copied'
  const engine = await RowEngine.open(disk, { random, log, timers, ...deps.engine, isRenewed, onDamage })
  if (place !== 'same') await recordPlace(folder, words, log)
  const [was] = engine.formerIds
  if (isRenewed && was !== undefined)
    log.warn(`the ${words.what} of this node were restored from a backup or copied: ${words.copied}`, {
      was,
      id: engine.id,
    })
  return engine
}

/**
 * @param folder is made where it is missing
 * @param isFirst the folder may have been copied since it was used last
 * @param atLeast number of a group that was durable: with less it is damaged
 * @param onEnd told once: it is over
 * @throws STA003 with `details.reason` `damaged`, `newer`, `disk-full` or `disk-failed`
 */
export const openRowSession = async (
  folder: string,
  deps: RowSessionDeps,
  { isFirst, atLeast, onEnd }: { isFirst: boolean; atLeast: number; onEnd: (why: ParleyError) => void },
): Promise<RowSession> => {
  const { what } = wordsOf(deps)
  try {
    await openFolder(folder)
    await refuseNotedDamage(folder)
    await takeOverLevelDb(folder, deps)
    const disk = await openFolder(join(folder, ROWS_FOLDER))
    const found: { damage?: ParleyError; tell?: (error: ParleyError) => void } = {}
    const onDamage = (error: ParleyError): void => {
      found.damage = error
      found.tell?.(error)
    }
    const engine = await openEngine(folder, disk, deps, { isFirst, onDamage })
    if (engine.group >= atLeast) {
      const { session, fail } = sessionOf(engine, folder, deps, onEnd)
      found.tell = (error) => void fail(`the ${what} could not be merged`, error)
      if (found.damage !== undefined) found.tell(found.damage)
      return session
    }
    await engine.close()
    throw storeError(
      'damaged',
      `the stored ${what} end at group ${engine.group}, and were answered to group ${atLeast}`,
      'parley store verify shows what is left, parley store repair keeps it',
    )
  } catch (error) {
    throw rowsFailure(`the ${what} in ${folder} could not be opened`, error)
  }
}

const sessionOf = (
  engine: RowEngine,
  folder: string,
  deps: RowSessionDeps,
  onEnd: (why: ParleyError) => void,
): { session: RowSession; fail: (what: string, error: unknown) => ParleyError } => {
  const { timers, log } = deps
  const words = wordsOf(deps)
  let ended: ParleyError | undefined
  let noted = Promise.resolve()

  const failed = (what: string, error: unknown): ParleyError => {
    if (ended !== undefined) return ended
    ended = rowsFailure(what, error)
    groups.end(ended)
    // So that the next start does not go on with it either.
    if (ended.details.reason === 'damaged') noted = noteDamage(folder, ended.message, words, log)
    onEnd(ended)
    return ended
  }
  const groups = createGroupCommit({
    timers,
    write: (rows) => engine.write(rows),
    onFailure: (error) => failed(`the ${words.what} could not be written`, error),
  })

  /** Runs what reads, and ends this life where the disk fails. */
  const reading = async <T>(read: () => Promise<T>): Promise<T> => {
    if (ended !== undefined) throw ended
    try {
      return await read()
    } catch (error) {
      throw failed(`the ${words.what} could not be read`, error)
    }
  }
  const getMany = async (keys: readonly string[]): Promise<(Uint8Array | undefined)[]> => {
    if (ended !== undefined) throw ended
    if (keys.some((key) => groups.pending(key) === 'asked')) await groups.settled()
    return Promise.all(
      keys.map((key) => {
        const waiting = groups.pending(key)
        return typeof waiting === 'object' ? waiting.value : reading(() => engine.get(key))
      }),
    )
  }

  const session: RowSession = {
    id: engine.id,
    formerIds: engine.formerIds,
    commit: (changes) => groups.commit(changes),
    later: (changes) => groups.later(changes),
    get: async (key) => (await getMany([key]))[0],
    getMany,
    async *rows(prefix, options = {}) {
      await groups.settled()
      const found = engine.rows({ prefix, ...options })
      for (;;) {
        const next = await reading(() => found.next())
        if (next.done === true) return
        yield next.value
      }
    },
    bytes: () => engine.bytes,
    group: () => engine.group,
    async close() {
      try {
        if (ended === undefined) await groups.settled()
      } finally {
        // What ended meanwhile was told; this is told to nobody.
        ended ??= closedRows(words)
        groups.end(ended)
        await noted
        await engine.close()
      }
    },
  }
  return { session, fail: failed }
}
