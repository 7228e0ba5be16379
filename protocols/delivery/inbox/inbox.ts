/**
 * The inbox of this node: messages of types without a handler, kept until the program has worked them off.
 *
 * A message is acknowledged to its sender once it lies here: it is put in the same commit as the note that it was
 * processed, so EXACTLY_ONCE says that it lies here once. It stays until the program says that it is done with it, over
 * restarts; whoever dies in between finds it again. A full inbox takes nothing: senders are told COM003, and try again.
 *
 * State: who opened it for what; who waits, and what was handed out (inbox-claims.ts).
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import { decodePayload } from '../../wire/payload/payload.ts'
import { checkType } from '../define-message.ts'
import { toReceived } from '../receive/inbound-message.ts'
import type { TypeOffers } from '../receive/received-types.ts'
import type { RowChange } from '../store/row-storage.ts'
import type { Inbox, InboxEntry, InboxItem, InboxNextOptions } from './inbox-api.ts'
import { createInboxClaims } from './inbox-claims.ts'
import type { InboxRow, InboxRows, StoredInboxMessage } from './inbox-rows.ts'

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
  arrived(kept: StoredInboxMessage): void
  /** The rows were opened, or opened anew. */
  opened(): void
  stop(): void
}

export interface InboxDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly offers: TypeOffers
  /** @throws STA003 where the disk takes nothing */
  rows(): InboxRows
  /** Undefined where there are none at the moment. */
  present(): InboxRows | undefined
  /** Why there can be no inbox. */
  refusal(): ParleyError | undefined
  /** There was no room. */
  refused(): void
  /** Taken from now on, or no more: told of types that were named. */
  takes(type: string, isTaken: boolean): void
}

const MAX_LIST = 1_000
const MAX_TYPES = 64
const RETRY_MS = 1_000
/** Of a type that was named by its name alone. */
const ANY_VERSION = '1.0.0'

const entryOf = ({ id, bytes, source, receivedAt, message }: StoredInboxMessage): InboxEntry => ({
  id,
  messageId: message.id,
  type: message.type,
  source,
  guarantee: message.guarantee,
  conversationId: message.conversationId,
  sentAt: message.createdAt,
  receivedAt,
  bytes,
})

