/**
 * Which messages of the inbox were handed out, to whom, and who waits for one. State: both; at most MAX_WAITING wait.
 */
import { ParleyError } from '../../errors.ts'

export interface InboxClaims {
  has(id: string): boolean
  take(id: string, owner: object): void
  /** It is handed out again, to one of those who wait for its type. */
  release(id: string, owner: object, type: string): void
  releaseAll(owner: object): void
  /** It is gone. */
  forget(id: string): void
  clear(): void
  /** Resolves when it is worth another look. @throws the signal's reason, COM003 where too many wait */
  wait(type: string | undefined, signal: AbortSignal | undefined): Promise<void>
  /** There is a message of this type: wakes the first who waits for such; undefined wakes all. */
  wake(type: string | undefined): void
}

interface Waiter {
  readonly type: string | undefined
  wake(): void
}

const MAX_WAITING = 1_000

export const createInboxClaims = (): InboxClaims => {
  const claims = new Map<string, object>()
  const waiters = new Set<Waiter>()

  const wake: InboxClaims['wake'] = (type) => {
    for (const waiter of waiters) {
      if (type !== undefined && waiter.type !== undefined && waiter.type !== type) continue
      waiter.wake()
      if (type !== undefined) return
    }
  }

  return {
    has: (id) => claims.has(id),
    take: (id, owner) => void claims.set(id, owner),
    release(id, owner, type) {
      if (claims.get(id) !== owner) return
      claims.delete(id)
      wake(type)
    },
    releaseAll(owner) {
      for (const [id, of] of claims) if (of === owner) claims.delete(id)
      wake(undefined)
    },
    forget: (id) => void claims.delete(id),
    clear: () => claims.clear(),
    wait: (type, signal) =>
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
      }),
    wake,
  }
}
