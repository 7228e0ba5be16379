/**
 * Tells how far this node is with what it publishes, so that the loss of a last batch is noticed too.
 *
 * 250 ms after the last batch of a word, and once more 4 s later, each neighbour that hears the word is told, all words
 * in one message (one-way method `heads`): a call by the link, which Noise has proven, so nobody checks a signature where
 * all are connected to all. It is signed all the same, once for each last number: who is not among those whom the
 * publisher tells itself is told by a neighbour, which checks it and passes it on (head-gossip.ts). A newcomer is told by
 * `sync`, and of other publishers by those that heard of them. While batches follow each other nothing is told.
 *
 * State: what is due; the last head of each series, of MAX_KNOWN; neighbours that speak 1.1 and are not told.
 */
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Port, Stop } from '../../port.ts'
import type { DirectRecipients } from '../batch/direct-recipients.ts'
import { eventsProtocol, MAX_HEADS, type WireHead } from '../protocol.ts'
import { createHeadGossip, type HeadGossip, headKey } from './head-gossip.ts'

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

/** How far this node is with a word. */
interface OwnProgress {
  readonly word: string
  readonly last: number
}

/** Says when neighbours are to be told of words: after QUIET_MS without a batch, and once more after AGAIN_MS. */
class HeadSchedule {
  readonly #port: Pick<Port, 'clock' | 'timers'>
  readonly #announce: (words: readonly OwnProgress[]) => void
  readonly #due = new Map<string, { last: number; sentAt: number; announced: number }>()
  #timer: Stop | undefined
  #stopped = false

  constructor(port: Pick<Port, 'clock' | 'timers'>, announce: (words: readonly OwnProgress[]) => void) {
    this.#port = port
    this.#announce = announce
  }

  sent(word: string, last: number): void {
    const entry = this.#due.get(word)
    const sentAt = this.#port.clock.monotonic()
    if (entry === undefined) this.#due.set(word, { last, sentAt, announced: 0 })
    else {
      const wasAnnounced = entry.announced > 0
      entry.last = last
      entry.sentAt = sentAt
      entry.announced = 0
      if (!wasAnnounced) return
    }
    this.#timer?.()
    this.#timer = this.#stopped ? undefined : this.#port.timers.after(QUIET_MS, () => this.#tick())
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.()
    this.#due.clear()
  }

  #tick(): void {
    this.#timer = undefined
    const now = this.#port.clock.monotonic()
    const ready: OwnProgress[] = []
    let nextAt = Number.POSITIVE_INFINITY
    for (const [word, entry] of this.#due) {
      const at = entry.sentAt + (entry.announced === 0 ? QUIET_MS : AGAIN_MS)
      if (at <= now) {
        ready.push({ word, last: entry.last })
        entry.announced += 1
        if (entry.announced > 1) this.#due.delete(word)
        else nextAt = Math.min(nextAt, entry.sentAt + AGAIN_MS)
      } else nextAt = Math.min(nextAt, at)
    }
    if (ready.length > 0) this.#announce(ready)
    if (nextAt < Number.POSITIVE_INFINITY && !this.#stopped)
      this.#timer = this.#port.timers.after(Math.max(1, nextAt - now), () => this.#tick())
  }
}

export class PublisherHeads {
  readonly #port: Pick<
    Port,
    'self' | 'clock' | 'timers' | 'log' | 'gossip' | 'sign' | 'verify' | 'members' | 'to' | 'random'
  >
  readonly #directRecipients: DirectRecipients
  readonly #bytesToSign: (head: Omit<WireHead, 'signature'>) => Uint8Array
  readonly #hooks: PublisherHeadsHooks
  /** By publisher and word. */
  readonly #known = new Map<string, WireHead>()
  /** Neighbours that do not know the method. */
  readonly #withoutHeads = new Set<string>()
  readonly #checks = createRateLimiter(FORWARDED_HEADS_RATE)
  #stopped = false
  readonly #schedule: HeadSchedule
  readonly #gossip: HeadGossip

