/**
 * IP addresses and networks as bytes: parsed, compared by prefix, and what IPv4 address an IPv6 address leads to.
 *
 * Pure. An IPv4 address mapped into IPv6 is that IPv4 address. Sources: RFC 4291 (mapped, compatible), RFC 6052
 * (NAT64), RFC 7915 (SIIT), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP).
 */
import { isIPv4, isIPv6 } from 'node:net'

/** Four bytes or sixteen. */
export type Ip = readonly number[]

export interface IpNetwork {
  readonly ip: Ip
  /** Leading bits that count. */
  readonly bits: number
}

const V4_BYTES = 4
const MAPPED_BITS = 96
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const

const v4 = (text: string): number[] => text.split('.').map(Number)

const v6 = (text: string): number[] => {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const [a = 0, b = 0, c = 0, d = 0] = dotted === null ? [] : v4(dotted[2] ?? '')
  const plain = dotted === null ? text : `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  const [left = '', right] = plain.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const tail = right === undefined ? [] : groups(right)
  const head = groups(left)
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return [...head, ...zeros, ...tail].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

export const startsWith = (ip: Ip, prefix: Ip, bits = prefix.length * 8): boolean => {
  if (bits > ip.length * 8) return false
  return prefix.every((byte, at) => {
    const counted = Math.min(8, Math.max(0, bits - at * 8))
    return counted === 0 || byte >> (8 - counted) === (ip[at] ?? 0) >> (8 - counted)
  })
}

/** @returns undefined where the text is no IP address; one with a zone is none */
export const parseIp = (text: string): Ip | undefined => {
  if (isIPv4(text)) return v4(text)
  if (!isIPv6(text) || text.includes('%')) return undefined
  const bytes = v6(text)
  return startsWith(bytes, MAPPED) ? bytes.slice(MAPPED.length) : bytes
}

/** @param text `10.0.0.0/8`, `fd00::/8`, or one address. @returns undefined where it is none of these */
export const parseNetwork = (text: string): IpNetwork | undefined => {
  const [address = '', length, ...more] = text.split('/')
  const ip = parseIp(address)
  if (ip === undefined || more.length > 0) return undefined
  if (length === undefined) return { ip, bits: ip.length * 8 }
  if (!/^\d{1,3}$/.test(length)) return undefined
  const wasMapped = ip.length === V4_BYTES && address.includes(':')
  const bits = Number(length) - (wasMapped ? MAPPED_BITS : 0)
  return bits < 0 || bits > ip.length * 8 ? undefined : { ip, bits }
}

export const isInNetwork = (ip: Ip, network: IpNetwork): boolean =>
  ip.length === network.ip.length && startsWith(ip, network.ip, network.bits)

/** The one with the longest prefix of those that hold the address; of two alike the first. */
export const closestNetwork = <T extends { readonly network: IpNetwork }>(ip: Ip, rules: readonly T[]): T | undefined =>
  rules
    .filter(({ network }) => isInNetwork(ip, network))
    .reduce<T | undefined>(
      (best, rule) => (best === undefined || rule.network.bits > best.network.bits ? rule : best),
      undefined,
    )

/** Where an IPv6 address with this prefix holds an IPv4 address: its first byte. */
const HOLDERS: readonly { prefix: Ip; at: number }[] = [
  // Compatible, which also holds :: and ::1.
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 },
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0], at: 12 },
  { prefix: [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 },
  { prefix: [0x20, 0x02], at: 2 },
  { prefix: [0x20, 0x01, 0, 0], at: 4 },
]

/** The address itself, and the IPv4 addresses that a translator or a tunnel would make of it. */
export const formsOf = (ip: Ip): Ip[] => {
  if (ip.length === V4_BYTES) return [ip]
  const isTeredo = startsWith(ip, [0x20, 0x01, 0, 0])
  const isIsatap = startsWith(ip.slice(8), [0, 0, 0x5e, 0xfe]) || startsWith(ip.slice(8), [2, 0, 0x5e, 0xfe])
  // The first bytes of :: and ::1 are those of a compatible address, and they are no such address.
  const isSmall = ip.slice(0, 15).every((byte) => byte === 0)
  return [
    ip,
    ...(isSmall
      ? []
      : HOLDERS.filter(({ prefix }) => startsWith(ip, prefix)).map(({ at }) => ip.slice(at, at + V4_BYTES))),
    ...(isTeredo ? [ip.slice(12).map((byte) => byte ^ 0xff)] : []),
    ...(isIsatap ? [ip.slice(12)] : []),
  ]
}
