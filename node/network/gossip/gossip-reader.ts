/**
 * What gossipsub reads of each neighbour, and how fast: its read loop, with a share of the event loop for each neighbour.
 *
 * gossipsub reads all that comes and checks nothing against who sent it. Here a neighbour's stream is paused after
 * `SLICE_MESSAGES` messages or `SLICE_BYTES`, until the other sockets were looked at; while `MAX_OPEN` messages of it, or
 * `MAX_OPEN_BYTES`, are under check: no neighbour takes the thread pool or the bytes of all; while it sends more than
 * `MESSAGES_PER_S`, or more subscriptions, grafts and prunes than `CONTROLS_PER_S`; and while it is paused for its faults
 * (gossip-penalties.ts; the bounds are in gossip-rate-limit.ts). Paused means that the muxer's window fills and the sender waits: of
 * an honest neighbour nothing is lost. Messages of topics that nobody here hears are dropped before they are hashed; they
 * may be late ones, so they are no fault.
 *
 * Works round: `pipePeerReadStream` of gossipsub 17.1 has no backpressure and swallows what cannot be decoded, so it is
 * replaced in the one instance. State: a small entry for each connected neighbour, the conduct of former ones, counters.
 */

import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { PeerId, Stream } from '@libp2p/interface'
import { delay } from '../../../protocols/async.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Log, Timers } from '../../../protocols/port.ts'
import type { GossipPenalties } from './gossip-penalties.ts'
import { GossipRateLimit, SLICE_MESSAGES } from './gossip-rate-limit.ts'

/** Why a message was not taken. `unheard` is nobody's fault, all others are the sender's. */
export type GossipFault = 'undecodable' | 'oversized' | 'signed' | 'refused'
export type GossipRefusal = GossipFault | 'unheard'

interface RpcMessage {
  topic: string
  data?: Uint8Array
  seqno?: Uint8Array
  signature?: Uint8Array
  key?: Uint8Array
}
interface Rpc {
  subscriptions: unknown[]
  messages: RpcMessage[]
  control?: { graft: unknown[]; prune: unknown[] }
}
/** What of gossipsub's class its type leaves out. */
interface Inner {
  streamsInbound: Map<string, { rawStream: Stream }>
  pipePeerReadStream(peer: PeerId, source: AsyncIterable<{ subarray(): Uint8Array; byteLength: number }>): Promise<void>
  decodeRpc(bytes: Uint8Array): Rpc
  handleReceivedRpc(peer: PeerId, rpc: Rpc): Promise<void>
  handlePeerReadStreamError(error: unknown, peer: PeerId): void
}

const METHODS = ['pipePeerReadStream', 'decodeRpc', 'handleReceivedRpc', 'handlePeerReadStreamError']

/** @throws TypeError when another release of gossipsub reads elsewhere */
const innerOf = (gossip: GossipSub): Inner => {
  const isInner = (value: unknown): value is Inner =>
    typeof value === 'object' &&
    value !== null &&
    METHODS.every((name) => typeof Reflect.get(value, name) === 'function') &&
    Reflect.get(value, 'streamsInbound') instanceof Map
  if (isInner(gossip)) return gossip
  throw new TypeError('this release of gossipsub reads its streams elsewhere')
}

export interface GossipReaderDeps {
  gossip: GossipSub
  penalties: GossipPenalties
  timers: Timers
  log: Log
  /** Milliseconds, monotonic. */
  now(): number
  /** Somebody here hears this topic. */
  isSubscribed(topic: string): boolean
  /** The neighbour is to be disconnected, and not let in while it is `barred`. */
  cut(peer: string): void
}

export interface GossipReader {
  /** A message of this neighbour goes under check. */
  checkStarted(peer: string, bytes: number): void
  /** Its check has ended. */
  checkEnded(peer: string, bytes: number): void
  /** A message of it was not taken. */
  refused(peer: string, reason: GossipRefusal): void
  /** Why the peer is not let in now, where it was cut off lately. */
  banReason(peer: string): ParleyError | undefined
  forget(peer: string): void
  /** `putOff`: times that a neighbour had to wait for its rates, or for its checks. */
  counts(): { refused: Readonly<Record<GossipRefusal, number>>; paused: number; cut: number; putOff: number }
}

/** Errors of it-length-prefixed that only a sender can make. */
const isSendersFault = (error: unknown): boolean =>
  error instanceof Error && (error.name.startsWith('InvalidDataLength') || error.name === 'InvalidMessageLengthError')

const refusalOf = (
  { topic, seqno, signature, key }: RpcMessage,
  hears: (topic: string) => boolean,
): GossipRefusal | undefined => {
  if (seqno !== undefined || signature !== undefined || key !== undefined) return 'signed'
  return hears(topic) ? undefined : 'unheard'
}

const controlsOf = ({ subscriptions, control }: Rpc): number =>
  subscriptions.length + (control === undefined ? 0 : control.graft.length + control.prune.length)

const pause = (stream: Stream | undefined): void => {
  if (stream?.status === 'open') stream.pause()
}
/** A stream that has ended meanwhile has nothing to resume. */
const resume = (stream: Stream | undefined): void => {
  if (stream?.readStatus === 'paused') stream.resume()
}

const barredError = (peer: string, ms: number): ParleyError =>
  new ParleyError('SEC001', `${peer} was cut off for gossip that had to be refused`, {
    hint: `it may come again in ${Math.ceil(ms / 1000)} s; its gossip was malformed or wrongly signed`,
    details: { reason: 'cut-off', retryAfterMs: ms },
  })

