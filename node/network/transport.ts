/**
 * How this node is connected: libp2p behind the stream gater, with the policy and the limits of its connections, and the
 * peers that it is connected to. State: that of what it makes.
 */
import type { Connection } from '@libp2p/interface'
import type { Startup } from '../lifecycle/startup.ts'
import { libp2pMetrics } from '../observe/metrics/libp2p-metrics.ts'
import { createDnsLookup } from '../platform/dns-lookup.ts'
import { clock, timers } from '../platform/platform.ts'
import { createStreamGater } from '../trust/stream-gater.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { createDialPolicy } from './dial/dial-policy.ts'
import type { NetworkExtensions } from './extensions.ts'
import { createKeyedPromises } from './keyed-promises.ts'
import { createMeshLibp2p } from './libp2p.ts'
import { createCircuitTransport } from './nat/circuit-transport.ts'
import { carriesRelayed } from './nat/relay-messages.ts'
import { createPeers } from './peers.ts'

/** What is made over the transport; asked once the node listens. */
export interface TransportUsers {
  /** Calls run on the connection. */
  isBusy(connection: Connection): boolean
  gossipOpened(peer: string): void
  gossipReopened(peer: string): void
  /** The peer was refused a short time ago. */
  wasRefused(peer: string): boolean
}

/** Nothing listens before `libp2p.start()`. */
export const openTransport = async (startup: Startup, extensions: NetworkExtensions, users: TransportUsers) => {
  const { options, log, privateKey, identity, metrics } = startup
  const { limits, timings } = options
  const gate = createStreamGater(
    limits.maxHeldStreams,
    timers,
    (peer) => users.gossipOpened(peer),
    (peer) => users.gossipReopened(peer),
  )
  const waiters = createKeyedPromises<Connection>()
  const peers = createPeers({
    self: identity.id,
    timers,
    now: () => clock.monotonic(),
    busy: (connection) => users.isBusy(connection) || carriesRelayed(connection),
  })
  const connectionOf = (peer: string) => peers.get(peer)?.chosen
  const circuits = createCircuitTransport({
    gate,
    connectionOf,
    dial: (address, signal) => libp2p.services.direct.dial(address, signal),
    hasReservation: (relay) => extensions.relays.current?.hasReservation(relay) === true,
  })
  const dialPolicy = createDialPolicy({
    clock,
    log,
    metrics,
    settings: options.dial,
    operator: { listen: options.listen, announce: options.announce ?? [], join: options.join },
    lookup: createDnsLookup(),
    announcers: (peer) =>
      peers.get(peer) === undefined ? (extensions.directory.current?.announcers(peer) ?? []) : [peer],
  })
  const connectionLimits = new ConnectionLimits({ clock, timers, limits, handshakeMs: timings.admissionTimeoutMs })
  const libp2p = await createMeshLibp2p({
    privateKey,
    options: { ...options, listen: startup.ports.listen },
    gate,
    dialPolicy,
    connectionLimits,
    circuits,
    dht: {
      connectionOf,
      admitted: async (connection) =>
        gate.standing(connection) === 'admitted' ? connection : waiters.wait(connection),
      onMember: (fn) => peers.onMember(fn),
    },
    denied: (peer) => users.wasRefused(peer.toString()),
    log,
    metrics: options.metrics.libp2p ? libp2pMetrics(metrics.asNamed) : undefined,
  })
  return { gate, waiters, peers, circuits, dialPolicy, connectionLimits, libp2p }
}

export type Transport = Awaited<ReturnType<typeof openTransport>>
