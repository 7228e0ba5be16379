/**
 * libp2p, set up for a mesh: TCP and WebSocket, Noise, yamux, identify, ping, gossipsub behind the gate.
 *
 * Every limit of libp2p that a mesh can meet is set on purpose here; the reasons stand beside them. Nothing is dialled
 * by libp2p itself (dial/connection-supervisor.ts does that) and its connection monitor is off (parts/failure-detection.ts judges peers).
 */
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import type { ComponentLogger, Connection, Ed25519PrivateKey, Logger, Metrics, PeerId } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { Log } from '../../protocols/port.ts'
import type { MeshOptions } from '../options/schema.ts'
import { timers } from '../platform/platform.ts'
import type { StreamGater } from '../trust/stream-gater.ts'
import { type ConnectionLimits, ROOM_FOR_UNADMITTED } from './connection-limits.ts'
import type { Dht, DhtDeps } from './dht.ts'
import type { DialPolicy } from './dial/dial-policy.ts'
import { boundMessageCache, boundSeenCache, forgetNeutralScores, keepNoDeliveries } from './gossip/gossipsub-bounds.ts'
import { type GossipsubInternals, gossipId, gossipsubInternals } from './gossip/gossipsub-internals.ts'
import type { CircuitTransport } from './nat/circuit-transport.ts'
import { tunedNoise } from './overrides/noise.ts'
import { tunedYamux } from './overrides/yamux.ts'
import { quicTransport } from './transports/quic.ts'
import { webSocketTransport } from './transports/web-sockets.ts'

export interface MeshLibp2pDeps {
  privateKey: Ed25519PrivateKey
  options: MeshOptions
  gate: StreamGater
  dialPolicy: Pick<DialPolicy, 'check' | 'denies'>
  /** Of those that are not admitted. */
  connectionLimits: ConnectionLimits
  /** True for a peer that was refused a short time ago. */
  denied(peer: PeerId): boolean
  log: Log
  /** Connections by way of a relay. */
  circuits: CircuitTransport
  /** What the DHT needs of the mesh around it; used where it is on. */
  dht: Omit<DhtDeps, 'mode' | 'mesh' | 'gate'>
  /** libp2p's own metrics, where they are wanted. */
  metrics: (() => Metrics) | undefined
}

/** A gossip message above 1 MiB would go nowhere without a word; batches of events stay far below. */
const MAX_GOSSIP_BYTES = 1 << 20

/** Kept for neighbours that missed a message: of three windows, each a second long or this large. */
const GOSSIP_WINDOW_BYTES = 4 << 20

const FORGET_PERIOD_MS = 30_000

const nothing = (): void => {}
/** Formatting trace lines that nobody reads costs a quarter of the time of a short stream. */
const silent = Object.assign(nothing, {
  error: nothing,
  trace: nothing,
  enabled: false,
  newScope: (): Logger => silent as Logger,
})
const silentLogger: ComponentLogger = { forComponent: () => silent as Logger }

const withGate = <C extends { registrar: unknown }>(components: C, gate: StreamGater): C => {
  const registrar = gate.registrar(components.registrar as Parameters<StreamGater['registrar']>[0])
  return new Proxy(components, {
    get: (target, key) => (key === 'registrar' ? registrar : Reflect.get(target, key, target)),
  })
}

/** Of a peer that left with a score below zero; an hour unless told, for each that ever came. */
const RETAIN_SCORE_MS = 600_000

const gossipOptions = {
  // Authors sign what they publish; see gossip/pubsub.ts.
  globalSignaturePolicy: 'StrictNoSign' as const,
  msgIdFn: gossipId,
  allowPublishToZeroTopicPeers: true,
  fallbackToFloodsub: false,
  batchPublish: true,
  floodPublish: true,
  emitSelf: false,
  // Messages are checked by gossip/pubsub.ts, and forwarded to those who did not send them meanwhile.
  asyncValidation: true,
  // Publishers flood, and what is lost is fetched (protocols/events/repair/gap-repair.ts): fewer copies than the usual 6 do.
  // A newcomer adds two ways, and finds room for them.
  D: 2,
  Dlo: 2,
  Dhi: 6,
  Dlazy: 2,
  Dout: 1,
  mcacheLength: 3,
  mcacheGossip: 1,
  maxInboundDataLength: MAX_GOSSIP_BYTES,
  // One at a time is handled: gossip/gossip-reader.ts counts what is under check.
  awaitRpcMessageHandler: true,
  // Of one RPC. An honest node says at most this: its topics at once, what it saw within a heartbeat, no peers to dial.
  decodeRpcLimits: {
    maxSubscriptions: 4_096,
    maxMessages: 5_000,
    maxIhaveMessageIDs: 5_000,
    maxIwantMessageIDs: 5_000,
    maxControlMessages: 4_096,
    maxIdontwantMessageIDs: 512,
    maxPeerInfos: 16,
  },
  // About 1,000 topics of one neighbour.
  maxTopicBytesPerPeer: 1 << 20,
  // Its newest one is read; the others are about to end.
  maxInboundStreams: 16,
  // Peers are found by the directory; nobody's word brings about a dial here.
  doPX: false,
  scoreThresholds: { acceptPXThreshold: Number.MAX_SAFE_INTEGER },
  // Members are admitted one by one; on one host, in containers or behind NAT all have one address, and the default
  // weight would silence a mesh of more than 10 peers there.
  scoreParams: { IPColocationFactorWeight: 0, retainScore: RETAIN_SCORE_MS },
}

