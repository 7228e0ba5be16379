/**
 * What is known about a multiaddress without dialling it: whether this node could use it, and whether it leaves the
 * machine. Pure. Source: the multiaddr specification; loopback by RFC 1122 3.2.1.3, RFC 4291 2.5.3 and RFC 6761 6.3.
 */
import { type Component, multiaddr } from '@multiformats/multiaddr'
import { isSrv, srvProblem } from '../../../discovery/dns.ts'

const HOSTS = ['ip4', 'ip6', 'dns', 'dns4', 'dns6']
/** What may follow host and port: TCP itself, WebSocket, WebSocket over TLS, and whom to expect there. */
const AFTER_TCP = ['tls', 'sni', 'ws', 'wss', 'p2p']

const componentsOf = (address: string): Component[] | undefined => {
  try {
    return multiaddr(address).getComponents()
  } catch {
    // The caller asks whether it is one; the answer is no.
    return undefined
  }
}

const isLoopbackHost = ({ name, value = '' }: Component): boolean => {
  if (name === 'ip4') return value.startsWith('127.')
  // multiaddr writes every IPv6 address in its shortest form; the second is 127/8 mapped into IPv6.
  if (name === 'ip6') return value === '::1' || /^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(value)
  const host = value.toLowerCase().replace(/\.$/, '')
  return host === 'localhost' || host.endsWith('.localhost')
}

/** True where the address can only lead to this machine; false for all others and for what is no address. */
export const isLoopback = (address: string): boolean => {
  const components = componentsOf(address) ?? []
  const hosts = components.filter(({ name }) => HOSTS.includes(name) || name === 'dnsaddr')
  const relayed = components.some(({ name }) => name === 'p2p-circuit')
  return hosts.length > 0 && !relayed && hosts.every((host) => host.name !== 'dnsaddr' && isLoopbackHost(host))
}

/** True where the address leads through another peer, which carries the connection. */
export const isRelayed = (address: string): boolean => address.includes('/p2p-circuit')

/**
 * Of a node's addresses, those worth telling others: loopback only where there is no other direct one, and those through
 * relays in any case, after the direct ones.
 * @param most at most half of them through relays
 */
export const worthAnnouncing = (addresses: readonly string[], most: number): string[] => {
  const direct = addresses.filter((address) => !isRelayed(address))
  const beyond = direct.filter((address) => !isLoopback(address) && !isLinkLocal(address))
  const relayed = addresses.filter(isRelayed).slice(0, Math.ceil(most / 2))
  return [...(beyond.length > 0 ? beyond : direct).slice(0, most - relayed.length), ...relayed]
}

/** RFC 4291, section 2.5.6: it means something on one network interface alone. */
const isLinkLocal = (address: string): boolean =>
  (componentsOf(address) ?? []).some(({ name, value = '' }) => name === 'ip6' && /^fe[89ab][0-9a-f]:/.test(value))

const LAST_PEER = /\/p2p\/([^/]+)$/

/** The peer with which the address ends. */
export const peerAtEnd = (address: string): string | undefined => LAST_PEER.exec(address)?.[1]

/** The address with this peer at its end, unless it names one there. */
export const endingWith = (address: string, peer: string): string =>
  peerAtEnd(address) === undefined ? `${address}/p2p/${peer}` : address

export type AddressUse = 'listen' | 'announce' | 'join'

/** Why this node cannot use the address so; undefined where it can. */
export const addressProblem = (address: string, use: AddressUse): string | undefined => {
  if (use === 'join' && isSrv(address)) return srvProblem(address)
  const components = componentsOf(address)
  if (components === undefined || components.length === 0) {
    return `${JSON.stringify(address)} is no multiaddress; write it as /ip4/127.0.0.1/tcp/8081 or /dns4/host/tcp/8081`
  }
  const [host, port, ...rest] = components[0]?.name === 'ip6zone' ? components.slice(1) : components
  if (isLinkLocal(address)) {
    return `${address} is link-local, which libp2p neither dials nor takes connections from; use a global or a private (fd00::/8) address, or listen on /ip6/::`
  }
  const isTcp = port?.name === 'tcp' && rest.every(({ name }) => AFTER_TCP.includes(name))
  const isQuic =
    port?.name === 'udp' && rest[0]?.name === 'quic-v1' && rest.slice(1).every(({ name }) => name === 'p2p')
  if (host === undefined || !HOSTS.includes(host.name) || !(isTcp || isQuic)) {
    return `${address} is not reachable over TCP, WebSocket or QUIC; write it as /ip4/127.0.0.1/tcp/8081, with /ws after it for WebSocket, or as /ip4/127.0.0.1/udp/8081/quic-v1 for QUIC`
  }
  if (use === 'listen' && rest.some(({ name }) => name === 'p2p')) {
    return `${address} names a peer; listen addresses end before /p2p`
  }
  if (use !== 'listen' && port.value === '0') return `${address} has port 0, which nobody can dial`
  return undefined
}
