/**
 * Whether this node dials an address, by who named it: a member must not make the others knock at doors of its choice.
 *
 * Pure. The closest network of the operator's `allow` and `deny` decides; where there is none, what the operator named
 * itself is dialled, and of what peers name nothing that lies on the link, in the machine or nowhere: link-local
 * addresses, metadata services of clouds, loopback of somebody else, multicast, names. All spellings of an address are
 * one, also an IPv4 address within an IPv6 one. Sources: RFC 6890 and the registries of special-purpose addresses; RFC 3927,
 * RFC 4291. The metadata services are those that the providers document.
 */
import { type Component, multiaddr } from '@multiformats/multiaddr'
import { closestNetwork, formsOf, type Ip, type IpNetwork, parseIp, parseNetwork } from '../addresses/ip-networks.ts'

export type DialRefusal =
  | 'denied'
  | 'link-local'
  | 'metadata'
  | 'loopback'
  | 'unspecified'
  | 'multicast'
  | 'reserved'
  /** A name, which peers may not have this node ask for. */
  | 'name'
  /** Not an address that this node dials, such as a socket file. */
  | 'form'
  /** A relay that is reached through a relay. */
  | 'nested'
  /** It leads to another peer than the one whose address it is said to be. */
  | 'author'

export interface DialRules {
  readonly allow: readonly IpNetwork[]
  readonly deny: readonly IpNetwork[]
  /** Names that peers announce are dialled, where what they stand for may be. */
  readonly names: boolean
}

export interface DialContext {
  readonly rules: DialRules
  /** The operator of this node named it. */
  readonly isOwn: boolean
  /** Whoever named it runs on this machine, or nothing of this node goes beyond the machine. */
  readonly isSameMachine: boolean
  /** The peer whose address it is said to be. */
  readonly announcer?: string | undefined
}

const SPECIAL: readonly { network: IpNetwork; refusal: DialRefusal }[] = (
  [
    ['0.0.0.0/8', 'unspecified'],
    ['127.0.0.0/8', 'loopback'],
    ['169.254.0.0/16', 'link-local'],
    ['169.254.169.254', 'metadata'],
    // Credentials of containers and pods.
    ['169.254.170.2', 'metadata'],
    ['169.254.170.23', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['192.0.0.192', 'metadata'],
    ['224.0.0.0/4', 'multicast'],
    ['240.0.0.0/4', 'reserved'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['fe80::/10', 'link-local'],
    // A site's own NAT64, whose form nobody else knows: RFC 8215.
    ['64:ff9b:1::/48', 'reserved'],
    ['fec0::/10', 'reserved'],
    ['ff00::/8', 'multicast'],
    ['fd00:ec2::/32', 'metadata'],
    ['fd20:ce::254', 'metadata'],
    ['fd00:42::42', 'metadata'],
  ] as const
).flatMap(([text, refusal]) => {
  const network = parseNetwork(text)
  return network === undefined ? [] : [{ network, refusal }]
})

const mayReach = (ip: Ip, { rules, isOwn, isSameMachine }: DialContext): DialRefusal | undefined => {
  // Of two alike the first: what is denied stays denied.
  const rule = closestNetwork(ip, [
    ...rules.deny.map((network) => ({ network, isDenied: true })),
    ...rules.allow.map((network) => ({ network, isDenied: false })),
  ])
  if (rule !== undefined) return rule.isDenied ? 'denied' : undefined
  if (isOwn) return undefined
  const special = closestNetwork(ip, SPECIAL)?.refusal
  return special === 'loopback' && isSameMachine ? undefined : special
}

/** For an IP address, or one that a name stands for. */
export const ipRefusal = (text: string, context: DialContext): DialRefusal | undefined => {
  const ip = parseIp(text)
  if (ip === undefined) return 'form'
  for (const form of formsOf(ip)) {
    const refusal = mayReach(form, context)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/**
 * Letters, digits, hyphens and underscores in labels, and a last label that no reader of URLs takes for a number: some
 * read 2130706433, 0x7f.1 and digits of other scripts as 127.0.0.1. Source: WHATWG URL, "ends in a number checker".
 */
const NAME =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!0x[0-9a-f]*\.?$)(?=[a-z0-9_-]*[a-z_-])[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i
const isLocalName = (name: string): boolean => /(^|\.)localhost\.?$/i.test(name)

const mayAsk = (name: string, context: DialContext): DialRefusal | undefined => {
  // Said as a name, and read as an address by whoever dials it.
  const bare = name.replace(/^\[(.*)\]$/, '$1')
  if (parseIp(bare) !== undefined) return ipRefusal(bare, context)
  if (context.isOwn) return undefined
  if (!NAME.test(name) || name.length > 253) return 'form'
  if (isLocalName(name)) return ipRefusal('127.0.0.1', context)
  return context.rules.names ? undefined : 'name'
}

const SHAPES = ['tcp', 'tcp tls ws', 'tcp tls sni ws', 'tcp ws', 'tcp wss', 'udp quic-v1']

const mayDialDirect = (components: readonly Component[], context: DialContext): DialRefusal | undefined => {
  const [host, ...rest] = components[components.length - 1]?.name === 'p2p' ? components.slice(0, -1) : components
  const shape = rest.map(({ name }) => name).join(' ')
  const port = rest[0]?.value
  if (host === undefined || !SHAPES.includes(shape) || port === undefined || port === '0') return 'form'
  // A WebSocket with TLS goes to the name that it shows there, whatever stands in front.
  const shown = rest.find(({ name }) => name === 'sni')?.value
  const refusal = shown === undefined ? undefined : mayAsk(shown, context)
  if (refusal !== undefined) return refusal
  if (host.name === 'ip4' || host.name === 'ip6') return ipRefusal(host.value ?? '', context)
  return /^dns[46]?$/.test(host.name) ? mayAsk(host.value ?? '', context) : 'form'
}

/** Names in the address whose addresses have to be looked at before it is dialled. */
export const namesIn = (address: string): string[] =>
  multiaddr(address)
    .getComponents()
    .filter(({ name, value = '' }) => /^(dns[46]?|sni)$/.test(name) && parseIp(value) === undefined)
    .map(({ value = '' }) => value)

/** @returns why this node does not dial the address; undefined where it does */
export const addressRefusal = (address: string, context: DialContext): DialRefusal | undefined => {
  let components: Component[]
  try {
    components = multiaddr(address).getComponents()
  } catch {
    return 'form'
  }
  const last = components[components.length - 1]
  if (last?.name === 'p2p' && context.announcer !== undefined && last.value !== context.announcer) return 'author'
  const circuits = components.flatMap(({ name }, at) => (name === 'p2p-circuit' ? [at] : []))
  const [at] = circuits
  if (at === undefined) return mayDialDirect(components, context)
  if (circuits.length > 1) return 'nested'
  const [through, beyond] = [components.slice(0, at), components.slice(at + 1)]
  if (beyond.some(({ name }) => name !== 'p2p') || beyond.length > 1 || through.at(-1)?.name !== 'p2p') return 'form'
  // The relay is connected already.
  return through.length === 1 ? undefined : mayDialDirect(through, context)
}