/**
 * libp2p remembers every peer that it ever met, some 70 KiB each, and forgets none until it is asked for it hours later.
 * Addresses come from the directory here, so only who is connected has to be remembered.
 * @param kept peers that the DHT tells others of
 */
export const forgetDisconnected = async (
  libp2p: Pick<Libp2p, 'peerStore' | 'peerId' | 'getConnections'>,
  kept: Iterable<string> = [],
): Promise<void> => {
  const needed = new Set(kept)
  for (const { id } of await libp2p.peerStore.all()) {
    if (id.equals(libp2p.peerId) || libp2p.getConnections(id).length > 0 || needed.has(id.toString())) continue
    await libp2p.peerStore.delete(id)
  }
}

/** libp2p tries the addresses of a peer one after the other, and joins dials to the same peer: happy-eyeballs.ts needs each by itself. */
interface Direct {
  /** @param address with the peer id that Noise has to prove, where it is known */
  dial(address: Multiaddr, signal: AbortSignal): Promise<Connection>
}
interface Dialling {
  transportManager: { dial(address: Multiaddr, options: { signal: AbortSignal }): Promise<Connection> }
}
const direct =
  (policy: Pick<DialPolicy, 'check'>) =>
  ({ transportManager }: Dialling): Direct => ({
    async dial(address, signal) {
      // libp2p's gater is not asked on this way.
      await policy.check(address.toString())
      return transportManager.dial(address, { signal })
    },
  })

/** What a running node may change. */
interface Bounds {
  /** Where more are open, libp2p closes some of them. */
  setMaxConnections(most: number): void
}
const bounds = ({ connectionManager }: { connectionManager: Bounds }): Bounds => ({
  setMaxConnections(most) {
    connectionManager.setMaxConnections(most)
    connectionManager.setMaxConnections(most + ROOM_FOR_UNADMITTED)
  },
})

export type MeshLibp2p = Libp2p<{ gossip: GossipsubInternals; direct: Direct; bounds: Bounds }>

/** Not started: handlers are registered first, so that the first peer finds them all. */
export const createMeshLibp2p = async (deps: MeshLibp2pDeps): Promise<MeshLibp2p> => {
  const { options, gate, connectionLimits } = deps
  const { limits, timings } = options
  const { dht: mode } = options.discovery
  const dht =
    mode === 'off'
      ? undefined
      : await import('./dht.ts').then(({ dhtService }) => dhtService({ ...deps.dht, mode, mesh: options.mesh, gate }))
  let table: Dht | undefined
  const libp2p: MeshLibp2p = await createLibp2p({
    start: false,
    privateKey: deps.privateKey,
    addresses: { listen: options.listen, ...(options.announce === undefined ? {} : { announce: options.announce }) },
    transports: [
      tcp(),
      await webSocketTransport(options.listen, (transport) => connectionLimits.watched(transport), options.tls),
      deps.circuits.factory,
      await quicTransport(options.listen),
    ],
    connectionEncrypters: [tunedNoise()],
    streamMuxers: [tunedYamux({ maxInboundStreams: 1024, maxOutboundStreams: 1024 })],
    logger: silentLogger,
    connectionMonitor: { enabled: false },
    connectionManager: {
      // What comes in is bounded by the gater below, which makes room; libp2p's bounds would refuse whoever comes.
      maxConnections: limits.maxConnections + ROOM_FOR_UNADMITTED,
      inboundConnectionThreshold: Number.POSITIVE_INFINITY,
      maxIncomingPendingConnections: Number.POSITIVE_INFINITY,
      // Beyond the queue dial() throws; the supervisor never has more targets than connections.
      maxDialQueueLength: 2 * limits.maxConnections + 100,
      // Each dial waits for an answer most of the time: those to dead addresses must leave room for the others.
      maxParallelDials: 256,
      dialTimeout: timings.dialTimeoutMs,
      inboundUpgradeTimeout: timings.admissionTimeoutMs,
      // Each stream costs its timer for so long, however soon it is reset.
      inboundStreamProtocolNegotiationTimeout: timings.admissionTimeoutMs,
      reconnectRetries: 0,
      connectionCloseTimeout: 1000,
    },
    connectionGater: {
      denyDialMultiaddr: (address) => deps.dialPolicy.denies(address.toString()),
      denyInboundConnection: (raw) => connectionLimits.denyInbound(raw, libp2p.getConnections().length),
      denyInboundEncryptedConnection: (peer) => connectionLimits.denyPeer(peer.toString()) || deps.denied(peer),
    },
    services: {
      identify: identify({ maxInboundStreams: 8, maxOutboundStreams: 8 }),
      ping: ping({ maxInboundStreams: 8, maxOutboundStreams: 8 }),
      direct: direct(deps.dialPolicy),
      bounds,
      gossip: (components: Parameters<ReturnType<typeof gossipsub>>[0]) => {
        const gossip = gossipsub(gossipOptions)(withGate(components, gate))
        boundMessageCache(gossip, GOSSIP_WINDOW_BYTES)
        boundSeenCache(gossip)
        keepNoDeliveries(gossip)
        forgetNeutralScores(gossip)
        return gossipsubInternals(gossip)
      },
      ...(dht !== undefined && {
        dht: (components: Parameters<typeof dht>[0]) => {
          const service = dht(components)
          table = service
          return service
        },
      }),
    },
    ...(deps.metrics === undefined ? {} : { metrics: deps.metrics }),
  })
  const stop = timers.every(FORGET_PERIOD_MS, () => {
    forgetDisconnected(libp2p, table?.peers()).catch((error: unknown) =>
      deps.log.warn('absent peers could not be forgotten', { error }),
    )
  })
  libp2p.addEventListener('stop', stop)
  return libp2p
}
