/**
 * How far named subscriptions are: written to the data directory at most once a second while they move, and when they end;
 * in memory where there is none.
 *
 * State: the cursors of this run, at most MAX_CURSORS, and which names are in use.
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import type { CursorPosition, EventStore, SavedCursor } from '../history/history-contract.ts'

const SAVE_MS = 1_000
const MAX_CURSORS = 256
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export interface DurableCursor {
  /** Undefined for a name that is used for the first time. */
  readonly saved: SavedCursor | undefined
  /** The subscription handled events. */
  moved(): void
  /** Where the positions come from. */
  follow(positions: () => CursorPosition[]): void
  /** Writes the last position and gives the name back. */
  close(): Promise<void>
}

export interface DurableCursors {
  /** @throws MSG001 for a name that is not usable, STA003 for one that is in use */
  open(name: string): Promise<DurableCursor>
  /** Resolves when all that was closed is written. */
  settled(): Promise<void>
}

export const createDurableCursors = (
  port: Pick<Port, 'clock' | 'timers' | 'log'>,
  store: Pick<EventStore, 'loadCursor' | 'saveCursor'> | undefined,
): DurableCursors => {
  const kept = new Map<string, SavedCursor>()
  const used = new Set<string>()
  const closing = new Set<Promise<void>>()

  const take = (name: string): void => {
    if (!NAME.test(name)) {
      throw new ParleyError('MSG001', `the name ${JSON.stringify(name).slice(0, 80)} of a subscription is not usable`, {
        hint: 'use 1 to 64 letters, digits, _, - and ., beginning with a letter or a digit',
      })
    }
    if (used.has(name) || used.size >= MAX_CURSORS) {
      throw new ParleyError('STA003', `a subscription with the name ${name} cannot be opened: it is in use`, {
        hint: `stop the subscription that has it, or take another name; at most ${MAX_CURSORS} at a time`,
        details: { reason: 'in-use' },
      })
    }
    used.add(name)
  }

  const load = async (name: string): Promise<SavedCursor | undefined> => {
    try {
      return kept.get(name) ?? (await store?.loadCursor(name))
    } catch (error) {
      used.delete(name)
      throw error
    }
  }

  return {
    async open(name) {
      take(name)
      const found = await load(name)
      const createdAt = found?.createdAt ?? port.clock.now()
      let positions: () => CursorPosition[] = () => [...(found?.positions ?? [])]
      let timer: Stop | undefined
      let saving: Promise<void> = Promise.resolve()

      const save = (): Promise<void> => {
        timer?.()
        timer = undefined
        const cursor = { createdAt, positions: positions() }
        kept.delete(name)
        kept.set(name, cursor)
        const [oldest] = kept.keys()
        if (kept.size > MAX_CURSORS && oldest !== undefined) kept.delete(oldest)
        saving = saving
          .then(() => store?.saveCursor(name, cursor))
          .catch((error: unknown) => port.log.error('the position of a subscription was not written', { name, error }))
        return saving
      }

      return {
        saved: found,
        moved() {
          timer ??= port.timers.after(SAVE_MS, () => void save())
        },
        follow(from) {
          positions = from
          // A name that was never written is new again after a crash.
          if (found === undefined) void save()
        },
        close() {
          used.delete(name)
          const done = save()
          closing.add(done)
          void done.finally(() => closing.delete(done))
          return done
        },
      }
    },
    async settled() {
      await Promise.all(closing)
    },
  }
}