const missing = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no message ${id.slice(0, 64)} in the inbox`, {
    hint: 'list it; the message may have been worked off',
  })

const stopping = (): ParleyError =>
  new ParleyError('COM002', 'this node is stopping', { hint: 'the inbox is there again when it starts' })

export const createInbox = (deps: InboxDeps): NodeInbox => {
  const { port } = deps
  /** How often each type was opened. */
  const opened = new Map<string, number>()
  let openedForAll = 0
  const listeners = new Set<(entry: InboxEntry) => void>()
  const claims = createInboxClaims()
  let isStopped = false

  const itemOf = (kept: StoredInboxMessage, owner: object): InboxItem => {
    const { message, source, id } = kept
    return {
      ...entryOf(kept),
      message: toReceived(message, source, decodePayload(message.content, message.payload)),
      async done() {
        try {
          await deps.rows().remove([id])
          claims.forget(id)
        } catch (error) {
          claims.release(id, owner, message.type)
          throw error
        }
      },
      release: () => claims.release(id, owner, message.type),
    }
  }

  const handOut = async ({ type, signal }: InboxNextOptions, owner: object): Promise<InboxItem> => {
    signal?.throwIfAborted()
    for (;;) {
      if (isStopped) throw stopping()
      const rows = deps.present()
      const id = rows?.first((one, of) => (type === undefined || of === type) && !claims.has(one))
      if (rows === undefined || id === undefined) {
        await claims.wait(type, signal)
        continue
      }
      claims.take(id, owner)
      try {
        const kept = await rows.get(id)
        if (kept !== undefined) return itemOf(kept, owner)
      } catch (error) {
        claims.forget(id)
        throw error
      }
      claims.forget(id)
    }
  }

  const open: Inbox['open'] = async ({ types = 'all' } = {}) => {
    const refusal = deps.refusal()
    if (refusal !== undefined) throw refusal
    const named = types === 'all' ? [] : types.map((one) => (typeof one === 'string' ? { type: one } : one))
    for (const { type } of named) checkType(type)
    const fresh = new Set(named.map(({ type }) => type).filter((type) => !opened.has(type)))
    if (opened.size + fresh.size > MAX_TYPES)
      throw new ParleyError('COM003', `the inbox was opened for ${opened.size} types, at most for ${MAX_TYPES}`, {
        hint: 'open it for all, or tell similar things apart within one type',
      })
    if (types === 'all') openedForAll += 1
    for (const { type } of named) {
      opened.set(type, (opened.get(type) ?? 0) + 1)
      deps.takes(type, true)
    }
    const withdrawals: (() => Promise<void>)[] = []
    let isOpen = true
    const stop: Stop = () => {
      if (!isOpen) return
      isOpen = false
      if (types === 'all') openedForAll -= 1
      for (const { type } of named) {
        const left = (opened.get(type) ?? 0) - 1
        if (left > 0) opened.set(type, left)
        else {
          opened.delete(type)
          deps.takes(type, false)
        }
      }
      for (const withdraw of withdrawals)
        withdraw().catch((error: unknown) => port.log.info('the directory was not told', { error }))
    }
    try {
      for (const one of named)
        withdrawals.push(await deps.offers(one.type, 'version' in one ? one.version : ANY_VERSION, undefined))
    } catch (error) {
      stop()
      throw error
    }
    return stop
  }

  return {
    open,
    async list({ limit = 100, after, type, conversationId, source } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      const found: InboxEntry[] = []
      for await (const kept of deps.rows().all(after)) {
        if (type !== undefined && kept.message.type !== type) continue
        if (conversationId !== undefined && kept.message.conversationId !== conversationId) continue
        if (source !== undefined && kept.source !== source) continue
        found.push(entryOf(kept))
        if (found.length >= most) break
      }
      return found
    },
    async read(id) {
      const kept = await deps.rows().get(id)
      if (kept === undefined) throw missing(id)
      return itemOf(kept, {})
    },
    async remove(id) {
      if ((await deps.rows().remove([id])) === 0) throw missing(id)
      claims.forget(id)
    },
    async clear() {
      const rows = deps.rows()
      const count = await rows.remove(rows.ids())
      claims.clear()
      return count
    },
    next: (options = {}) => handOut(options, {}),
    async *items(options = {}) {
      const owner = {}
      try {
        for (;;) yield await handOut(options, owner)
      } catch (error) {
        if (!isStopped) throw error
      } finally {
        claims.releaseAll(owner)
      }
    },
    size: () => deps.present()?.size() ?? 0,
    bytes: () => deps.present()?.bytes() ?? 0,
    types: () => (openedForAll > 0 ? 'all' : [...opened.keys()]),
    onMessage(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    put(row, isAwaited) {
      const { type } = row.message
      if (!opened.has(type) && (openedForAll === 0 || isAwaited(type))) return undefined
      const put = deps.rows().put({ ...row, receivedAt: port.clock.now() })
      if (put !== undefined) return put
      deps.refused()
      throw new ParleyError('COM003', 'the inbox of this node is full', {
        hint: 'work it off (parley messages.inbox), or raise delivery.inboxMessages, inboxBytes or limits.maxDiskBytes at the receiver',
        details: { retryAfterMs: RETRY_MS },
      })
    },
    arrived(kept) {
      const entry = entryOf(kept)
      for (const fn of [...listeners]) {
        try {
          fn(entry)
        } catch (error) {
          port.log.error('a listener of the inbox failed', { error })
        }
      }
      claims.wake(entry.type)
    },
    opened: () => claims.wake(undefined),
    stop() {
      isStopped = true
      claims.wake(undefined)
    },
  }
}
