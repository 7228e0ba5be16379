/**
 * What gossipsub reads of each neighbour, and how fast: its read loop, with a share of the event loop for each neighbour.
 *
 * gossipsub reads all that comes and checks nothing against who sent it. Here a neighbour's stream is paused after
 * `SLICE_MESSAGES` messages or `SLICE_BYTES`, until the other sockets were looked at; while `MAX_OPEN` messages of it are
 * under check, so that no neighbour has more signatures in the thread pool than that; while it sends more than
 * `MESSAGES_PER_S`, or more subscriptions, grafts and prunes than `CONTROLS_PER_S`; and while it is paused for its faults
 * (gossip-conduct.ts). Paused means that the muxer's window fills and the sender waits: of an honest neighbour nothing is
 * lost. Messages of topics that nobody
 * here hears are dropped before they are hashed; they may be late ones, so they are no fault.
 *
 * Works round: `pipePeerReadStream` of gossipsub 17.1 has no backpressure and swallows what cannot be decoded, so it is
 * replaced in the one instance. State: a small entry for each connected neighbour, the conduct of former ones, counters.
 */
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { PeerId, Stream } from '@libp2p/interface'
import { ParleyError } from '../../protocols/errors.ts'
import type { Log, Timers } from '../../protocols/port.ts'
import type { Conduct } from './gossip-conduct.ts'

export const SLICE_MESSAGES = 32
export const SLICE_BYTES = 256 << 10
/** Messages of one neighbour under check. */
export const MAX_OPEN = 64
/** It is read again when no more are. */
const FEW_OPEN = MAX_OPEN / 2
/** Subscriptions, grafts and prunes of one neighbour; a burst is what a node with all topics says at once, twice. */
export const CONTROLS_PER_S = 256
export const CONTROL_BURST = 4_096
/**
 * Messages of one neighbour: a part of what one event loop can take, and above what honest batches come to. A large one
 * counts for each `MESSAGE_BYTES`, which makes 64 MiB a second.
 */
export const MESSAGES_PER_S = 4_096
export const MESSAGE_BURST = 4_096
const MESSAGE_BYTES = 16 << 10

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

interface Neighbour {
  readonly id: string
  /** Since its stream was last paused. */
  messages: number
  bytes: number
  /** Under check. */
  open: number
  /** When all its messages, and all its control messages, will have been within their rates. */
  messagesAtMs: number
  controlsAtMs: number
  /** Its loops that wait for fewer open ones. */
  waiting: (() => void)[]
}

export interface IntakeDeps {
  gossip: GossipSub
  conduct: Conduct
  timers: Timers
  log: Log
  /** Milliseconds, monotonic. */
  now(): number
  /** Somebody here hears this topic. */
  hears(topic: string): boolean
  /** The neighbour is to be disconnected, and not let in while it is `barred`. */
  cut(peer: string): void
}

export interface Intake {
  /** A message of this neighbour goes under check. */
  opened(peer: string): void
  /** Its check has ended. */
  closed(peer: string): void
  /** A message of it was not taken. */
  refused(peer: string, reason: GossipRefusal): void
  /** Why the peer is not let in now, where it was cut off lately. */
  barred(peer: string): ParleyError | undefined
  forget(peer: string): void
  counts(): { refused: Readonly<Record<GossipRefusal, number>>; paused: number; cut: number }
}

/** Errors of it-length-prefixed that only a sender can make. */
const isSendersFault = (error: unknown): boolean =>
  error instanceof Error && (error.name.startsWith('InvalidDataLength') || error.name === 'InvalidMessageLengthError')

