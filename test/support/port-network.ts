/**
 * Nodes in one process with whole Ports between them, over a seeded virtual network and virtual time: to test a
 * feature with two or two hundred nodes in milliseconds, the same way each time.
 *
 * Real: Ed25519 keys and signatures, SHA-256, schemas, the encoding of payloads. Virtual: time, randomness,
 * connections, latency (each direction of a connection keeps its order), gossip. Not there: flow control, retries,
 * envelopes, compression.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { Fields, Labels, Member, Port, Stop } from '../../protocols/port.ts'
import { createVirtualCalls } from './virtual-calls.ts'
import { createVirtualGossip } from './virtual-gossip.ts'
import { createRandom, createVirtualTime, type VirtualTime } from './virtual-time.ts'

export interface NetworkOptions {
  /** Same seed, same run. */
  seed?: number
  /** Milliseconds of one way, least and most. */
  latencyMs?: readonly [number, number]
  /** Share of single gossip hops that are lost, 0 to 1. */
  gossipLoss?: number
  mesh?: string
}

export interface LogLine {
  level: 'error' | 'warn' | 'info'
  message: string
  fields: Fields
}

export interface NetworkNode {
  readonly id: string
  readonly port: Port
  readonly logs: readonly LogLine[]
  /** A counter's sum over the labels that are given, or a gauge's value. */
  metric(name: string, labels?: Labels): number
  isConnected(peer: string): boolean
  /** As SIGKILL does: connections close, timers stop, nothing is said. */
  kill(): void
}

/** What `clock.now()` shows at virtual time 0. */
export const START_MS = 1_700_000_000_000

/** PKCS #8 header of an Ed25519 seed (RFC 8410 section 7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const keyOf = (text: string): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([PKCS8, createHash('sha256').update(text).digest()]),
    format: 'der',
    type: 'pkcs8',
  })
/** Stands in for a peer id: made from the public key, so that it cannot be chosen. */
const idOf = (key: KeyObject): string =>
  `peer${createHash('sha256')
    .update(createPublicKey(key).export({ format: 'der', type: 'spki' }))
    .digest('hex')
    .slice(0, 24)}`

interface Inner extends NetworkNode {
  readonly member: Member
  readonly neighbours: Set<string>
  readonly memberFns: Set<(member: Member, change: 'joined' | 'left') => void>
}

const createMetrics = () => {
  const sums = new Map<string, { labels: Labels; value: number }[]>()
  const gauges = new Map<string, () => number>()
  const add = (name: string, labels: Labels, by: number): void => {
    const rows = sums.get(name) ?? []
    sums.set(name, rows)
    rows.push({ labels, value: by })
  }
  const read = (name: string, labels: Labels = {}): number => {
    const gauge = gauges.get(name)
    if (gauge) return gauge()
    const rows = sums.get(name) ?? []
    const matching = rows.filter((row) => Object.entries(labels).every(([key, value]) => row.labels[key] === value))
    return matching.reduce((sum, { value }) => sum + value, 0)
  }
  const metrics: Port['metrics'] = {
    counter: (name) => (labels, by) => add(name, labels ?? {}, by ?? 1),
    histogram: (name) => (value, labels) => add(name, labels ?? {}, value),
    gauge: (name, _, readValue) => {
      gauges.set(name, readValue)
    },
  }
  return { metrics, read }
}

export type PortNetwork = ReturnType<typeof createPortNetwork>

