/**
 * Peers that were admitted, and which of their connections is in use.
 *
 * Two nodes that dial each other at once end with two connections. Both sides choose the same one: a direct one before
 * one by way of a relay, then the connection that the lower peer id dialled, of several from the same dialler the newest.
 * The other is drained: it gets nothing new, and the lower peer id closes it once no link of either side is left on it,
 * however long that takes: a link that is open may have a request on its way that this side has not read.
 * State: one entry per connected peer. `joined` is told when the first connection is admitted, `left` when the last one
 * is gone.
 */
import type { Connection } from '@libp2p/interface'
import type { Member, Stop, Timers } from '../../protocols/port.ts'
import type { Membership } from '../trust/trust.ts'
import { isRelayed } from './addresses/multiaddresses.ts'

export interface AdmittedPeerFacts {
  name: string
  incarnation: number
  membership: Membership
}

interface Entry extends AdmittedPeerFacts {
  id: string
  connections: Connection[]
  chosen: Connection
  admittedAt: number
}

export type PeerEntry = Readonly<Entry>

export interface Peers {
  admit(connection: Connection, facts: AdmittedPeerFacts): void
  remove(connection: Connection): void
  /** Takes a connection out of use, and closes it once it was quiet for a while. */
  retire(connection: Connection): void
  get(peer: string): PeerEntry | undefined
  all(): PeerEntry[]
  members(): Member[]
  onMember(fn: (member: Member, change: 'joined' | 'left', parted?: boolean) => void): Stop
  /** Told with the connection that is in use from now on; gossip follows it. */
  onChosen(fn: (peer: string, connection: Connection) => void): Stop
  duplicates(): number
}

export interface PeersDeps {
  self: string
  timers: Timers
  now(): number
  /** Links on a connection, both directions. */
  busy(connection: Connection): boolean
}

const QUIET_MS = 500

export const createPeers = (deps: PeersDeps): Peers => {
  const entries = new Map<string, Entry>()
  const memberListeners = new Set<(member: Member, change: 'joined' | 'left', parted?: boolean) => void>()
  const chosenListeners = new Set<(peer: string, connection: Connection) => void>()
  let duplicates = 0

  const dialler = (connection: Connection): string =>
    connection.direction === 'outbound' ? deps.self : connection.remotePeer.toString()

  const choose = (connections: Connection[]): Connection | undefined =>
    connections.reduce<Connection | undefined>((best, next) => {
      if (best === undefined) return next
      // Both sides see by which way it came.
      const overRelay = isRelayed(best.remoteAddr.toString())
      if (overRelay !== isRelayed(next.remoteAddr.toString())) return overRelay ? next : best
      const left = dialler(best)
      const right = dialler(next)
      if (left !== right) return left < right ? best : next
      return next.timeline.open >= best.timeline.open ? next : best
    }, undefined)

  /** Closes a connection that lost, once it was quiet for a while. */
  const drain = (connection: Connection): void => {
    let quietSince = deps.now()
    const look = (): void => {
      // It may be in use again, because the one that it lost to is gone.
      const entry = entries.get(connection.remotePeer.toString())
      if (connection.status !== 'open' || entry?.chosen === connection) return
      const now = deps.now()
      if (deps.busy(connection)) quietSince = now
      if (now - quietSince < QUIET_MS) {
        deps.timers.after(QUIET_MS / 5, look)
        return
      }
      connection.close().catch((error: Error) => connection.abort(error))
    }
    look()
  }

  const settle = (entry: Entry): void => {
    const chosen = choose(entry.connections)
    if (chosen === undefined || chosen === entry.chosen) return
    entry.chosen = chosen
    for (const fn of chosenListeners) fn(entry.id, chosen)
  }

  const remove = (connection: Connection, parted: boolean): void => {
    const id = connection.remotePeer.toString()
    const entry = entries.get(id)
    if (entry === undefined || !entry.connections.includes(connection)) return
    entry.connections = entry.connections.filter((other) => other !== connection)
    if (entry.connections.length > 0) {
      settle(entry)
      return
    }
    entries.delete(id)
    for (const fn of memberListeners) fn({ id, name: entry.name }, 'left', parted)
  }

  return {
    admit(connection, facts) {
      if (connection.status !== 'open') return
      const id = connection.remotePeer.toString()
      const entry = entries.get(id)
      if (entry === undefined) {
        const made = { id, ...facts, connections: [connection], chosen: connection, admittedAt: deps.now() }
        entries.set(id, made)
        for (const fn of chosenListeners) fn(id, connection)
        for (const fn of memberListeners) fn({ id, name: facts.name }, 'joined')
        return
      }
      if (entry.connections.includes(connection)) return
      duplicates += 1
      Object.assign(entry, facts)
      entry.connections.push(connection)
      settle(entry)
      if (deps.self < id) for (const other of entry.connections) if (other !== entry.chosen) drain(other)
    },
    remove: (connection) => remove(connection, false),
    retire(connection) {
      remove(connection, true)
      drain(connection)
    },
    get: (peer) => entries.get(peer),
    all: () => [...entries.values()],
    members: () => [...entries.values()].map(({ id, name }) => ({ id, name })),
    onMember(fn) {
      memberListeners.add(fn)
      return () => memberListeners.delete(fn)
    },
    onChosen(fn) {
      chosenListeners.add(fn)
      return () => chosenListeners.delete(fn)
    },
    duplicates: () => duplicates,
  }
}
