/**
 * Whether a request was meant for the debug endpoint, and what it may.
 *
 * Its Host header has to name the endpoint: the guard against DNS rebinding, in which a web page has its own name point to
 * 127.0.0.1 and then reads what is there as its own origin. Source: RFC 9110, section 7.2.
 *
 * To see what messages say, and to change anything, it has to show the key in `node.json`, which lies in the data directory
 * and is this user's alone: who has it could read and change the files of the node anyway. Where a node has no data
 * directory nobody may. A web page is kept out twice: it does not know the key, and a request of another origin is refused
 * by what browsers say of it (Fetch standard, section 3.2, `Origin`; Fetch Metadata, `Sec-Fetch-Site`).
 */
import { timingSafeEqual } from 'node:crypto'
import { BlockList, isIP } from 'node:net'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')
/** Listens on every address of the machine. */
const ANY = ['0.0.0.0', '::']

/** `[::1]:80` or `name:80` to `::1` or `name`; undefined where it is neither. */
const hostOf = (header: string): string | undefined => {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s/@]+))(?::\d{1,5})?$/i.exec(header) ?? []
  return (v6 ?? name)?.toLowerCase().replace(/\.$/, '')
}

const canonical = (address: string): string =>
  isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address.toLowerCase()

export const isLoopback = (host: string): boolean => {
  const kind = isIP(host)
  return kind === 0 ? host === 'localhost' : LOOPBACK.check(host, kind === 4 ? 'ipv4' : 'ipv6')
}

/**
 * @param header the Host header of the request
 * @param bound what the endpoint is to listen on: an address or a name
 */
export const isAllowedHost = (header: string | undefined, bound: string): boolean => {
  const host = header === undefined ? undefined : hostOf(header)
  if (host === undefined) return false
  if (isLoopback(host) || canonical(host) === canonical(bound)) return true
  // An address cannot be rebound, only a name can; behind a port mapping it is not even one of ours.
  return ANY.includes(bound) && isIP(host) !== 0
}

const encoder = new TextEncoder()

/** @param authorization the header of the request */
export const hasDebugKey = (authorization: string | undefined, key: string | undefined): boolean => {
  const shown = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(authorization ?? '')?.[1]
  if (shown === undefined || key === undefined) return false
  const [one, two] = [encoder.encode(shown), encoder.encode(key)]
  return one.length === two.length && timingSafeEqual(one, two)
}

/** @param host the Host header, which names this endpoint already */
export const isCrossOrigin = (header: (name: string) => string | undefined): boolean => {
  const origin = header('origin')
  const site = header('sec-fetch-site')
  if (origin !== undefined && origin.toLowerCase() !== `http://${header('host')?.toLowerCase()}`) return true
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}
