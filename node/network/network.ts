/**
 * The network of a node, put together: the transport, routing, admission, gossip, calls and the dialer, and the Port over
 * all of them. What features give it later stands in extensions.ts.
 *
 * State: that of what it makes; of its own whether the node leaves.
 */
import { createOverlay } from '../../discovery/overlay.ts'
import { wireId } from '../../protocols/define.ts'
import type { Port } from '../../protocols/port.ts'
import { compile, type Served } from '../../protocols/wire/payload/contract.ts'
import type { Clients } from '../calls/clients.ts'
import { createMeshCalls } from '../calls/mesh-calls.ts'
import type { Startup } from '../lifecycle/startup.ts'
import { chance, clock, hash, hasher, random, timers } from '../platform/platform.ts'
import { createPeerAdmission } from '../trust/peer-admission.ts'
import { followConnections } from './connection-events.ts'
import { createDialer } from './dial/dialer.ts'
import { NetworkExtensions } from './extensions.ts'
import { createPubsub, type Pubsub } from './gossip/pubsub.ts'
import { openLocalDiscovery } from './mdns/local-discovery.ts'
import type { RouteOptions, Router } from './router.ts'
import { createRouting } from './routing.ts'
import { openTransport, type Transport } from './transport.ts'

const GOSSIP_HIGH_WATER_BYTES = 1 << 20
const GOSSIP_CUT_OFF_BYTES = 32 << 20

const createGossip = ({ options, log }: Startup, { libp2p, peers, gate }: Transport): Pubsub =>
  createPubsub({
    gossip: libp2p.services.gossip,
    mesh: options.mesh,
    timers,
    log,
    connections: () => peers.all().map(({ chosen }) => chosen),
    reopen: (connection) => gate.reopenGossip(connection),
    highWaterBytes: GOSSIP_HIGH_WATER_BYTES,
    maxUnsentBytes: GOSSIP_CUT_OFF_BYTES,
    cut(peer) {
      for (const connection of peers.get(peer)?.connections ?? [])
        connection.abort(new Error('gossip of this peer had to be refused again and again'))
    },
  })

const createAddServed =
  ({ libp2p }: Transport, router: Router) =>
  async (served: Served, how: RouteOptions = {}): Promise<() => Promise<void>> => {
    await router.add(libp2p, served, how)
    return () => router.remove(libp2p, wireId(served))
  }

/** The Port of programs, and that of the mesh itself: programs name their metrics, those of the mesh have its prefix. */
const createPorts = (
  { identity, log, metrics, linkDeps, signer }: Startup,
  { peers }: Transport,
  gossip: Pubsub,
  clients: Clients,
  addServed: ReturnType<typeof createAddServed>,
): { port: Port; ownPort: Port } => {
  const port: Port = {
    self: identity,
    clock,
    timers,
    log,
    metrics: metrics.asNamed,
    compression: linkDeps.compression,
    gossip,
    random,
    hash,
    hasher,
    sign: signer.sign,
    verify: signer.verify,
    members: () => peers.members(),
    onMember: (fn) => peers.onMember(fn),
    serve: (protocol, handlers) => addServed(compile(protocol, handlers)),
    to: (peer, protocol, defaults) => clients.to(peer, protocol, defaults),
  }
  const ownPort: Port = {
    ...port,
    metrics,
    serve: (protocol, handlers) => addServed(compile(protocol, handlers), { own: true }),
  }
  return { port, ownPort }
}

/**
 * Nothing of it listens before `listen`: what members may ask for from then on is served by then.
 * @param undo gets what a start that fails has to end
 */
export const createNetwork = async (startup: Startup, undo: (() => Promise<void>)[]) => {
  const { options, log, identity, metrics } = startup
  const extensions = new NetworkExtensions()
  const state = { leaving: false, stopping: false }

  const transport = await openTransport(startup, extensions, {
    isBusy: (connection) => links.busy(connection) || router.busy(connection),
    gossipOpened: (peer) => pubsub.opened(peer),
    gossipReopened: (peer) => pubsub.reopened(peer),
    wasRefused: (peer) => admission.wasRefused(peer),
  })
  const { libp2p, peers, waiters } = transport
  undo.push(async () => libp2p.stop())
  const trust = await startup.trusting
  const routing = createRouting(startup, extensions, transport, {
    membership: (peer) => memberships.get(peer),
    pendingConnection: (peer) => admission.pendingConnection(peer),
    connect: (peer) => supervisor.connect(peer),
    isStopping: () => state.stopping,
  })
  const { links, router } = routing
  const admitting = createPeerAdmission(startup, extensions, transport, routing, trust, (peer) =>
    pubsub.banReason(peer),
  )
  const { admission, memberships, skews } = admitting
  const pubsub = createGossip(startup, transport)
  const overlay = createOverlay({ self: identity.id, hash }, options.limits.maxPeersFullMesh)
  const calling = createMeshCalls(startup, extensions, routing)
  const addServed = createAddServed(transport, router)
  const ports = createPorts(startup, transport, pubsub, calling.clients, addServed)

  const ownAddresses = (): string[] => libp2p.getMultiaddrs().map(String)
  /** Those through relays too. */
  const addresses = (): string[] => [...ownAddresses(), ...(extensions.relays.current?.addresses() ?? [])]
  const finders = await openLocalDiscovery({
    self: identity.id,
    options,
    log,
    metrics,
    timers,
    clock,
    addresses: ownAddresses,
  })
  undo.push(async () => finders.nearby?.stop())
  const supervisor = createDialer({
    ...transport,
    self: identity.id,
    log,
    chance,
    options,
    connected: (peer) => peers.get(peer) !== undefined || admission.pendingConnection(peer) !== undefined,
    directory: () => extensions.directory.current,
    overlay,
    nearby: finders.nearby,
  })
  undo.push(async () => supervisor.stop())

  followConnections({
    ...transport,
    clock,
    admission,
    memberships,
    waiters,
    links,
    pubsub,
    breakers: calling.breakers,
    skews,
    supervisor,
    keepsAddresses: options.discovery.dht !== 'off',
    isStopping: () => state.stopping,
    isDialBack: (connection) => extensions.isDialBack.current(connection),
  })
  await addServed(admission.served, { beforeAdmission: true, own: true })

  const listen = async (): Promise<void> => libp2p.start()
  const { localOthers } = finders
  return {
    ...{ extensions, state, trust, pubsub, overlay, addServed, supervisor, localOthers, listen },
    ...{ ownAddresses, addresses },
    ...transport,
    ...routing,
    ...admitting,
    ...calling,
    ...ports,
  }
}

export type Network = Awaited<ReturnType<typeof createNetwork>>
