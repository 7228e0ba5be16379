/**
 * Bounds for what gossipsub keeps of each message: bytes of those that neighbours may have missed, and no score.
 *
 * gossipsub keeps all messages of the last heartbeats, however many there are: at 25 MB a second that is more than
 * 100 MB. Here a window of that cache ends with each heartbeat or after so many bytes, whichever is first, so that it
 * holds at most `windowBytes` for each window and one message more. gossipsub takes a cache of one's own but does not
 * export the class; its own one is given another `put`.
 */
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'

interface Cache {
  put(id: unknown, message: { data?: Uint8Array }, validated?: boolean): boolean
  shift(): void
}

const isCache = (value: unknown): value is Cache =>
  typeof value === 'object' &&
  value !== null &&
  typeof Reflect.get(value, 'put') === 'function' &&
  typeof Reflect.get(value, 'shift') === 'function'

/** @throws TypeError when another release of gossipsub keeps its messages elsewhere */
export const boundMessageCache = (gossip: GossipSub, windowBytes: number): void => {
  const cache: unknown = Reflect.get(gossip, 'mcache')
  if (!isCache(cache)) throw new TypeError('this release of gossipsub has no message cache that could be bounded')
  const put = cache.put.bind(cache)
  const shift = cache.shift.bind(cache)
  let bytes = 0
  cache.shift = () => {
    bytes = 0
    shift()
  }
  cache.put = (id, message, validated) => {
    if (bytes >= windowBytes) cache.shift()
    const added = put(id, message, validated)
    if (added) bytes += message.data?.length ?? 0
    return added
  }
}

/** Ids of messages that are not heard a second time; each some 200 bytes. */
export const MAX_SEEN = 65_536

interface Seen {
  entries: Map<string, unknown>
  put(key: string, value?: unknown): boolean
}

const isSeen = (value: unknown): value is Seen =>
  typeof value === 'object' &&
  value !== null &&
  Reflect.get(value, 'entries') instanceof Map &&
  typeof Reflect.get(value, 'put') === 'function'

/**
 * gossipsub remembers the id of every message for two minutes, however many there are. Here the oldest goes when there
 * are more; should its message come again, it is checked again and found to be known.
 * @throws TypeError when another release of gossipsub remembers elsewhere
 */
export const boundSeenCache = (gossip: GossipSub, most = MAX_SEEN): void => {
  for (const name of ['seenCache', 'publishedMessageIds']) {
    const seen: unknown = Reflect.get(gossip, name)
    if (!isSeen(seen)) throw new TypeError(`this release of gossipsub has no ${name} that could be bounded`)
    const put = seen.put.bind(seen)
    seen.put = (key, value) => {
      const [oldest] = seen.entries.size >= most ? seen.entries.keys() : []
      if (oldest !== undefined) seen.entries.delete(oldest)
      return put(key, value)
    }
  }
}

/**
 * gossipsub remembers the score of a peer that left, for as long as `retainScore`, unless it was above zero: it remembers
 * everyone who ever came, since zero is what all have who did nothing wrong. Here only what is below zero is remembered.
 * @throws TypeError when another release of gossipsub scores elsewhere
 */
export const forgetNeutralScores = (gossip: GossipSub): void => {
  const score: unknown = Reflect.get(gossip, 'score')
  if (!isScore(score)) throw new TypeError('this release of gossipsub keeps its scores elsewhere')
  const removePeer = score.removePeer.bind(score)
  score.removePeer = (id) => {
    removePeer(id)
    const stats = score.peerStats.get(id)
    // Its next look, once a second, takes it out.
    if (stats !== undefined && score.score(id) === 0) stats.expire = 0
  }
}

interface Score {
  readonly peerStats: Map<string, { expire: number }>
  score(id: string): number
  removePeer(id: string): void
}

const isScore = (value: unknown): value is Score =>
  typeof value === 'object' &&
  value !== null &&
  Reflect.get(value, 'peerStats') instanceof Map &&
  typeof Reflect.get(value, 'score') === 'function' &&
  typeof Reflect.get(value, 'removePeer') === 'function'

/** What gossipsub tells its scores of each message that is well. */
const TOLD = ['validateMessage', 'deliverMessage', 'duplicateMessage']

/**
 * Who brought which message first counts for topics that have a score, and none has here; gossipsub keeps a record with a
 * set of peers for each message all the same, for minutes. What is refused still counts.
 * @throws TypeError when another release of gossipsub scores elsewhere
 */
export const keepNoDeliveries = (gossip: GossipSub): void => {
  const score: unknown = Reflect.get(gossip, 'score')
  const isScore =
    typeof score === 'object' && score !== null && TOLD.every((name) => typeof Reflect.get(score, name) === 'function')
  if (!isScore) throw new TypeError('this release of gossipsub has no scores of messages')
  for (const name of TOLD) Reflect.set(score, name, () => {})
}
