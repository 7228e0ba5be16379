/**
 * Answers that wait because the peer that asked does not read them: counted for each peer, over all its links.
 *
 * Two bounds. While more waits than `PAUSE_BYTES` nothing more is read of that peer's links, and its streams make no
 * further items. What was in work by then still answers: beyond the peer's share (fair-shares.ts) an answer is not taken, and
 * its request ends with an error instead.
 *
 * State: bytes by peer, and who waits for them to become less; all of a link is given back when it ends.
 */
import { ParleyError } from '../../errors.ts'
import { createFairShares } from '../../limits/fair-shares.ts'

const MIB = 1024 * 1024
/** Of one peer, over all its links. One link alone pauses at its own `maxQueuedBytes`. */
export const PAUSE_BYTES = 16 * MIB

/** What one link has of it. */
export interface UnreadOnLink {
  /** @throws COM002 where so much more of this peer must not wait; its request was handled */
  checkShare(bytes: number): void
  /** So many bytes more wait, or fewer where it is below 0. */
  add(bytes: number): void
  /** So much of this peer waits that nothing more is to be asked of it. */
  isFull(): boolean
  /** Calls `fn` once that is over, or the link ended. */
  whenRoom(fn: () => void): void
  close(): void
}

export interface UnreadResponses {
  open(peer: string): UnreadOnLink
  /** Answers that were not taken. */
  refused(): number
  total(): number
  /** From now on. */
  resize(most: number, mostEach: number): void
}

const tooMuch = (bytes: number): ParleyError =>
  new ParleyError('COM002', `${bytes} bytes of answers to this peer wait for it to read them`, {
    hint: 'read answers faster, or ask for fewer large ones at once; the node that serves sets limits.maxPeerRequestBytes',
    details: { sent: true, reason: 'unread' },
  })

/**
 * @param most bytes of all peers
 * @param mostEach of one
 */
export const createUnreadResponses = (most: number, mostEach: number): UnreadResponses => {
  const shares = createFairShares(most, mostEach)
  /** Of each peer, those of its links that wait for room. */
  const waiting = new Map<string, Set<Set<() => void>>>()

  const wake = (links: Set<Set<() => void>>): void => {
    for (const link of links) {
      const all = [...link]
      link.clear()
      for (const fn of all) fn()
    }
  }

  return {
    open(peer) {
      const account = shares.open(peer)
      const waiters = new Set<() => void>()
      let held = 0
      const isFull = (): boolean => account.held > PAUSE_BYTES
      const settle = (): void => {
        const links = waiting.get(peer)
        if (links === undefined || isFull()) return
        waiting.delete(peer)
        wake(links)
      }
      const add = (bytes: number): void => {
        held += bytes
        if (bytes > 0) shares.addFor(account, bytes)
        else {
          shares.giveFor(account, -bytes)
          if (waiting.size > 0) settle()
        }
      }
      return {
        checkShare(bytes) {
          if (!shares.mayFor(account, bytes)) throw tooMuch(account.held)
        },
        add,
        isFull,
        whenRoom(fn) {
          const links = waiting.get(peer) ?? new Set()
          waiting.set(peer, links)
          links.add(waiters)
          waiters.add(fn)
        },
        close() {
          const links = waiting.get(peer)
          links?.delete(waiters)
          if (links?.size === 0) waiting.delete(peer)
          if (held > 0) add(-held)
          shares.close(account)
          wake(new Set([waiters]))
        },
      }
    },
    refused: shares.refused,
    total: shares.total,
    resize: shares.resize,
  }
}
