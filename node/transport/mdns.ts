/**
 * The local network for discovery/mdns.ts: sockets for multicast DNS on each interface, over IPv4 and IPv6, and the key by
 * which members know each other there.
 *
 * Why not `@libp2p/mdns`: it speaks IPv4 only and by the interface of the default route only, tells every listener peer ids
 * and addresses, and hands each answer to the peer store, forged ones too, without a bound.
 *
 * Key and service name come from the mesh's secret and name by HKDF (RFC 5869): to those without the secret the name is
 * 15 characters that say nothing, and answers are sealed by AES-256-GCM. Who listens learns that some hosts speak the same
 * service, and how much; who replays an old answer makes a node dial where a member was. During a change of secrets a node
 * asks and answers by both. Without a secret, or with a weak one that was not allowed, nothing leaves this machine.
 * State: a socket per family that hears, one per interface that speaks, looked over every few seconds.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { createMdns, type Mdns, type Place } from '../../discovery/mdns.ts'
import type { Log, Metrics } from '../../protocols/port.ts'
import { addressProblem, isLoopback } from '../addresses.ts'
import type { MeshOptions } from '../options.ts'
import { chance, clock, timers } from '../platform.ts'
import { classifySecret, deriveAuthority } from '../secret.ts'
import type { Nearby } from '../supervisor.ts'

const PORT = 5353
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const
const TTL = 255
/** The system takes 20 groups on a socket. */
const MAX_PLACES = 16
const LOOK_PERIOD_MS = 5_000
const SOON_MS = 1_000
const COMPLAIN_AT = 3
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const NAME_BYTES = 9
const SALT = 'parley/mdns/1'

type Version = 4 | 6

/** An interface as multicast knows it. */
export interface Outlook {
  /** Of one family: `eth0/4`. */
  readonly name: string
  readonly version: Version
  /** What a socket binds to. */
  readonly address: string
  /** What multicast goes out by. */
  readonly by: string
  readonly isLoopback: boolean
}

/**
 * Interfaces to speak on, one for each family that it has.
 * @param beyond also those that lead away from this machine
 */
export const outlooks = (all: NodeJS.Dict<NetworkInterfaceInfo[]>, beyond: boolean): Outlook[] => {
  const found: Outlook[] = []
  for (const [name, infos = []] of Object.entries(all)) {
    const isInternal = infos.some(({ internal }) => internal)
    // The host's end of a container's cable: its bridge has the address.
    if ((!isInternal && !beyond) || name.startsWith('veth')) continue
    const four = infos.find(({ family }) => family === 'IPv4')?.address
    if (four !== undefined)
      found.push({ name: `${name}/4`, version: 4, address: four, by: four, isLoopback: isInternal })
    // The loopback interface has no link-local address, and needs none: each system has 127.0.0.1.
    const six = infos.find(({ family, address }) => family === 'IPv6' && /^fe[89ab]/i.test(address))?.address
    if (six !== undefined)
      found.push({ name: `${name}/6`, version: 6, address: `${six}%${name}`, by: `::%${name}`, isLoopback: isInternal })
  }
  return found.slice(0, MAX_PLACES)
}

/** Where somebody who hears this node there can dial it. */
export const dialableFrom = (place: { isLoopback: boolean }, addresses: readonly string[]): string[] => {
  const own = addresses.filter(isLoopback)
  const others = addresses.filter((address) => !isLoopback(address))
  return place.isLoopback && own.length > 0 ? own : others
}

export interface Ring {
  readonly service: string
  seal(bytes: Uint8Array): Uint8Array
  open(bytes: Uint8Array): Uint8Array | undefined
}

/** @param secret what members know; empty for a mesh without one */
export const makeRing = (secret: string, mesh: string): Ring => {
  const bytes = Buffer.from(hkdfSync('sha256', secret, SALT, mesh, KEY_BYTES + NAME_BYTES))
  const key = bytes.subarray(0, KEY_BYTES)
  // 15 characters at most after the underscore, a letter among them (RFC 6335, section 5.1).
  const service = `_p${bytes.subarray(KEY_BYTES).toString('hex').slice(0, 14)}._udp.local`
  return {
    service,
    seal(plain) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(sealed) {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
      } catch {
        // Somebody else's, or forged; who asks counts it.
        return undefined
      }
    },
  }
}

/** Stretched: what is sent could otherwise be used to guess a weak secret cheaply. */
const ringsOf = async ({ secret = [], mesh }: MeshOptions): Promise<Ring[]> => {
  if (secret.length === 0) return [makeRing('', mesh)]
  const authorities = await Promise.all(secret.map((text) => deriveAuthority(text, mesh)))
  return authorities.map(({ privateKey }) => makeRing(privateKey.export({ format: 'jwk' }).d ?? '', mesh))
}