/** What was refused of whom, and what follows from it. */
const createRefusals = ({ penalties, log, now, cut }: Pick<GossipReaderDeps, 'penalties' | 'log' | 'now' | 'cut'>) => {
  const counts = {
    refused: { undecodable: 0, oversized: 0, signed: 0, refused: 0, unheard: 0 },
    paused: 0,
    cut: 0,
    putOff: 0,
  }
  const refused = (peer: string, reason: GossipRefusal): void => {
    counts.refused[reason] += 1
    if (reason === 'unheard') return
    const sentence = penalties.addFault(peer, now())
    if (sentence === 'none') return
    counts[sentence] += 1
    const said = { peer, reason }
    if (sentence === 'paused') {
      log.warn('a neighbour sends gossip that has to be refused; it is not read for a while', said)
      return
    }
    const seconds = Math.ceil(penalties.bannedMs(peer, now()) / 1000)
    log.warn('a neighbour went on sending gossip that has to be refused; it is cut off', { ...said, seconds })
    cut(peer)
  }
  return { refused, counts }
}

/** Resolves in a later turn, when the neighbour may be read again. */
const untilReady = async (
  peer: string,
  pace: GossipRateLimit,
  { penalties, timers, now }: Pick<GossipReaderDeps, 'penalties' | 'timers' | 'now'>,
  putOff: () => void,
): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve))
  for (;;) {
    pace.begin()
    const aheadMs = pace.aheadMs(now())
    const waitMs = Math.max(penalties.pausedMs(peer, now()), aheadMs)
    const fewer = waitMs > 0 ? undefined : pace.fewOpen()
    if (aheadMs > 0 || fewer !== undefined) putOff()
    if (waitMs > 0) await delay(timers, waitMs)
    else if (fewer !== undefined) await fewer
    else return
  }
}

export const createGossipReader = (deps: GossipReaderDeps): GossipReader => {
  const { penalties, log, now } = deps
  const inner = innerOf(deps.gossip)
  const paces = new Map<string, GossipRateLimit>()
  const { refused, counts } = createRefusals(deps)
  const putOff = (): void => {
    counts.putOff += 1
  }

  const paceOf = (peer: string): GossipRateLimit => {
    const known = paces.get(peer)
    if (known !== undefined) return known
    const made = new GossipRateLimit()
    paces.set(peer, made)
    return made
  }

  const decode = (peer: string, bytes: Uint8Array): Rpc | undefined => {
    try {
      return inner.decodeRpc(bytes)
    } catch {
      refused(peer, 'undecodable')
      return undefined
    }
  }

  const sift = (peer: string, messages: RpcMessage[]): RpcMessage[] => {
    if (messages.every((message) => refusalOf(message, deps.isSubscribed) === undefined)) return messages
    return messages.filter((message) => {
      const reason = refusalOf(message, deps.isSubscribed)
      if (reason !== undefined) refused(peer, reason)
      return reason === undefined
    })
  }

  const handle = async (peer: PeerId, rpc: Rpc): Promise<void> => {
    try {
      await inner.handleReceivedRpc(peer, rpc)
    } catch (error) {
      log.warn('gossip of a neighbour could not be handled', { peer: peer.toString(), error })
    }
  }

  /** An RPC of many messages is handled a slice at a time. */
  const take = async (peer: PeerId, id: string, pace: GossipRateLimit, rpc: Rpc, bytes: number): Promise<void> => {
    pace.charge(rpc.messages.length, controlsOf(rpc), bytes, now())
    const messages = sift(id, rpc.messages)
    pace.take(messages.length)
    await handle(peer, { ...rpc, messages: messages.slice(0, SLICE_MESSAGES) })
    for (let at = SLICE_MESSAGES; at < messages.length; at += SLICE_MESSAGES) {
      await untilReady(id, pace, deps, putOff)
      await handle(peer, { subscriptions: [], messages: messages.slice(at, at + SLICE_MESSAGES) })
    }
  }

  inner.pipePeerReadStream = async (peer, source) => {
    const id = peer.toString()
    const stream = inner.streamsInbound.get(id)?.rawStream
    try {
      for await (const data of source) {
        const pace = paceOf(id)
        pace.read(data.byteLength)
        const rpc = decode(id, data.subarray())
        if (rpc !== undefined) {
          if (rpc.messages.length > SLICE_MESSAGES) pause(stream)
          await take(peer, id, pace, rpc, data.byteLength)
        }
        if (pace.isDue(now()) || penalties.pausedMs(id, now()) > 0) {
          pause(stream)
          await untilReady(id, pace, deps, putOff)
        }
        resume(stream)
      }
    } catch (error) {
      if (isSendersFault(error)) refused(id, 'oversized')
      inner.handlePeerReadStreamError(error, peer)
    } finally {
      if (!inner.streamsInbound.has(id)) paces.delete(id)
    }
  }

  return {
    checkStarted: (peer, bytes) => paceOf(peer).checkStarted(bytes),
    checkEnded: (peer, bytes) => paces.get(peer)?.checkEnded(bytes),
    refused,
    banReason(peer) {
      const ms = Math.ceil(penalties.bannedMs(peer, now()))
      return ms === 0 ? undefined : barredError(peer, ms)
    },
    forget(peer) {
      paces.get(peer)?.release()
      paces.delete(peer)
    },
    counts: () => counts,
  }
}
