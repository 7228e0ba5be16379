/**
 * How this node gets its connections: the supervisor over libp2p's dials, the name system and the directory.
 *
 * Keeps the address at which each peer answered last, bounded: it is tried first the next time.
 */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Directory } from '../../../discovery/directory/directory.ts'
import { watchNames } from '../../../discovery/dns.ts'
import type { Overlay } from '../../../discovery/overlay.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Log } from '../../../protocols/port.ts'
import type { MeshOptions } from '../../options/schema.ts'
import { createDnsLookup } from '../../platform/dns-lookup.ts'
import { clock, timers } from '../../platform/platform.ts'
import type { StreamGater } from '../../trust/stream-gater.ts'
import { isRelayed } from '../addresses/multiaddresses.ts'
import type { KeyedPromises } from '../keyed-promises.ts'
import type { MeshLibp2p } from '../libp2p.ts'
import { type ConnectionSupervisor, createConnectionSupervisor, type LocalDiscovery } from './connection-supervisor.ts'
import type { DialPolicy } from './dial-policy.ts'
import { dialOrder, happyEyeballs } from './happy-eyeballs.ts'

export interface DialerDeps {
  self: string
  log: Log
  /** A number from 0 to 1. */
  chance(): number
  options: MeshOptions
  libp2p: MeshLibp2p
  gate: StreamGater
  dialPolicy: Pick<DialPolicy, 'choose' | 'named'>
  /** Connections that wait for their admission. */
  waiters: KeyedPromises<Connection>
  /** A connection is there, or is being admitted. */
  connected(peer: string): boolean
  directory(): Directory
  overlay: Overlay
  nearby: LocalDiscovery | undefined
}

const withPeerId = (address: string, peer: string | undefined): Multiaddr => {
  const parsed = multiaddr(address)
  return peer === undefined || address.includes('/p2p/') ? parsed : parsed.encapsulate(`/p2p/${peer}`)
}

const MAX_ANSWERED = 1024

/** libp2p has no code for it: a dial by address alone learns in the handshake who answers. */
const isSelfDial = (error: unknown): boolean => error instanceof Error && /dial self/.test(error.message)

export const createDialer = (deps: DialerDeps): ConnectionSupervisor => {
  const { libp2p, chance, nearby } = deps
  const { timings, join } = deps.options

  /** The address that a peer answered at last, the newest peers last. */
  const answered = new Map<string, string>()
  const dials = new Set<AbortController>()

  /** By what libp2p itself knows of a peer. */
  const byId = async (peer: string, how: { signal: AbortSignal; force: boolean }): Promise<Connection> => {
    const id = peerIdFromString(peer)
    const told = libp2p.peerStore.get(id).then(
      ({ addresses }) => addresses.length > 0,
      () => false,
    )
    const isKnown = libp2p.getConnections(id).length > 0 || deps.options.discovery.dht !== 'off' || (await told)
    // Whoever dials it meanwhile, by an address that just came, would join this dial and fail with it.
    if (!isKnown)
      throw new ParleyError('COM002', `${peer} cannot be reached: no address of it is known`, {
        hint: 'is it running, and in this mesh? See parley agents',
        details: { sent: false },
      })
    return libp2p.dial(id, how)
  }

  const reached = async (
    told: readonly string[],
    peer: string | undefined,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Connection> => {
    // libp2p would hand out a connection that was given up and is about to close.
    const how = { signal, force: fresh }
    const addresses = peer === undefined ? told : deps.dialPolicy.choose(told, peer)
    const [first] = addresses
    if (first === undefined) return byId(peer ?? '', how)
    if (addresses.length === 1 || peer === undefined) return libp2p.dial(withPeerId(first, peer), how)
    const open = libp2p.getConnections(peerIdFromString(peer)).find(({ status }) => status === 'open')
    if (open !== undefined && !fresh) return open
    // Async, since what is told may be no address.
    const attempt = async (address: string, until: AbortSignal): Promise<Connection> =>
      libp2p.services.direct.dial(withPeerId(address, peer), until)
    return happyEyeballs(dialOrder(addresses, answered.get(peer)), { timers, attempt }, signal)
  }

  const within = async (timeoutMs: number, run: (signal: AbortSignal) => Promise<Connection>): Promise<Connection> => {
    const dial = new AbortController()
    const stopTimer = timers.after(timeoutMs, () => dial.abort(new Error(`no answer within ${timeoutMs} ms`)))
    dials.add(dial)
    try {
      return await run(dial.signal)
    } catch (error) {
      // libp2p says only that the operation was aborted.
      throw dial.signal.aborted ? dial.signal.reason : error
    } finally {
      stopTimer()
      dials.delete(dial)
    }
  }

  /** What its record says, and what it says on the local network: a record may be of its last start. */
  const addressesOf = (peer: string): string[] => {
    const told = deps.directory().get(peer)?.record.addresses ?? []
    return [...told, ...(nearby?.addressesOf(peer) ?? []).filter((address) => !told.includes(`${address}/p2p/${peer}`))]
  }

  const supervisor = createConnectionSupervisor({
    self: deps.self,
    clock,
    timers,
    log: deps.log,
    chance,
    join,
    get backoffMinMs() {
      return timings.backoffMinMs
    },
    get backoffMaxMs() {
      return timings.backoffMaxMs
    },
    overlay: deps.overlay,
    nearby,
    connected: deps.connected,
    addressesOf,
    unreachable: (peer) => deps.directory().markGone(peer),
    peerAt: (address) =>
      deps
        .directory()
        .agents()
        .find(({ record }) =>
          record.addresses.some((told) => !isRelayed(told) && (told === address || told.startsWith(`${address}/p2p/`))),
        )?.peer,
    isSelfDial,
    watchNames: (names, found, failed) =>
      watchNames(names, {
        lookup: createDnsLookup(),
        clock,
        timers,
        chance,
        periodMs: timings.resolvePeriodMs,
        retryMs: timings.backoffMinMs,
        found(source, addresses) {
          deps.dialPolicy.named(source, addresses)
          found(source, addresses)
        },
        failed,
      }),
    async dial(addresses, peer, fresh) {
      const isUnheardOf = addresses.length === 0 && peer !== undefined
      if (isUnheardOf) await deps.directory().seek(peer)
      const targets = isUnheardOf ? addressesOf(peer) : addresses
      const connection = await within(timings.dialTimeoutMs, (signal) => reached(targets, peer, fresh, signal))
      const id = connection.remotePeer.toString()
      const admitted = deps.gate.standing(connection) === 'admitted' ? connection : await deps.waiters.wait(connection)
      answered.delete(id)
      // A direct address comes before a relayed one, however that did the last time.
      const address = connection.remoteAddr.toString()
      if (!isRelayed(address)) answered.set(id, address)
      const [oldest] = answered.keys()
      if (answered.size > MAX_ANSWERED && oldest !== undefined) answered.delete(oldest)
      return admitted
    },
  })

  return {
    ...supervisor,
    stop() {
      supervisor.stop()
      for (const dial of dials) dial.abort(new Error('this node is stopping'))
    },
  }
}