export interface NearbyDeps {
  self: string
  options: MeshOptions
  log: Log
  metrics: Metrics
  /** Where this node can be dialled. */
  addresses(): string[]
}

interface Open {
  readonly place: Place
  close(): void
}

export const createNearby = async ({ self, options, log, metrics, addresses }: NearbyDeps): Promise<Nearby> => {
  const { secret = [], allowWeakSecret } = options
  const beyond = secret.length > 0 && (allowWeakSecret || secret.every((text) => classifySecret(text) === 'strong'))
  const rings = await ringsOf(options)
  const count = metrics.counter('parley_mdns_total', 'Multicast DNS: asked, answered, found, dropped.', ['what'])
  const open = new Map<string, Open>()
  /** A group can be joined only once the socket is bound: it would be bound to some other port. */
  const ears = new Map<Version, { socket: Socket; isBound: boolean }>()
  /** By place, in a row. */
  const failures = new Map<string, number>()
  let finders: Mdns[] = []
  let isStopped = false
  let stopLooking = (): void => {}

  const failedAt = (where: string, error: Error): void => {
    const count = (failures.get(where) ?? 0) + 1
    failures.set(where, count)
    // An interface that just came up has addresses that cannot be used yet (RFC 4862, section 5.4).
    if (count === 1) timers.after(SOON_MS, look)
    if (count === COMPLAIN_AT) log.warn(`multicast DNS does not work on ${where}: ${error.message}`, { error })
  }

  const close = (socket: Socket): void => {
    try {
      socket.close()
    } catch {
      // It never opened, or an error has closed it.
    }
  }

  const socketOf = (version: Version, where: string, failed: () => void): Socket => {
    const socket = createSocket({ type: version === 4 ? 'udp4' : 'udp6', reuseAddr: true, ipv6Only: version === 6 })
    socket.unref()
    socket.on('error', (error) => {
      failedAt(where, error)
      close(socket)
      failed()
    })
    return socket
  }

  const listenOn = (version: Version): void => {
    const socket = socketOf(version, `IPv${version}`, () => {
      ears.delete(version)
      // Its groups went with it.
      for (const [name, one] of open) {
        if (!name.endsWith(`/${version}`)) continue
        one.close()
        open.delete(name)
      }
    })
    const ear = { socket, isBound: false }
    ears.set(version, ear)
    socket.on('message', (packet) => {
      for (const finder of finders) finder.heard(packet)
    })
    socket.bind(PORT, version === 4 ? '0.0.0.0' : '::', () => {
      ear.isBound = true
      look()
    })
  }

  const openPlace = (outlook: Outlook): void => {
    const { name, version, address, by } = outlook
    const ear = ears.get(version)?.socket
    let isReady = false
    const socket = socketOf(version, name, () => open.delete(name))
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
        for (const finder of finders) finder.again()
      } catch (error) {
        socket.emit('error', error)
      }
    })
    open.set(name, {
      place: {
        name,
        send(packet) {
          // Lost packets are asked for again; an interface that is going away is closed at the next look.
          if (isReady) socket.send(packet, PORT, GROUPS[version], () => {})
        },
        addresses: () => dialableFrom(outlook, addresses()),
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

  const look = (): void => {
    if (isStopped) return
    const wanted = new Map(outlooks(networkInterfaces(), beyond).map((outlook) => [outlook.name, outlook]))
    for (const [name, one] of open) {
      if (wanted.has(name)) continue
      one.close()
      open.delete(name)
      failures.delete(name)
    }
    for (const [name, outlook] of wanted) {
      const ear = ears.get(outlook.version)
      if (ear === undefined) listenOn(outlook.version)
      else if (ear.isBound && !open.has(name)) openPlace(outlook)
    }
  }

  return {
    start(found) {
      if (isStopped) return
      look()
      stopLooking = timers.every(LOOK_PERIOD_MS, look)
      finders = rings.map(({ service, seal, open: unseal }) =>
        createMdns({
          self,
          clock,
          timers,
          chance,
          service,
          instance: randomBytes(8).toString('hex'),
          seal,
          open: unseal,
          places: () => [...open.values()].map(({ place }) => place),
          count: (what) => count({ what }),
          found(peer, told) {
            const usable = told.filter(
              (address) => addressProblem(address, 'join') === undefined && (beyond || isLoopback(address)),
            )
            if (usable.length > 0) found(peer, usable)
          },
        }),
      )
    },
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
