/**
 * Nodes in one process with whole Ports between them, over a seeded virtual network and virtual time: to test a
 * feature with two or two hundred nodes in milliseconds, the same way each time.
 *
 * Real: Ed25519 keys and signatures, SHA-256, schemas, the encoding of payloads. Virtual: time, randomness,
 * connections, latency (each direction of a connection keeps its order), gossip. Not there: flow control, retries,
 * envelopes, compression.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { Fields, Labels, Member, Port, Stop } from '../../../protocols/port.ts'
import { hasher } from '../../platform/platform.ts'
import { type CallNode, VirtualCalls } from './virtual-calls.ts'
import { type Travel, VirtualConnections } from './virtual-connections.ts'
import { createVirtualGossip, type GossipNode } from './virtual-gossip.ts'
import { createRandom, createVirtualTime, START_MS, type VirtualTime } from './virtual-time.ts'

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
  readonly memberFns: Set<(member: Member, change: 'joined' | 'left') => void>
}

const sameLabels = (a: Labels, b: Labels): boolean => {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

const createMetrics = () => {
  /** One row for each set of labels. */
  const sums = new Map<string, { readonly labels: Labels; value: number }[]>()
  const gauges = new Map<string, () => number>()
  const add = (name: string, labels: Labels, by: number): void => {
    const rows = sums.get(name) ?? []
    sums.set(name, rows)
    const row = rows.find((one) => sameLabels(one.labels, labels))
    if (row === undefined) rows.push({ labels, value: by })
    else row.value += by
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

/** Timers that end with their node. */
const createNodeTimers = (time: VirtualTime) => {
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

/** What of a Port needs no other node. */
const createOwnPort = (time: VirtualTime, random: () => number, key: KeyObject, keys: Map<string, KeyObject>) => {
  const logs: LogLine[] = []
  const log =
    (level: LogLine['level']) =>
    (message: string, fields: Fields = {}) => {
      logs.push({ level, message, fields })
    }
  const { metrics, read } = createMetrics()
  const { timers, stopAll } = createNodeTimers(time)
  const port: Omit<Port, 'self' | 'gossip' | 'members' | 'onMember' | 'serve' | 'to'> = {
    clock: { now: () => START_MS + time.now(), monotonic: time.now },
    timers,
    log: { error: log('error'), warn: log('warn'), info: log('info') },
    metrics,
    compression: {
      encodings: [],
      compress: async (_, bytes) => bytes,
      decompress: (_, bytes) => bytes,
    },
    random: (bytes) => Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256)),
    hash: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
    hasher,
    sign: async (bytes) => new Uint8Array(sign(null, bytes, key)),
    verify: async (peer, bytes, signature) => {
      const publicKey = keys.get(peer)
      return publicKey !== undefined && signature.length === 64 && verify(null, bytes, publicKey, signature)
    },
  }
  return { port, logs, read, stopAll }
}

export type PortNetwork = ReturnType<typeof createPortNetwork>

export const createPortNetwork = (options: NetworkOptions = {}) => {
  const { seed = 1, latencyMs = [1, 5], gossipLoss = 0, mesh = 'test' } = options
  const time: VirtualTime = createVirtualTime()
  const random = createRandom(seed)
  const nodes = new Map<string, Inner>()
  const keys = new Map<string, KeyObject>()
  const connections = new VirtualConnections(time, random, { latencyMs, gossipLoss, loss: 0 })
  const calls = new VirtualCalls(time)
  const gossip = createVirtualGossip(() => connections.isGossipLost())

  const tell = (node: Inner, other: Inner, change: 'joined' | 'left'): void => {
    for (const fn of [...node.memberFns]) fn(other.member, change)
  }
  const connect = (a: { readonly id: string }, b: { readonly id: string }): void => {
    const [one, two] = [nodes.get(a.id), nodes.get(b.id)]
    if (one === undefined || two === undefined || one === two) throw new Error('two living nodes are needed')
    if (!connections.connect(one.id, two.id)) return
    gossip.connected(one.id, two.id)
    tell(one, two, 'joined')
    tell(two, one, 'joined')
  }
  const disconnect = (a: { readonly id: string }, b: { readonly id: string }): void => {
    const [one, two] = [nodes.get(a.id), nodes.get(b.id)]
    if (one === undefined || two === undefined || !connections.disconnect(a.id, b.id)) return
    calls.cut(a.id, b.id)
    gossip.disconnected(a.id, b.id)
    tell(one, two, 'left')
    tell(two, one, 'left')
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
    const near = connections.add(id)
    const memberFns: Inner['memberFns'] = new Set()
    const own = createOwnPort(time, random, key, keys)
    const wires: CallNode & GossipNode = {
      id,
      neighbours: () => [...near],
      isConnected: (peer) => near.has(peer),
      send: (to: string, bytes: Uint8Array, fn: () => void, travel?: Travel) =>
        connections.send(id, to, bytes, fn, travel),
    }
    calls.join(wires)
    const port: Port = {
      ...own.port,
      self: { id, name, mesh, incarnation },
      gossip: gossip.join(wires),
      members: () => [...near].flatMap((peer) => nodes.get(peer)?.member ?? []),
      onMember: (fn) => {
        memberFns.add(fn)
        return () => memberFns.delete(fn)
      },
      serve: async (protocol, handlers) => calls.serve(wires, protocol, handlers),
      to: (peer, protocol, defaults) => calls.to(wires, peer, protocol, defaults),
    }
    const kill = (): void => {
      memberFns.clear()
      own.stopAll()
      for (const peer of [...near]) {
        const other = nodes.get(peer)
        if (other) disconnect(node, other)
      }
      nodes.delete(id)
      connections.remove(id)
      calls.leave(id)
      gossip.leave(id)
    }
    const shown = { id, port, logs: own.logs, metric: own.read, isConnected: wires.isConnected, kill }
    const node: Inner = { ...shown, member: { id, name }, memberFns }
    nodes.set(id, node)
    return node
  }

  return {
    time,
    random,
    start,
    connect,
    disconnect,
    connections,
    traffic: connections.traffic,
    /** Loss, latency: what is set here counts from then on. */
    faults: connections.faults,
    calls: calls.counted,
    gossipRefused: (node: NetworkNode): number => gossip.refused(node.id),
  }
}
