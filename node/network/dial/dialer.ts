/**
 * How this node gets its connections: the supervisor over libp2p's dials, the name system and the directory.
 *
 * State: the address at which each peer answered last, bounded, which is tried first the next time; dials under way.
 */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Directory } from '../../../discovery/directory/directory.ts'
import { type NameWatch, watchNames } from '../../../discovery/dns.ts'
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
  /** Once it is there. */
  directory(): Directory | undefined
  overlay: Overlay
  nearby: LocalDiscovery | undefined
}

const withPeerId = (address: string, peer: string | undefined): Multiaddr => {
  const parsed = multiaddr(address)
  return peer === undefined || address.includes('/p2p/') ? parsed : parsed.encapsulate(`/p2p/${peer}`)
}

/** Peers whose last address is remembered. */
const MAX_ANSWERED = 1024

/** libp2p has no code for it: a dial by address alone learns in the handshake who answers. */
const isSelfDial = (error: unknown): boolean => error instanceof Error && /dial self/.test(error.message)

export class Dialer {
  readonly #deps: DialerDeps
  /** The address that a peer answered at last, the newest peers last. */
  readonly #answered = new Map<string, string>()
  /** Those that are under way. */
  readonly #dials = new Set<AbortController>()

  constructor(deps: DialerDeps) {
    this.#deps = deps
  }

  /** Dials, and returns once the connection is admitted. @param fresh no connection that is open already will do */
  async dial(addresses: string[], peer: string | undefined, fresh: boolean): Promise<Connection> {
    const { directory, gate, options, waiters } = this.#deps
    const isUnheardOf = addresses.length === 0 && peer !== undefined
    if (isUnheardOf) await directory()?.seek({ peer })
    const targets = isUnheardOf ? this.addressesOf(peer) : addresses
    const connection = await this.#within(options.timings.dialTimeoutMs, (signal) =>
      this.#reached(targets, peer, fresh, signal),
    )
    const admitted = gate.standing(connection) === 'admitted' ? connection : await waiters.wait(connection)
    this.#remember(connection)
    return admitted
  }

  /** What its record says, and what it says on the local network: a record may be of its last start. */
  addressesOf(peer: string): string[] {
    const announced = this.#deps.directory()?.get(peer)?.record.addresses ?? []
    const nearby = this.#deps.nearby?.addressesOf(peer) ?? []
    return [...announced, ...nearby.filter((address) => !announced.includes(`${address}/p2p/${peer}`))]
  }

  /** Who says that it listens there, as far as the directory knows. */
  peerAt(address: string): string | undefined {
    const isThere = (announced: string): boolean =>
      !isRelayed(announced) && (announced === address || announced.startsWith(`${address}/p2p/`))
    return this.#deps
      .directory()
      ?.agents()
      .find(({ record }) => record.addresses.some(isThere))?.peer
  }

  /** Asks again and again what these names stand for. */
  watchNames(
    names: readonly string[],
    found: (source: string, addresses: string[]) => void,
    failed: (source: string, error: Error) => void,
  ): NameWatch {
    const { chance, dialPolicy, options } = this.#deps
    return watchNames(names, {
      lookup: createDnsLookup(),
      clock,
      timers,
      chance,
      periodMs: options.timings.resolvePeriodMs,
      retryMs: options.timings.backoffMinMs,
      found(source, addresses) {
        dialPolicy.named(source, addresses)
        found(source, addresses)
      },
      failed,
    })
  }

  /** The address that answered is tried first the next time: a direct one, however a relayed one did. */
  #remember({ remotePeer, remoteAddr }: Connection): void {
    const peer = remotePeer.toString()
    this.#answered.delete(peer)
    const address = remoteAddr.toString()
    if (!isRelayed(address)) this.#answered.set(peer, address)
    const [oldest] = this.#answered.keys()
    if (this.#answered.size > MAX_ANSWERED && oldest !== undefined) this.#answered.delete(oldest)
  }

  /** By what libp2p itself knows of a peer. */
  async #byId(peer: string, how: { signal: AbortSignal; force: boolean }): Promise<Connection> {
    const id = peerIdFromString(peer)
    const hasAddress = this.#deps.libp2p.peerStore.get(id).then(
      ({ addresses }) => addresses.length > 0,
      () => false,
    )
    const isKnown =
      this.#deps.libp2p.getConnections(id).length > 0 ||
      this.#deps.options.discovery.dht !== 'off' ||
      (await hasAddress)
    // Whoever dials it meanwhile, by an address that just came, would join this dial and fail with it.
    if (!isKnown)
      throw new ParleyError('COM002', `${peer} cannot be reached: no address of it is known`, {
        hint: 'is it running, and in this mesh? See parley agents',
        details: { sent: false },
      })
    return this.#deps.libp2p.dial(id, how)
  }

  async #reached(
    known: readonly string[],
    peer: string | undefined,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Connection> {
    // libp2p would hand out a connection that was given up and is about to close.
    const how = { signal, force: fresh }
    const addresses = peer === undefined ? known : this.#deps.dialPolicy.choose(known, peer)
    const [first] = addresses
    if (first === undefined) return this.#byId(peer ?? '', how)
    if (addresses.length === 1 || peer === undefined) return this.#deps.libp2p.dial(withPeerId(first, peer), how)
    const open = this.#deps.libp2p.getConnections(peerIdFromString(peer)).find(({ status }) => status === 'open')
    if (open !== undefined && !fresh) return open
    // Async, since what a record says may be no address.
    const attempt = async (address: string, until: AbortSignal): Promise<Connection> =>
      this.#deps.libp2p.services.direct.dial(withPeerId(address, peer), until)
    return happyEyeballs(dialOrder(addresses, this.#answered.get(peer)), { timers, attempt }, signal)
  }

  async #within(timeoutMs: number, run: (signal: AbortSignal) => Promise<Connection>): Promise<Connection> {
    const dial = new AbortController()
    const stopTimer = timers.after(timeoutMs, () => dial.abort(new Error(`no answer within ${timeoutMs} ms`)))
    this.#dials.add(dial)
    try {
      return await run(dial.signal)
    } catch (error) {
      // libp2p says only that the operation was aborted.
      throw dial.signal.aborted ? dial.signal.reason : error
    } finally {
      stopTimer()
      this.#dials.delete(dial)
    }
  }

  /** This node is stopping. */
  abort(): void {
    for (const dial of this.#dials) dial.abort(new Error('this node is stopping'))
  }
}

export const createDialer = (deps: DialerDeps): ConnectionSupervisor => {
  const dialer = new Dialer(deps)
  const { timings } = deps.options
  return createConnectionSupervisor({
    self: deps.self,
    clock,
    timers,
    log: deps.log,
    chance: deps.chance,
    join: deps.options.join,
    get backoffMinMs() {
      return timings.backoffMinMs
    },
    get backoffMaxMs() {
      return timings.backoffMaxMs
    },
    overlay: deps.overlay,
    nearby: deps.nearby,
    connected: deps.connected,
    addressesOf: (peer) => dialer.addressesOf(peer),
    unreachable: (peer) => deps.directory()?.markGone(peer),
    peerAt: (address) => dialer.peerAt(address),
    isSelfDial,
    watchNames: (names, found, failed) => dialer.watchNames(names, found, failed),
    dial: (addresses, peer, fresh) => dialer.dial(addresses, peer, fresh),
    abortDials: () => dialer.abort(),
  })
}
