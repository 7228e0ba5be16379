/**
 * Commits in groups: all that is called while one group is written is the next group, one write and one sync.
 *
 * A group takes everything that was called until it begins, of rows with one key the last; functions are asked right then, so
 * that what they tell of is in the group or before it. What may wait goes with the next group, or makes one within `LATER_MS`.
 * How many commits wait is up to those who call them. It ends at the first failure: everything is refused then. State: the
 * group that gathers, the one that is written, the timer.
 */
import type { RowChange } from '../../../protocols/delivery/store/row-storage.ts'
import type { Stop, Timers } from '../../../protocols/port.ts'

const LATER_MS = 50

/** Whether a program may use this key: not empty, and text that UTF-8 can tell. */
const isKey = (key: string): boolean => key !== '' && !key.startsWith('\0') && key.isWellFormed()

/**
 * So many are worth a group of their own where nothing is being written, although more may come in this turn: what is made
 * of them goes on while the rest is gathered, so that two nodes that wait for each other's answers work at the same time.
 */
const EAGER_COMMITS = 32
/** More than this does not wait. */
const LATER_ROWS = 10_000

/** `undefined` removes the row. */
export type RowWrites = ReadonlyMap<string, Uint8Array | undefined>

export interface GroupCommit {
  commit(changes: readonly RowChange[]): Promise<void>
  later(changes: readonly RowChange[]): void
  /** The row as it was called last and is not written yet; `none`: nothing of it waits; `asked`: a function will tell. */
  pending(key: string): { readonly value: Uint8Array | undefined } | 'none' | 'asked'
  /** Resolves once all that was called is written. @throws what ended it */
  settled(): Promise<void>
  /** Refuses everything that waits and that comes. */
  end(why: Error): void
}

interface Group {
  commits: number
  readonly changes: Map<string, RowChange['value']>
  readonly done: PromiseWithResolvers<void>
}

const emptyGroup = (): Group => {
  const group: Group = { commits: 0, changes: new Map(), done: Promise.withResolvers() }
  // Nobody may be waiting for what was only put off; a failure is told by whoever ends it.
  group.done.promise.catch(() => {})
  return group
}

/** The same map: another one would cost as much as the first. */
const asked = (changes: Group['changes']): RowWrites => {
  for (const [key, value] of changes) if (typeof value === 'function') changes.set(key, value())
  return changes as RowWrites
}

export interface GroupCommitDeps {
  readonly timers: Pick<Timers, 'after'>
  /** Makes the rows durable, all or none. Not called again before it resolved, nor once it failed. */
  write(rows: RowWrites): Promise<void>
  /** `write`, or a function of a row, failed. @returns why everything is refused from now on */
  onFailure(error: unknown): Error
}

export const createGroupCommit = ({ timers, write, onFailure }: GroupCommitDeps): GroupCommit => {
  let gathering = emptyGroup()
  let writing: { readonly rows: RowWrites; readonly done: Promise<void> } | undefined
  let isDue = false
  let stopWaiting: Stop | undefined
  let ended: Error | undefined

  const end = (why: Error): void => {
    if (ended !== undefined) return
    ended = why
    stopWaiting?.()
    gathering.done.reject(why)
  }

  const run = async (): Promise<void> => {
    if (ended !== undefined || !isDue || writing !== undefined) return
    const group = gathering
    gathering = emptyGroup()
    isDue = false
    stopWaiting?.()
    stopWaiting = undefined
    try {
      writing = { rows: asked(group.changes), done: group.done.promise }
      await write(writing.rows)
    } catch (error) {
      end(onFailure(error))
    }
    writing = undefined
    if (ended !== undefined) return group.done.reject(ended)
    group.done.resolve()
    if (isDue) setImmediate(run)
  }

  /** Not at once: what comes in the same turn, and what those do who waited for the last group, belongs to it. */
  const start = (): void => {
    if (isDue) return
    isDue = true
    if (writing === undefined) setImmediate(run)
  }

  const put = (changes: readonly RowChange[]): void => {
    const wrong = changes.find(({ key }) => !isKey(key))
    if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong.key)} is no key of a row`)
    for (const { key, value } of changes) gathering.changes.set(key, value)
  }

  return {
    async commit(changes) {
      if (ended !== undefined) throw ended
      put(changes)
      start()
      gathering.commits += 1
      const { promise } = gathering.done
      if (gathering.commits >= EAGER_COMMITS && writing === undefined) void run()
      return promise
    },
    later(changes) {
      if (ended !== undefined) return
      put(changes)
      if (gathering.changes.size > LATER_ROWS) start()
      else if (!isDue) stopWaiting ??= timers.after(LATER_MS, start)
    },
    pending(key) {
      const { changes } = gathering
      if (changes.has(key)) {
        const value = changes.get(key)
        return typeof value === 'function' ? 'asked' : { value }
      }
      return writing?.rows.has(key) ? { value: writing.rows.get(key) } : 'none'
    },
    async settled() {
      if (ended !== undefined) throw ended
      if (gathering.changes.size > 0) start()
      await (isDue ? gathering.done.promise : writing?.done)
    },
    end,
  }
}