  constructor(
    port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'gossip' | 'sign' | 'verify' | 'members' | 'to' | 'random'>,
    directRecipients: DirectRecipients,
    bytesToSign: (head: Omit<WireHead, 'signature'>) => Uint8Array,
    hooks: PublisherHeadsHooks,
  ) {
    this.#port = port
    this.#directRecipients = directRecipients
    this.#bytesToSign = bytesToSign
    this.#hooks = hooks
    this.#schedule = new HeadSchedule(port, (words) => {
      this.#announce(words).catch((error: unknown) => {
        if (!this.#stopped) port.log.warn('neighbours could not be told how far this node is', { error })
      })
    })
    this.#gossip = createHeadGossip(port, {
      subscribers: (word) => {
        const members = new Set(port.members().map(({ id }) => id))
        return port.gossip.subscribers(hooks.topicOf(word)).filter((peer) => members.has(peer))
      },
      send: (peer, heads) => this.#send(peer, heads),
    })
  }

  /** A batch of this node went out; `last` is its last number. */
  sent(word: string, last: number): void {
    this.#schedule.sent(word, last)
  }

  /** A neighbour told of these. */
  async receive(from: string, heads: readonly WireHead[]): Promise<void> {
    for (const head of heads) {
      if (head.publisher === this.#port.self.id || !this.#hooks.isSubscribed(head.word)) continue
      const before = this.#known.get(headKey(head))
      if (before?.epoch === head.epoch && before.last >= head.last) {
        this.#gossip.markKnown(head, from)
        continue
      }
      // The link proves what the publisher says itself; what others say of it is signed. Who passes it on checks it too.
      const reachedAll = this.#reachedAll(head, from)
      // What is beyond is told again, by others too.
      if (!reachedAll && !this.#checks.take(from, this.#port.clock.monotonic())) continue
      if (!(reachedAll || (await this.#verify(head))) || this.#stopped) continue
      if (!this.#learn(head)) {
        this.#gossip.markKnown(head, from)
        continue
      }
      this.#hooks.advanced(head)
      if (!reachedAll) this.#gossip.add(head, from)
    }
  }

  /** Tells a neighbour that is new here what is known of others, about these words. */
  introduce(peer: string, words: readonly string[]): void {
    const wanted = new Set(words)
    this.#send(
      peer,
      [...this.#known.values()].filter(
        ({ publisher, word }) => wanted.has(word) && publisher !== peer && publisher !== this.#port.self.id,
      ),
    )
  }

  /** The neighbour does not know the method, or does by now. */
  noteSupport(peer: string, knows: boolean): void {
    if (knows) this.#withoutHeads.delete(peer)
    else this.#withoutHeads.add(peer)
  }

  forget(peer: string): void {
    this.#withoutHeads.delete(peer)
  }

  stop(): void {
    this.#stopped = true
    this.#schedule.stop()
    this.#gossip.stop()
  }

  #send(peer: string, heads: readonly WireHead[]): void {
    if (this.#withoutHeads.has(peer)) return
    for (let from = 0; from < heads.length; from += MAX_HEADS) {
      this.#port
        .to(peer, eventsProtocol)
        .heads({ heads: heads.slice(from, from + MAX_HEADS) })
        .catch((error: unknown) => {
          if (!this.#stopped)
            this.#port.log.info('a neighbour could not be told how far publishers are', { peer, error })
        })
    }
  }

  /** @returns false where the same or more was known */
  #learn(head: WireHead): boolean {
    const key = headKey(head)
    const before = this.#known.get(key)
    if (before !== undefined) {
      if (before.epoch > head.epoch || (before.epoch === head.epoch && before.last >= head.last)) return false
    }
    this.#known.delete(key)
    this.#known.set(key, head)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest)
    return true
  }

  async #ownHead(word: string, last: number): Promise<WireHead> {
    const { id: publisher, incarnation: epoch } = this.#port.self
    const before = this.#known.get(headKey({ publisher, word }))
    const topic = this.#hooks.topicOf(word)
    const told = new Set(this.#port.members().flatMap(({ id }) => (this.#withoutHeads.has(id) ? [] : [id])))
    const named = this.#directRecipients.digestFor(topic, told)
    const head = { publisher, word, epoch, last, ...(named === undefined ? {} : { circle: named }) }
    if (before?.last === last && before.epoch === epoch && String(before.circle) === String(named)) return before
    const signed = { ...head, signature: await this.#port.sign(this.#bytesToSign(head)) }
    this.#learn(signed)
    return signed
  }

  async #announce(words: readonly OwnProgress[]): Promise<void> {
    const subscribed = words.filter(({ word }) => this.#port.gossip.subscribers(this.#hooks.topicOf(word)).length > 0)
    const heads = await Promise.all(subscribed.map(({ word, last }) => this.#ownHead(word, last)))
    if (this.#stopped) return
    const byPeer = new Map<string, WireHead[]>()
    for (const head of heads) {
      for (const peer of this.#port.gossip.subscribers(this.#hooks.topicOf(head.word))) {
        const list = byPeer.get(peer) ?? []
        list.push(head)
        byPeer.set(peer, list)
      }
    }
    for (const { id } of this.#port.members()) this.#send(id, byPeer.get(id) ?? [])
  }

  /** True for one that its publisher told all whom this node could tell. */
  #reachedAll({ publisher, word, circle: named }: WireHead, from: string): boolean {
    return (
      from === publisher &&
      named !== undefined &&
      this.#directRecipients.coversAll(this.#hooks.topicOf(word), publisher, named)
    )
  }

  #verify(head: WireHead): Promise<boolean> {
    return this.#port.verify(head.publisher, this.#bytesToSign(head), head.signature).catch(() => false)
  }
}
