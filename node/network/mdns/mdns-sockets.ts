/**
 * Sockets for multicast DNS (discovery/mdns/mdns-discovery.ts) on each interface, over IPv4 and IPv6.
 *
 * Why not `@libp2p/mdns`: it speaks IPv4 only and by the interface of the default route only, tells every listener peer ids
 * and addresses, and hands each answer to the peer store, forged ones too, without a bound.
 *
 * During a change of secrets a node asks and answers by both. Without a secret, or with a weak one that was not allowed,
 * nothing leaves this machine.
 * State: who was heard, bounded; a socket per family that hears, one per interface that speaks, looked over every few seconds.
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
import { mdnsCiphersOf } from './mdns-cipher.ts'
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
  readonly place: MulticastInterface
  close(): void
}

const keyOf = ({ name, address }: MdnsInterfaceAddress): string => `${name} ${address}`

export const createMdnsDiscovery = async ({
  self,
  options,
  log,
  metrics,
  addresses,
}: MdnsDiscoveryDeps): Promise<LocalDiscovery> => {
  let rings = await mdnsCiphersOf(options)
  let ringed = options.secret
  const count = metrics.counter(
    'mdns_total',
    'Multicast DNS: questions, answers, finds, packets dropped or not sent.',
    ['what'],
  )
  /** By interface and address: one that changed is another. */
  const open = new Map<string, Open>()
  /** A group can be joined only once the socket is bound: it would be bound to some other port. */
  const ears = new Map<IpVersion, { socket: Socket; isBound: boolean }>()
  /** By place, in a row. */
  const failures = new Map<string, number>()
  /** The newest last. */
  const heard = new Map<string, string[]>()
  let tell: (peer: string, addresses: string[]) => void = () => {}
  let finders: Mdns[] = []
  let isStopped = false
  let stopLooking = (): void => {}

  const suffix = `/p2p/${self}`
  /** The id is told once; who is on the same network needs no relay. */
  const own = (): string[] =>
    addresses()
      .filter((address) => !isRelayed(address))
      .map(withoutId)
  const withoutId = (address: string): string => (address.endsWith(suffix) ? address.slice(0, -suffix.length) : address)

  const failedAt = (where: string, error: Error): void => {
    const inRow = (failures.get(where) ?? 0) + 1
    failures.set(where, inRow)
    // An interface that just came up has addresses that cannot be used yet (RFC 4862, section 5.4).
    if (inRow === 1) timers.after(SOON_MS, look)
    if (inRow === COMPLAIN_AT) log.warn(`multicast DNS does not work on ${where}: ${error.message}`, { error })
  }

  const close = (socket: Socket): void => {
    try {
      socket.close()
    } catch {
      // It never opened, or an error has closed it.
    }
  }

  const socketOf = (version: IpVersion, where: string, failed: () => void): Socket => {
    const socket = createSocket({ type: version === 4 ? 'udp4' : 'udp6', reuseAddr: true, ipv6Only: version === 6 })
    socket.unref()
    socket.on('error', (error) => {
      failedAt(where, error)
      close(socket)
      failed()
    })
    return socket
  }

  const listenOn = (version: IpVersion): void => {
    const socket = socketOf(version, `IPv${version}`, () => {
      ears.delete(version)
      // Its groups went with it.
      for (const [key, one] of open) {
        if (one.version !== version) continue
        one.close()
        open.delete(key)
      }
    })
    const ear = { socket, isBound: false }
    ears.set(version, ear)
    socket.on('message', (packet) => {
      for (const finder of finders) finder.receive(packet)
    })
    socket.bind(PORT, version === 4 ? '0.0.0.0' : '::', () => {
      ear.isBound = true
      look()
    })
  }

  const openPlace = (outlook: MdnsInterfaceAddress): void => {
    const { name, version, address, by } = outlook
    const key = keyOf(outlook)
    const ear = ears.get(version)?.socket
    let isReady = false
    const socket = socketOf(version, name, () => open.delete(key))
    // What is sent to this address alone; answers go to the group.
    socket.on('message', () => {})
    socket.bind(PORT, address, () => {
      try {
        ear?.addMembership(GROUPS[version], by)
        socket.setMulticastInterface(by)
        socket.setMulticastTTL(TTL)
        socket.setMulticastLoopback(true)
        isReady = true
        failures.delete(name)
        for (const finder of finders) finder.restart()
      } catch (error) {
        socket.emit('error', error)
      }
    })
    open.set(key, {
      version,
      place: {
        name,
        send(packet) {
          if (!isReady) return
          // What is lost is asked for again; an interface that is going away is closed at the next look.
          socket.send(packet, PORT, GROUPS[version], (error) => {
            if (error !== null) count({ what: 'unsent' })
          })
        },
        addresses: () => dialableFrom(outlook, own()),
      },
      close: () => {
        isReady = false
        try {
          ear?.dropMembership(GROUPS[version], by)
        } catch {
          // The interface is gone, and its groups with it.
        }
        close(socket)
      },
    })
  }

  const found = (peer: string, told: string[]): void => {
    const dialable = usableAddresses(told, reachesBeyond(options))
    if (dialable.length === 0) return
    heard.delete(peer)
    heard.set(peer, dialable)
    const [oldest] = heard.keys()
    if (heard.size > MAX_HEARD && oldest !== undefined) heard.delete(oldest)
    tell(peer, dialable)
  }

  const listenFor = (): void => {
    for (const finder of finders) finder.stop()
    finders = rings.map((ring) =>
      createMdns({
        ...{ self, clock, timers, chance, found, ...ring },
        instance: randomBytes(8).toString('hex'),
        interfaces: () => [...open.values()].map(({ place }) => place),
        count: (what) => count({ what }),
      }),
    )
  }

  /** Asks and answers by the secrets that there are now. */
  const renew = async (): Promise<void> => {
    ringed = options.secret
    rings = await mdnsCiphersOf(options)
    if (!isStopped) listenFor()
  }

  const look = (): void => {
    if (isStopped) return
    if (!isDeepStrictEqual(options.secret, ringed))
      renew().catch((error: unknown) => log.warn('multicast DNS keeps to the old secret', { error }))
    const wanted = new Map(
      mdnsInterfaceAddresses(networkInterfaces(), reachesBeyond(options)).map((outlook) => [keyOf(outlook), outlook]),
    )
    for (const [key, one] of open) {
      if (wanted.has(key)) continue
      one.close()
      open.delete(key)
      failures.delete(one.place.name)
    }
    for (const [key, outlook] of wanted) {
      const ear = ears.get(outlook.version)
      if (ear === undefined) listenOn(outlook.version)
      else if (ear.isBound && !open.has(key)) openPlace(outlook)
    }
  }

  return {
    start(found) {
      if (isStopped) return
      tell = found
      if (!reachesBeyond(options))
        log.info('multicast DNS stays on this machine: the mesh has no secret, or a weak one')
      look()
      stopLooking = timers.every(LOOK_PERIOD_MS, look)
      listenFor()
    },
    addressesOf: (peer) => heard.get(peer) ?? [],
    isSilent: () => finders.length > 0 && finders.every((finder) => finder.isSilent()),
    stop() {
      isStopped = true
      stopLooking()
      for (const finder of finders) finder.stop()
      for (const one of open.values()) one.close()
      for (const { socket } of ears.values()) close(socket)
      open.clear()
      ears.clear()
    },
  }
}
