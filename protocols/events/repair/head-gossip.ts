/**
 * Passes on what was heard of other publishers' last numbers, in rounds.
 *
 * What came is kept for a random while and told in one message to each neighbour that has not told it itself meanwhile:
 * each edge of an overlay carries a head about once, and heads of many publishers share their messages. At once, every
 * node would tell every neighbour of every publisher's pause, which costs more than the events. The random while is that
 * of the Trickle algorithm (RFC 6206), the second half of an interval, so that those who heard it together do not all
 * speak together.
 *
 * State: what waits for the next round, the newest of each series, at most MAX_WAITING.
 */
import type { Port, Stop } from '../../port.ts'
import type { WireHead } from '../protocol.ts'

/** The longest time that a head waits at one node. */
export const HEAD_GOSSIP_MS = 500
/** Older ones go at once when more wait. */
const MAX_WAITING = 1024

export interface HeadGossipHooks {
  /** Neighbours that hear this word. */
  subscribers(word: string): readonly string[]
  send(peer: string, heads: readonly WireHead[]): void
}

export interface HeadGossip {
  /** It is news here, and came from this neighbour. */
  add(head: WireHead, from: string): void
  /** This neighbour told what is known here. */
  markKnown(head: WireHead, from: string): void
  stop(): void
}

export const headKey = ({ publisher, word }: Pick<WireHead, 'publisher' | 'word'>): string => `${publisher} ${word}`

export const createHeadGossip = (port: Pick<Port, 'timers' | 'random'>, hooks: HeadGossipHooks): HeadGossip => {
  const waiting = new Map<string, { head: WireHead; knownBy: Set<string> }>()
  let timer: Stop | undefined

  const pass = (): void => {
    timer?.()
    timer = undefined
    const audiences = new Map<string, readonly string[]>()
    const byPeer = new Map<string, WireHead[]>()
    for (const { head, knownBy } of waiting.values()) {
      const audience = audiences.get(head.word) ?? hooks.subscribers(head.word)
      audiences.set(head.word, audience)
      for (const peer of audience) {
        if (knownBy.has(peer) || peer === head.publisher) continue
        const list = byPeer.get(peer)
        if (list === undefined) byPeer.set(peer, [head])
        else list.push(head)
      }
    }
    waiting.clear()
    for (const [peer, heads] of byPeer) hooks.send(peer, heads)
  }

  return {
    add(head, from) {
      if (waiting.size >= MAX_WAITING) pass()
      waiting.set(headKey(head), { head, knownBy: new Set([from]) })
      const [byte = 0] = port.random(1)
      timer ??= port.timers.after((HEAD_GOSSIP_MS / 2) * (1 + byte / 256), pass)
    },
    markKnown(head, from) {
      const entry = waiting.get(headKey(head))
      if (entry?.head.epoch === head.epoch && entry.head.last === head.last) entry.knownBy.add(from)
    },
    stop() {
      timer?.()
      waiting.clear()
    },
  }
}
