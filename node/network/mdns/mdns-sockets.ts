/**
 * Sockets for multicast DNS (discovery/mdns/mdns-discovery.ts) on each interface, over IPv4 and IPv6.
 *
 * Why not `@libp2p/mdns`: it speaks IPv4 only and by the interface of the default route only, tells every listener peer ids
 * and addresses, and hands each answer to the peer store, forged ones too, without a bound.
 *
 * During a change of secrets a node asks and answers by both. Without a secret, or with a weak one that was not allowed,
 * nothing leaves this machine.
 * State: who was heard, bounded; a socket per family that receives, one per interface that sends, looked over every few seconds.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import { createMdns, type Mdns, type MulticastInterface } from '../../../discovery/mdns/mdns-discovery.ts'
import type { Log, Metrics } from '../../../protocols/port.ts'
import type { MeshOptions } from '../../options/schema.ts'
import { chance, clock, timers } from '../../platform/platform.ts'
import { isStrongEnough } from '../../trust/secret.ts'
import { isRelayed } from '../addresses/multiaddresses.ts'
import type { LocalDiscovery } from '../dial/connection-supervisor.ts'
import { type MdnsCipher, mdnsCiphersOf } from './mdns-cipher.ts'
import {
  dialableFrom,
  type IpVersion,
  type MdnsInterfaceAddress,
  mdnsInterfaceAddresses,
  usableAddresses,
} from './mdns-interfaces.ts'

const PORT = 5353
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const
const TTL = 255
const LOOK_PERIOD_MS = 5_000
const SOON_MS = 1_000
const COMPLAIN_AT = 3
/** Peers whose addresses are kept beside the directory. */
const MAX_HEARD = 256

/** Whether anything may leave this machine; the secret may change while the node runs. */
const reachesBeyond = ({ secret = [], allowWeakSecret }: MeshOptions): boolean =>
  secret.length > 0 && (allowWeakSecret || secret.every(isStrongEnough))

export interface MdnsDiscoveryDeps {
  self: string
  options: MeshOptions
  log: Log
  metrics: Metrics
  /** Where this node can be dialled. */
  addresses(): string[]
}

interface Open {
  readonly version: IpVersion
  readonly face: MulticastInterface
  close(): void
}

const keyOf = ({ name, address }: MdnsInterfaceAddress): string => `${name} ${address}`

export class MdnsDiscovery implements LocalDiscovery {
  readonly #deps: MdnsDiscoveryDeps
  #ciphers: readonly MdnsCipher[]
  #cipheredFor: MeshOptions['secret']
  readonly #count
  /** By interface and address: one that changed is another. */
  readonly #open = new Map<string, Open>()
  /** A group can be joined only once the socket is bound: it would be bound to some other port. */
  readonly #receivers = new Map<IpVersion, { socket: Socket; isBound: boolean }>()
  /** By interface, in a row. */
  readonly #failures = new Map<string, number>()
  /** The newest last. */
  readonly #heard = new Map<string, string[]>()
  #tell: (peer: string, addresses: string[]) => void = () => {}
  #finders: Mdns[] = []
  #isStopped = false
  #stopLooking = (): void => {}
  readonly #suffix: string

