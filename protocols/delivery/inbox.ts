/**
 * The inbox of this node: messages of types without a handler, kept until the program has worked them off.
 *
 * A message is acknowledged to its sender once it lies here: it is put in the same commit as the note that it was
 * processed, so EXACTLY_ONCE says that it lies here once. It stays until the program says that it is done with it, over
 * restarts; whoever dies in between finds it again. A full inbox takes nothing: senders are told COM003, and try again.
 *
 * State: who opened it for what, who waits for a message, and which messages were handed out and are not done.
 */
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { decodePayload } from '../wire/payload.ts'
import type { Received } from './api.ts'
import { checkType, type MessageDefinition } from './define-message.ts'
import type { InboxRow, InboxRows, Kept } from './inbox-rows.ts'
import type { Guarantee } from './message.ts'
import type { Offers } from './offers.ts'
import { receivedOf } from './processing.ts'
import type { RowChange } from './storage.ts'

/** A type, or a definition, whose version the directory tells then; nothing is checked against its schema here. */
export type InboxType = string | Pick<MessageDefinition, 'type' | 'version'>

export interface InboxEntry {
  /** Of its place in the inbox; they are in the order in which the messages came. */
  readonly id: string
  readonly messageId: string
  readonly type: string
  /** Peer id of the sender, proven by Noise. */
  readonly source: string
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  /** Milliseconds since 1970, by the sender's clock and by this node's. */
  readonly sentAt: number
  readonly receivedAt: number
  readonly bytes: number
}

export interface InboxItem extends InboxEntry {
  /** With its data, which was checked against no schema. */
  readonly message: Received
  /** Removes it; doing so twice is harmless. @throws STA003, and it is handed out again */
  done(): Promise<void>
  /** It is not done, and is handed out again. */
  release(): void
}

export interface InboxQuery {
  /** 1 to 1000, 100 unless told. */
  readonly limit?: number
  /** Id of the last entry that was seen. */
  readonly after?: string
  readonly type?: string
  readonly conversationId?: string
  readonly source?: string
}

export interface NextOptions {
  readonly type?: string
  readonly signal?: AbortSignal
}

export interface Inbox {
  /**
   * Takes messages of these types, or of all, as long as they have no handler. Types that are named are told in the
   * directory, so that messages to the capability come here.
   * @returns what ends the taking; what lies here stays
   * @throws STA003 without a data directory, MSG001 for a type that is not usable, COM003 for more than 64 types
   */
  open(options?: { types?: 'all' | readonly InboxType[] }): Promise<Stop>
  /** Oldest first. */
  list(query?: InboxQuery): Promise<InboxEntry[]>
  /** @throws STA001 */
  read(id: string): Promise<InboxItem>
  /** @throws STA001 */
  remove(id: string): Promise<void>
  /** Throws all of it away. @returns how many */
  clear(): Promise<number>
  /**
   * The oldest message that nobody has been handed, once there is one. It counts as handed out until it is done or
   * released, or this node starts anew.
   * @throws the signal's reason; COM002 when the node stops, COM003 where 1000 wait already
   */
  next(options?: NextOptions): Promise<InboxItem>
  /** One after the other; ends when the node stops. What is not done by then, or when the loop is left, is released. */
  items(options?: NextOptions): AsyncGenerator<InboxItem, void, undefined>
  size(): number
  bytes(): number
  /** What is taken now. */
  types(): 'all' | string[]
  /** Told of each message once it is kept. */
  onMessage(fn: (entry: InboxEntry) => void): Stop
}

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
  arrived(kept: Kept): void
  /** The rows were opened, or opened anew. */
  opened(): void
  stop(): void
}

export interface InboxDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly offers: Offers
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
const MAX_WAITING = 1_000
const MAX_TYPES = 64
const RETRY_MS = 1_000
/** Of a type that was named by its name alone. */
const ANY_VERSION = '1.0.0'

const entryOf = ({ id, bytes, source, receivedAt, message }: Kept): InboxEntry => ({
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

interface Waiter {
  readonly type: string | undefined
  wake(): void
}

export const createInbox = (deps: InboxDeps): NodeInbox => {
  const { port } = deps
  /** How often each type was opened. */
  const opened = new Map<string, number>()
  let openedForAll = 0
  const listeners = new Set<(entry: InboxEntry) => void>()
  const waiters = new Set<Waiter>()
  /** What was handed out, and to whom. */
  const claims = new Map<string, object>()
  let isStopped = false

  /** The first who waits for such a message; undefined: for any. */
  const wake = (type: string | undefined): void => {
    for (const waiter of waiters) {
      if (type !== undefined && waiter.type !== undefined && waiter.type !== type) continue
      waiter.wake()
      if (type !== undefined) return
    }
  }

  const release = (id: string, owner: object, type: string): void => {
    if (claims.get(id) !== owner) return
    claims.delete(id)
    wake(type)
  }

  const itemOf = (kept: Kept, owner: object): InboxItem => {
    const { message, source, id } = kept
    return {
      ...entryOf(kept),
      message: receivedOf(message, source, decodePayload(message.content, message.payload)),
      async done() {
        try {
          await deps.rows().remove([id])
          claims.delete(id)
        } catch (error) {
          release(id, owner, message.type)
          throw error
        }
      },
      release: () => release(id, owner, message.type),
    }
  }

  const wait = (type: string | undefined, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      if (waiters.size >= MAX_WAITING)
        throw new ParleyError('COM003', `${MAX_WAITING} wait for a message of the inbox already`, {
          hint: 'let fewer of them wait at the same time',
        })
      const end = (): void => {
        waiters.delete(waiter)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        type,
        wake() {
          end()
          resolve()
        },
      }
      const onAbort = (): void => {
        end()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      waiters.add(waiter)
    })

  const handOut = async ({ type, signal }: NextOptions, owner: object): Promise<InboxItem> => {
    signal?.throwIfAborted()
    for (;;) {
      if (isStopped) throw stopping()
      const rows = deps.present()
      const id = rows?.first((one, of) => (type === undefined || of === type) && !claims.has(one))
      if (rows === undefined || id === undefined) {
        await wait(type, signal)
        continue
      }
      claims.set(id, owner)
      try {
        const kept = await rows.get(id)
        if (kept !== undefined) return itemOf(kept, owner)
      } catch (error) {
        claims.delete(id)
        throw error
      }
      claims.delete(id)
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
      claims.delete(id)
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
        for (const [id, of] of claims) if (of === owner) claims.delete(id)
        wake(undefined)
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
        hint: 'work it off (parley messages.inbox), or raise delivery.inboxMessages and inboxBytes at the receiver',
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
      wake(entry.type)
    },
    opened: () => wake(undefined),
    stop() {
      isStopped = true
      wake(undefined)
    },
  }
}
