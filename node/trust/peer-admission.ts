/**
 * Who is let in, and stays: admission of connections, memberships and their renewal, and the clocks of peers.
 * State: that of what it makes.
 */
import type { ParleyError } from '../../protocols/errors.ts'
import type { Startup } from '../lifecycle/startup.ts'
import { isLoopback } from '../network/addresses/multiaddresses.ts'
import { openConnectionsTo } from '../network/connection-events.ts'
import type { NetworkExtensions } from '../network/extensions.ts'
import type { Routing } from '../network/routing.ts'
import type { Transport } from '../network/transport.ts'
import { chance, clock, timers } from '../platform/platform.ts'
import { createAdmission } from './admission.ts'
import { createClockSkews } from './clock-skew.ts'
import { createMembershipRenewal } from './membership-renewal.ts'
import type { Trust } from './trust.ts'

const REFUSAL_MEMORY_MS = 10_000

/** @param banReason why gossip refuses the peer; asked once the node listens */
export const createPeerAdmission = (
  { options, log, metrics, identity }: Startup,
  extensions: NetworkExtensions,
  { gate, peers, waiters, connectionLimits, dialPolicy, libp2p }: Transport,
  { links, router }: Pick<Routing, 'links' | 'router'>,
  trust: Trust,
  banReason: (peer: string) => ParleyError | undefined,
) => {
  const { timings } = options
  const skews = createClockSkews({ clock, log }, timings)
  metrics.gauges('clock_skew_seconds', 'Clock of a peer minus this one, the largest 50', 'peer', skews.rows)
  metrics.gauge('clock_skew_max_seconds', 'Largest difference between the clock of a peer and this one', skews.largest)

  const upkeep = createMembershipRenewal({
    clock,
    timers,
    log,
    metrics,
    chance,
    trust,
    gate,
    links,
    peers,
    router,
    waiters,
    skews,
    timeoutMs: () => timings.admissionTimeoutMs,
    renew: (connection) => admission.renew(connection),
    connectionsOf: (peer) => openConnectionsTo(libp2p, peer),
  })
  const { memberships } = upkeep

  const admission = createAdmission({
    trust,
    clock,
    timers,
    log,
    links,
    self: identity,
    get timeoutMs() {
      return timings.admissionTimeoutMs
    },
    rememberMs: REFUSAL_MEMORY_MS,
    isLoopback,
    refusalOf: banReason,
    connectionOf: (peer) => peers.get(peer)?.chosen,
    meshId: () => extensions.belonging.meshId(),
    mayLeaveMesh: () => extensions.belonging.mayMove(),
    ownClockProblem: skews.ownProblem,
    ended: (peer, reason) => upkeep.endedByPeer(peer, reason),
    refused: (connection, error, side) => upkeep.refused(connection, error, side),
    renewed(peer, facts) {
      upkeep.renewed(peer, facts)
      if (facts.meshId !== undefined) extensions.belonging.heard(facts.meshId)
    },
    admitted(connection, facts) {
      const peer = connection.remotePeer.toString()
      memberships.set(peer, facts.membership)
      connectionLimits.admitted(connection)
      dialPolicy.admitted(connection)
      gate.settle(connection, 'admitted')
      peers.admit(connection, facts)
      if (peers.get(peer) !== undefined) skews.measured(peer, facts.name, facts.skew)
      waiters.resolve(connection)
      if (facts.meshId !== undefined) extensions.belonging.heard(facts.meshId)
    },
  })
  return { skews, upkeep, memberships, admission }
}
