/** Where a multiaddress leads: host, port, what goes over it. Pure. */
import { multiaddr } from '@multiformats/multiaddr'
import { isRelayed } from './multiaddresses.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
  readonly kind: 'ip4' | 'ip6' | 'name'
  readonly transport: 'tcp' | 'udp'
}

/** Where a connection to this address goes first; undefined for one that names no host and port. */
export const listenAddressOf = (address: string): ListenAddress | undefined => {
  const components = (() => {
    try {
      return multiaddr(address).getComponents()
    } catch {
      return []
    }
  })()
  const zone = components[0]?.name === 'ip6zone' ? `%${components[0].value}` : ''
  const [host, port] = zone === '' ? components : components.slice(1)
  if (host?.value === undefined || (port?.name !== 'tcp' && port?.name !== 'udp')) return undefined
  const kind = host.name === 'ip4' || host.name === 'ip6' ? host.name : 'name'
  return { host: host.value + zone, port: Number(port.value), kind, transport: port.name }
}

/** `/p2p-circuit` alone, or behind a relay: nothing is bound for it. */
export const isBoundLocally = (address: string): boolean => !isRelayed(address)

export const hostPort = ({ host, port }: Pick<ListenAddress, 'host' | 'port'>): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Every address of this machine. */
export const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'
