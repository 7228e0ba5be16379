/**
 * Hands messages of the inbox out, each to one at a time, and lets callers wait for the next one.
 *
 * State: which messages were handed out, and to whom; who waits, at most MAX_WAITING.
 */
import { waitFor } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import { decodePayload } from '../../wire/payload/payload.ts'
import { toReceived } from '../receive/inbound-message.ts'
import type { InboxEntry, InboxItem, InboxNextOptions } from './inbox-api.ts'
import type { InboxRows, StoredInboxMessage } from './inbox-rows.ts'

export interface InboxHandoutDeps {
  /** @throws STA003 where the disk takes nothing */
  rows(): InboxRows
  /** Undefined where there are none at the moment. */
  present(): InboxRows | undefined
}

interface Waiter {
  readonly type: string | undefined
  wake(): void
}

const MAX_WAITING = 1_000

const stopping = (): ParleyError =>
  new ParleyError('COM002', 'this node is stopping', { hint: 'the inbox is there again when it starts' })

export const inboxEntryOf = ({ id, bytes, source, receivedAt, message }: StoredInboxMessage): InboxEntry => ({
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

export class InboxHandout {
  readonly #deps: InboxHandoutDeps
  /** Owners of messages that were handed out, by id. */
  readonly #owners = new Map<string, object>()
  readonly #waiters = new Set<Waiter>()
  #isStopped = false

  constructor(deps: InboxHandoutDeps) {
    this.#deps = deps
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /**
   * The oldest message that nobody has, once there is one; it is the owner's from then on.
   * @throws the signal's reason; COM002 when the node stops, COM003 where too many wait
   */
  async next({ type, signal }: InboxNextOptions, owner: object): Promise<InboxItem> {
    signal?.throwIfAborted()
    for (;;) {
      if (this.#isStopped) throw stopping()
      const rows = this.#deps.present()
      const id = rows?.first((one, of) => (type === undefined || of === type) && !this.#owners.has(one))
      if (rows === undefined || id === undefined) {
        await this.#wait(type, signal)
        continue
      }
      this.#owners.set(id, owner)
      try {
        const kept = await rows.get(id)
        if (kept !== undefined) return this.item(kept, owner)
      } catch (error) {
        this.forget(id)
        throw error
      }
      this.forget(id)
    }
  }

  item(kept: StoredInboxMessage, owner: object): InboxItem {
    const { message, source, id } = kept
    return {
      ...inboxEntryOf(kept),
      message: toReceived(message, source, decodePayload(message.content, message.payload)),
      done: async () => {
        try {
          await this.#deps.rows().remove([id])
          this.forget(id)
        } catch (error) {
          this.#release(id, owner, message.type)
          throw error
        }
      },
      release: () => this.#release(id, owner, message.type),
    }
  }

  /** All that the owner has is handed out again. */
  releaseAll(owner: object): void {
    for (const [id, of] of this.#owners) if (of === owner) this.#owners.delete(id)
    this.wake(undefined)
  }

  /** It is gone. */
  forget(id: string): void {
    this.#owners.delete(id)
  }

  /** All are gone. */
  clear(): void {
    this.#owners.clear()
  }

  /** There is a message of this type: wakes the first who waits for such; undefined wakes all. */
  wake(type: string | undefined): void {
    for (const waiter of this.#waiters) {
      if (type !== undefined && waiter.type !== undefined && waiter.type !== type) continue
      waiter.wake()
      if (type !== undefined) return
    }
  }

  stop(): void {
    this.#isStopped = true
    this.wake(undefined)
  }

  /** It is handed out again, to one of those who wait for its type. */
  #release(id: string, owner: object, type: string): void {
    if (this.#owners.get(id) !== owner) return
    this.#owners.delete(id)
    this.wake(type)
  }

  /** Resolves when it is worth another look. */
  #wait(type: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    return waitFor(signal, (wake) => {
      if (this.#waiters.size >= MAX_WAITING)
        throw new ParleyError('COM003', `${MAX_WAITING} wait for a message of the inbox already`, {
          hint: 'let fewer of them wait at the same time',
        })
      const waiter: Waiter = { type, wake }
      this.#waiters.add(waiter)
      return () => this.#waiters.delete(waiter)
    })
  }
}
