/**
 * Whom a batch reaches without being forwarded.
 *
 * The publisher says in each batch to whom it goes directly, as the XOR of eight hashed bytes for each peer. A receiver
 * that had the batch from the publisher itself and sees the same subscribers has nobody to forward it to: where everyone
 * is connected to everyone each batch travels once to each, instead of once along each edge of the gossip mesh. Where the
 * views differ by one peer, the batch is forwarded as gossipsub does. What a broken connection loses, gap-repair.ts fetches.
 *
 * State: the hashes of peer ids, at most MAX_HASHES.
 */
import type { Port } from '../../port.ts'

export const DIRECT_RECIPIENTS_BYTES = 8
const MAX_HASHES = 4096

export interface DirectRecipients {
  /** Names those to whom a batch on `topic` goes directly; undefined while it is not sure to reach all of them. */
  digestFor(topic: string, confirmed: ReadonlySet<string>): Uint8Array | undefined
  /** True when `circle`, named by `publisher`, holds everyone to whom this node could forward, and this node. */
  coversAll(topic: string, publisher: string, circle: Uint8Array): boolean
}

export const createDirectRecipients = (port: Pick<Port, 'self' | 'gossip' | 'hash'>): DirectRecipients => {
  const hashes = new Map<string, Uint8Array>()

  const hashOf = (peer: string): Uint8Array => {
    let bytes = hashes.get(peer)
    if (bytes === undefined) {
      if (hashes.size >= MAX_HASHES) hashes.clear()
      // A copy, so that the other bytes are not kept.
      bytes = new Uint8Array(port.hash(new TextEncoder().encode(peer)).subarray(0, DIRECT_RECIPIENTS_BYTES))
      hashes.set(peer, bytes)
    }
    return bytes
  }

  const add = (sum: Uint8Array, peer: string): void => {
    const bytes = hashOf(peer)
    for (let i = 0; i < DIRECT_RECIPIENTS_BYTES; i += 1) sum[i] = (sum[i] ?? 0) ^ (bytes[i] ?? 0)
  }

  return {
    digestFor(topic, confirmed) {
      const sum = new Uint8Array(DIRECT_RECIPIENTS_BYTES)
      for (const peer of port.gossip.subscribers(topic)) {
        if (!confirmed.has(peer)) return undefined
        add(sum, peer)
      }
      return sum
    },
    coversAll(topic, publisher, circle) {
      const sum = new Uint8Array(DIRECT_RECIPIENTS_BYTES)
      add(sum, port.self.id)
      for (const peer of port.gossip.subscribers(topic)) if (peer !== publisher) add(sum, peer)
      for (let i = 0; i < DIRECT_RECIPIENTS_BYTES; i += 1) if (sum[i] !== circle[i]) return false
      return true
    },
  }
}