export const createPortNetwork = (options: NetworkOptions = {}) => {
  const { seed = 1, latencyMs: [least, most] = [1, 5], gossipLoss = 0, mesh = 'test' } = options
  const time: VirtualTime = createVirtualTime()
  const random = createRandom(seed)
  const nodes = new Map<string, Inner>()
  const keys = new Map<string, KeyObject>()
  /** By `from>to`: when the last message of this direction arrives, and which connection it is. */
  const lanes = new Map<string, { lastMs: number }>()
  const traffic = { messages: 0, bytes: 0 }
  const calls = createVirtualCalls(time)
  const gossip = createVirtualGossip(() => random() < gossipLoss)

  const send = (from: string, to: string, bytes: Uint8Array, fn: () => void): void => {
    const lane = lanes.get(`${from}>${to}`)
    if (lane === undefined) return
    traffic.messages += 1
    traffic.bytes += bytes.length
    lane.lastMs = Math.max(lane.lastMs, time.now() + least + random() * (most - least))
    time.after(lane.lastMs - time.now(), () => {
      if (lanes.get(`${from}>${to}`) === lane) fn()
    })
  }

  const tell = (node: Inner, other: Inner, change: 'joined' | 'left'): void => {
    for (const fn of [...node.memberFns]) fn(other.member, change)
  }
  const connect = (a: NetworkNode, b: NetworkNode): void => {
    const [one, two] = [nodes.get(a.id), nodes.get(b.id)]
    if (one === undefined || two === undefined || one === two) throw new Error('two living nodes are needed')
    if (one.neighbours.has(two.id)) return
    one.neighbours.add(two.id)
    two.neighbours.add(one.id)
    lanes.set(`${one.id}>${two.id}`, { lastMs: 0 }).set(`${two.id}>${one.id}`, { lastMs: 0 })
    gossip.connected(one.id, two.id)
    tell(one, two, 'joined')
    tell(two, one, 'joined')
  }
  const disconnect = (a: NetworkNode, b: NetworkNode): void => {
    const [one, two] = [nodes.get(a.id), nodes.get(b.id)]
    if (!one?.neighbours.delete(b.id) || !two?.neighbours.delete(a.id)) return
    lanes.delete(`${a.id}>${b.id}`)
    lanes.delete(`${b.id}>${a.id}`)
    calls.cut(a.id, b.id)
    gossip.disconnected(a.id, b.id)
    tell(one, two, 'left')
    tell(two, one, 'left')
  }

  /** Timers that end with their node. */
  const createTimers = () => {
    const stops = new Set<Stop>()
    const track = (stop: Stop): Stop => {
      stops.add(stop)
      return () => {
        stops.delete(stop)
        stop()
      }
    }
    const timers: Port['timers'] = {
      after: (delayMs, fn) => {
        const stop = track(
          time.after(delayMs, () => {
            stop()
            fn()
          }),
        )
        return stop
      },
      every: (periodMs, fn) => track(time.every(periodMs, fn)),
    }
    const stopAll = () => {
      for (const stop of stops) stop()
    }
    return { timers, stopAll }
  }

  /**
   * Starts a node. The same name gives the same identity, also after `kill`.
   * @param incarnation milliseconds since 1970 at the start unless told
   */
  const start = (name: string, { incarnation = START_MS + Math.floor(time.now()) } = {}): NetworkNode => {
    const key = keyOf(`${mesh}/${name}`)
    const id = idOf(key)
    if (nodes.has(id)) throw new Error(`${name} is running`)
    keys.set(id, createPublicKey(key))
    const logs: LogLine[] = []
    const log =
      (level: LogLine['level']) =>
      (message: string, fields: Fields = {}) => {
        logs.push({ level, message, fields })
      }
    const { metrics, read } = createMetrics()
    const { timers, stopAll } = createTimers()
    const neighbours = new Set<string>()
    const memberFns: Inner['memberFns'] = new Set()
    const wires = {
      id,
      neighbours: () => [...neighbours],
      isConnected: (peer: string) => neighbours.has(peer),
      send: (to: string, bytes: Uint8Array, fn: () => void) => send(id, to, bytes, fn),
    }
    calls.join(wires)
    const port: Port = {
      self: { id, name, mesh, incarnation },
      clock: { now: () => START_MS + time.now(), monotonic: time.now },
      timers,
      log: { error: log('error'), warn: log('warn'), info: log('info') },
      metrics,
      compression: {
        encodings: [],
        compress: async (_, bytes) => bytes,
        decompress: (_, bytes) => bytes,
      },
      gossip: gossip.join(wires),
      random: (bytes) => Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256)),
      hash: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
      sign: async (bytes) => new Uint8Array(sign(null, bytes, key)),
      verify: async (peer, bytes, signature) => {
        const publicKey = keys.get(peer)
        return publicKey !== undefined && signature.length === 64 && verify(null, bytes, publicKey, signature)
      },
      members: () => [...neighbours].flatMap((peer) => nodes.get(peer)?.member ?? []),
      onMember: (fn) => {
        memberFns.add(fn)
        return () => memberFns.delete(fn)
      },
      serve: async (protocol, handlers) => calls.serve(wires, protocol, handlers),
      to: (peer, protocol, defaults) => calls.to(wires, peer, protocol, defaults),
    }
    const kill = (): void => {
      memberFns.clear()
      stopAll()
      for (const peer of [...neighbours]) {
        const other = nodes.get(peer)
        if (other) disconnect(node, other)
      }
      nodes.delete(id)
      calls.leave(id)
      gossip.leave(id)
    }
    const node: Inner = {
      id,
      port,
      logs,
      metric: read,
      isConnected: wires.isConnected,
      kill,
      member: { id, name },
      neighbours,
      memberFns,
    }
    nodes.set(id, node)
    return node
  }

  return {
    time,
    random,
    start,
    connect,
    disconnect,
    traffic,
    calls: calls.counted,
    gossipRefused: (node: NetworkNode): number => gossip.refused(node.id),
  }
}
