/**
 * Kademlia among the members of a mesh: finds the addresses of a peer that neither the directory nor a neighbour knows.
 * libp2p asks it when a peer is dialled by its id alone (dial/dialer.ts).
 *
 * Upstream's, with the mesh's name in its protocol id, and behind admission both ways: streams of peers that are not
 * admitted are held, and only members get into the table or are asked. Private addresses are told, since most meshes live
 * there. It stores nothing: no values, and no providers but those of its own.
 * State: upstream's table, at most `2 ** PREFIX_BITS * BUCKET` peers. Wire id: `/parley/kad/<mesh>/1`.
 * Source: Maymounkov and Mazières, Kademlia, IPTPS 2002; libp2p Kademlia specification.
 */
import type { Connection, PeerId, Stream, StreamHandler, Topology } from '@libp2p/interface'
import type { KadDHT, KadDHTComponents } from '@libp2p/kad-dht'
import type { Member, Stop } from '../../protocols/port.ts'
import type { DiscoverySettings } from '../options/discovery-options.ts'
import type { StreamGater } from '../trust/stream-gater.ts'
import { behindGater, withOverrides } from './overrides/libp2p-proxies.ts'

const BUCKET = 16
const PREFIX_BITS = 5
/** Peers that one lookup asks at the same time. */
const ALPHA = 3
const MAX_STREAMS = 32
/** Lookups of its own id, which fill the table; milliseconds. */
const FIRST_SELF_MS = 500
const SELF_MS = 60_000

export interface DhtDeps {
  readonly mode: Exclude<DiscoverySettings['dht'], 'off'>
  readonly mesh: string
  readonly gate: Pick<StreamGater, 'hold'>
  /** The connection in use with an admitted member. */
  connectionOf(peer: string): Connection | undefined
  /** The connection once it is admitted. @throws SEC001 where it is refused */
  admitted(connection: Connection): Promise<Connection>
  onMember(fn: (member: Member, change: 'joined' | 'left') => void): Stop
}

/** What a mesh needs to know of it. */
export interface Dht {
  /** Peers in the table: their addresses are kept. */
  peers(): Iterable<string>
}
type DhtService = KadDHT & Dht

export const dhtProtocolOf = (mesh: string): string => `/parley/kad/${mesh}/1`

interface Table {
  kb: { toIterable(): Iterable<{ peerId: PeerId }> }
}
const hasTable = (dht: KadDHT): dht is KadDHT & { routingTable: Table } => {
  const table: unknown = Reflect.get(dht, 'routingTable')
  const kb: unknown = typeof table === 'object' && table !== null ? Reflect.get(table, 'kb') : undefined
  return typeof kb === 'object' && kb !== null && typeof Reflect.get(kb, 'toIterable') === 'function'
}

/** Upstream's topology hears of a peer once it speaks the protocol and is a member. */
const ofMembers = (topology: Topology, deps: DhtDeps): { topology: Topology; stop: Stop } => {
  const speaking = new Map<string, { peer: PeerId; connection: Connection }>()
  const stop = deps.onMember(({ id }, change) => {
    const known = speaking.get(id)
    if (change === 'joined' && known !== undefined) void topology.onConnect?.(known.peer, known.connection)
  })
  return {
    stop,
    topology: {
      ...topology,
      onConnect(peer, connection) {
        speaking.set(peer.toString(), { peer, connection })
        if (deps.connectionOf(peer.toString()) !== undefined) return topology.onConnect?.(peer, connection)
      },
      onDisconnect(peer) {
        speaking.delete(peer.toString())
        return topology.onDisconnect?.(peer)
      },
    },
  }
}

/** A service for `createLibp2p({ services })`. */
export const dhtService = async (deps: DhtDeps): Promise<(components: KadDHTComponents) => DhtService> => {
  const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht')
  return (components) => {
    const { registrar, connectionManager } = components
    const stops = new Map<string, Stop>()
    const dht = kadDHT({
      protocol: dhtProtocolOf(deps.mesh),
      clientMode: deps.mode === 'client',
      peerInfoMapper: passthroughMapper,
      kBucketSize: BUCKET,
      prefixLength: PREFIX_BITS,
      alpha: ALPHA,
      disjointPaths: ALPHA,
      maxInboundStreams: MAX_STREAMS,
      maxOutboundStreams: MAX_STREAMS,
      initialQuerySelfInterval: FIRST_SELF_MS,
      querySelfInterval: SELF_MS,
      allowQueryWithZeroPeers: true,
    })(
      withOverrides(components, {
        registrar: withOverrides(registrar, {
          handle: (protocolId: string, handler: StreamHandler, options?: object) =>
            registrar.handle(protocolId, behindGater(deps.gate, handler), { ...options, runOnLimitedConnection: true }),
          async register(protocolId: string, topology: Topology) {
            const gated = ofMembers(topology, deps)
            const id = await registrar.register(protocolId, gated.topology)
            stops.set(id, gated.stop)
            return id
          },
          unregister(id: string) {
            stops.get(id)?.()
            stops.delete(id)
            registrar.unregister(id)
          },
        }),
        connectionManager: withOverrides(connectionManager, {
          async openStream(peer: PeerId, protocolId: string, options: { signal?: AbortSignal } = {}): Promise<Stream> {
            const connection =
              deps.connectionOf(peer.toString()) ??
              (await deps.admitted(await connectionManager.openConnection(peer, options)))
            return connection.newStream(protocolId, options)
          },
        }),
      }),
    )
    if (!hasTable(dht)) throw new Error('the installed @libp2p/kad-dht is not the one that is known')
    const { routingTable } = dht
    return Object.assign(dht, {
      *peers() {
        for (const { peerId } of routingTable.kb.toIterable()) yield peerId.toString()
      },
    })
  }
}
