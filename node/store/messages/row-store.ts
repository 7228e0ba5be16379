/**
 * The rows that delivery keeps, on disk (protocols/delivery/store/row-storage.ts): the engine's files in `rows/`, and
 * `place.json` by which a copy is noticed.
 *
 * State: the session that is open (row-session.ts), or why there is none. After a failure it takes nothing any more, so it is
 * closed, and opened again as soon as the disk takes a test file: after 1 s, then twice as long each time, up to 30 s. What
 * was answered is still there then, or it is not opened again. On a disk without room
 * it begins in that state, and its id is known once there is.
 */
import type { RowStore, RowStoreState } from '../../../protocols/delivery/store/row-storage.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Stop } from '../../../protocols/port.ts'
import { openFolder } from '../files/disk.ts'
import {
  closedRows,
  openRowSession,
  type RowSession,
  type RowSessionDeps,
  rowsFailure,
  wordsOf,
} from './row-session.ts'

const FIRST_WAIT_MS = 1_000
const MAX_WAIT_MS = 30_000
const PROBE_FILE = 'probe'
/** More than a few commits: it would be full again at once. */
const PROBE_BYTES = 1024 * 1024

/** @throws what the disk says */
const probe = async (folder: string): Promise<void> => {
  const disk = await openFolder(folder)
  await disk.remove(PROBE_FILE)
  const file = await disk.create(PROBE_FILE)
  try {
    await file.write(new Uint8Array(PROBE_BYTES), 0)
    await file.sync()
  } finally {
    await file.close()
    await disk.remove(PROBE_FILE)
  }
}

const stateOf = (why: ParleyError): RowStoreState => (why.details.reason === 'disk-full' ? 'full' : 'failed')

/**
 * @param folder is made where it is missing; the data directory that it is in is locked by this process
 * @throws STA003 with `details.reason` `damaged` (nothing was changed: `parley store repair`), `newer`, `locked` or
 *   `disk-failed`
 */
export const openRowStore = async (folder: string, deps: RowSessionDeps): Promise<RowStore> => {
  const { log, timers } = deps
  const words = wordsOf(deps)
  const { what } = words
  const listeners = new Set<(state: RowStoreState) => void>()
  let life: RowSession | undefined
  /** Of the first time that it was open, which says whose rows these are. */
  let id: Pick<RowSession, 'id' | 'formerIds'> | undefined
  let refusal: ParleyError = closedRows(words)
  let state: RowStoreState = 'open'
  let bytes = 0
  let lastGroup = 0
  let isClosed = false
  let stopWaiting: Stop | undefined
  /** The closing of the last life, or the try to open another. */
  let busy: Promise<void> = Promise.resolve()

  const become = (next: RowStoreState): void => {
    if (next === state) return
    state = next
    for (const fn of [...listeners]) fn(next)
  }

  const onEnd = (why: ParleyError): void => {
    const over = life
    life = undefined
    refusal = why
    if (isClosed) return
    log.error(`${what} cannot be stored`, { reason: why.details.reason, error: why })
    if (over !== undefined) {
      bytes = over.bytes()
      lastGroup = over.group()
      const closing = over.close().catch((error: unknown) => {
        log.warn(`the files of the ${what} were not closed well`, { error })
      })
      busy = Promise.all([busy, closing]).then(() => {})
    }
    wait(FIRST_WAIT_MS)
    become(stateOf(why))
  }

  const open = async (): Promise<void> => {
    const isFirst = id === undefined
    const opened = await openRowSession(folder, deps, { isFirst, atLeast: lastGroup, onEnd })
    life = opened
    id ??= { id: opened.id, formerIds: opened.formerIds }
  }

  const again = async (waitMs: number): Promise<void> => {
    try {
      await probe(folder)
      await open()
    } catch (error) {
      const why = rowsFailure('the disk does not take a test file', error)
      if (why.details.reason !== refusal.details.reason)
        log.error(`${what} cannot be stored yet`, { reason: why.details.reason, error: why })
      refusal = why
      if (isClosed) return
      wait(Math.min(2 * waitMs, MAX_WAIT_MS))
      become(stateOf(why))
      return
    }
    if (isClosed || life === undefined) return
    log.info(`${what} are stored again`, { folder })
    become('open')
  }

  const wait = (waitMs: number): void => {
    stopWaiting = timers.after(waitMs, () => {
      busy = busy.then(() => (isClosed ? undefined : again(waitMs)))
    })
  }

  try {
    await open()
  } catch (error) {
    if (!isParleyError(error) || error.details.reason !== 'disk-full') throw error
    refusal = error
    state = 'full'
    log.error(`${what} cannot be stored: the disk is full`, { error, hint: error.hint })
    wait(FIRST_WAIT_MS)
  }
  /** @throws why it is not known yet */
  const known = (): Pick<RowSession, 'id' | 'formerIds'> => {
    if (id === undefined) throw refusal
    return id
  }
  /** @throws why there is none */
  const living = (): RowSession => {
    if (life === undefined || isClosed) throw isClosed ? closedRows(words) : refusal
    return life
  }

  return {
    get id() {
      return known().id
    },
    get formerIds() {
      return known().formerIds
    },
    state: () => state,
    onState(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    get: async (key) => living().get(key),
    getMany: async (keys) => living().getMany(keys),
    async *rows(prefix, options) {
      yield* living().rows(prefix, options)
    },
    commit: async (changes) => living().commit(changes),
    // What is refused here is lost with all that was not answered, and read anew at `open`.
    later: (changes) => life?.later(changes),
    bytes: () => life?.bytes() ?? bytes,
    async close() {
      if (isClosed) return busy
      isClosed = true
      stopWaiting?.()
      listeners.clear()
      busy = busy.then(async () => {
        const last = life
        life = undefined
        await last?.close()
      })
      return busy
    },
  }
}
