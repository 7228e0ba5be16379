/**
 * The Port's gossip over libp2p gossipsub.
 *
 * Messages carry their own author's signature (events, directory records), so gossipsub runs unsigned, with ids that are
 * the SHA-256 of the bytes: duplicates are dropped before anything is verified. Accepted messages are handed on in the
 * order in which they came, although they are verified on several threads; a neighbour that sends the same meanwhile is
 * not sent it.
 * Works round: no backpressure in publish() (gossip-backpressure.ts). A neighbour whose gossip moves to another
 * connection is forgotten for some milliseconds (trust/stream-gater.ts): what is published
 * meanwhile waits, or the neighbour would miss it. A neighbour whose stream to this node ended forgets what this node is
 * subscribed to (go-libp2p does) and says so only by opening another one: it is then told again.
 */

import { type GossipsubMessage, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { Connection } from '@libp2p/interface'
import type { ParleyError } from '../../../protocols/errors.ts'
import type { Acceptance, Gossip, Log, Stop, Timers } from '../../../protocols/port.ts'
import type { GossipFigures } from '../../observe/metrics/mesh-figures.ts'
import { createGossipBackpressure } from './gossip-backpressure.ts'
import { createGossipPenalties } from './gossip-penalties.ts'
import { createGossipReader } from './gossip-reader.ts'
import type { GossipsubInternals } from './gossipsub-internals.ts'

export interface PubsubDeps {
  gossip: GossipsubInternals
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
  banReason(peer: string): ParleyError | undefined
  counts(): GossipFigures
  stop(): void
}

/** How long publishing waits at most for a neighbour that moved. */
const MOVE_LIMIT_MS = 1_000
/** A neighbour is told our subscriptions again this often at most, however often it opens a stream. */
const AGAIN_EVERY_MS = 1_000

/** Neighbours whose gossip moves to another connection, for MOVE_LIMIT_MS at most. */
const createMoves = (timers: Timers) => {
  const moving = new Map<string, { heard: boolean; open: boolean; stop: Stop }>()
  let waiting: (() => void)[] = []

  const arrived = (peer: string): void => {
    moving.get(peer)?.stop()
    if (!moving.delete(peer) || moving.size > 0) return
    const all = waiting
    waiting = []
    for (const go of all) go()
  }

  return {
    began(peer: string): void {
      moving.get(peer)?.stop()
      moving.set(peer, { heard: false, open: false, stop: timers.after(MOVE_LIMIT_MS, () => arrived(peer)) })
    },
    /** It has arrived once its subscriptions were heard and its stream is open. */
    progressed(peer: string, what: 'heard' | 'open'): void {
      const entry = moving.get(peer)
      if (entry === undefined) return
      entry[what] = true
      if (entry.heard && entry.open) arrived(peer)
    },
    arrived,
    /** @returns undefined where nobody moves; else resolves when all have arrived */
    settled: (): Promise<void> | undefined =>
      moving.size === 0 ? undefined : new Promise<void>((resolve) => waiting.push(resolve)),
    stop(): void {
      for (const peer of [...moving.keys()]) arrived(peer)
    },
  }
}

/** Tells neighbours our subscriptions again, AGAIN_EVERY_MS apart at least. */
const createRetelling = (gossip: GossipsubInternals, timers: Timers) => {
  /** Those that were told lately, and whether they shall be once more. */
  const again = new Map<string, { due: boolean; stop: Stop }>()

  /** Where this node's own stream is not open yet, gossipsub tells them on it. */
  const tell = (peer: string): void => {
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
    const stop = timers.after(AGAIN_EVERY_MS, () => {
      const { due } = again.get(peer) ?? { due: false }
      again.delete(peer)
      if (due) tell(peer)
    })
    again.set(peer, { due: false, stop })
  }

  return {
    tell,
    forget(peer: string): void {
      again.get(peer)?.stop()
      again.delete(peer)
    },
    stop(): void {
      for (const { stop } of again.values()) stop()
      again.clear()
    },
  }
}

interface SubscriptionChange {
  peerId: { toString(): string }
  subscriptions: { topic: string; subscribe: boolean }[]
}

/** Which topics of this mesh neighbours hear. */
const createHearers = (prefix: string) => {
  const peersOf = new Map<string, Set<string>>()
  return {
    changed(peer: string, subscriptions: SubscriptionChange['subscriptions']): void {
      for (const { topic, subscribe } of subscriptions) {
        if (!topic.startsWith(prefix)) continue
        const peers = peersOf.get(topic) ?? new Set<string>()
        if (subscribe) peers.add(peer)
        else peers.delete(peer)
        if (peers.size === 0) peersOf.delete(topic)
        else peersOf.set(topic, peers)
      }
    },
    topics: (): string[] => [...peersOf.keys()].map((topic) => topic.slice(prefix.length)),
    forget(peer: string): void {
      for (const [topic, peers] of peersOf) {
        peers.delete(peer)
        if (peers.size === 0) peersOf.delete(topic)
      }
    },
  }
}

type Validator = (from: string, bytes: Uint8Array) => Promise<TopicValidatorResult>

interface Subscribed {
  readonly topic: string
  readonly accept: (bytes: Uint8Array, from: string) => Promise<Acceptance>
  readonly deliver: (bytes: Uint8Array) => void
  readonly refused: (from: string) => void
  readonly log: Log
}

/** Verification ends in any order; the next message is handed on only after the one before it. */
const validatorOf = ({ topic, accept, deliver, refused, log }: Subscribed): Validator => {
  let before: Promise<unknown> = Promise.resolve()
  return async (from, bytes) => {
    const turn = before
    const verified = accept(bytes, from).catch((error: unknown): Acceptance => {
      log.error('a gossip message could not be checked', { topic, error })
      return 'ignore'
    })
    before = verified.then(() => turn)
    const acceptance = await verified
    await turn
    if (acceptance === 'refuse') {
      refused(from)
      return TopicValidatorResult.Reject
    }
    if (acceptance !== 'ignore') deliver(bytes)
    // What is ignored is not forwarded, and counts against nobody.
    return acceptance === 'forward' ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
  }
}

export const createPubsub = (deps: PubsubDeps): Pubsub => {
  const { gossip } = deps
  const prefix = `parley/${deps.mesh}/`
  const listeners = new Set<(peer: string) => void>()
  const hearers = createHearers(prefix)
  const counts = { rejected: 0, failedPublishes: 0 }
  const streams = createGossipBackpressure(deps)
  const moves = createMoves(deps.timers)
  const retelling = createRetelling(gossip, deps.timers)

  const onChange = ({ detail }: CustomEvent<SubscriptionChange>): void => {
    const peer = detail.peerId.toString()
    hearers.changed(peer, detail.subscriptions)
    moves.progressed(peer, 'heard')
    for (const fn of listeners) fn(peer)
  }
  gossip.addEventListener('subscription-change', onChange)

  const arriving = new Map<string, Validator>()
  const now = (): number => performance.now()
  const conduct = createGossipPenalties()
  const intake = createGossipReader({ ...deps, penalties: conduct, now, isSubscribed: (topic) => arriving.has(topic) })
  const onMessage = ({ detail }: CustomEvent<GossipsubMessage>): void => {
    const { propagationSource, msgId, msg } = detail
    const from = propagationSource.toString()
    const validate = arriving.get(msg.topic)
    if (validate === undefined) return
    intake.checkStarted(from, msg.data.length)
    void validate(from, msg.data).then((result) => {
      intake.checkEnded(from, msg.data.length)
      gossip.reportMessageValidationResult(msgId, from, result)
    })
  }
  gossip.addEventListener('gossipsub:message', onMessage)

  return {
    async publish(topic, bytes) {
      const settled = moves.settled()
      if (settled !== undefined) await settled
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
      const refused = (from: string): void => {
        counts.rejected += 1
        intake.refused(from, 'refused')
      }
      arriving.set(full, validatorOf({ topic, accept, deliver, refused, log: deps.log }))
      gossip.subscribe(full)
      return () => {
        gossip.unsubscribe(full)
        arriving.delete(full)
      }
    },
    subscribers: (topic) => gossip.getSubscribers(prefix + topic).map(String),
    topics: hearers.topics,
    onSubscriptions(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    writable: streams.writable,
    moved: moves.began,
    opened: (peer) => moves.progressed(peer, 'open'),
    reopened: retelling.tell,
    forget(peer) {
      moves.arrived(peer)
      retelling.forget(peer)
      intake.forget(peer)
      hearers.forget(peer)
    },
    banReason: (peer) => intake.banReason(peer),
    counts: () => ({ ...counts, cutOff: streams.cutOff(), intake: intake.counts() }),
    stop() {
      streams.stop()
      moves.stop()
      retelling.stop()
      listeners.clear()
      gossip.removeEventListener('subscription-change', onChange)
      gossip.removeEventListener('gossipsub:message', onMessage)
      arriving.clear()
    },
  }
}