  constructor(deps: MdnsDiscoveryDeps, ciphers: readonly MdnsCipher[]) {
    this.#deps = deps
    this.#ciphers = ciphers
    this.#cipheredFor = deps.options.secret
    this.#count = deps.metrics.counter(
      'mdns_total',
      'Multicast DNS: questions, answers, finds, packets dropped or not sent.',
      ['what'],
    )
    this.#suffix = `/p2p/${deps.self}`
  }

  /** The id is told once; who is on the same network needs no relay. */
  #ownAddresses(): string[] {
    return this.#deps
      .addresses()
      .filter((address) => !isRelayed(address))
      .map((address) => this.#withoutId(address))
  }

  #withoutId(address: string): string {
    return address.endsWith(this.#suffix) ? address.slice(0, -this.#suffix.length) : address
  }

  #failedAt(where: string, error: Error): void {
    const inRow = (this.#failures.get(where) ?? 0) + 1
    this.#failures.set(where, inRow)
    // An interface that just came up has addresses that cannot be used yet (RFC 4862, section 5.4).
    if (inRow === 1) timers.after(SOON_MS, () => this.#look())
    if (inRow === COMPLAIN_AT)
      this.#deps.log.warn(`multicast DNS does not work on ${where}: ${error.message}`, { error })
  }

  #close(socket: Socket): void {
    try {
      socket.close()
    } catch {
      // It never opened, or an error has closed it.
    }
  }

  #socketOf(version: IpVersion, where: string, failed: () => void): Socket {
    const socket = createSocket({ type: version === 4 ? 'udp4' : 'udp6', reuseAddr: true, ipv6Only: version === 6 })
    socket.unref()
    socket.on('error', (error) => {
      this.#failedAt(where, error)
      this.#close(socket)
      failed()
    })
    return socket
  }

  #listenOn(version: IpVersion): void {
    const socket = this.#socketOf(version, `IPv${version}`, () => {
      this.#receivers.delete(version)
      // Its groups went with it.
      for (const [key, one] of this.#open) {
        if (one.version !== version) continue
        one.close()
        this.#open.delete(key)
      }
    })
    const receiver = { socket, isBound: false }
    this.#receivers.set(version, receiver)
    socket.on('message', (packet) => {
      for (const finder of this.#finders) finder.receive(packet)
    })
    socket.bind(PORT, version === 4 ? '0.0.0.0' : '::', () => {
      receiver.isBound = true
      this.#look()
    })
  }

  #openInterface(local: MdnsInterfaceAddress): void {
    const { name, version, address, by } = local
    const key = keyOf(local)
    const receiver = this.#receivers.get(version)?.socket
    let isReady = false
    const socket = this.#socketOf(version, name, () => this.#open.delete(key))
    // What is sent to this address alone; answers go to the group.
    socket.on('message', () => {})
    socket.bind(PORT, address, () => {
      try {
        receiver?.addMembership(GROUPS[version], by)
        socket.setMulticastInterface(by)
        socket.setMulticastTTL(TTL)
        socket.setMulticastLoopback(true)
        isReady = true
        this.#failures.delete(name)
        for (const finder of this.#finders) finder.restart()
      } catch (error) {
        socket.emit('error', error)
      }
    })
    this.#open.set(key, {
      version,
      face: {
        name,
        send: (packet) => {
          if (!isReady) return
          // What is lost is asked for again; an interface that is going away is closed at the next look.
          socket.send(packet, PORT, GROUPS[version], (error) => {
            if (error !== null) this.#count({ what: 'unsent' })
          })
        },
        addresses: () => dialableFrom(local, this.#ownAddresses()),
      },
      close: () => {
        isReady = false
        try {
          receiver?.dropMembership(GROUPS[version], by)
        } catch {
          // The interface is gone, and its groups with it.
        }
        this.#close(socket)
      },
    })
  }

  #found(peer: string, told: string[]): void {
    const dialable = usableAddresses(told, reachesBeyond(this.#deps.options))
    if (dialable.length === 0) return
    this.#heard.delete(peer)
    this.#heard.set(peer, dialable)
    const [oldest] = this.#heard.keys()
    if (this.#heard.size > MAX_HEARD && oldest !== undefined) this.#heard.delete(oldest)
    this.#tell(peer, dialable)
  }

  #listenFor(): void {
    for (const finder of this.#finders) finder.stop()
    this.#finders = this.#ciphers.map((cipher) =>
      createMdns({
        ...{ self: this.#deps.self, clock, timers, chance, found: (peer, told) => this.#found(peer, told), ...cipher },
        instance: randomBytes(8).toString('hex'),
        interfaces: () => [...this.#open.values()].map(({ face }) => face),
        count: (what) => this.#count({ what }),
      }),
    )
  }

  /** Asks and answers by the secrets that there are now. */
  async #renew(): Promise<void> {
    this.#cipheredFor = this.#deps.options.secret
    this.#ciphers = await mdnsCiphersOf(this.#deps.options)
    if (!this.#isStopped) this.#listenFor()
  }

  #look(): void {
    if (this.#isStopped) return
    if (!isDeepStrictEqual(this.#deps.options.secret, this.#cipheredFor))
      this.#renew().catch((error: unknown) => this.#deps.log.warn('multicast DNS keeps to the old secret', { error }))
    const wanted = new Map(
      mdnsInterfaceAddresses(networkInterfaces(), reachesBeyond(this.#deps.options)).map((local) => [
        keyOf(local),
        local,
      ]),
    )
    for (const [key, one] of this.#open) {
      if (wanted.has(key)) continue
      one.close()
      this.#open.delete(key)
      this.#failures.delete(one.face.name)
    }
    for (const [key, local] of wanted) {
      const receiver = this.#receivers.get(local.version)
      if (receiver === undefined) this.#listenOn(local.version)
      else if (receiver.isBound && !this.#open.has(key)) this.#openInterface(local)
    }
  }

  start(found: (peer: string, addresses: string[]) => void): void {
    if (this.#isStopped) return
    this.#tell = found
    if (!reachesBeyond(this.#deps.options))
      this.#deps.log.info('multicast DNS stays on this machine: the mesh has no secret, or a weak one')
    this.#look()
    this.#stopLooking = timers.every(LOOK_PERIOD_MS, () => this.#look())
    this.#listenFor()
  }

  /** What a peer said of itself at last; empty where it was not heard. */
  addressesOf(peer: string): readonly string[] {
    return this.#heard.get(peer) ?? []
  }

  /** It has asked often enough, and nobody was there. */
  isSilent(): boolean {
    return this.#finders.length > 0 && this.#finders.every((finder) => finder.isSilent())
  }

  stop(): void {
    this.#isStopped = true
    this.#stopLooking()
    for (const finder of this.#finders) finder.stop()
    for (const one of this.#open.values()) one.close()
    for (const { socket } of this.#receivers.values()) this.#close(socket)
    this.#open.clear()
    this.#receivers.clear()
  }
}

export const createMdnsDiscovery = async (deps: MdnsDiscoveryDeps): Promise<LocalDiscovery> =>
  new MdnsDiscovery(deps, await mdnsCiphersOf(deps.options))
