/**
 * The Port's gossip over libp2p gossipsub.
 *
 * Messages carry their own author's signature (events, directory records), so gossipsub runs unsigned, with ids that are
 * the SHA-256 of the bytes: duplicates are dropped before anything is verified. Accepted messages are handed on in the
 * order in which they came, although they are verified on several threads; a neighbour that sends the same meanwhile is
 * not sent it.
 * Works round: no backpressure in publish() (the write buffers of the gossip streams are watched; a peer that is too far
 * behind is cut off, since gossipsub's own limit would silence it for good). A
 * neighbour whose gossip moves to another connection is forgotten for some milliseconds (gate.ts): what is published
 * meanwhile waits, or the neighbour would miss it. A neighbour whose stream to this node ended forgets what this node is
 * subscribed to (go-libp2p does) and says so only by opening another one: it is then told again.
 */

import { type GossipsubMessage, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { Connection, Stream } from '@libp2p/interface'
import type { ParleyError } from '../protocols/errors.ts'
import type { Acceptance, Gossip, Log, Stop, Timers } from '../protocols/port.ts'
import type { GossipFigures } from './figures.ts'
import { createConduct } from './network/gossip-conduct.ts'
import { createIntake } from './network/gossip-intake.ts'
import type { JudgedGossip } from './network/judged-gossip.ts'

export interface PubsubDeps {
  gossip: JudgedGossip
  mesh: string
  timers: Timers
  log: Log
  /** Connections whose gossip streams count. */
  connections(): Connection[]
  /** Has a gossip stream opened where there is none. */
  reopen(connection: Connection): void
  /** Above this many unsent bytes to any peer publishers wait. */
  highWaterBytes: number
  /** A peer with more unsent bytes is cut off; it comes back by itself. */
  maxUnsentBytes: number
  /** Disconnects a peer whose gossip had to be refused again and again. */
  cut(peer: string): void
}

export interface Pubsub extends Gossip {
  /** The peer left: nothing is known of its subscriptions any more. */
  forget(peer: string): void
  /** Gossip with the peer starts afresh on another connection: both sides are about to tell their subscriptions again. */
  moved(peer: string): void
  /** Gossip has its stream to the peer. */
  opened(peer: string): void
  /** The peer opened a stream of its gossip to this node. */
  reopened(peer: string): void
  /** Why the peer is not let in for a while. */
  barred(peer: string): ParleyError | undefined
  counts(): GossipFigures
  stop(): void
}

const WATCH_MS = 250
/** How long publishing waits at most for a neighbour that moved. */
const MOVE_LIMIT_MS = 1_000
/** A neighbour is told our subscriptions again this often at most, however often it opens a stream. */
const AGAIN_EVERY_MS = 1_000

const isGossip = (protocol: string | undefined): boolean => protocol?.startsWith('/meshsub/') === true

const gossipStreams = new WeakMap<Connection, Stream>()

/** The stream that this node's gossip goes out by; looked for anew only where the last one has ended. */
const gossipStream = (connection: Connection): Stream | undefined => {
  const known = gossipStreams.get(connection)
  if (known?.status === 'open') return known
  const found = connection.streams.find(
    ({ direction, protocol, status }) => status === 'open' && direction === 'outbound' && isGossip(protocol),
  )
  if (found !== undefined) gossipStreams.set(connection, found)
  return found
}

export const createPubsub = (deps: PubsubDeps): Pubsub => {
  const { gossip } = deps
  const prefix = `parley/${deps.mesh}/`
  const listeners = new Set<(peer: string) => void>()
  const heard = new Map<string, Set<string>>()
  const counts = { cutOff: 0, rejected: 0, failedPublishes: 0 }

  const moving = new Map<string, { heard: boolean; open: boolean; stop: Stop }>()
  let waiting: (() => void)[] = []

  const arrived = (peer: string): void => {
    moving.get(peer)?.stop()
    if (!moving.delete(peer) || moving.size > 0) return
    const all = waiting
    waiting = []
    for (const go of all) go()
  }

  const progressed = (peer: string, what: 'heard' | 'open'): void => {
    const entry = moving.get(peer)
    if (entry === undefined) return
    entry[what] = true
    if (entry.heard && entry.open) arrived(peer)
  }

  const onChange = (
    event: CustomEvent<{ peerId: { toString(): string }; subscriptions: { topic: string; subscribe: boolean }[] }>,
  ): void => {
    const peer = event.detail.peerId.toString()
    for (const { topic, subscribe } of event.detail.subscriptions) {
      if (!topic.startsWith(prefix)) continue
      const peers = heard.get(topic) ?? new Set<string>()
      if (subscribe) peers.add(peer)
      else peers.delete(peer)
      if (peers.size === 0) heard.delete(topic)
      else heard.set(topic, peers)
    }
    progressed(peer, 'heard')
    for (const fn of listeners) fn(peer)
  }
  gossip.addEventListener('subscription-change', onChange)

  /** Neighbours that were told again lately, and whether they shall be once more. */
  const again = new Map<string, { due: boolean; stop: Stop }>()

  /** Where this node's own stream is not open yet, gossipsub tells them on it. */
  const tellAgain = (peer: string): void => {
    const lately = again.get(peer)
    if (lately !== undefined) {
      lately.due = true
      return
    }
    const topics = gossip.getTopics()
    if (topics.length === 0 || !gossip.streamsOutbound.has(peer)) return
    gossip.sendSubscriptions(peer, topics, true)
    // It has left its meshes with us as well.
    const meshes = topics.filter((topic) => gossip.mesh.get(topic)?.has(peer))
    if (meshes.length > 0) gossip.sendGraft(peer, meshes)
    const stop = deps.timers.after(AGAIN_EVERY_MS, () => {
      const { due } = again.get(peer) ?? { due: false }
      again.delete(peer)
      if (due) tellAgain(peer)
    })
    again.set(peer, { due: false, stop })
  }

  const arriving = new Map<string, (from: string, bytes: Uint8Array) => Promise<TopicValidatorResult>>()
  const now = (): number => performance.now()
  const conduct = createConduct()
  const intake = createIntake({ ...deps, conduct, now, hears: (topic) => arriving.has(topic) })
  const onMessage = ({ detail }: CustomEvent<GossipsubMessage>): void => {
    const { propagationSource, msgId, msg } = detail
    const from = propagationSource.toString()
    const validate = arriving.get(msg.topic)
    if (validate === undefined) return
    intake.opened(from)
    void validate(from, msg.data).then((result) => {
      intake.closed(from)
      gossip.reportMessageValidationResult(msgId, from, result)
    })
  }
  gossip.addEventListener('gossipsub:message', onMessage)

  /** The gossip stream that is furthest behind, where that is too far. */
  const behind = (): Stream | undefined => {
    let worst: Stream | undefined
    for (const connection of deps.connections()) {
      const stream = gossipStream(connection)
      if (stream === undefined) continue
      if (stream.writeBufferLength > (worst?.writeBufferLength ?? deps.highWaterBytes)) worst = stream
    }
    return worst
  }

  /** Both `drain` and `idle`: either may be the one that comes. */
  const progress = (stream: Stream, timeoutMs: number): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        stop()
        for (const event of ['drain', 'idle', 'close'] as const) stream.removeEventListener(event, done)
        resolve()
      }
      const stop = deps.timers.after(timeoutMs, done)
      for (const event of ['drain', 'idle', 'close'] as const) stream.addEventListener(event, done)
    })

  const stopWatch = deps.timers.every(WATCH_MS, () => {
    for (const connection of deps.connections()) {
      const stream = gossipStream(connection)
      if (stream === undefined) deps.reopen(connection)
      const bytes = stream?.writeBufferLength ?? 0
      if (bytes <= deps.maxUnsentBytes) continue
      counts.cutOff += 1
      deps.log.warn('a peer takes its gossip too slowly and was cut off; it will be dialled again', {
        peer: connection.remotePeer.toString(),
        bytes,
      })
      connection.abort(new Error(`${bytes} bytes of gossip were not taken`))
    }
  })

  return {
    async publish(topic, bytes) {
      if (moving.size > 0) await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        const { recipients } = await gossip.publish(prefix + topic, bytes)
        return recipients.length
      } catch (error) {
        counts.failedPublishes += 1
        throw error
      }
    },
    subscribe(topic, accept, deliver): Stop {
      const full = prefix + topic
      // Verification ends in any order; the next message is handed on only after the one before it.
      let before: Promise<unknown> = Promise.resolve()
      const validate = async (from: string, bytes: Uint8Array): Promise<TopicValidatorResult> => {
        const turn = before
        const verified = accept(bytes, from).catch((error: unknown): Acceptance => {
          deps.log.error('a gossip message could not be checked', { topic, error })
          return 'ignore'
        })
        before = verified.then(() => turn)
        const acceptance = await verified
        await turn
        if (acceptance === 'refuse') {
          counts.rejected += 1
          intake.refused(from, 'refused')
          return TopicValidatorResult.Reject
        }
        if (acceptance !== 'ignore') deliver(bytes)
        // What is ignored is not forwarded, and counts against nobody.
        return acceptance === 'forward' ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
      }
      arriving.set(full, validate)
      gossip.subscribe(full)
      return () => {
        gossip.unsubscribe(full)
        arriving.delete(full)
      }
    },
    subscribers: (topic) => gossip.getSubscribers(prefix + topic).map(String),
    topics: () => [...heard.keys()].map((topic) => topic.slice(prefix.length)),
    onSubscriptions(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    async writable(timeoutMs) {
      const endsAt = performance.now() + timeoutMs
      for (;;) {
        const stream = behind()
        const left = endsAt - performance.now()
        if (stream === undefined || left <= 0) return
        await progress(stream, left)
      }
    },
    moved(peer) {
      moving.get(peer)?.stop()
      moving.set(peer, { heard: false, open: false, stop: deps.timers.after(MOVE_LIMIT_MS, () => arrived(peer)) })
    },
    opened: (peer) => progressed(peer, 'open'),
    reopened: tellAgain,
    forget(peer) {
      arrived(peer)
      again.get(peer)?.stop()
      again.delete(peer)
      intake.forget(peer)
      for (const [topic, peers] of heard) {
        peers.delete(peer)
        if (peers.size === 0) heard.delete(topic)
      }
    },
    barred: (peer) => intake.barred(peer),
    counts: () => ({ ...counts, intake: intake.counts() }),
    stop() {
      stopWatch()
      for (const peer of [...moving.keys()]) arrived(peer)
      for (const { stop } of again.values()) stop()
      again.clear()
      listeners.clear()
      gossip.removeEventListener('subscription-change', onChange)
      gossip.removeEventListener('gossipsub:message', onMessage)
      arriving.clear()
    },
  }
}
