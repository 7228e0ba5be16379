/**
 * The inbox of this node: messages of types without a handler, kept until the program has worked them off.
 *
 * A message is acknowledged to its sender once it lies here: it is put in the same commit as the note that it was
 * processed, so EXACTLY_ONCE says that it lies here once. It stays until the program says that it is done with it, over
 * restarts; whoever dies in between finds it again. A full inbox takes nothing: senders are told COM003, and try again.
 *
 * State: who opened it for what (inbox-types.ts); who waits, and what was handed out (inbox-handout.ts).
 */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { createRegistration } from '../../registration.ts'
import type { RowChange } from '../store/row-storage.ts'
import type { Inbox, InboxEntry } from './inbox-api.ts'
import { InboxHandout, type InboxHandoutDeps, inboxEntryOf } from './inbox-handout.ts'
import type { InboxRow, StoredInboxMessage } from './inbox-rows.ts'
import { InboxTypes, type InboxTypesDeps } from './inbox-types.ts'

export interface NodeInbox extends Inbox {
  /**
   * @param isAwaited a handler of the type may come yet: what is taken of all types is not taken from it
   * @returns undefined where nobody opened the inbox for the type
   * @throws COM003 where it is full
   */
  put(
    row: Omit<InboxRow, 'receivedAt'>,
    isAwaited: (type: string) => boolean,
  ): { changes: RowChange[]; launch(): void; drop(): void } | undefined
  /** Whether `put` would take a message of the type. */
  wants(type: string, isAwaited: (type: string) => boolean): boolean
  arrived(kept: StoredInboxMessage): void
  /** The rows were opened, or opened anew. */
  opened(): void
  stop(): void
}

export interface InboxDeps extends InboxHandoutDeps, InboxTypesDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  /** Why there can be no inbox. */
  refusal(): ParleyError | undefined
  /** There was no room. */
  refused(): void
}

const MAX_LIST = 1_000
const RETRY_MS = 1_000

const missing = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no message ${id.slice(0, 64)} in the inbox`, {
    hint: 'list it; the message may have been worked off',
  })

export const createInbox = (deps: InboxDeps): NodeInbox => {
  const { port } = deps
  const types = new InboxTypes(deps)
  const handout = new InboxHandout(deps)
  const listeners = new Set<(entry: InboxEntry) => void>()

  return {
    async open({ types: wanted = 'all' } = {}) {
      const refusal = deps.refusal()
      if (refusal !== undefined) throw refusal
      return types.open(wanted)
    },
    async list({ limit = 100, after, type, conversationId, source } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      const found: InboxEntry[] = []
      for await (const kept of deps.rows().all(after)) {
        if (type !== undefined && kept.message.type !== type) continue
        if (conversationId !== undefined && kept.message.conversationId !== conversationId) continue
        if (source !== undefined && kept.source !== source) continue
        found.push(inboxEntryOf(kept))
        if (found.length >= most) break
      }
      return found
    },
    async read(id) {
      const kept = await deps.rows().get(id)
      if (kept === undefined) throw missing(id)
      return handout.item(kept, {})
    },
    async remove(id) {
      if ((await deps.rows().remove([id])) === 0) throw missing(id)
      handout.forget(id)
    },
    async clear() {
      const rows = deps.rows()
      const count = await rows.remove(rows.ids())
      handout.clear()
      return count
    },
    next: (options = {}) => handout.next(options, {}),
    async *items(options = {}) {
      const owner = {}
      try {
        for (;;) yield await handout.next(options, owner)
      } catch (error) {
        if (!handout.isStopped) throw error
      } finally {
        handout.releaseAll(owner)
      }
    },
    size: () => deps.present()?.size() ?? 0,
    bytes: () => deps.present()?.bytes() ?? 0,
    types: () => types.list(),
    onMessage(fn) {
      listeners.add(fn)
      return createRegistration(() => listeners.delete(fn))
    },
    wants: (type, isAwaited) => types.takes(type, isAwaited),
    put(row, isAwaited) {
      if (!types.takes(row.message.type, isAwaited)) return undefined
      const put = deps.rows().put({ ...row, receivedAt: port.clock.now() })
      if (put !== undefined) return put
      deps.refused()
      throw new ParleyError('COM003', 'the inbox of this node is full', {
        hint: 'work it off (parley messages.inbox), or raise delivery.inboxMessages, inboxBytes or limits.maxDiskBytes at the receiver',
        details: { retryAfterMs: RETRY_MS },
      })
    },
    arrived(kept) {
      const entry = inboxEntryOf(kept)
      for (const fn of [...listeners]) {
        try {
          fn(entry)
        } catch (error) {
          port.log.error('a listener of the inbox failed', { error })
        }
      }
      handout.wake(entry.type)
    },
    opened: () => handout.wake(undefined),
    stop: () => handout.stop(),
  }
}