export const createIntake = (deps: IntakeDeps): Intake => {
  const { conduct, log, timers, now } = deps
  const inner = innerOf(deps.gossip)
  const neighbours = new Map<string, Neighbour>()
  const counts = {
    refused: { undecodable: 0, oversized: 0, signed: 0, refused: 0, unheard: 0 },
    paused: 0,
    cut: 0,
  }

  const neighbourOf = (id: string): Neighbour => {
    const known = neighbours.get(id)
    if (known !== undefined) return known
    const made = { id, messages: 0, bytes: 0, open: 0, messagesAtMs: 0, controlsAtMs: 0, waiting: [] }
    neighbours.set(id, made)
    return made
  }

  const refused = (peer: string, reason: GossipRefusal): void => {
    counts.refused[reason] += 1
    if (reason === 'unheard') return
    const sentence = conduct.fault(peer, now())
    if (sentence === 'none') return
    counts[sentence] += 1
    const said = { peer, reason }
    if (sentence === 'paused') {
      log.warn('a neighbour sends gossip that has to be refused; it is not read for a while', said)
      return
    }
    const seconds = Math.ceil(conduct.barredMs(peer, now()) / 1000)
    log.warn('a neighbour went on sending gossip that has to be refused; it is cut off', { ...said, seconds })
    deps.cut(peer)
  }

  const waitFor = (ms: number): Promise<void> => new Promise((resolve) => timers.after(ms, resolve))

  /** How long the neighbour has to wait for its rates (the generic cell rate algorithm, ITU-T I.371). */
  const aheadMs = ({ messagesAtMs, controlsAtMs }: Neighbour, nowMs: number): number =>
    Math.max(
      messagesAtMs - nowMs - (1_000 * MESSAGE_BURST) / MESSAGES_PER_S,
      controlsAtMs - nowMs - (1_000 * CONTROL_BURST) / CONTROLS_PER_S,
    )

  /** Resolves in a later turn, when the neighbour may be read again. */
  const ready = async (one: Neighbour): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    for (;;) {
      one.messages = 0
      one.bytes = 0
      const waitMs = Math.max(conduct.pausedMs(one.id, now()), aheadMs(one, now()))
      if (waitMs > 0) await waitFor(waitMs)
      else if (one.open > FEW_OPEN) await new Promise<void>((resolve) => one.waiting.push(resolve))
      else return
    }
  }

  const isDue = (one: Neighbour): boolean =>
    one.messages >= SLICE_MESSAGES ||
    one.bytes >= SLICE_BYTES ||
    one.open >= MAX_OPEN ||
    aheadMs(one, now()) > 0 ||
    conduct.pausedMs(one.id, now()) > 0

  const decode = (peer: string, bytes: Uint8Array): Rpc | undefined => {
    try {
      return inner.decodeRpc(bytes)
    } catch {
      refused(peer, 'undecodable')
      return undefined
    }
  }

  const refusalOf = ({ topic, seqno, signature, key }: RpcMessage): GossipRefusal | undefined => {
    if (seqno !== undefined || signature !== undefined || key !== undefined) return 'signed'
    return deps.hears(topic) ? undefined : 'unheard'
  }

  const sift = (peer: string, messages: RpcMessage[]): RpcMessage[] => {
    if (messages.every((message) => refusalOf(message) === undefined)) return messages
    return messages.filter((message) => {
      const reason = refusalOf(message)
      if (reason !== undefined) refused(peer, reason)
      return reason === undefined
    })
  }

  const charge = (one: Neighbour, { messages, subscriptions, control }: Rpc, bytes: number): void => {
    const nowMs = now()
    const count = Math.max(1, messages.length, bytes / MESSAGE_BYTES)
    one.messagesAtMs = Math.max(one.messagesAtMs, nowMs) + (1_000 * count) / MESSAGES_PER_S
    const controls = subscriptions.length + (control === undefined ? 0 : control.graft.length + control.prune.length)
    if (controls > 0) one.controlsAtMs = Math.max(one.controlsAtMs, nowMs) + (1_000 * controls) / CONTROLS_PER_S
  }

  const handle = async (peer: PeerId, rpc: Rpc): Promise<void> => {
    try {
      await inner.handleReceivedRpc(peer, rpc)
    } catch (error) {
      log.warn('gossip of a neighbour could not be handled', { peer: peer.toString(), error })
    }
  }

  /** An RPC of many messages is handled a slice at a time. */
  const take = async (peer: PeerId, one: Neighbour, rpc: Rpc, bytes: number): Promise<void> => {
    charge(one, rpc, bytes)
    const messages = sift(one.id, rpc.messages)
    one.messages += Math.max(1, Math.min(messages.length, SLICE_MESSAGES))
    await handle(peer, { ...rpc, messages: messages.slice(0, SLICE_MESSAGES) })
    for (let at = SLICE_MESSAGES; at < messages.length; at += SLICE_MESSAGES) {
      await ready(one)
      await handle(peer, { subscriptions: [], messages: messages.slice(at, at + SLICE_MESSAGES) })
    }
  }

  const pause = (stream: Stream | undefined): void => {
    if (stream?.status === 'open') stream.pause()
  }
  /** A stream that has ended meanwhile has nothing to resume. */
  const resume = (stream: Stream | undefined): void => {
    if (stream?.readStatus === 'paused') stream.resume()
  }

  inner.pipePeerReadStream = async (peer, source) => {
    const id = peer.toString()
    const stream = inner.streamsInbound.get(id)?.rawStream
    try {
      for await (const data of source) {
        const one = neighbourOf(id)
        one.bytes += data.byteLength
        const rpc = decode(id, data.subarray())
        if (rpc !== undefined) {
          if (rpc.messages.length > SLICE_MESSAGES) pause(stream)
          await take(peer, one, rpc, data.byteLength)
        }
        if (isDue(one)) {
          pause(stream)
          await ready(one)
        }
        resume(stream)
      }
    } catch (error) {
      if (isSendersFault(error)) refused(id, 'oversized')
      inner.handlePeerReadStreamError(error, peer)
    } finally {
      if (!inner.streamsInbound.has(id)) neighbours.delete(id)
    }
  }

  return {
    opened(peer) {
      neighbourOf(peer).open += 1
    },
    closed(peer) {
      const one = neighbours.get(peer)
      if (one === undefined) return
      one.open = Math.max(0, one.open - 1)
      if (one.open > FEW_OPEN || one.waiting.length === 0) return
      const all = one.waiting
      one.waiting = []
      for (const go of all) go()
    },
    refused,
    barred(peer) {
      const ms = Math.ceil(conduct.barredMs(peer, now()))
      if (ms === 0) return undefined
      return new ParleyError('SEC001', `${peer} was cut off for gossip that had to be refused`, {
        hint: `it may come again in ${Math.ceil(ms / 1000)} s; its gossip was malformed or wrongly signed`,
        details: { reason: 'cut-off', retryAfterMs: ms },
      })
    },
    forget(peer) {
      for (const go of neighbours.get(peer)?.waiting ?? []) go()
      neighbours.delete(peer)
    },
    counts: () => counts,
  }
}
