/**
 * Tells how far this node is with what it publishes, so that the loss of a last batch is noticed too.
 *
 * 250 ms after the last batch of a word, and once more 4 s later, each neighbour that hears the word is told, all words
 * in one message (one-way method `heads`): a call by the link, which Noise has proven, so nobody checks a signature where
 * all are connected to all. It is signed all the same, once for each last number: who is not in the circle of those whom
 * the publisher tells itself is told by a neighbour, which checks it and passes it on (passing.ts). A newcomer is told by
 * `sync`, and of other publishers by those that heard of them. While batches follow each other nothing is told.
 *
 * State: what is due; the last head of each series, of MAX_KNOWN; neighbours that speak 1.1 and are not told.
 */
import { createRateLimiter } from '../../limits/fair-shares.ts'
import type { Port, Stop } from '../../port.ts'
import type { DirectRecipients } from '../batch/direct-recipients.ts'
import { eventsProtocol, MAX_HEADS, type WireHead } from '../protocol.ts'
import { createHeadGossip, headKey } from './head-gossip.ts'

/** After the last batch. */
export const QUIET_MS = 250
const AGAIN_MS = 4_000
const MAX_KNOWN = 1024
/** Heads of others that one neighbour may tell, each of which costs a signature check: twice all that it can know at once. */
export const FORWARDED_HEADS_RATE = { perSecond: 256, burst: 2 * MAX_KNOWN, maxKeys: 1024 }

export interface PublisherHeadsHooks {
  /** A publisher is proven to be this far. */
  advanced(head: WireHead): void
  topicOf(word: string): string
  /** False for a word that this node does not hear. */
  isSubscribed(word: string): boolean
}

export interface PublisherHeads {
  /** A batch of this node went out; `last` is its last number. */
  sent(word: string, last: number): void
  /** A neighbour told of these. */
  receive(from: string, heads: readonly WireHead[]): Promise<void>
  /** Tells a neighbour that is new here what is known of others, about these words. */
  introduce(peer: string, words: readonly string[]): void
  /** The neighbour does not know the method, or does by now. */
  noteSupport(peer: string, knows: boolean): void
  forget(peer: string): void
  stop(): void
}

interface Due {
  last: number
  sentAt: number
  /** How often it was told. */
  times: number
}

