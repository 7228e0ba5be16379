/**
 * How this node gets its connections: the supervisor over libp2p's dials, the name system and the directory.
 *
 * Keeps nothing of its own.
 */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Directory } from '../discovery/directory.ts'
import { watchNames } from '../discovery/dns.ts'
import type { Overlay } from '../discovery/overlay.ts'
import type { Log } from '../protocols/port.ts'
import { createLookup } from './dns-lookup.ts'
import type { Gate } from './gate.ts'
import type { MeshOptions } from './options.ts'
import { clock, timers } from './platform.ts'
import { createSupervisor, type Supervisor } from './supervisor.ts'
import type { Transport } from './transport.ts'
import type { Waiters } from './waiters.ts'

export interface JoiningDeps {
  self: string
  log: Log
  /** A number from 0 to 1. */
  chance(): number
  options: MeshOptions
  libp2p: Transport
  gate: Gate
  /** Connections that wait for their admission. */
  waiters: Waiters<Connection>
  /** A connection is there, or is being admitted. */
  connected(peer: string): boolean
  directory(): Directory
  overlay: Overlay
}

const withPeerId = (address: string, peer: string | undefined): Multiaddr => {
  const parsed = multiaddr(address)
  return peer === undefined || address.includes('/p2p/') ? parsed : parsed.encapsulate(`/p2p/${peer}`)
}

/** libp2p has no code for it: a dial by address alone learns in the handshake who answers. */
const isSelfDial = (error: unknown): boolean => error instanceof Error && /dial self/.test(error.message)

export const createJoining = (deps: JoiningDeps): Supervisor => {
  const { libp2p, chance } = deps
  const { timings, join } = deps.options

  const addressesOf = (peer: string): string[] => deps.directory().get(peer)?.record.addresses ?? []

  return createSupervisor({
    self: deps.self,
    clock,
    timers,
    log: deps.log,
    chance,
    join,
    backoffMinMs: timings.backoffMinMs,
    backoffMaxMs: timings.backoffMaxMs,
    overlay: deps.overlay,
    connected: deps.connected,
    addressesOf,
    unreachable: (peer) => deps.directory().markGone(peer),
    peerAt: (address) =>
      deps
        .directory()
        .agents()
        .find(({ record }) => record.addresses.some((told) => told === address || told.startsWith(`${address}/p2p/`)))
        ?.peer,
    isSelfDial,
    watchNames: (names, found, failed) =>
      watchNames(names, {
        lookup: createLookup(),
        clock,
        timers,
        chance,
        periodMs: timings.resolvePeriodMs,
        retryMs: timings.backoffMinMs,
        found,
        failed,
      }),
    async dial(addresses, peer, fresh) {
      const isUnheardOf = addresses.length === 0 && peer !== undefined
      if (isUnheardOf) await deps.directory().seek(peer)
      const signal = AbortSignal.timeout(timings.dialTimeoutMs)
      const targets = (isUnheardOf ? addressesOf(peer) : addresses).map((address) => withPeerId(address, peer))
      // libp2p would hand out a connection that was given up and is about to close.
      const how = { signal, force: fresh }
      const connection = await (targets.length > 0
        ? libp2p.dial(targets, how)
        : libp2p.dial(peerIdFromString(peer ?? ''), how))
      if (deps.gate.standing(connection) === 'admitted') return connection
      return deps.waiters.wait(connection)
    },
  })
}
