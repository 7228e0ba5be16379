/**
 * What follows from a connection that opens or closes, and from a peer that joins or leaves: which part hears of it, and
 * in which order.
 *
 * A peer that was never admitted is forgotten with its last connection, so that strangers
 * under ever new names leave nothing behind.
 */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock } from '../../protocols/port.ts'
import type { Admission } from '../trust/admission.ts'
import type { ClockSkews } from '../trust/clock-skew.ts'
import type { Memberships } from '../trust/memberships.ts'
import type { StreamGater } from '../trust/stream-gater.ts'
import type { ConnectionLimits } from './connection-limits.ts'
import type { ConnectionSupervisor } from './dial/connection-supervisor.ts'
import type { Pubsub } from './gossip/pubsub.ts'
import type { KeyedPromises } from './keyed-promises.ts'
import type { MeshLibp2p } from './libp2p.ts'
import type { LinkPool } from './link-pool.ts'
import type { Peers } from './peers.ts'

export interface ConnectionEventsDeps {
  readonly libp2p: MeshLibp2p
  readonly clock: Pick<Clock, 'monotonic'>
  readonly connectionLimits: ConnectionLimits
  readonly admission: Admission
  readonly gate: StreamGater
  readonly peers: Peers
  readonly memberships: Pick<Memberships, 'delete'>
  readonly waiters: KeyedPromises<Connection>
  readonly links: Pick<LinkPool, 'moveTo'>
  readonly pubsub: Pick<Pubsub, 'moved' | 'forget'>
  readonly breakers: Pick<PeerBreakers, 'seen'>
  readonly skews: Pick<ClockSkews, 'forget'>
  readonly supervisor: Pick<ConnectionSupervisor, 'connectionLost'>
  /** The DHT tells others of peers whether they are connected or not. */
  readonly keepsAddresses: boolean
  isStopping(): boolean
  /** The connection was made to try whether a peer can be dialled, and is about to be closed. */
  isDialBack(connection: Connection): boolean
}

const closedEarly = (): ParleyError =>
  new ParleyError('COM002', 'the connection was closed before it was admitted', {
    hint: 'it is dialled again',
    details: { sent: false },
  })

/** Those with this peer that are open, admitted or not. */
export const openConnectionsTo = (libp2p: Pick<MeshLibp2p, 'getConnections'>, peer: string): Connection[] =>
  libp2p.getConnections(peerIdFromString(peer)).filter(({ status }) => status === 'open')

export const isOpen = (libp2p: Pick<MeshLibp2p, 'getConnections'>, peer: string): boolean =>
  openConnectionsTo(libp2p, peer).length > 0

export const followConnections = (deps: ConnectionEventsDeps): void => {
  const { libp2p, admission, gate, peers, waiters, connectionLimits } = deps

  /** A connection that is given up has requests of the mesh's own on it to the end. */
  const forgetMembership = (peer: string): void => {
    if (peers.get(peer) === undefined && !isOpen(libp2p, peer)) deps.memberships.delete(peer)
  }

  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    connectionLimits.opened(connection)
    if (deps.isStopping()) connection.abort(new Error('this node is stopping'))
    else if (!deps.isDialBack(connection)) admission.begin(connection)
  })
  libp2p.addEventListener('connection:close', ({ detail: connection }) => {
    const { remotePeer, direction } = connection
    const isStranger = direction === 'inbound' && gate.standing(connection) !== 'admitted'
    admission.forget(connection)
    gate.forget(connection)
    peers.remove(connection)
    forgetMembership(remotePeer.toString())
    waiters.reject(connection, closedEarly())
    // What stays behind all the same goes with those that are absent (libp2p.ts).
    if (isStranger && !deps.keepsAddresses && !isOpen(libp2p, remotePeer.toString()))
      libp2p.peerStore.delete(remotePeer).catch(() => {})
  })
  peers.onChosen((peer, connection) => {
    // Also one that takes the place of another, of a member that was never away.
    deps.breakers.seen(peer, deps.clock.monotonic())
    if (gate.setGossipConnection(peerIdFromString(peer), connection)) deps.pubsub.moved(peer)
    deps.links.moveTo(peer, connection)
  })
  peers.onMember(({ id }, change, parted) => {
    if (change === 'joined') return
    forgetMembership(id)
    deps.skews.forget(id)
    gate.setGossipConnection(peerIdFromString(id), undefined)
    deps.pubsub.forget(id)
    if (parted !== true) deps.supervisor.connectionLost(id)
  })
}