export const createPublisherHeads = (
  port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'gossip' | 'sign' | 'verify' | 'members' | 'to' | 'random'>,
  circle: DirectRecipients,
  bytesToSign: (head: Omit<WireHead, 'signature'>) => Uint8Array,
  hooks: PublisherHeadsHooks,
): PublisherHeads => {
  const due = new Map<string, Due>()
  /** By publisher and word. */
  const known = new Map<string, WireHead>()
  const deaf = new Set<string>()
  const checks = createRateLimiter(FORWARDED_HEADS_RATE)
  let timer: Stop | undefined
  let stopped = false

  const send = (peer: string, heads: readonly WireHead[]): void => {
    if (deaf.has(peer)) return
    for (let from = 0; from < heads.length; from += MAX_HEADS) {
      port
        .to(peer, eventsProtocol)
        .heads({ heads: heads.slice(from, from + MAX_HEADS) })
        .catch((error: unknown) => {
          if (!stopped) port.log.info('a neighbour could not be told how far publishers are', { peer, error })
        })
    }
  }

  const passing = createHeadGossip(port, {
    subscribers(word) {
      const members = new Set(port.members().map(({ id }) => id))
      return port.gossip.subscribers(hooks.topicOf(word)).filter((peer) => members.has(peer))
    },
    send,
  })

  /** @returns false where the same or more was known */
  const learn = (head: WireHead): boolean => {
    const key = headKey(head)
    const before = known.get(key)
    if (before !== undefined) {
      if (before.epoch > head.epoch || (before.epoch === head.epoch && before.last >= head.last)) return false
    }
    known.delete(key)
    known.set(key, head)
    const [oldest] = known.keys()
    if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest)
    return true
  }

  const ownHead = async (word: string, last: number): Promise<WireHead> => {
    const { id: publisher, incarnation: epoch } = port.self
    const before = known.get(headKey({ publisher, word }))
    const topic = hooks.topicOf(word)
    const told = new Set(port.members().flatMap(({ id }) => (deaf.has(id) ? [] : [id])))
    const named = circle.digestFor(topic, told)
    const head = { publisher, word, epoch, last, ...(named === undefined ? {} : { circle: named }) }
    if (before?.last === last && before.epoch === epoch && String(before.circle) === String(named)) return before
    const signed = { ...head, signature: await port.sign(bytesToSign(head)) }
    learn(signed)
    return signed
  }

  const tell = async (words: readonly { word: string; last: number }[]): Promise<void> => {
    const heard = words.filter(({ word }) => port.gossip.subscribers(hooks.topicOf(word)).length > 0)
    const heads = await Promise.all(heard.map(({ word, last }) => ownHead(word, last)))
    if (stopped) return
    const byPeer = new Map<string, WireHead[]>()
    for (const head of heads) {
      for (const peer of port.gossip.subscribers(hooks.topicOf(head.word))) {
        const list = byPeer.get(peer) ?? []
        list.push(head)
        byPeer.set(peer, list)
      }
    }
    for (const { id } of port.members()) send(id, byPeer.get(id) ?? [])
  }

  const tick = (): void => {
    timer = undefined
    const now = port.clock.monotonic()
    const ready: { word: string; last: number }[] = []
    let nextAt = Number.POSITIVE_INFINITY
    for (const [word, entry] of due) {
      const at = entry.sentAt + (entry.times === 0 ? QUIET_MS : AGAIN_MS)
      if (at <= now) {
        ready.push({ word, last: entry.last })
        entry.times += 1
        if (entry.times > 1) due.delete(word)
        else nextAt = Math.min(nextAt, entry.sentAt + AGAIN_MS)
      } else nextAt = Math.min(nextAt, at)
    }
    if (ready.length > 0) {
      tell(ready).catch((error: unknown) => {
        if (!stopped) port.log.warn('neighbours could not be told how far this node is', { error })
      })
    }
    if (nextAt < Number.POSITIVE_INFINITY && !stopped) timer = port.timers.after(Math.max(1, nextAt - now), tick)
  }

  /** True for one that its publisher told all whom this node could tell. */
  const isLast = ({ publisher, word, circle: named }: WireHead, from: string): boolean =>
    from === publisher && named !== undefined && circle.coversAll(hooks.topicOf(word), publisher, named)

  const verify = (head: WireHead): Promise<boolean> =>
    port.verify(head.publisher, bytesToSign(head), head.signature).catch(() => false)

  return {
    sent(word, last) {
      const entry = due.get(word)
      const sentAt = port.clock.monotonic()
      if (entry === undefined) due.set(word, { last, sentAt, times: 0 })
      else {
        const told = entry.times > 0
        entry.last = last
        entry.sentAt = sentAt
        entry.times = 0
        if (!told) return
      }
      timer?.()
      timer = stopped ? undefined : port.timers.after(QUIET_MS, tick)
    },
    async receive(from, heads) {
      for (const head of heads) {
        if (head.publisher === port.self.id || !hooks.isSubscribed(head.word)) continue
        const before = known.get(headKey(head))
        if (before?.epoch === head.epoch && before.last >= head.last) {
          passing.markKnown(head, from)
          continue
        }
        // The link proves what the publisher says itself; what others say of it is signed. Who passes it on checks it too.
        const toldToAll = isLast(head, from)
        // What is beyond is told again, by others too.
        if (!toldToAll && !checks.take(from, port.clock.monotonic())) continue
        if (!(toldToAll || (await verify(head))) || stopped) continue
        if (!learn(head)) {
          passing.markKnown(head, from)
          continue
        }
        hooks.advanced(head)
        if (!toldToAll) passing.add(head, from)
      }
    },
    introduce(peer, words) {
      const wanted = new Set(words)
      send(
        peer,
        [...known.values()].filter(
          ({ publisher, word }) => wanted.has(word) && publisher !== peer && publisher !== port.self.id,
        ),
      )
    },
    noteSupport(peer, knows) {
      if (knows) deaf.delete(peer)
      else deaf.add(peer)
    },
    forget(peer) {
      deaf.delete(peer)
    },
    stop() {
      stopped = true
      timer?.()
      passing.stop()
      due.clear()
    },
  }
}
